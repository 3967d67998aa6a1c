"""The guard process: it acts at every end of its holder, unless the holder said "released" before."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hil.lab.guard import process as guard_process
from hil.lab.guard.child import watch_process
from hil.lab.guard.process import RELEASED
from tests.support.programs import running

PEER = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def peer() -> Iterator[subprocess.Popen[bytes]]:
    with running(PEER, stdin=subprocess.PIPE) as process:
        yield process


Line = tuple[socket.socket, socket.socket]


def test_guard_process_does_nothing_after_released(line: Line) -> None:
    holders, guards = line
    holders.sendall(RELEASED)

    assert guard_process._was_released(guards.fileno(), -1, -1)


def test_guard_process_does_nothing_if_the_holder_died_after_released(line: Line) -> None:
    holders, guards = line
    holders.sendall(RELEASED)
    holders.close()

    assert guard_process._was_released(guards.fileno(), -1, -1)


def test_guard_process_acts_when_the_socket_is_closed(line: Line) -> None:
    holders, guards = line
    holders.close()

    assert not guard_process._was_released(guards.fileno(), -1, -1)


def test_guard_process_acts_when_the_holder_ended_though_the_socket_is_open(
    line: Line, peer: subprocess.Popen[bytes]
) -> None:
    peer.kill()

    assert not guard_process._was_released(line[1].fileno(), watch_process(peer.pid), -1)


def test_guard_process_kills_a_holder_whose_controller_has_ended(
    line: Line, peer: subprocess.Popen[bytes]
) -> None:
    with running(PEER, stdin=subprocess.PIPE) as controller:
        controller.kill()

        assert not guard_process._was_released(
            line[1].fileno(), watch_process(peer.pid), watch_process(controller.pid)
        )
    assert peer.wait() == -9


def test_guard_process_acts_if_the_controller_ended_before(line: Line, peer: subprocess.Popen[bytes]) -> None:
    with subprocess.Popen(["true"]) as controller:
        controller.wait()

    assert not guard_process._was_released(
        line[1].fileno(), watch_process(peer.pid), watch_process(controller.pid)
    )
    assert peer.wait() == -9


def test_guard_process_takes_a_reset_socket_for_no_release(line: Line) -> None:
    holders, guards = line
    guards.sendall(b"ready 4711\n")
    holders.close()

    assert guard_process._heard(guards.fileno()) == b""


def test_guard_process_ignores_an_error_in_sending(line: Line) -> None:
    holders, guards = line
    holders.close()

    guard_process._tell(guards.fileno(), b"ready 4711\n")
