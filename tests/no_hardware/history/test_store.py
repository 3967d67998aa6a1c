"""The database: kills lose nothing, merges double nothing, a full disk leaves nothing half written."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from hil.errors import HistoryError
from hil.evidence.measurement import Measurement
from hil.evidence.records import RunRecord
from hil.evidence.used_board import UsedBoard
from hil.history.schema import AttemptOutcome
from hil.history.sqlite import connect_read_only, find_damage
from hil.history.store import History, merge_history
from hil.history.window import Window
from tests.support.made_up import tried
from tests.support.programs import program, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOARD = UsedBoard("0df10035", "0.09", "bench-1", simulated=True)
NUMBERS = (
    Measurement("boot", 12.5, "s", 20.0),
    Measurement("boot", 13.0, "s"),
    Measurement("<", -9e99, ""),
)
ATTEMPTS = [
    tried("test_a.py::test_b", AttemptOutcome.FAILED, 1, BOARD, "", 1.0, 2.0, 3.0, 4.5, "assert 1 == 2"),
    tried("test_a.py::test_b", AttemptOutcome.PASSED, 2, BOARD, numbers=NUMBERS),
    tried("test_a.py::test_c", AttemptOutcome.SKIPPED, verdict="absent"),
    tried("test_a.py::test_d[left-fast]", AttemptOutcome.PASSED, 1, BOARD, column="left"),
]
WRITER = program(__file__, "store_writer")


def filled(path: Path, *keys: str) -> Path:
    with History(path) as history:
        for at, key in enumerate(keys):
            history.begin_run(RunRecord(key, float(at)))
            history.add(key, ATTEMPTS)
    return path


def test_history_reads_back_what_was_written(tmp_path: Path) -> None:
    with History(filled(tmp_path / "h.db", "one")) as history:
        assert history.attempts("one") == ATTEMPTS


def test_history_stores_an_attempt_once(tmp_path: Path) -> None:
    with History(filled(tmp_path / "h.db", "one")) as history:
        history.add("one", ATTEMPTS)

        assert len(history.attempts("one")) == len(ATTEMPTS)


def test_history_stores_words_that_are_not_utf_8(tmp_path: Path) -> None:
    words = os.fsdecode(b"\xff\xfe")
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, host=words, commit=words))
        history.add("one", [tried(f"{words}.py::test_b", AttemptOutcome.FAILED, 1, UsedBoard(words))])

        (attempt,) = history.attempts("one")
        assert (attempt.nodeid, history.runs()[0].host) == (r"\udcff\udcfe.py::test_b", r"\udcff\udcfe")


def test_history_end_run_keeps_the_start(tmp_path: Path) -> None:
    with History(tmp_path / "h.db") as history:
        history.begin_run(RunRecord("one", 1.0, commit="abc"))
        history.end_run(RunRecord("one", 1.0, ended_s=2.0, exit_status=0))

        assert history.runs() == [RunRecord("one", 1.0, commit="abc", ended_s=2.0, exit_status=0)]


def test_merge_history_loses_and_doubles_nothing(tmp_path: Path) -> None:
    here, there = filled(tmp_path / "a.db", "one", "two"), filled(tmp_path / "b.db", "two", "three")
    with History(here) as history:
        assert (merge_history(history, there), merge_history(history, there)) == (1, 0)

        assert sorted(run.key for run in history.runs()) == ["one", "three", "two"]
        assert [history.attempts(run.key) for run in history.runs()] == [ATTEMPTS] * 3


def test_delete_before_leaves_nothing_of_a_run(tmp_path: Path) -> None:
    with History(filled(tmp_path / "h.db", "one", "two")) as history:
        history.delete_before(1.0)

        tables = ("run", "attempt", "number", "measure")
        counts = [history.connection.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in tables]  # noqa: S608
        assert counts == [1, len(ATTEMPTS), len(NUMBERS), 2]


def test_history_keeps_the_attempts_of_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    for turn in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, f"run-{turn}"], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(30 + 17 * turn):
            said = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()

        with History(path) as history:
            assert len(history.attempts(f"run-{turn}")) > said
            assert history.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_history_lets_two_writers_finish(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    source = WRITER.replace("100_000", "150")
    writers = [
        subprocess.Popen([sys.executable, "-c", source, path, key], stdout=subprocess.DEVNULL)
        for key in ("one", "two")
    ]

    assert [writer.wait(60) for writer in writers] == [0, 0]
    with History(path) as history:
        assert [len(history.attempts(key)) for key in ("one", "two")] == [150, 150]


def test_history_on_a_full_disk_reports_and_keeps_data(tmp_path: Path) -> None:
    with History(filled(tmp_path / "h.db", "one")) as history:
        (pages,) = history.connection.execute("PRAGMA page_count").fetchone()
        history.connection.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own full disk
        many = [tried(f"test_{number}", AttemptOutcome.PASSED) for number in range(5000)]

        with pytest.raises(HistoryError, match="full"):
            history.add("one", many)

        assert history.attempts("one") == ATTEMPTS


@pytest.mark.parametrize(
    "content", [b"no database at all, but some text that is long enough" * 20, b"\0" * 4096]
)
def test_history_refuses_what_is_no_history(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    path.write_bytes(content)

    with pytest.raises(HistoryError):
        History(path)

    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_history_leaves_another_programs_database_as_it_is(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA journal_mode={mode}")
        other.execute("CREATE TABLE theirs(x)")
    content = path.read_bytes()

    with pytest.raises(HistoryError, match=f"{path} is no history of hil: its table theirs is not one"):
        History(path)

    assert (path.read_bytes(), list(tmp_path.iterdir())) == (content, [path])


KILLED_WRITER = """
import os, sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute(f"PRAGMA journal_mode={sys.argv[2]}")
other.execute("PRAGMA cache_size=5")
other.execute("CREATE TABLE theirs(x)")
other.execute("BEGIN")
other.executemany("INSERT INTO theirs VALUES(?)", [("x" * 3000,)] * 300)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("use", [History, find_damage])
def test_history_leaves_the_database_of_a_killed_program_as_it_is(
    tmp_path: Path, mode: str, use: Callable[[Path], object]
) -> None:
    path = tmp_path / "app.db"
    subprocess.run([sys.executable, "-c", KILLED_WRITER, path, mode], check=False)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.suffix != ".db-shm"}

    with suppress(HistoryError):
        use(path)

    after = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.suffix != ".db-shm"}
    assert (len(after), after) == (2, before)


def test_history_refuses_the_database_of_a_killed_program(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED_WRITER, tmp_path / "app.db", "WAL"], check=False)

    with pytest.raises(HistoryError, match="its table theirs is not one"):
        History(tmp_path / "app.db")


HOSTILE = (
    "DROP TRIGGER tally_attempt",
    "ALTER TABLE run RENAME TO run_",
    """CREATE VIEW run AS WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM r) SELECT r.id AS id,
  key, began_s, host, kind, commit_id, image, boards, ended_s, exit_status FROM r, run_""",
)


@pytest.mark.parametrize(
    ("statements", "foreign"),
    [
        (HOSTILE, "index run_by_time"),
        (("CREATE TRIGGER more AFTER INSERT ON run BEGIN DELETE FROM attempt; END",), "trigger more"),
        (("DROP INDEX run_by_time", "CREATE INDEX run_by_time ON run(key)"), "index run_by_time"),
        (("CREATE TABLE theirs(x)",), "table theirs"),
        (("DROP TRIGGER tally_attempt",), "trigger tally_attempt"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda _, path: History(path, to_read=True),
        lambda _, path: History(path),
        merge_history,
    ],
    ids=["read", "written", "merged"],
)
def test_history_refuses_tables_that_hil_does_not_make(
    tmp_path: Path, statements: tuple[str, ...], foreign: str, use: Callable[[History, Path], object]
) -> None:
    path = filled(tmp_path / "h.db", "one")
    with closing(sqlite3.connect(path)) as theirs, theirs:
        for statement in statements:
            theirs.execute(statement)

    with (
        History(tmp_path / "ours.db") as ours,
        pytest.raises(
            HistoryError, match=f"{path} is no history of hil: its {foreign} is not one that hil creates"
        ),
    ):
        use(ours, path)


def test_history_accepts_tables_of_analyze(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", "one")
    with closing(sqlite3.connect(path)) as ours, ours:
        ours.execute("ANALYZE")

    with History(path) as history:
        assert history.attempts("one") == ATTEMPTS


def test_history_does_not_read_a_value_that_is_longer_than_any_that_hil_writes(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", "one")
    with closing(sqlite3.connect(path)) as theirs, theirs:
        theirs.execute("UPDATE attempt SET message=zeroblob(3000000)")

    with History(path) as history, pytest.raises(HistoryError, match="longer than any that hil writes"):
        history.attempts("one")


ENDLESS = """
import sys
from pathlib import Path
from hil.history.store import History

with History(Path(sys.argv[1])) as history:
    print("asks", flush=True)
    history.read("WITH RECURSIVE r(id) AS (SELECT 1 UNION ALL SELECT id+1 FROM r) SELECT max(id) FROM r")
"""


def test_history_read_is_ended_by_a_signal(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", "one")
    with running(
        [sys.executable, "-c", ENDLESS, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asking:
        assert asking.stdout.readline() == b"asks\n"
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=60)

    assert b"KeyboardInterrupt" in said.splitlines()[-1]


def test_history_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", "one")
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version=7")
    newer.close()

    with pytest.raises(HistoryError, match="version 7"):
        History(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_history_of_another_user_can_be_read(tmp_path: Path) -> None:
    path = filled(tmp_path / "theirs" / "h.db", "one")
    for each, mode in ((path, 0o444), (path.parent, 0o555)):
        each.chmod(mode)

    with History(path, to_read=True) as history:
        assert history.attempts("one") == ATTEMPTS


def test_history_read_only_sees_all_data_during_a_write(tmp_path: Path) -> None:
    path = filled(tmp_path / "h.db", "one")
    with closing(connect_read_only(path)) as alone:
        assert alone.execute("SELECT count(*) FROM attempt").fetchone() == (len(ATTEMPTS),)

    with History(path) as writer:
        writer.begin_run(RunRecord("two", 2.0))
        writer.add("two", ATTEMPTS)
        with closing(connect_read_only(path)) as beside:
            assert beside.execute("SELECT count(*) FROM attempt").fetchone() == (2 * len(ATTEMPTS),)


def test_history_read_only_refuses_what_is_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "h.db").write_text("no database at all, but long enough to be taken for a page of one")
    monkeypatch.setattr("hil.history.store.is_read_only", lambda _path: True)

    with pytest.raises(HistoryError, match="cannot be used"):
        History(tmp_path / "h.db", to_read=True)


def test_history_read_reports_damage(tmp_path: Path) -> None:
    path = filled(tmp_path / "history.db", *"abcdef")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name='run'").fetchall()
        ((size_bytes,),) = connection.execute("PRAGMA page_size").fetchall()
    with path.open("r+b") as file:
        file.seek((page - 1) * size_bytes)
        file.write(b"\xff" * size_bytes)

    with History(path) as history:
        with pytest.raises(HistoryError, match="cannot be used: it is damaged"):
            history.runs()
        with pytest.raises(HistoryError, match="cannot be used: it is damaged"):
            Window(history, 5).query("SELECT * FROM run")
