"""Leases: one holder at a time, until whatever ends the holder."""

import ctypes
import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil import kernel_lock
from hil.errors import BoardBusyError, UsageError
from hil.lab.guard.relock import relock_file
from hil.lab.locks import lock_dir
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import Holder
from hil.lab.locks.lock_dir import SYSTEM_FOLDERS, lock_folder
from tests.support.other_user import MALLORY, VICTIM, as_user, folder_for_everybody, only_root
from tests.support.programs import running

HOLD_UNTIL_KILLED = """
import sys
from pathlib import Path
from hil.lab.locks.acquire import acquire
lease = acquire("5a1c0e01", test="theirs.py::test_long", folder=Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(
        [sys.executable, "-c", HOLD_UNTIL_KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        yield process


def test_acquire_takes_a_free_board_at_once(tmp_path: Path) -> None:
    with acquire("5a1c0e01", folder=tmp_path) as lease:
        assert lease.serial == "5a1c0e01"


def test_acquire_refuses_a_leased_board(tmp_path: Path) -> None:
    with acquire("5a1c0e01", folder=tmp_path), pytest.raises(BoardBusyError):
        acquire("5a1c0e01", folder=tmp_path)


def test_acquire_takes_a_released_board(tmp_path: Path) -> None:
    acquire("5a1c0e01", folder=tmp_path).release()

    with acquire("5a1c0e01", folder=tmp_path) as again:
        assert again.serial == "5a1c0e01"


def test_acquire_takes_the_first_free_board(tmp_path: Path) -> None:
    with (
        acquire("5a1c0e01", folder=tmp_path),
        acquire("5a1c0e01", "5a1c0e02", folder=tmp_path) as second,
    ):
        assert second.serial == "5a1c0e02"


def test_acquire_leaves_other_boards_free(tmp_path: Path) -> None:
    with (
        acquire("5a1c0e01", "5a1c0e02", folder=tmp_path),
        acquire("5a1c0e02", folder=tmp_path) as other,
    ):
        assert other.serial == "5a1c0e02"


def test_busy_error_names_the_holder(tmp_path: Path, other_holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(BoardBusyError) as caught:
        acquire("5a1c0e01", folder=tmp_path)

    assert str(other_holder.pid) in caught.value.why
    assert "theirs.py::test_long" in caught.value.why
    assert str(caught.value).count("5a1c0e01") == 1, "the board is named once"


def test_acquire_takes_the_board_of_a_killed_holder(
    tmp_path: Path, other_holder: subprocess.Popen[bytes]
) -> None:
    other_holder.kill()
    other_holder.wait()

    with acquire("5a1c0e01", folder=tmp_path) as lease:
        assert lease.holder.pid == os.getpid()


def test_acquire_waits_for_a_release(tmp_path: Path) -> None:
    first = acquire("5a1c0e01", folder=tmp_path)
    threading.Timer(0.1, first.release).start()

    with acquire("5a1c0e01", wait_s=10, folder=tmp_path) as lease:
        assert lease.serial == "5a1c0e01"


@pytest.fixture
def fork_that_lives_on() -> Iterator[Callable[[], None]]:
    """Forks a child that lives until the test is over; the pipe's end tells it."""
    until, keep_open = os.pipe()
    children: list[int] = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os.close(keep_open)
            os.read(until, 1)
            os._exit(0)
        children.append(child)

    yield fork
    os.close(keep_open)
    for child in children:
        os.waitpid(child, 0)
    os.close(until)


def test_lease_ends_with_its_process_though_a_forked_child_lives(
    tmp_path: Path, fork_that_lives_on: Callable[[], None]
) -> None:
    lease = acquire("5a1c0e01", folder=tmp_path)
    fork_that_lives_on()
    lease.release()

    with acquire("5a1c0e01", wait_s=10, folder=tmp_path) as again:
        assert again.serial == "5a1c0e01"


def test_set_test_writes_the_present_test_into_the_lock_file(tmp_path: Path) -> None:
    with acquire("5a1c0e01", test="first", folder=tmp_path) as lease:
        lease.set_test("second")

        assert Holder.from_json((tmp_path / "hil-board-5a1c0e01.lock").read_bytes()) == lease.holder


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"user": "a"}', b"\xff"])
def test_holder_of_wrong_content_is_none(record: bytes) -> None:
    assert Holder.from_json(record) is None


def test_acquire_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "hil-board-5a1c0e01.lock").symlink_to(tmp_path / "precious")

    acquire("5a1c0e01", folder=tmp_path).release()

    assert not (tmp_path / "precious").exists()


def test_acquire_uses_no_hard_link_and_tells_to_remove_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "precious").write_text("mine")
    os.link(tmp_path / "precious", tmp_path / "hil-board-5a1c0e01.lock")

    acquire("5a1c0e01", folder=tmp_path).release()

    assert (tmp_path / "precious").read_text() == "mine"
    assert f"sudo rm {tmp_path / 'hil-board-5a1c0e01.lock'}" in caplog.text


def test_lock_folder_makes_a_named_folder_with_the_sticky_bit(tmp_path: Path) -> None:
    folder = lock_folder({"HIL_LOCK_DIR": str(tmp_path / "locks")})

    assert folder.stat().st_mode & 0o7777 == 0o1777


def test_lock_folder_refuses_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(UsageError, match="HIL_LOCK_DIR"):
        lock_folder({"HIL_LOCK_DIR": str(tmp_path / "link")})


def test_lock_folder_refuses_a_folder_where_everybody_may_delete(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(UsageError, match="sticky"):
        lock_folder({"HIL_LOCK_DIR": str(tmp_path)})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_lock_folder_refuses_a_folder_of_another_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)

    with pytest.raises(UsageError, match="another user"):
        lock_folder({"HIL_LOCK_DIR": str(tmp_path)})


@only_root
def test_lock_folder_of_one_user_is_closed_to_others_and_they_are_told_how_to_make_one_for_all() -> None:
    with folder_for_everybody() as folder:
        environ = {"HIL_LOCK_DIR": str(folder / "locks")}
        own = as_user(MALLORY, lambda: lock_folder(environ).stat().st_mode & 0o7777)

        with pytest.raises(UsageError, match="another user") as refused:
            as_user(VICTIM, lambda: lock_folder(environ))

    command, _, following = refused.value.remedy.partition(", and ")
    assert (own, command) == (0o700, "sudo install -d -m 1777 /run/hil")
    assert following.startswith("HIL_LOCK_DIR=/run/hil ")


def test_lock_folder_names_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        lock_folder({"HIL_LOCK_DIR": str(tmp_path / "no" / "such")})


def test_lock_folder_refuses_a_folder_where_its_group_may_delete(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)

    with pytest.raises(UsageError, match="each member of its group may delete"):
        lock_folder({"HIL_LOCK_DIR": str(tmp_path)})


CLONE_NEWNS, CLONE_NEWUSER, PR_SET_DUMPABLE = 0x20000, 0x10000000, 4


def unshare(what: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(what) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def become_root_of_a_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)  # a process that changed its user may not write its own /proc
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


@only_root
def test_lock_folder_accepts_the_hosts_folder_in_a_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    def hold_inside(folder: Path) -> tuple[int, int, Path, str]:
        try:
            become_root_of_a_user_namespace()
        except OSError:
            return os.geteuid(), -1, folder, "no user namespace to be had"
        found = lock_folder({})
        try:
            acquire("5a1c0e01", folder=found)
        except BoardBusyError as error:
            return os.geteuid(), found.stat().st_uid, found, error.why
        return os.geteuid(), found.stat().st_uid, found, "held twice"

    with folder_for_everybody() as folder, folder_for_everybody() as other:
        monkeypatch.setattr(lock_dir, "SYSTEM_FOLDERS", (str(folder), str(other)))
        with acquire("5a1c0e01", folder=folder):
            uid, owner, found, why = as_user(VICTIM, lambda: hold_inside(folder))
        if owner == -1:
            pytest.skip("no user namespace can be made on this machine")

    assert (uid, owner, found) == (0, 65534, folder)
    assert str(os.getpid()) in why


@only_root
def test_lock_folder_refuses_a_private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tmp", "systemd-private-1-hil.service-2/tmp"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name).chmod(0o1777)
    monkeypatch.setattr(lock_dir, "SYSTEM_FOLDERS", (str(tmp_path / "none"), str(tmp_path / "tmp")))
    assert lock_folder({}) == tmp_path / "tmp"

    def in_the_unit() -> Path:
        unshare(CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        private = tmp_path / "systemd-private-1-hil.service-2/tmp"
        subprocess.run(["mount", "--bind", private, tmp_path / "tmp"], check=True)
        return lock_folder({})

    with pytest.raises(UsageError, match="PrivateTmp") as caught:
        as_user(0, in_the_unit)
    assert "HIL_LOCK_DIR" in caught.value.remedy


def test_lock_folder_is_a_system_folder_by_default() -> None:
    assert str(lock_folder({})) in SYSTEM_FOLDERS


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_acquire_raises_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kernel_lock.fcntl, "flock", refuse)

    with pytest.raises(UsageError, match="has no locks") as caught:
        acquire("5a1c0e01", folder=tmp_path)
    assert "HIL_LOCK_DIR" in caught.value.remedy


def test_acquire_gets_a_board_while_another_process_asks_whether_it_is_locked(tmp_path: Path) -> None:
    with acquire("5a1c0e01", folder=tmp_path) as lease:
        path = lease.lock.path
    asking = os.open(path, os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    ends = threading.Timer(0.02, os.close, (asking,))
    ends.start()

    with acquire("5a1c0e01", folder=tmp_path):
        pass

    ends.join()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_relock_file_closes_the_new_file_if_the_folder_has_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with acquire("5a1c0e01", folder=tmp_path) as lease:
        lease.lock.path.unlink()
        before = open_files()
        with monkeypatch.context() as patch:
            patch.setattr(kernel_lock.fcntl, "flock", refuse)
            with pytest.raises(UsageError, match="no locks"):
                relock_file(lease.lock, "5a1c0e01")

        assert open_files() == before


def test_holder_names_a_worker_of_xdist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c"])
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")

    assert Holder.here().command == "pytest, worker gw1"
