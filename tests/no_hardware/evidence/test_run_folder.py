"""The evidence folder of a run: records are read back, damaged ones are skipped.

A report replaces files that hil wrote, and none of another program, and none through a link.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.usb.request_log import SentRequest
from hil.errors import HilError, UsageError
from hil.evidence.console_file import ConsoleFile, ConsoleFolder
from hil.evidence.records import (
    BoardHealth,
    RecordedAttempt,
    RecordedPhase,
    RecordedTest,
    RunRecord,
)
from hil.evidence.run_folder import EvidenceFolder, refuse_foreign_report
from hil.evidence.used_board import UsedBoard
from hil.history.store import History
from hil.history.window import Window
from hil.report.night_pages import build_nights
from hil.report.pages import write_page
from tests.support.made_up import a_test, keep_run

OLDER = Path(__file__).parent / "older"
"""Written by hil of November 2026; `RUN` and `FULL` below."""

RUN = RunRecord("k1", 1_800_000_000.0, boards=[BoardHealth("0df10035", "0.09", state="safe")])
FULL = RecordedTest(
    "tests/test_a.py::test_b[1]",
    run="k1",
    began_s=5.0,
    ended_s=7.0,
    board=UsedBoard("0df10035", "0.09", "bench 3"),
    attempts=[
        RecordedAttempt(1, "failed", sections=[("title", "text")], phases=[RecordedPhase("call", 5.0, 1.0)])
    ],
    requests=[SentRequest(1.0, 2.0, "power", "on", "ok", 0.001)],
)
WALL: dict[str, Any] = {"headline": "h", "number": 1, "colour": "", "newest": None, "boards": []}
NAMES = ("run.json", "index.html", "boards.html", "wall.html", "summary.md")


def test_evidence_folder_reads_back_a_test(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "new")
    folder.write_test(FULL)

    assert folder.tests("k1") == [FULL]
    assert folder.test(FULL.nodeid, "k1") == FULL


def test_evidence_folder_reads_back_a_run(tmp_path: Path) -> None:
    EvidenceFolder(tmp_path).write_run(RUN)

    assert EvidenceFolder(tmp_path).run() == RUN


def test_evidence_folder_reads_the_files_of_an_older_hil() -> None:
    folder = EvidenceFolder(OLDER)

    assert (folder.run(), folder.tests("k1")) == (RUN, [FULL])


@given(nodeid=st.text(max_size=300), message=st.text(max_size=50))
def test_evidence_folder_stores_any_text(
    tmp_path_factory: pytest.TempPathFactory, nodeid: str, message: str
) -> None:
    folder = EvidenceFolder(tmp_path_factory.mktemp("kept"))
    folder.write_test(RecordedTest(nodeid, attempts=[RecordedAttempt(message=message)]))

    (kept,) = folder.tests("")
    assert kept.last.message == message.encode(errors="replace").decode()


def test_evidence_folder_skips_tests_of_another_run(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    folder.write_test(FULL)
    folder.write_test(RecordedTest("other", run="k2"))

    assert [one.nodeid for one in folder.tests("k2")] == ["other"]
    assert folder.test(FULL.nodeid, "k2") is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"nodeid": 7}', b"\xff\xfe", b"[" * 100_000])
def test_evidence_folder_skips_a_damaged_file(tmp_path: Path, damage: bytes) -> None:
    folder = EvidenceFolder(tmp_path)
    folder.write_test(FULL)
    (tmp_path / "tests" / "damaged.json").write_bytes(damage)
    (tmp_path / "run.json").write_bytes(damage)

    assert (folder.tests("k1"), folder.run()) == ([FULL], None)


def test_evidence_folder_keeps_a_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    (tmp_path / "run.json").mkdir()

    with pytest.raises(OSError, match=r"run\.json"):
        folder.write_run(RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("outcomes", "became"),
    [
        ([], "cut short"),
        (["passed"], "passed"),
        (["failed", "passed"], "flaky"),
        (["passed", "failed"], "failed"),
        (["error", "failed"], "failed"),
        (["skipped"], "skipped"),
    ],
)
def test_recorded_test_outcome_follows_from_its_attempts(outcomes: list[str], became: str) -> None:
    attempts = [RecordedAttempt(number, outcome) for number, outcome in enumerate(outcomes, 1)]

    assert RecordedTest("t", attempts=attempts).outcome == became


@pytest.mark.parametrize("name", [*NAMES, "tests/index.html", "boards/a.html", "console/log", "power/a.svg"])
def test_report_folder_with_a_strangers_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("{}")
    (tmp_path / "junit.xml").write_text("<testsuites/>")

    with pytest.raises(UsageError, match=r"is not a folder of reports: it has .*: hil would mix"):
        refuse_foreign_report(tmp_path)


def test_report_folder_with_nothing_but_other_files_is_refused(tmp_path: Path) -> None:
    for name in ("test_a.py", "test_b.py", "conftest.py", "test_c.py"):
        (tmp_path / name).write_text("")

    with pytest.raises(UsageError, match=r"it has conftest.py, test_a.py, test_b.py and 1 more, and no run"):
        refuse_foreign_report(tmp_path)


def test_report_folder_may_have_hidden_files_and_the_results_of_pytest(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*")
    (tmp_path / "junit.xml").write_text("<testsuites/>")
    (tmp_path / "coverage.xml").write_text("<coverage/>")
    (tmp_path / "tests").mkdir()

    refuse_foreign_report(tmp_path)
    refuse_foreign_report(tmp_path / "later")


@pytest.mark.parametrize("left", ["run", "test", "page"])
def test_report_folder_of_hil_is_taken_though_most_of_it_is_damaged(tmp_path: Path, left: str) -> None:
    (tmp_path / "index.html").write_text("cut sh")
    (tmp_path / "run.json").write_text("")
    if left == "run":
        EvidenceFolder(tmp_path).write_run(RunRecord("k", 1.0))
    elif left == "test":
        EvidenceFolder(tmp_path).write_test(RecordedTest("test_a.py::test_a"))
    else:
        write_page(tmp_path, "index.html", "wall.html.j2", **WALL)

    refuse_foreign_report(tmp_path)


@pytest.mark.parametrize("name", ["index.html", "junit.xml", "boards", "power"])
def test_report_folder_of_hil_with_a_link_is_refused(tmp_path: Path, name: str) -> None:
    EvidenceFolder(tmp_path).write_run(RunRecord("k", 1.0))
    (tmp_path / name).symlink_to("nowhere")

    with pytest.raises(UsageError, match=f"{name} there is a link"):
        refuse_foreign_report(tmp_path)


def test_report_folder_may_be_a_link(tmp_path: Path) -> None:
    EvidenceFolder(tmp_path / "large").write_run(RunRecord("k", 1.0))
    (tmp_path / "report").symlink_to("large")

    refuse_foreign_report(tmp_path / "report")


def test_pages_of_nights_do_not_replace_a_strangers_page(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my site")

    with History(tmp_path / "h.db") as history, pytest.raises(HilError, match="is not a folder of reports"):
        build_nights(Window(history), tmp_path)

    assert sorted(each.name for each in tmp_path.glob("*.html")) == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "my site"


def test_pages_of_nights_replace_older_ones(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        build_nights(Window(history), tmp_path / "out")
        before = (tmp_path / "out" / "index.html").stat().st_ino
        build_nights(Window(history), tmp_path / "out")

    assert (tmp_path / "out" / "index.html").stat().st_ino != before


@pytest.mark.parametrize("link", ["tests", "summary.md", "index.html"])
def test_pages_of_a_run_are_written_through_no_link(tmp_path: Path, link: str) -> None:
    keep_run(tmp_path / "run", a_test("test_a.py::test_a"))
    moved = tmp_path / "moved"
    (tmp_path / "run" / "tests").rename(moved) if link == "tests" else moved.write_text("mine")
    (tmp_path / "run" / link).symlink_to(moved)
    before = sorted(moved.iterdir()) if moved.is_dir() else moved.read_text()

    with pytest.raises(FileExistsError, match="it is a link"):
        write_page(tmp_path / "run", "tests/a.html" if link == "tests" else link, "wall.html.j2", **WALL)

    assert before == (sorted(moved.iterdir()) if moved.is_dir() else moved.read_text())


@pytest.mark.parametrize("suffix", [".raw", ".jsonl"])
def test_console_file_is_written_through_no_link(tmp_path: Path, suffix: str) -> None:
    kept = ConsoleFolder(tmp_path / "console", "k")
    kept.folder.mkdir()
    kept.raw_of("0df10035").with_suffix(suffix).symlink_to(tmp_path / "mine")
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(OSError, match="symbolic links"):
        ConsoleFile(kept, "0df10035")

    assert (tmp_path / "mine").read_text() == "mine"
