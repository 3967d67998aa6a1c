"""A lease's name tells whether the process that held it still runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from programs import running

from hil.jumpstarter.client.lease_name import LeaseName

ITS_NAME = (
    "from hil.jumpstarter.client.lease_name import LeaseName; print(LeaseName.of_this_process().fresh())"
)


def test_a_name_is_one_that_kubernetes_takes_and_is_never_given_twice() -> None:
    mine = LeaseName.of_this_process()
    names = {mine.fresh() for _ in range(20)}

    assert len(names) == 20
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) and len(name) <= 63 for name in names)
    assert {LeaseName.parse(name) for name in names} == {mine}


def test_a_running_process_holds_no_stale_lease() -> None:
    assert not LeaseName.of_this_process().is_stale


def test_a_lease_of_a_process_that_has_ended_is_stale() -> None:
    name = subprocess.run([sys.executable, "-c", ITS_NAME], capture_output=True, text=True, check=True).stdout

    holder = LeaseName.parse(name.strip())

    assert holder is not None
    assert holder.is_stale


def test_a_lease_of_a_process_that_nobody_has_buried_yet_is_stale() -> None:
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
def test_a_lease_that_somebody_else_has_named_is_left_alone(name: str) -> None:
    assert LeaseName.parse(name) is None


def test_a_process_of_another_machine_is_never_taken_for_ended() -> None:
    assert not LeaseName("0" * 8, 1, 1).is_stale
