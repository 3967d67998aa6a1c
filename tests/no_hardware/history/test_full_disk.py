"""A history on a full disk: old data stays, new data is written completely or an error is reported."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.history.store import History
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRITER = program(__file__, "full_disk_writer")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "hil-test", folder], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("a file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(path: Path, limit_bytes: int) -> int:
    """Write until nothing fits any more; returns how many attempts were said to be written."""
    ran = subprocess.run(
        [sys.executable, "-c", WRITER, path, str(limit_bytes)], capture_output=True, check=True, text=True
    )
    written, _, what = ran.stdout.partition(" ")
    assert what.startswith(f"the history {path} cannot be used"), ran.stdout
    return int(written)


def check(path: Path, written: int) -> None:
    with History(path) as history:
        assert len(history.attempts("run")) == written
        assert history.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_history_on_a_full_file_system_keeps_what_was_written(small_disk: Path) -> None:
    path = small_disk / "h.db"

    written = fill(path, 0)

    assert written > 20
    copied = small_disk.parent / "room enough"
    copied.mkdir()
    for file in small_disk.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    check(copied / "h.db", written)


@pytest.mark.parametrize("limit_kib", [200, 300, 1000])
def test_history_at_the_file_size_limit_keeps_what_was_written(tmp_path: Path, limit_kib: int) -> None:
    path = tmp_path / "h.db"

    written = fill(path, limit_kib * 1024)

    assert written > 2
    check(path, written)
    with History(path) as history:  # there is room again
        history.connection.execute("DELETE FROM attempt")
