"""Tests that use two boards of a lab at once: two leases, given back together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.jumpstarter.client.leased import OwnLeaseConnection
from hil.jumpstarter.client.target import SelectorTarget
from tests.jumpstarter.exporters import wait_for
from tests.jumpstarter.jumpstarter_fixtures import wait_until_free
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.controller import Controller

ANY = "jumpstarter:board=dutlink"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_test_with_two_boards_leases_two_exporters_and_gives_both_back(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], workers: str
) -> None:
    wait_until_free(controller, 2)
    more = (f"--hil-client={client}", "-n", workers, "-k", "not held")

    with LabRun(tmp_path / "run", ANY, more, cases="case_two.py") as run:
        text = run.result()

    assert "3 passed" in text, text
    assert sorted((run.signs / "two").read_text().split()) == sorted(boards[:2]), text
    assert controller.active() == []


def test_test_with_two_boards_holds_none_while_one_is_in_use(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    other = OwnLeaseConnection(SelectorTarget("lab=0", str(client)), 60.0, print)
    more = (f"--hil-client={client}", "--hil-wait=1", "-k", "two")

    with LabRun(tmp_path / "run", ANY, more, cases="case_two.py") as run:
        text = run.result()

    assert "1 skipped" in text, text
    assert "DUTLink busy" in text, text
    assert controller.active() == [other.lease.name]
    other.close()


def test_killed_run_leaves_two_safe_boards_and_no_lease(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", ANY, (f"--hil-client={client}", "-k", "held"), cases="case_two.py") as run:
        run.wait_for_sign("held")
        assert [control.state(serial)["supply"] for serial in boards[:2]] == [True, True]

        run.process.kill()

        wait_for("both are off", lambda: not any(control.state(serial)["supply"] for serial in boards[:2]))
    wait_for("no lease is left", lambda: controller.active() == [])
