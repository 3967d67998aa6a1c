"""Tests that use two boards of a lab at once: two leases, given back together."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.jumpstarter.client import lab_line
from hil.jumpstarter.client.lease_name import LeaseName
from hil.jumpstarter.client.leased import LeaseConnection, OwnLeaseConnection
from hil.jumpstarter.client.target import SelectorTarget
from tests.jumpstarter.exporters import LIMIT_S, wait_for
from tests.jumpstarter.jumpstarter_fixtures import wait_until_free
from tests.jumpstarter.lab_run import REPOSITORY, LabRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.controller import Controller

ANY = "jumpstarter:board=dutlink"
PROGRAMS = Path(__file__).parent / "programs"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(240)]


@contextmanager
def taker(folder: Path, client: Path) -> Iterator[Path]:
    """Lease any exporter again and again in another process; return the file of its output."""
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".taker") as output:
        command = [sys.executable, str(PROGRAMS / "keep_leasing.py"), str(client), str(folder)]
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=REPOSITORY)
        try:
            yield Path(output.name)
        finally:
            (folder / "stop").touch()
            process.wait(timeout=LIMIT_S)


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
    assert "free now: lab1" in text, text
    assert [one.name for one in controller.leases.values() if one.begun][-1] == other.lease.name, text
    assert controller.active() == [other.lease.name]
    assert controller.scheduled() == []
    other.close()


def test_test_with_two_boards_is_skipped_at_once_in_a_lab_with_one(tmp_path: Path, client: Path) -> None:
    more = (f"--hil-client={client}", "-k", "two")

    with LabRun(tmp_path / "run", "jumpstarter:lab=0", more, cases="case_two.py") as run:
        text = run.result()

    assert "1 skipped" in text, text
    assert "there are no 2 exporters with lab=0 at once: the lab has lab0" in text, text


def test_test_with_two_boards_gets_its_turn_among_runs_that_want_one(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    with ExitStack() as takers:
        outputs = [takers.enter_context(taker(tmp_path, client)) for _ in range(3)]
        wait_for(
            "both are in use, and a request waits", lambda: controller.active()[1:] and controller.pending()
        )
        more = (f"--hil-client={client}", "--hil-wait=90", "-k", "two")

        with LabRun(tmp_path / "run", ANY, more, cases="case_two.py") as run:
            text = run.result()

        assert "1 passed" in text, text
        assert "waiting for 2 exporters with board=dutlink at once" in text, text
        seen = [output.read_text().count("leased") for output in outputs]
        wait_for(
            "each has its turn again",
            lambda: all(
                output.read_text().count("leased") > before
                for output, before in zip(outputs, seen, strict=True)
            ),
        )


def test_killed_run_that_waits_for_two_boards_leaves_no_mark(
    tmp_path: Path, client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    other = OwnLeaseConnection(SelectorTarget("lab=0", str(client)), 60.0, print)
    with LabRun(tmp_path / "run", ANY, (f"--hil-client={client}", "-k", "two"), cases="case_two.py") as run:
        wait_for("it waits", controller.scheduled)

        run.process.kill()

        wait_for("it waits no more", lambda: not controller.scheduled())
    assert controller.active() == [other.lease.name]
    other.close()


def test_mark_that_nothing_puts_off_ends_and_takes_no_exporter(
    client: Path, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until_free(controller, 2)
    monkeypatch.setattr(lab_line, "MARK_S", 0.5)
    mark = LeaseConnection("the controller", str(client), LeaseName.of_this_process().fresh())
    mark.portal.call(lab_line.set_mark, mark.lease, "board=dutlink")
    assert mark.portal.call(lab_line.marks_now, mark.lease) == {mark.lease.name}

    wait_for("it has ended", lambda: not controller.scheduled() and not controller.pending())

    assert mark.portal.call(lab_line.marks_now, mark.lease) == set()
    assert controller.active() == []
    mark.close()


def test_run_requests_an_exporter_at_the_end_of_its_wait_though_a_mark_is_ahead(
    client: Path, controller: Controller
) -> None:
    wait_until_free(controller, 2)
    mark = LeaseConnection("the controller", str(client), "of-another-run")
    mark.portal.call(lab_line.set_mark, mark.lease, "lab=0")
    lines: list[str] = []

    OwnLeaseConnection(SelectorTarget("lab=1", str(client)), 60.0, lines.append).close()
    unhindered, lines = lines, []
    OwnLeaseConnection(SelectorTarget("board=dutlink", str(client)), 1.0, lines.append).close()

    assert unhindered == []
    assert "a test that uses several boards goes first" in lines[0]
    mark.portal.call(mark.lease.end)
    mark.close()


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
