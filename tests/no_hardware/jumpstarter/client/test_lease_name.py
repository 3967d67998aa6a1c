"""The name of a lease tells whether the process that holds it still runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from hil.jumpstarter.client.lease_name import LeaseName
from tests.support.programs import running

ITS_NAME = (
    "from hil.jumpstarter.client.lease_name import LeaseName; print(LeaseName.of_this_process().fresh())"
)


def test_lease_name_is_valid_in_kubernetes_and_unique() -> None:
    mine = LeaseName.of_this_process()
    names = {mine.fresh() for _ in range(20)}

    assert len(names) == 20
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= 63 for name in names)
    assert {LeaseName.parse(name) for name in names} == {mine}


def test_lease_of_a_running_process_is_not_stale() -> None:
    assert not LeaseName.of_this_process().is_stale


def test_lease_of_an_ended_process_is_stale() -> None:
    name = subprocess.run([sys.executable, "-c", ITS_NAME], capture_output=True, text=True, check=True).stdout

    holder = LeaseName.parse(name.strip())

    assert holder is not None
    assert holder.is_stale


def test_lease_of_a_zombie_is_stale() -> None:
    with running(
        [sys.executable, "-c", f"{ITS_NAME}; import sys; sys.stdout.flush(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        holder = LeaseName.parse(process.stdout.readline().strip())
        assert holder is not None
        assert not holder.is_stale

        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie

        assert holder.is_stale


@pytest.mark.parametrize("name", ["", "01890a5d-ac96-774b-bcce-b302099a8057", "hil-12345678-1-x-abcdef"])
def test_parse_returns_none_for_a_foreign_name(name: str) -> None:
    assert LeaseName.parse(name) is None


def test_lease_of_another_machine_is_never_stale() -> None:
    assert not LeaseName("0" * 8, 1, 1).is_stale
