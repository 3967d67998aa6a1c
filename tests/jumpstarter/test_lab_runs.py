"""Runs of the suite on a lab: a controller, two exporters with hooks and simulated boards, TLS everywhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.jumpstarter.exporters import wait_for
from tests.jumpstarter.jumpstarter_fixtures import client_facts, wait_until_free
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.certificates import Certificate
    from tests.jumpstarter.controller import Controller
    from tests.jumpstarter.exporters import Exporter
    from tests.jumpstarter.jumpstarter_fixtures import StartThird

ANY = "jumpstarter:board=dutlink"
FIRST = "jumpstarter:lab=0"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


def by(client: Path, *more: str) -> tuple[str, ...]:
    """Return the options of a run by this client."""
    return (f"--hil-client={client}", *more)


def test_workers_use_an_exporter_each(
    tmp_path: Path, client: Path, boards: list[str], controller: Controller, control: ManagementClient
) -> None:
    with LabRun(tmp_path / "run", ANY, by(client, "-n", "2", "-k", "own")) as run:
        text = run.result()

    assert run.process.returncode == 0, text
    assert "a Jumpstarter lab" in text, text
    met = {(run.signs / f"met-{number}").read_text() for number in range(2)}
    assert met == set(boards[:2])
    assert controller.active() == []
    assert not any(control.state(board)["supply"] for board in boards[:2])


def test_login_is_read_from_the_lab_file_of_the_exporters_host(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)

    with LabRun(tmp_path / "run", FIRST, by(client, "-k", "logs_in")) as run:
        text = run.result()

    assert "1 passed" in text, text


def test_third_run_waits_for_an_exporter_and_says_so(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    with (
        LabRun(tmp_path / "one", ANY, by(client, "-k", "holds")) as one,
        LabRun(tmp_path / "two", ANY, by(client, "-k", "holds")) as two,
    ):
        one.wait_for_sign("holding")
        two.wait_for_sign("holding")
        with LabRun(tmp_path / "three", ANY, by(client, "-k", "next")) as three:
            three.wait_for_text("waiting for an exporter with board=dutlink")
            one.give_sign("go on")
            text = three.result()
        two.give_sign("go on")

    assert "1 passed" in text, text


def test_short_hil_wait_skips_tests_as_busy(tmp_path: Path, client: Path, controller: Controller) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "one", FIRST, by(client, "-k", "holds")) as one:
        one.wait_for_sign("holding")
        with LabRun(tmp_path / "two", FIRST, by(client, "-k", "next", "--hil-wait", "0.5")) as two:
            text = two.result()
        assert len(controller.active()) == 1  # the first run's, of the same client, on the same machine
        one.give_sign("go on")

    assert "DUTLink busy: every exporter with lab=0 is in use" in text, text
    assert controller.pending() == []


def test_killed_run_leaves_a_safe_board_and_no_lease(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", ANY, by(client, "-k", "holds")) as run:
        board = run.wait_for_sign("holding")
        was_on = control.state(board)["supply"]

        run.process.kill()

        wait_for("the board is safe", lambda: not control.state(board)["supply"])
        wait_for("the lease has ended", lambda: not controller.active())
    assert was_on
    wait_until_free(controller, 2)


def test_board_is_lost_when_the_lease_expires_during_a_test(
    tmp_path: Path, client: Path, controller: Controller, control: ManagementClient
) -> None:
    wait_until_free(controller, 2)
    with LabRun(tmp_path / "run", ANY, by(client, "-k", "holds")) as run:
        board = run.wait_for_sign("holding")

        controller.expire(controller.active()[0])
        wait_for("the board is safe", lambda: not control.state(board)["supply"])
        run.give_sign("go on")
        text = run.result()

    assert "DUTLink lost" in text, text
    assert "has ended" in text, text


def test_selector_that_matches_no_exporter_means_absent(tmp_path: Path, client: Path) -> None:
    with LabRun(tmp_path / "run", "jumpstarter:board=none", by(client, "-k", "next")) as run:
        text = run.result()

    assert "DUTLink not available: no exporter has the labels board=none" in text, text


def test_wrong_token_means_denied(tmp_path: Path, controller: Controller, certificate: Certificate) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(json.dumps(client_facts(controller, certificate, "guessed")), encoding="utf-8")

    with LabRun(tmp_path / "run", ANY, by(wrong, "-k", "next or no_board")) as run:
        text = run.result()

    assert "UNAUTHENTICATED" in text, text
    assert "1 skipped" in text, text
    assert (run.signs / "plain").exists()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_missing_client_configuration_ends_the_run_before_it_starts(tmp_path: Path, workers: str) -> None:
    with LabRun(tmp_path / "run", ANY, by(tmp_path / "bob.yaml", "-n", workers)) as run:
        text = run.result()

    assert "ERROR: the configuration of the Jumpstarter client" in text, text
    assert "jmp config client list shows what there is" in text, text
    assert run.process.returncode == 4, text


def test_hooks_can_use_the_board(lab: list[Exporter], boards: list[str]) -> None:
    said = (lab[0].folder / "hooks-0").read_text()

    assert said.count("before") >= said.count("after") >= 1
    assert f"serial: {boards[0]}" in said


def test_killed_exporter_is_lost_at_once_and_leaves_a_safe_board(
    third: StartThird,
    tmp_path: Path,
    client: Path,
    control: ManagementClient,
    boards: list[str],
) -> None:
    with third() as exporter:
        with LabRun(tmp_path / "run", "jumpstarter:lab=2", by(client, "-k", "holds")) as run:
            run.wait_for_sign("holding")

            exporter.kill()
            run.give_sign("go on")
            text = run.result()
        wait_for("the board is safe", lambda: not control.state(boards[2])["supply"])

    assert "DUTLink lost" in text, text
