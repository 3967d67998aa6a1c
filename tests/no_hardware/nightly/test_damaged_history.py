"""A damaged history costs no night: it is renamed, and a new one is started."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hil.errors import HistoryError
from hil.evidence.records import RunRecord
from hil.history.sqlite import find_damage, list_damaged, rename_damaged
from hil.history.store import History
from hil.nightly.last_night import describe_last_night
from hil.nightly.run_folder import NightRecord, new_folder

if TYPE_CHECKING:
    from pathlib import Path

DAMAGES = {
    "noise": lambda data: random.Random(1).randbytes(len(data)),  # noqa: S311 - no secret
    "text": lambda _: b"<html>not a database</html>" * 100,
    "cut": lambda data: data[: len(data) // 2 // 4096 * 4096],
    "holes": lambda data: data[:4096] + bytes(len(data) - 4096),
}


def filled(path: Path) -> Path:
    with History(path) as history:
        for number in range(400):
            history.connection.execute("INSERT INTO test(nodeid) VALUES(?)", (f"t.py::test_{number}",))
        history.begin_run(RunRecord("k", time.time(), kind="nightly"))
        history.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def hil(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hil.cli.main", *arguments]
    environ = {**os.environ, "HIL_LAB": "none", "HIL_LOCK_DIR": str(folder / "locks")}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, check=False, text=True, timeout=90
    )


@pytest.mark.parametrize("kind", DAMAGES)
def test_find_damage_finds_only_damage(kind: str, tmp_path: Path) -> None:
    path = filled(tmp_path / "history.db")
    assert find_damage(path) == ""

    path.write_bytes(DAMAGES[kind](path.read_bytes()))

    assert find_damage(path)


def test_find_damage_ignores_other_files(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE bookmarks(id)")

    assert [find_damage(tmp_path / name) for name in ("other.db", "none.db", ".")] == ["", "", ""]


def test_rename_damaged_renames_the_log_too(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for ending in ("", "-wal", "-shm"):
        path.with_name(f"history.db{ending}").write_bytes(ending.encode())

    kept = rename_damaged(path)

    assert list_damaged(path) == [kept]
    assert [kept.with_name(kept.name + ending).read_bytes() for ending in ("", "-wal")] == [b"", b"-wal"]
    assert not list(tmp_path.glob("history.db*"))


@pytest.mark.parametrize("command", ["history", "report"])
def test_hil_history_reports_damage_in_a_sentence(command: str, tmp_path: Path) -> None:
    (tmp_path / "nightly").mkdir()
    (tmp_path / "nightly" / "history.db").write_bytes(b"no database" * 1000)

    said = hil(tmp_path, command)

    assert (said.returncode, "Traceback" in said.stderr) == (1, False)
    assert "the history nightly/history.db cannot be used: it is damaged" in said.stderr


def test_last_night_uses_its_record_if_the_history_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)
    with pytest.raises(HistoryError, match="is damaged"):
        describe_last_night(tmp_path)
    folder = new_folder(tmp_path)
    began = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    NightRecord(began, ended=began, status=7, meaning="flaky", folder=str(folder)).write()

    told, code = describe_last_night(tmp_path)

    assert (code, told["folder"]) == (7, str(folder))
    assert "is damaged" in told["history"]


def test_run_night_replaces_a_damaged_history(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "ascii")
    (tmp_path / "test_n.py").write_text("def test_n(): pass\n", "ascii")
    (tmp_path / "nightly").mkdir()
    history = tmp_path / "nightly" / "history.db"
    history.write_bytes(b"no database" * 1000)

    ran = hil(tmp_path, "nightly", "run", "--", "-m", "", "-n0", "-p", "no:cacheprovider")

    (kept,) = list_damaged(history)
    with History(history) as begun:
        (run,) = begun.runs()
    assert kept.name in ran.stderr
    assert kept.read_bytes() == b"no database" * 1000
    assert run.exit_status is not None
    assert "an older history was damaged" in hil(tmp_path, "history").stderr
