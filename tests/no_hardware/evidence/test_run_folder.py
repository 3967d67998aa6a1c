"""The evidence folder of a run: records are read back, damaged ones are skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.usb.request_log import SentRequest
from hil.evidence.records import (
    BoardHealth,
    RecordedAttempt,
    RecordedPhase,
    RecordedTest,
    RunRecord,
)
from hil.evidence.run_folder import EvidenceFolder
from hil.evidence.used_board import UsedBoard

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
