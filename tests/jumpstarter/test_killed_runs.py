"""A run that is killed at any time leaves no lease and no powered DUT."""

from __future__ import annotations

import json
import os
import signal
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
    from tests.jumpstarter.exporters import Exporter

FIRST = "jumpstarter:lab=0"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]
each_way = pytest.mark.parametrize("workers", ["0", "2"])


def options(client: Path, workers: str, tests: str) -> tuple[str, ...]:
    """Return the options of a run by this client."""
    return (f"--hil-client={client}", "-n", workers, "-k", tests)


@each_way
def test_guard_ends_the_request_of_a_run_killed_while_it_waits_for_a_lease(
    tmp_path: Path, client: Path, controller: Controller, workers: str
) -> None:
    wait_until_free(controller, 2)
    other = OwnLeaseConnection(SelectorTarget("lab=0", str(client)), 60.0, print)
    with LabRun(tmp_path / "run", FIRST, options(client, workers, "next")) as run:
        run.wait_for_text("waiting for an exporter")
        assert controller.pending()

        run.process.kill()

        wait_for("it waits no more", lambda: not controller.pending())
    assert controller.active() == [other.lease.name]
    other.close()


def test_guard_ends_the_lease_of_a_killed_run_configured_by_the_environment(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    facts = json.loads(client.read_text())
    environment = {
        "JMP_ENDPOINT": facts["endpoint"],
        "JMP_TOKEN": facts["token"],
        "JMP_NAME": "ann",
        "JMP_NAMESPACE": "default",
        "JMP_TLS": json.dumps(facts["tls"]),
    }
    with LabRun(tmp_path / "run", FIRST, ("-k", "holds"), environment) as run:
        board = run.wait_for_sign("holding")

        run.process.kill()

        wait_for("it has no lease", lambda: not controller.active())
        wait_for("the board is safe", lambda: not control.state(board)["supply"])


@each_way
def test_guard_ends_the_lease_of_a_run_killed_before_it_is_connected(
    tmp_path: Path, client: Path, controller: Controller, lab: list[Exporter], workers: str
) -> None:
    wait_until_free(controller, 2)
    with lab[0].stopped(), LabRun(tmp_path / "run", FIRST, options(client, workers, "next")) as run:
        wait_for("it has its lease", controller.active)

        run.process.kill()

        wait_for("it has no lease", lambda: not controller.active())


@each_way
def test_run_killed_while_it_flashes_leaves_a_safe_board_and_no_lease(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient, workers: str
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", FIRST, options(client, workers, "flashes")) as run:
        run.wait_for_sign("flashing")
        board = run.wait_for_sign("flashes")
        was_on = control.state(board)["supply"]

        run.process.kill()

        wait_for("the board is safe", lambda: not control.state(board)["supply"])
        wait_for("its stick is detached", lambda: control.state(board)["mux"] == "off")
        wait_for("it has no lease", lambda: not controller.active())
    assert was_on


def test_killed_worker_leaves_a_safe_board_and_the_run_keeps_the_lease(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", FIRST, options(client, "1", "is_killed or next")) as run:
        pid, board = run.wait_for_sign("pid").split()
        was_on = control.state(board)["supply"]

        os.kill(int(pid), signal.SIGKILL)
        wait_for("the board is safe", lambda: not control.state(board)["supply"])
        text = run.result()

    assert was_on
    assert "1 failed, 1 passed" in text, text
    assert "crashed while running" in text, text
    assert controller.active() == []
