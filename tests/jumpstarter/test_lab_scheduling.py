"""Tests on a lab run on the boards that they require, with and without `-n`."""

from __future__ import annotations

import re
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
    from tests.jumpstarter.jumpstarter_fixtures import StartThird

ANY = "jumpstarter:board=dutlink"
REQUIREMENTS = "case_requirements.py"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


def met(run: LabRun, color: str) -> set[str]:
    """Return the serial numbers of the boards that the tests of this color ran on."""
    return {sign.read_text() for sign in run.signs.glob(f"{color}-*")}


def is_without_green(text: str) -> bool:
    """Return True if the test for a green board was skipped, or failed since all tags were known."""
    skipped = "1 skipped" in text and "DUTLink not available: no board tagged green" in text
    return skipped or ("1 error" in text and "no board has the tag green: the tags are blue, red" in text)


@pytest.mark.parametrize("workers", ["2", "3"])
def test_each_test_runs_on_a_board_that_it_requires(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], workers: str
) -> None:
    wait_until_free(controller, 2)

    with LabRun(tmp_path / "run", ANY, (f"--hil-client={client}", "-n", workers), cases=REQUIREMENTS) as run:
        text = run.result()

    assert re.search("11 passed, 1 (skipped|error)", text), text
    assert (met(run, "red"), met(run, "blue")) == ({boards[0]}, {boards[1]})
    assert is_without_green(text), text
    assert controller.active() == []


def test_worker_without_an_exporter_does_not_wait(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    more = (f"--hil-client={client}", "-n", "3", "--hil-wait", "600", "-k", "red or any or no_board")

    with LabRun(tmp_path / "run", ANY, more, cases=REQUIREMENTS) as run:
        text = run.result()

    assert "8 passed" in text, text


def test_run_without_workers_searches_until_a_board_suits(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str]
) -> None:
    wait_until_free(controller, 2)

    with LabRun(
        tmp_path / "run", ANY, (f"--hil-client={client}", "-k", "blue or green"), cases=REQUIREMENTS
    ) as run:
        text = run.result()

    assert re.search("3 passed, (1 skipped|8 deselected, 1 error)", text), text
    assert met(run, "blue") == {boards[1]}
    assert is_without_green(text), text
    assert controller.active() == []


def test_hil_board_finds_a_board_by_the_name_of_its_place(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str]
) -> None:
    wait_until_free(controller, 2)
    only = (f"--hil-client={client}", "-n", "2", "--hil-board", "place1", "-k", "any")

    with LabRun(tmp_path / "run", ANY, only, cases=REQUIREMENTS) as run:
        text = run.result()

    assert "4 passed" in text, text
    assert met(run, "any") == {boards[1]}


@pytest.mark.parametrize("more", [(), ("--hil-board", "place0")])
def test_workers_do_not_wait_again_when_the_controller_got_no_exporter(
    tmp_path: Path, client: Path, controller: Controller, more: tuple[str, ...]
) -> None:
    wait_until_free(controller, 2)
    first = "jumpstarter:lab=0"
    with LabRun(tmp_path / "one", first, (f"--hil-client={client}", "-k", "holds")) as one:
        one.wait_for_sign("holding")
        options = (f"--hil-client={client}", "-n", "2", "--hil-wait", "5", "-k", "any or no_board", *more)
        with LabRun(tmp_path / "two", first, options, cases=REQUIREMENTS) as two:
            text = two.result()
        one.give_sign("go on")

    assert text.count("waiting for an exporter with lab=0") == 1, text
    assert "1 passed, 4 skipped" in text, text
    assert "DUTLink busy: every exporter with lab=0 is in use" in text, text


@pytest.mark.parametrize("workers", ["0", "2"])
def test_leases_end_after_the_last_test_that_needs_a_board(
    tmp_path: Path, client: Path, controller: Controller, workers: str
) -> None:
    wait_until_free(controller, 2)
    options = (f"--hil-client={client}", "-n", workers, "-k", "next or for_long")

    with LabRun(tmp_path / "run", ANY, options) as run:
        run.wait_for_sign("goes on")
        wait_for("the leases have ended", lambda: controller.leases and not controller.active())
        wait_until_free(controller, 2)
        assert run.process.poll() is None
        run.give_sign("go on")
        text = run.result()

    assert "2 passed" in text, text


def test_tests_continue_on_the_other_exporters_when_one_is_killed(  # noqa: PLR0913, PLR0917 - fixtures
    third: StartThird,
    tmp_path: Path,
    client: Path,
    controller: Controller,
    control: ManagementClient,
    boards: list[str],
) -> None:
    wait_until_free(controller, 2)
    with third() as exporter:
        wait_until_free(controller, 3)
        # This lease takes one board, so the run gets the other two.
        other = OwnLeaseConnection(SelectorTarget("lab=0", str(client)), 60.0, print)
        options = (f"--hil-client={client}", "-n", "2", "--hil-require")
        with LabRun(tmp_path / "run", ANY, options, cases="case_loss.py") as run:
            for board in boards[1:]:
                run.wait_for_sign(f"on-{board}")

            exporter.kill()
            run.give_sign("go on")
            text = run.result()
        ended = [lease.ended for name, lease in controller.leases.items() if name != other.lease.name]
        other.close()
        wait_for("the board is safe", lambda: not control.state(boards[2])["supply"])

    lost = 10 - len(list(run.signs.glob("ran-*")))
    assert lost in {1, 2, 3}, text  # the one that ran, and what its worker had been sent already
    assert f"{lost} x DUTLink lost: " in text, text
    assert "the board of exporter lab2 is lost" in text, text
    assert f"{11 - lost} passed" in text, text
    assert {sign.read_text() for sign in run.signs.glob("ran-*")} == {boards[1]}
    assert run.process.returncode == 16, text
    assert all(ended)


def test_killed_parallel_run_leaves_safe_boards_and_no_lease(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", ANY, (f"--hil-client={client}", "-n", "2", "-k", "holds")) as run:
        board = run.wait_for_sign("holding")

        run.process.kill()

        wait_for("the board is safe", lambda: not control.state(board)["supply"])
        wait_for("the leases have ended", lambda: not controller.active())
    wait_until_free(controller, 2)
