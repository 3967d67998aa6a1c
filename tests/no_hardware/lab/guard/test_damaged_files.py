"""A guard makes its board safe whatever became of the files in its lock folder, after real signals."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from errno import EACCES, EIO, EMFILE, ESTALE
from typing import TYPE_CHECKING, NoReturn
from unittest.mock import Mock

import pytest

from hil.dutlink.timing import until
from hil.errors import GuardError, SpoiltFileError, UsageError
from hil.lab.guard.recovery import recover, retry_until_safe
from hil.lab.guard.relock import relock_file
from hil.lab.guard.task import GuardTask
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lock_file import LockFile
from hil.lab.safe_state.attempt import try_make_safe
from hil.lab.safe_state.policy import Safety, resolve
from hil.lab.safe_state.record import BoardState, known_boards, read_record, record_path
from tests.support.programs import program, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERIAL = "5a1c0e01"
SOON_S = 60.0
CASES = 30
HOLDER = program(__file__, "damaged_files_holder")
NAMES = (f"hil-board-{SERIAL}.lock", f"hil-board-{SERIAL}.json", "hil-queue", f"hil-stick-{SERIAL}-0.json")
CONTENTS = (
    b"",
    b"\0" * 5000,
    b"\xff\xfe not UTF-8",
    b"[" * 4000,
    b'{"state": "later", "version": 9, "holder": {"pid": "1"}, "events": {}}',
    b'{"state": "safe", "holder": null, "events": [], "serial": 1' + b"0" * 400 + b"}",
    b'{"user": "\\ud800", "pid": 1, "command": "\\ud800", "since": "", "test": "", "lent": []}',
    b'{"state": "in use", "holder": null, "events": [{"what": "", "why": "", "by": "", "when": "", "amps": 1'
    + b"0" * 400
    + b"}]}",
)


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    locks = tmp_path / "locks"
    locks.mkdir()
    return locks


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace_by_file(path: Path, content: bytes = b"") -> None:
    remove(path)
    path.write_bytes(content)


def replace_by_folder(path: Path) -> None:
    remove(path)
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    remove(path)
    os.mkfifo(path)


def replace_by_link(path: Path, to: str) -> None:
    remove(path)
    path.symlink_to(to)


def overwrite(path: Path, content: bytes) -> None:
    if path.is_dir() or path.is_fifo() or path.is_symlink():
        replace_by_file(path, content)
    else:
        path.write_bytes(content)


def close_to_all(path: Path) -> None:
    if path.exists():
        path.chmod(0)


def damage(path: Path, chance: random.Random) -> str:
    """Damage one file or folder, and return how."""
    content, link = chance.choice(CONTENTS), chance.choice(("nowhere", path.name, "/dev/full", "/", ".."))
    acts: dict[str, Callable[[], None]] = {
        "remove": lambda: remove(path),
        f"replace by {content!r}": lambda: replace_by_file(path, content),
        "replace by a folder": lambda: replace_by_folder(path),
        "replace by a pipe": lambda: replace_by_pipe(path),
        f"replace by a link to {link}": lambda: replace_by_link(path, link),
        "mode 0": lambda: close_to_all(path),
        f"overwrite with {content!r}": lambda: overwrite(path, content),
    }
    how = chance.choice(list(acts))
    acts[how]()
    return how


def damage_some(locks: Path, chance: random.Random) -> list[str]:
    """Damage some files of a lock folder, then perhaps the folder; return what and how."""
    said = [
        f"{name}: {damage(locks / name, chance)}"
        for name in chance.sample(NAMES, chance.randint(0, len(NAMES)))
    ]
    if not said or chance.random() < 0.5:
        said.append(f"folder: {damage(locks, chance)}" if locks.is_dir() else "")
    return said


def check_all_safe(root: Path, seed: int) -> None:
    """Kill a holder of many boards, each with damaged files, and expect each board to be off."""
    folders = [root / str(number) for number in range(CASES)]
    for folder in folders:
        (folder / "locks").mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, *map(str, folders)]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "ready\n"
        done = {
            folder: damage_some(folder / "locks", random.Random(f"{seed} {folder.name}"))  # noqa: S311
            for folder in folders
        }
        holder.kill()
        holder.wait()

        until(lambda: not left_on(folders), SOON_S)

    assert [done[folder] for folder in left_on(folders)] == []


def left_on(folders: list[Path]) -> list[Path]:
    return [folder for folder in folders if (folder / "board").read_text() != "off"]


def test_guard_makes_safe_each_board_with_damaged_files(tmp_path: Path) -> None:
    check_all_safe(tmp_path, seed=1)


@pytest.mark.thorough  # a process for each of 30 boards
@pytest.mark.parametrize("seed", range(2, 12))
def test_guard_makes_safe_each_board_with_damaged_files_of_seed(tmp_path: Path, seed: int) -> None:
    check_all_safe(tmp_path, seed)


@pytest.fixture
def died(locks: Path, safety: Safety) -> tuple[int, str]:
    """The lock and the task of a guard whose holder has died."""
    lease = acquire(SERIAL, folder=locks)
    return os.dup(lease.lock.descriptor), GuardTask(SERIAL, lease.lock.path, safety).to_json()


@pytest.mark.parametrize("number", [EACCES, EIO, ESTALE, EMFILE])
@pytest.mark.parametrize("step", ["os.pread", "os.open", "os.pwrite", "os.fchmod", "pathlib.Path.lstat"])
def test_guard_makes_safe_a_board_though_a_step_fails(
    died: tuple[int, str], board: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(step, fail)

        recover(*died)

    assert board.read_text() == "off"


@pytest.mark.parametrize(
    "step", ["_lock_of_the_lease", "_lock_current_node", "_is_driven", "end_borrowers", "write_record"]
)
def test_guard_makes_safe_a_board_without_memory_for_a_step(
    died: tuple[int, str], board: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(f"hil.lab.guard.recovery.{step}", fail)

    recover(*died)

    assert board.read_text() == "off"


def test_guard_makes_safe_a_board_though_it_can_start_no_thread(
    died: tuple[int, str], board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)

    recover(*died)

    assert board.read_text() == "off"


def test_guard_tries_a_silent_board_again_without_a_lock_folder(
    locks: Path, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.lab.guard.recovery.FIRST_PAUSE_S", 0.01)
    action = "tests.support.fake_board:switch_off"
    task = GuardTask(SERIAL, locks / "a.lock", Safety(action, {"board": str(board)}, linger_s=0.5))
    replace_by_file(locks)

    retry_until_safe(task, "its holder died")

    assert board.read_text() == "off"


def test_guard_understands_the_task_of_another_version(board: Path, safety: Safety) -> None:
    text = GuardTask(SERIAL, board, safety).to_json()
    later = text.replace('\\"policy\\"', '\\"mood\\": 1, \\"policy\\"').replace(', "drivers": -1', "")

    assert GuardTask.from_json(later) == GuardTask(SERIAL, board, safety)


def test_record_with_a_number_beyond_all_floats_counts_as_unsafe(locks: Path) -> None:
    record_path(locks, SERIAL).write_bytes(CONTENTS[-1])

    assert read_record(locks, SERIAL).state is BoardState.UNSAFE


def test_record_that_cannot_be_read_counts_as_unsafe(locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> NoReturn:
        raise OSError(EIO, os.strerror(EIO))

    record_path(locks, SERIAL).write_text("{}")
    monkeypatch.setattr(os, "pread", fail)

    assert read_record(locks, SERIAL).state is BoardState.UNSAFE


def test_lock_file_in_a_folder_that_became_a_file_is_not_current(locks: Path) -> None:
    lock = LockFile(locks / "hil-board-1.lock")
    replace_by_file(locks)

    assert not lock.is_current()
    lock.close()


def test_set_test_names_a_lock_folder_that_became_a_file(locks: Path, safety: Safety) -> None:
    with under_guard(acquire(SERIAL, folder=locks), safety) as lease:
        replace_by_file(locks)

        with pytest.raises(UsageError, match=r"cannot be used for locks"):
            lease.set_test("t.py::test_1")

        remove(locks)
        lease.set_test("t.py::test_2")


def test_relock_file_keeps_a_lock_whose_file_has_its_name(locks: Path) -> None:
    lock = LockFile(locks / "hil-board-1.lock")
    assert lock.try_lock()

    assert relock_file(lock, "1") is lock
    lock.close()


def test_try_lock_gives_up_a_file_whose_name_cannot_be_examined(
    locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = LockFile(locks / "hil-board-1.lock")
    monkeypatch.setattr(LockFile, "is_current", lambda _lock: False)

    with pytest.raises(SpoiltFileError, match="again and again"):
        lock.try_lock()
    lock.close()


def test_try_make_safe_imports_its_action_again_if_that_failed(
    board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [MemoryError(), OSError(EMFILE, os.strerror(EMFILE))]

    def resolve_later(name: str) -> Callable[..., float]:
        if failures:
            raise failures.pop()
        return resolve(name)

    monkeypatch.setattr("hil.lab.safe_state.attempt.resolve", resolve_later)

    assert try_make_safe(safety, SERIAL, why="a test", by="guard").what == "made safe"
    assert board.read_text() == "off"


def test_known_boards_names_boards_beside_a_record_that_cannot_be_examined(
    locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for serial in ("1", "2"):
        record_path(locks, serial).write_text("{}")
    with os.scandir(locks) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    unseen = Mock(stat=Mock(side_effect=OSError(EIO, os.strerror(EIO))))
    unseen.name = entries[0].name
    monkeypatch.setattr(os, "scandir", lambda _folder: nullcontext([unseen, entries[1]]))

    assert known_boards(locks) == ["2"]


def test_guard_that_cannot_open_a_socket_is_given_up_and_told(
    locks: Path, board: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[GuardError] = []
    lease = under_guard(acquire(SERIAL, folder=locks), safety)
    board.write_text("on")
    lease.on_guard_lost = told.append

    def fail() -> NoReturn:
        raise OSError(EMFILE, os.strerror(EMFILE))

    monkeypatch.setattr("hil.lab.guard.child.socket.socketpair", fail)
    os.kill(lease.guard.wait_until_ready(), signal.SIGKILL)

    assert until(lambda: board.read_text() == "off", SOON_S)
    assert "Too many open files" in told[0].why
    with pytest.raises(GuardError):
        lease.release()


def test_under_guard_hands_out_no_board_if_it_cannot_open_a_socket(
    locks: Path, safety: Safety, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> NoReturn:
        raise OSError(EMFILE, os.strerror(EMFILE))

    monkeypatch.setattr("hil.lab.guard.child.socket.socketpair", fail)

    with pytest.raises(GuardError, match="Too many open files"):
        under_guard(acquire(SERIAL, folder=locks), safety)
