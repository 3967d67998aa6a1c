"""How each fault of the console's tty and of the stick is provoked; see `usb_acts.py`."""

from __future__ import annotations

import fcntl
import importlib
import mmap
import os
import select
import termios
import tty
from functools import partial
from typing import TYPE_CHECKING, Any

from hil.dutlink.board import open_driver
from hil.dutlink.timing import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from hil.dutlink.board import Board
    from tests.faults.worlds import World

__all__ = ["STICK_ACTS", "TTY_ACTS"]

OPEN_TTY = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
GOES_WITHIN_S = 10.0
READ_BYTES = 4096
PIECE_BYTES = 1 << 20
REQUEST_BYTES = 64 << 10
REQUESTS = 1000
"""Takes several seconds, and the stick goes half a second after it was told to."""


def _open_tty(world: World, serial: str, stack: ExitStack) -> int:
    descriptor = os.open(world.tty(serial), OPEN_TTY)
    stack.callback(os.close, descriptor)
    tty.setraw(descriptor)
    return descriptor


def _read(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    """Nothing is raised: the end of a tty reads as no bytes."""
    descriptor = _open_tty(world, serial, stack)
    world.unplug(serial)

    def read() -> None:
        while select.select([descriptor], [], [], GOES_WITHIN_S)[0] and os.read(descriptor, READ_BYTES):
            continue

    return read


def _write(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    descriptor = _open_tty(world, serial, stack)
    world.unplug(serial)
    return partial(os.write, descriptor, b"x")


def _gone(world: World, serial: str, _: ExitStack) -> Callable[[], object]:
    world.unplug(serial)
    return partial(os.open, world.tty(serial), OPEN_TTY)


def _denied(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    node = world.tty(serial)
    stack.enter_context(world.denied(serial))
    return partial(os.open, node, OPEN_TTY)


def _locked(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    fcntl.flock(_open_tty(world, serial, stack), fcntl.LOCK_EX)
    return partial(fcntl.flock, _open_tty(world, serial, stack), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _shared(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    _open_tty(world, serial, stack)
    return partial(_open_tty, world, serial, stack)


def _exclusive(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    """TIOCEXCL keeps everybody out but root, so the one kept out is another user, whom the mode lets in."""
    descriptor = _open_tty(world, serial, stack)
    mode = os.fstat(descriptor).st_mode & 0o777
    os.fchmod(descriptor, 0o666)
    stack.callback(os.fchmod, descriptor, mode)
    fcntl.ioctl(descriptor, termios.TIOCEXCL)
    stack.callback(fcntl.ioctl, descriptor, termios.TIOCNXCL)
    stack.enter_context(world.as_nobody())
    return partial(os.open, world.tty(serial), OPEN_TTY)


def _pyserial(world: World, serial: str, stack: ExitStack) -> Any:
    pyserial = importlib.import_module("serial")  # only the kernel session has it
    port = pyserial.Serial(str(world.tty(serial)), exclusive=True, timeout=GOES_WITHIN_S)
    stack.callback(port.close)
    return port


def _pyserial_read(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    port = _pyserial(world, serial, stack)
    world.unplug(serial)
    return partial(port.read)


def _pyserial_waiting(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    port = _pyserial(world, serial, stack)
    world.unplug(serial)
    return lambda: port.in_waiting


def _pyserial_locked(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    _pyserial(world, serial, stack)
    return partial(_pyserial, world, serial, stack)


def _pyserial_gone(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    world.unplug(serial)
    return partial(_pyserial, world, serial, stack)


def _board(world: World, serial: str, stack: ExitStack) -> Board:
    board = stack.enter_context(open_driver(world.host, serial, console=False))
    stack.callback(board.make_safe)
    return board


def _node(board: Board) -> Path:
    board.storage.host()
    return board.storage.wait_for_node()


def _taken(board: Board, node: Path) -> None:
    board.storage.off(force=True)
    until(lambda: not node.exists(), GOES_WITHIN_S)


def _buffered(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    board = _board(world, serial, stack)
    node = _node(board)
    descriptor = os.open(node, os.O_WRONLY)
    stack.callback(os.close, descriptor)
    _taken(board, node)
    return partial(os.write, descriptor, bytes(PIECE_BYTES))


def _direct(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    """A piece is one request to the disk: a longer write that fails half-way is a short one, and no error."""
    board = _board(world, serial, stack)
    descriptor = os.open(_node(board), os.O_WRONLY | os.O_DIRECT)
    stack.callback(os.close, descriptor)
    aligned = mmap.mmap(-1, REQUEST_BYTES)

    def write() -> None:
        os.write(descriptor, aligned)
        board.storage.off(force=True)
        for _ in range(REQUESTS):
            os.pwrite(descriptor, aligned, 0)

    return write


def _stick_gone(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    board = _board(world, serial, stack)
    node = _node(board)
    _taken(board, node)
    return partial(os.open, node, os.O_RDONLY)


def _stick_error(world: World, serial: str, stack: ExitStack) -> Callable[[], object]:
    board = _board(world, serial, stack)
    descriptor = os.open(_node(board), os.O_RDONLY | os.O_DIRECT)
    stack.callback(os.close, descriptor)
    world.management.fault(serial, "stick_error")
    return partial(os.preadv, descriptor, [mmap.mmap(-1, PIECE_BYTES)], 2 * PIECE_BYTES)


TTY_ACTS = {
    "tty_read": _read,
    "tty_write": _write,
    "tty_gone": _gone,
    "tty_denied": _denied,
    "tty_locked": _locked,
    "tty_exclusive": _exclusive,
    "tty_shared": _shared,
    "pyserial_read": _pyserial_read,
    "pyserial_waiting": _pyserial_waiting,
    "pyserial_locked": _pyserial_locked,
    "pyserial_gone": _pyserial_gone,
}
STICK_ACTS = {
    "stick_buffered": _buffered,
    "stick_direct": _direct,
    "stick_gone": _stick_gone,
    "stick_error": _stick_error,
}
