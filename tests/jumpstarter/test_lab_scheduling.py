"""Tests that ask for certain boards get them on a lab as they do on one host, alone and under `-n`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from exporters import wait_for
from jumpstarter_fixtures import wait_until_free
from lab_run import LabRun

from hil.jumpstarter.client.leased import OwnLeaseConnection
from hil.jumpstarter.client.target import SelectorTarget

if TYPE_CHECKING:
    from pathlib import Path

    from controller import Controller
    from jumpstarter_fixtures import StartThird

    from hil.sim.management.client import ManagementClient

ANY = "jumpstarter:board=dutlink"
WISHES = "case_wishes.py"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


def met(run: LabRun, color: str) -> set[str]:
    """Serial numbers of the boards that the tests of that name ran on."""
    return {sign.read_text() for sign in run.signs.glob(f"{color}-*")}


def is_without_green(text: str) -> bool:
    """Whether the test for a green board was skipped, or failed where every exporter had told its tags."""
    skipped = "1 skipped" in text and "DUTLink not available: no board tagged green" in text
    return skipped or ("1 error" in text and "no board has the tag green: known are blue, red" in text)


@pytest.mark.parametrize("workers", ["2", "3"])
def test_each_test_runs_on_a_board_that_it_asked_for(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], workers: str
) -> None:
    wait_until_free(controller, 2)

    with LabRun(tmp_path / "run", ANY, (f"--hil-client={client}", "-n", workers), cases=WISHES) as run:
        text = run.result()

    assert re.search("11 passed, 1 (skipped|error)", text), text
    assert (met(run, "red"), met(run, "blue")) == ({boards[0]}, {boards[1]})
    assert is_without_green(text), text
    assert controller.active() == []


def test_a_worker_more_than_there_are_exporters_waits_for_nothing(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    more = (f"--hil-client={client}", "-n", "3", "--hil-wait", "600", "-k", "red or any or no_board")

    with LabRun(tmp_path / "run", ANY, more, cases=WISHES) as run:
        text = run.result()

    assert "8 passed" in text, text


def test_a_run_without_workers_goes_on_looking_until_a_board_suits(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str]
) -> None:
    wait_until_free(controller, 2)

    with LabRun(
        tmp_path / "run", ANY, (f"--hil-client={client}", "-k", "blue or green"), cases=WISHES
    ) as run:
        text = run.result()

    assert re.search("3 passed, (1 skipped|8 deselected, 1 error)", text), text
    assert met(run, "blue") == {boards[1]}
    assert is_without_green(text), text
    assert controller.active() == []


def test_the_board_that_a_run_is_told_to_use_is_found_by_the_name_it_has_in_the_lab(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str]
) -> None:
    wait_until_free(controller, 2)
    only = (f"--hil-client={client}", "-n", "2", "--hil-board", "place1", "-k", "any")

    with LabRun(tmp_path / "run", ANY, only, cases=WISHES) as run:
        text = run.result()

    assert "4 passed" in text, text
    assert met(run, "any") == {boards[1]}


@pytest.mark.parametrize("more", [(), ("--hil-board", "place0")])
def test_workers_of_a_run_that_got_no_exporter_in_time_say_so_without_waiting_again(
    tmp_path: Path, client: Path, controller: Controller, more: tuple[str, ...]
) -> None:
    wait_until_free(controller, 2)
    first = "jumpstarter:lab=0"
    with LabRun(tmp_path / "one", first, (f"--hil-client={client}", "-k", "holds")) as one:
        one.wait_for_sign("holding")
        options = (f"--hil-client={client}", "-n", "2", "--hil-wait", "5", "-k", "any or no_board", *more)
        with LabRun(tmp_path / "two", first, options, cases=WISHES) as two:
            text = two.result()
        one.give_sign("go on")

    assert text.count("waiting for an exporter with lab=0") == 1, text
    assert "1 passed, 4 skipped" in text, text
    assert "DUTLink busy: every exporter with lab=0 is in use" in text, text


@pytest.mark.parametrize("workers", ["0", "2"])
def test_leases_end_behind_the_last_test_that_needs_a_board_though_the_run_goes_on(
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


def test_tests_go_on_with_the_exporters_that_are_left_when_one_is_killed(  # noqa: PLR0913, PLR0917 - fixtures
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
        other = OwnLeaseConnection(
            SelectorTarget("lab=0", str(client)), 60.0, print
        )  # so the run gets the other two
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
    assert run.process.returncode == 6, text
    assert all(ended)


def test_a_killed_parallel_run_leaves_safe_boards_and_no_lease(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", ANY, (f"--hil-client={client}", "-n", "2", "-k", "holds")) as run:
        board = run.wait_for_sign("holding")

        run.process.kill()

        wait_for("the board is safe", lambda: not control.state(board)["supply"])
        wait_for("the leases have ended", lambda: not controller.active())
    wait_until_free(controller, 2)
