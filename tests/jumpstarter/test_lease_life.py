"""Leases are renewed during a run, ended after it, and used inside `jmp shell`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from hil.jumpstarter.client.leased import OwnLeaseConnection
from hil.jumpstarter.client.target import SelectorTarget
from tests.jumpstarter.exporters import JMP, wait_for
from tests.jumpstarter.jumpstarter_fixtures import wait_until_free
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from tests.jumpstarter.controller import Controller
    from tests.jumpstarter.jumpstarter_fixtures import StartThird


SHORT_S = 3.0
LIMIT_S = 60.0
KILLED = """
import os, signal, sys
from hil.jumpstarter.client.leased import OwnLeaseConnection
from hil.jumpstarter.client.target import SelectorTarget
OwnLeaseConnection(SelectorTarget("lab=0", sys.argv[1]), 60.0, print)
os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


def test_lease_is_renewed_while_it_is_used(client: Path, controller: Controller) -> None:
    wait_until_free(controller, 2)
    connection = OwnLeaseConnection(SelectorTarget("lab=0", str(client)), LIMIT_S, print, lease_s=SHORT_S)
    lease = controller.leases[connection.lease.name]
    begun = time.monotonic()

    wait_for("it is past its first end", lambda: time.monotonic() - begun > 2 * SHORT_S)

    assert lease.ended is None
    assert connection.board.describe()["serial"]
    connection.close()
    assert lease.ended is not None


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
def test_lease_is_renewed_for_its_length_though_the_controllers_clock_is_wrong(
    client: Path, controller: Controller, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    wait_until_free(controller, 2)
    monkeypatch.setattr(controller, "clock_ahead", timedelta(seconds=ahead_s))
    asked = time.monotonic()
    connection = OwnLeaseConnection(SelectorTarget("lab=0", str(client)), LIMIT_S, print, lease_s=SHORT_S)
    lease = controller.leases[connection.lease.name]
    begun = time.monotonic()

    wait_for("it is past its first end", lambda: time.monotonic() - begun > 2 * SHORT_S)

    assert lease.ended is None
    assert lease.duration.total_seconds() < time.monotonic() - asked + 2 * SHORT_S
    connection.close()


def test_stale_lease_of_a_killed_process_is_ended_by_the_next_run(
    client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    subprocess.run([sys.executable, "-c", KILLED, str(client)], check=False, timeout=LIMIT_S)
    (left,) = controller.active()
    told: list[str] = []

    OwnLeaseConnection(SelectorTarget("lab=0", str(client)), LIMIT_S, told.append).close()

    assert controller.leases[left].ended is not None
    assert any("ended 1 lease of runs that were killed on this machine" in line for line in told)


def test_hooks_may_take_longer_than_the_connect_limit(
    third: StartThird,
    client: Path,
    boards: list[str],
) -> None:
    with third(hook_s=22):
        connection = OwnLeaseConnection(SelectorTarget("lab=2", str(client)), LIMIT_S, print)

        assert connection.board.describe()["serial"] == boards[2]
        connection.close()


def test_jmp_shell_board_is_used_by_default(tmp_path: Path, client: Path, controller: Controller) -> None:
    wait_until_free(controller, 2)
    in_shell = (str(JMP), "shell", "--client-config", str(client), "--selector", "lab=1", "--")

    with LabRun(tmp_path / "run", None, ("-k", "next"), before=in_shell) as run:
        text = run.result()

    assert "boards from a Jumpstarter lab (jumpstarter)" in text, text
    assert "1 passed" in text, text
    wait_for("its lease has ended", lambda: not controller.active())
    assert os.environ.get("JUMPSTARTER_HOST") is None
