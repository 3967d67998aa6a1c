"""The lock on the device node: it excludes processes with another lock folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hil.boards.sources import simulated_host
from hil.dutlink.discovery import ProbeResult
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.dutlink.usb.device_node import usb_node
from hil.errors import BoardBusyError, Verdict
from hil.lab.config.lab_file import parse_lab
from hil.lab.guard import relock
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import read_record
from hil.suite.outcome.exit_status import boards_without_part
from tests.support.other_user import VICTIM, as_user, folder_for_everybody, only_root
from tests.support.programs import program, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

SERIAL, OTHER = "5a1c0e01", "0df10035"
SOON_S = 60.0
HOLD_UNTIL_KILLED = program(__file__, "node_lock_hold_until_killed")
SLOW_ACTION = program(__file__, "node_lock_slow_action")
SIMULATOR = {"boards": 1, "speed": 5}


@contextmanager
def killable_holder(folder: Path, root: Path, *host: str) -> Iterator[subprocess.Popen[bytes]]:
    with running(
        [sys.executable, "-c", HOLD_UNTIL_KILLED, str(folder), str(root), *host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as holder:
        assert int(holder.stdout.readline()) > 0
        yield holder


def plug(root: Path, serial: str, number: int) -> Path:
    """Put a board into a host's folders, as kernel and udev do, and return its node."""
    device = root / "sys/bus/usb/devices" / f"1-{number}"
    device.mkdir(parents=True)
    facts = {"idVendor": "2b23", "idProduct": "1012", "serial": serial, "busnum": "1", "devnum": str(number)}
    for name, value in facts.items():
        (device / name).write_text(f"{value}\n")
    (root / "sys/bus/usb/devices" / f"1-{number}:1.0").mkdir()
    node = root / "dev/bus/usb/001" / f"{number:03}"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.touch(mode=0o444)
    return node


def replug(root: Path) -> None:
    """Give a board another number and node, as a board that is plugged in again gets them."""
    shutil.rmtree(root / "sys/bus/usb/devices/1-4")
    (root / "sys/bus/usb/devices/1-4:1.0").rmdir()
    (root / "dev/bus/usb/001/004").unlink()
    plug(root, SERIAL, 5)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    plug(tmp_path, OTHER, 3)
    plug(tmp_path, SERIAL, 4)
    return Host(dev=tmp_path / "dev", sys=tmp_path / "sys")


@pytest.fixture
def one(tmp_path: Path) -> Path:
    (tmp_path / "one").mkdir()
    return tmp_path / "one"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    (tmp_path / "two").mkdir()
    return tmp_path / "two"


def test_usb_node_is_the_one_that_the_kernel_numbers(host: Host, tmp_path: Path) -> None:
    assert usb_node(host, SERIAL) == tmp_path / "dev/bus/usb/001/004"
    assert usb_node(host, "nobody") is None
    assert usb_node(Host(sys=tmp_path / "nowhere"), SERIAL) is None


def test_node_lock_refuses_a_board_of_another_folder_and_names_its_holder(
    host: Host, one: Path, two: Path
) -> None:
    with acquire(SERIAL, folder=one, host=host), pytest.raises(BoardBusyError) as caught:
        acquire(SERIAL, folder=two, host=host)

    assert "bus/usb/001/004" in caught.value.why
    assert str(os.getpid()) in caught.value.why
    assert str(two) in caught.value.why
    assert "HIL_LOCK_DIR" in caught.value.why


def test_node_lock_is_free_after_a_release_in_another_folder(host: Host, one: Path, two: Path) -> None:
    first = acquire(SERIAL, folder=one, host=host)
    threading.Timer(0.1, first.release).start()

    with acquire(SERIAL, folder=two, host=host, wait_s=SOON_S):
        pass
    with acquire(SERIAL, folder=one, host=host):
        pass


def test_acquire_takes_a_board_that_no_other_folder_has(host: Host, one: Path, two: Path) -> None:
    with acquire(SERIAL, folder=one, host=host), acquire(SERIAL, OTHER, folder=two, host=host) as mine:
        assert mine.serial == OTHER
    with acquire(SERIAL, folder=two, host=host):
        pass


def test_node_lock_is_handed_over_in_order_within_one_folder(host: Host, one: Path) -> None:
    for _ in range(50):
        first = acquire(SERIAL, folder=one, host=host)
        threading.Thread(target=first.release).start()
        acquire(SERIAL, folder=one, host=host, wait_s=SOON_S).release()


def test_acquire_works_without_a_node(host: Host, one: Path, two: Path) -> None:
    with acquire("5a1c0e09", folder=one, host=host), acquire("5a1c0e09", folder=two, host=host):
        pass


def test_node_lock_keeps_others_out_after_the_lock_file_was_removed(host: Host, one: Path) -> None:
    with acquire(SERIAL, folder=one, host=host):
        (one / f"hil-board-{SERIAL}.lock").unlink()

        with pytest.raises(BoardBusyError):
            acquire(SERIAL, folder=one, host=host)


def test_set_test_locks_a_removed_or_replaced_lock_file_again(host: Host, one: Path) -> None:
    safety = Safety(action="builtins:print", arguments={})
    for replaced in (False, True):
        with under_guard(acquire(SERIAL, folder=one, host=host), safety) as lease:
            first = lease.guard
            for name in (f"hil-board-{SERIAL}.lock", f"hil-board-{SERIAL}.json"):
                (one / name).unlink()
            if replaced:
                (one / f"hil-board-{SERIAL}.lock").touch()
            lease.set_test("next.py::test")

            with pytest.raises(BoardBusyError, match=r"next\.py::test"):
                acquire(SERIAL, folder=one)
            assert read_record(one, SERIAL).needs_safety
            assert lease.guard is not first
        acquire(SERIAL, folder=one, host=host).release()


def test_set_test_raises_if_another_process_has_the_new_lock_file(
    one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relock, "RELOCK_S", 0.1)
    lease = under_guard(acquire(SERIAL, folder=one), Safety(action="builtins:print", arguments={}))
    (one / f"hil-board-{SERIAL}.lock").unlink()
    with (
        acquire(SERIAL, folder=one),
        pytest.raises(BoardBusyError, match="was taken by another process") as caught,
    ):
        lease.set_test("next.py::test")
    lease.release()

    assert str(one / f"hil-board-{SERIAL}.lock") in caught.value.why


def test_guard_keeps_a_file_that_was_locked_again_after_its_holder_was_killed(
    host: Host, one: Path, two: Path, tmp_path: Path
) -> None:
    (tmp_path / "slow_action.py").write_text(SLOW_ACTION)
    with killable_holder(one, tmp_path) as holder:
        for name in (f"hil-board-{SERIAL}.lock", f"hil-board-{SERIAL}.json"):
            (one / name).unlink()
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(b"note\n")
        holder.stdin.flush()
        assert int(holder.stdout.readline()) > 0
        holder.kill()
        holder.wait()

        for folder in (one, two):
            with pytest.raises(BoardBusyError):
                acquire(SERIAL, folder=folder, host=host)
        (one / "go").touch()
        acquire(SERIAL, folder=one, wait_s=SOON_S).release()
        assert not read_record(one, SERIAL).needs_safety


def test_guard_keeps_the_node_locked_until_the_board_is_safe(
    host: Host, one: Path, two: Path, tmp_path: Path
) -> None:
    (tmp_path / "slow_action.py").write_text(SLOW_ACTION)
    with killable_holder(one, tmp_path) as holder:
        holder.kill()
        holder.wait()

        with pytest.raises(BoardBusyError, match="bus/usb/001/004"):
            acquire(SERIAL, folder=two, host=host)
        (one / "go").touch()
        acquire(SERIAL, folder=two, host=host, wait_s=SOON_S).release()
        assert until(lambda: not read_record(one, SERIAL).needs_safety, SOON_S)


def test_follow_board_locks_the_node_of_a_board_that_was_plugged_in_again(
    host: Host, one: Path, two: Path, tmp_path: Path
) -> None:
    with under_guard(acquire(SERIAL, folder=one, host=host), Safety(action="builtins:print")) as lease:
        first = lease.guard
        replug(tmp_path)
        lease.follow_board()

        with pytest.raises(BoardBusyError, match="bus/usb/001/005"):
            acquire(SERIAL, folder=two, host=host)
        second = lease.guard
        assert second is not first
        lease.follow_board()
        assert lease.guard is second
    acquire(SERIAL, folder=two, host=host).release()


def test_follow_board_refuses_a_board_that_another_folder_has_by_now(
    host: Host, one: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relock, "RELOCK_S", 0.1)
    lease = under_guard(acquire(SERIAL, folder=one, host=host), Safety(action="builtins:print"))
    replug(tmp_path)
    with (
        acquire(SERIAL, folder=two, host=host),
        pytest.raises(BoardBusyError, match="was taken by another process"),
    ):
        lease.follow_board()
    lease.release()


@pytest.mark.parametrize("followed", [True, False], ids=["by its holder", "by its guard alone"])
def test_guard_keeps_the_node_of_a_board_that_was_plugged_in_again(
    followed: bool, host: Host, one: Path, two: Path, tmp_path: Path
) -> None:
    (tmp_path / "slow_action.py").write_text(SLOW_ACTION)
    with killable_holder(one, tmp_path, *([] if followed else ["here"])) as holder:
        replug(tmp_path)
        if followed:
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write(b"follow\n")
            holder.stdin.flush()
            assert int(holder.stdout.readline()) > 0
        holder.kill()
        holder.wait()

        assert until(lambda: is_busy(host, two), SOON_S)
        for _ in range(5):
            assert is_busy(host, two)
        for folder in (one, tmp_path):
            (folder / "go").touch()
        acquire(SERIAL, folder=two, host=host, wait_s=SOON_S).release()


def test_guard_leaves_a_board_alone_that_another_folder_has_after_a_replug(
    host: Host, one: Path, two: Path, tmp_path: Path
) -> None:
    (tmp_path / "slow_action.py").write_text(SLOW_ACTION)
    with killable_holder(one, tmp_path, "here") as holder:
        replug(tmp_path)
        with acquire(SERIAL, folder=two, host=host):
            holder.kill()
            holder.wait()

            acquire(SERIAL, folder=one, wait_s=SOON_S).release()
            assert read_record(one, SERIAL).needs_safety
            assert not read_record(one, SERIAL).events


def test_whole_lab_names_a_board_that_another_folder_has(
    host: Host, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCK_DIR", str(two))
    lab = parse_lab(two / "lab.toml", f'[place.ours]\nserial = "{SERIAL}"\n')

    with acquire(SERIAL, folder=one, host=host):
        lines = boards_without_part(lab, (), lambda _serial: ProbeResult(Verdict.PRESENT), host)

    assert "bus/usb/001/004" in lines[SERIAL]
    assert not boards_without_part(lab, (), lambda _serial: ProbeResult(Verdict.PRESENT), host)


def is_busy(host: Host, folder: Path) -> bool:
    try:
        acquire(SERIAL, folder=folder, host=host).release()
    except BoardBusyError as error:
        return "bus/usb/001/005" in error.why
    return False


def test_guarded_lease_release_unlocks_the_node(host: Host, one: Path, two: Path) -> None:
    safety = Safety(action="builtins:print", arguments={})
    with under_guard(acquire(SERIAL, folder=one, host=host), safety), pytest.raises(BoardBusyError):
        acquire(SERIAL, folder=two, host=host)

    acquire(SERIAL, folder=two, host=host).release()


def test_node_lock_ends_with_its_process_though_a_forked_child_lives(
    host: Host, one: Path, two: Path
) -> None:
    lease = acquire(SERIAL, folder=one, host=host)
    until_told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)
        os.read(until_told, 1)
        os._exit(0)
    lease.release()

    acquire(SERIAL, folder=two, host=host, wait_s=SOON_S).release()
    os.close(tell)
    os.waitpid(child, 0)
    os.close(until_told)


@only_root
def test_node_lock_works_with_a_read_only_node() -> None:
    with folder_for_everybody() as root:
        plug(root, SERIAL, 4).chmod(0o444)
        host = Host(dev=root / "dev", sys=root / "sys")
        for name in ("one", "two"):
            (root / name).mkdir()
            (root / name).chmod(0o1777)
        with acquire(SERIAL, folder=root / "one", host=host), pytest.raises(BoardBusyError):
            as_user(VICTIM, lambda: acquire(SERIAL, folder=root / "two", host=host))


def test_simulated_board_has_a_node_that_follows_it(simulator: SimulatorProcess) -> None:
    host, serial = simulated_host(simulator.ready), simulator.serials()[0]
    before = usb_node(host, serial)
    assert before is not None
    assert before.exists()

    simulator.management.fault(serial, "unplug")
    assert until(lambda: usb_node(host, serial) is None, SOON_S)
    assert not before.exists()
    simulator.management.fault(serial, "replug")
    assert until(lambda: (node := usb_node(host, serial)) and node.exists(), SOON_S)
    assert usb_node(host, serial) != before


def test_node_lock_does_not_disturb_the_use_of_a_board(
    simulator: SimulatorProcess, one: Path, two: Path
) -> None:
    host, serial = simulated_host(simulator.ready), simulator.serials()[0]
    from hil.dutlink.board import open_driver  # noqa: PLC0415 - only this test drives one

    with acquire(serial, folder=one, host=host), open_driver(host, serial) as board:
        board.console.open()
        board.power.force_on()
        board.make_safe()
        with pytest.raises(BoardBusyError):
            acquire(serial, folder=two, host=host)


def test_node_lock_names_any_process_with_a_flock(host: Host, one: Path, tmp_path: Path) -> None:
    with (tmp_path / "dev/bus/usb/001/004").open("rb") as node:
        fcntl.flock(node, fcntl.LOCK_EX)
        with pytest.raises(BoardBusyError):
            acquire(SERIAL, folder=one, host=host)
    acquire(SERIAL, folder=one, host=host).release()
