"""Merging histories in any order loses nothing and doubles nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import HistoryError
from hil.evidence.measurement import Measurement
from hil.evidence.records import RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.schema import AttemptOutcome
from hil.history.store import History, merge_history
from tests.support.made_up import tried

KEYS = ("one", "two", "three")
ATTEMPTS = [
    tried(
        f"t.py::test_{test}",
        outcome,
        number,
        UsedBoard(board, "0.09", "place", simulated=True),
        call_s=test / 8,
        image=image,
        numbers=tuple(
            Measurement(name, value, "s", below=9.0 if number > 1 else None)
            for name, value in (("boot", test + 0.5), ("boot", 2.0), ("idle", -1e12))[: 3 - test]
        ),
    )
    for test in range(3)
    for number, outcome in ((1, AttemptOutcome.FAILED), (2, AttemptOutcome.PASSED))
    for board, image in (("0df10035", "a.img"),)
]
parts = st.fixed_dictionaries(
    {},
    optional={key: st.tuples(st.sets(st.sampled_from(range(len(ATTEMPTS)))), st.booleans()) for key in KEYS},
)


def filled(path: Path, content: dict[str, tuple[set[int], bool]]) -> Path:
    """A history with some attempts of some runs, some of which have ended."""
    with History(path) as history:
        for key, (attempts, ended) in content.items():
            run = RunRecord(key, float(KEYS.index(key)), "host", commit="abc" * ended, expected_boards=3)
            history.begin_run(run)
            history.add(key, [ATTEMPTS[at] for at in sorted(attempts)])
            if ended:
                history.end_run(replace(run, ended_s=9.0, exit_status=1, expected_boards=2))
    return path


def content_of(history: History) -> dict[str, object]:
    tally = history.connection.execute(
        "SELECT key, board, ran, failed FROM tally JOIN run ON run.id=run_id JOIN bench ON bench.id=bench_id"
    )
    runs: dict[str, object] = {run.key: (run, history.attempts(run.key)) for run in history.runs()}
    return runs | {"tally": sorted(tally)}


@pytest.mark.thorough
@given(st.lists(parts, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_merge_history_gives_the_union_in_any_order(
    contents: list[dict[str, tuple[set[int], bool]]], order: object
) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = [filled(Path(name) / f"{at}.db", content) for at, content in enumerate(contents)]
        shuffled = [*files, *files]
        order.shuffle(shuffled)  # type: ignore[attr-defined]
        with History(Path(name) / "a.db") as a, History(Path(name) / "b.db") as b:
            new = [merge_history(a, file) for file in files]
            for file in shuffled:
                merge_history(b, file)

            assert content_of(a) == content_of(b)
            assert sum(new) == len(a.runs()) == len({key for content in contents for key in content})
            for run in a.runs():
                had = [content[run.key] for content in contents if run.key in content]
                union = sorted(set().union(*(attempts for attempts, _ in had)))
                assert a.attempts(run.key) == [ATTEMPTS[at] for at in union]
                assert (run.exit_status == 1, run.expected_boards) == (
                    (True, 2) if any(e for _, e in had) else (False, 3)
                )


def test_merge_history_into_itself_changes_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", {"one": ({0, 1}, True)})
    with History(path) as history:
        before = content_of(history)

        assert merge_history(history, path) == 0
        assert content_of(history) == before


def test_merge_history_does_not_change_the_other_file(tmp_path: Path) -> None:
    old = as_version_1(filled(tmp_path / "old.db", {"one": ({0, 1}, True)}))
    before = old.read_bytes()
    with History(tmp_path / "h.db") as history:
        assert merge_history(history, old) == 1

        assert len(history.attempts("one")) == 2
    assert old.read_bytes() == before


def test_history_of_version_1_is_upgraded(tmp_path: Path) -> None:
    path = as_version_1(filled(tmp_path / "h.db", {"one": ({0, 1, 2}, True), "two": (set(), False)}))

    with History(path) as history:
        assert [len(history.attempts(key)) for key in ("one", "two")] == [3, 0]
        assert content_of(history)["tally"] == [("one", "0df10035", 2, 2)]
        assert [one.last.numbers for one in history.attempts("one")] == [[], [], []]
        assert history.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        history.add("two", ATTEMPTS)
        assert history.attempts("two") == ATTEMPTS


def test_merge_history_refuses_what_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"something else " * 1000)
    with History(tmp_path / "h.db") as history:
        with pytest.raises(HistoryError, match="cannot be read"):
            merge_history(history, tmp_path / "other.db")

        assert history.runs() == []


def as_version_3(path: Path) -> Path:
    """Convert a history to version 3, which does not know the columns of tests."""
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("ALTER TABLE test DROP COLUMN column_name")
        old.execute("DROP TABLE partner")
        old.execute("PRAGMA user_version=3")
    return path


PARTNER = UsedBoard("0df10036", "0.08", "right")


def test_history_of_version_4_keeps_its_attempts_and_learns_partners(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", {"one": ({0, 1}, True), "two": (set(), False)})
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("DROP TABLE partner")
        old.execute("PRAGMA user_version=4")

    with History(path) as history:
        assert history.attempts("one") == ATTEMPTS[:2]
        history.add("two", [replace(ATTEMPTS[0], partners=[PARTNER])])
        assert history.attempts("two")[0].partners == [PARTNER]


def test_merge_history_takes_partners_over_once(tmp_path: Path) -> None:
    there = filled(tmp_path / "there.db", {"one": (set(), True)})
    pair = replace(ATTEMPTS[0], partners=[PARTNER])
    with History(there) as history:
        history.add("one", [pair])

    with History(tmp_path / "here.db") as history:
        merge_history(history, there)
        merge_history(history, there)

        assert history.attempts("one") == [pair]


def test_history_of_version_3_learns_the_columns_of_its_tests(tmp_path: Path) -> None:
    path = as_version_3(filled(tmp_path / "h.db", {"one": ({0, 1}, True), "two": (set(), False)}))

    with History(path) as history:
        assert [one.column for one in history.attempts("one")] == ["", ""]
        history.add("two", [replace(one, column="left") for one in ATTEMPTS])
        assert [one.column for one in history.attempts("one")] == ["left", "left"]
    with History(path) as history:
        history.add("two", ATTEMPTS)
        assert history.attempts("two")[0].column == "left"


def test_merge_history_takes_the_columns_of_tests(tmp_path: Path) -> None:
    filled(tmp_path / "here.db", {"one": ({0, 1}, True)})
    filled(tmp_path / "there.db", {"two": (set(), True)})
    with History(tmp_path / "there.db") as there:
        there.add("two", [replace(one, column="left") for one in ATTEMPTS])

    with History(tmp_path / "here.db") as here:
        merge_history(here, tmp_path / "there.db")

        assert [one.column for one in here.attempts("one")] == ["left", "left"]


def as_version_2(path: Path) -> Path:
    """Convert a history to version 2, which has no numbers."""
    with closing(sqlite3.connect(as_version_3(path))) as old, old:
        old.execute("DROP TABLE number")
        old.execute("DROP TABLE measure")
        old.execute("PRAGMA user_version=2")
    return path


def test_history_of_version_2_is_upgraded(tmp_path: Path) -> None:
    path = as_version_2(filled(tmp_path / "h.db", {"one": ({0, 1}, True), "two": (set(), False)}))

    with History(path) as history:
        assert [one.last.numbers for one in history.attempts("one")] == [[], []]
        history.add("two", ATTEMPTS)
        assert history.attempts("two") == ATTEMPTS


def as_version_1(path: Path) -> Path:
    """Convert a history to version 1."""
    with sqlite3.connect(as_version_2(path)) as old:
        old.execute("PRAGMA foreign_keys=OFF")
        old.execute("DROP TRIGGER tally_attempt")
        old.execute("DROP TABLE tally")
        old.execute(
            "CREATE TABLE b1(id INTEGER PRIMARY KEY, board TEXT NOT NULL, firmware TEXT NOT NULL, "
            "place TEXT NOT NULL, simulated INTEGER NOT NULL, UNIQUE(board, firmware, place, simulated))"
        )
        old.execute("INSERT INTO b1 SELECT id, board, firmware, place, simulated FROM bench")
        old.execute("DROP TABLE bench")
        old.execute("ALTER TABLE b1 RENAME TO bench")
        old.execute("PRAGMA user_version=1")
    old.close()
    return path


@pytest.mark.parametrize("other", [None, b"no history at all"])
def test_hil_history_merge_refused_leaves_no_empty_history(tmp_path: Path, other: bytes | None) -> None:
    if other is not None:
        (tmp_path / "other.db").write_bytes(other)
    command = [sys.executable, "-m", "hil.cli.main", "history", "--history", "h.db", "merge", "other.db"]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)

    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "h.db").exists()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE run SET began_s='soon'",
        "UPDATE run SET began_s=9e99",
        "UPDATE run SET host=x'ff00'",
        "UPDATE attempt SET outcome=77",
        "UPDATE attempt SET call_s='long'",
        "UPDATE bench SET board=x'00'",
        "UPDATE number SET value=9e999",
        "UPDATE number SET below='high'",
        "UPDATE measure SET unit=x'00'",
        "UPDATE test SET column_name=x'00'",
    ],
)
def test_merge_history_refuses_values_that_hil_never_writes(tmp_path: Path, change: str) -> None:
    theirs = filled(tmp_path / "theirs.db", {"one": ({0}, True)})
    with closing(sqlite3.connect(theirs)) as connection, connection:
        connection.execute(change)

    with History(tmp_path / "ours.db") as ours:
        with pytest.raises(HistoryError, match=f"{theirs} cannot be merged"):
            merge_history(ours, theirs)
        assert not ours.runs()
