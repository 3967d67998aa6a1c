"""A file's kernel lock: asking for it disturbs no process that gets it."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hil import kernel_lock
from hil.kernel_lock import is_file_locked, is_locked, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


def test_is_locked_leaves_the_lock_to_others(file: Path) -> None:
    with opened(file) as asking, opened(file) as getting:
        assert not is_locked(asking)

        fcntl.flock(getting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert is_locked(asking)


def test_try_lock_gets_a_file_about_which_another_process_asks(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(file) as asking, opened(file) as getting:
        fcntl.flock(asking, fcntl.LOCK_SH)
        monkeypatch.setattr(kernel_lock.time, "sleep", lambda _s: fcntl.flock(asking, fcntl.LOCK_UN))

        assert try_lock(getting)

        assert is_file_locked(file)


def test_try_lock_gives_up_if_the_asking_process_was_stopped(file: Path) -> None:
    with opened(file) as asking, opened(file) as getting:
        fcntl.flock(asking, fcntl.LOCK_SH)

        assert not try_lock(getting)

        fcntl.flock(asking, fcntl.LOCK_EX | fcntl.LOCK_NB)  # `try_lock` left no share of it


def test_try_lock_does_not_wait_for_a_holder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_lock.time, "sleep", lambda _s: pytest.fail("waited"))
    with opened(file) as held, opened(file) as getting:
        assert try_lock(held)

        assert not try_lock(getting)


def test_is_file_locked_answers_for_a_folder(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert not is_file_locked(tmp_path)

        fcntl.flock(folder, fcntl.LOCK_EX)
        assert is_file_locked(tmp_path)
    finally:
        os.close(folder)


def test_is_file_locked_follows_no_link(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    with opened(file) as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        assert not is_file_locked(link)


def test_is_file_locked_does_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert not is_file_locked(tmp_path / "pipe")


def test_is_file_locked_takes_an_error_for_no_lock(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert not is_file_locked(file)
    assert not is_file_locked(file.with_name("missing"))
