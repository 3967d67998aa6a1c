"""When a guard acts: not when it was told "released", but at any other end of its holder."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from programs import running

from hil.lab.guard import process as guard_process
from hil.lab.guard.child import watch_process
from hil.lab.guard.process import RELEASED

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


def test_it_does_nothing_when_it_was_told_released(line: Line) -> None:
    holders, guards = line
    holders.sendall(RELEASED)

    assert guard_process._was_released(guards.fileno(), -1, -1)


def test_released_counts_even_if_the_holder_died_right_after(line: Line) -> None:
    holders, guards = line
    holders.sendall(RELEASED)
    holders.close()

    assert guard_process._was_released(guards.fileno(), -1, -1)


def test_it_acts_when_the_line_breaks(line: Line) -> None:
    holders, guards = line
    holders.close()

    assert not guard_process._was_released(guards.fileno(), -1, -1)


def test_it_acts_when_the_holder_ended_though_somebody_keeps_the_line_open(
    line: Line, peer: subprocess.Popen[bytes]
) -> None:
    peer.kill()

    assert not guard_process._was_released(line[1].fileno(), watch_process(peer.pid), -1)


def test_it_ends_a_holder_whose_controller_is_gone(line: Line, peer: subprocess.Popen[bytes]) -> None:
    with running(PEER, stdin=subprocess.PIPE) as controller:
        controller.kill()

        assert not guard_process._was_released(
            line[1].fileno(), watch_process(peer.pid), watch_process(controller.pid)
        )
    assert peer.wait() == -9


def test_a_controller_that_was_gone_before_the_watch_began_counts(
    line: Line, peer: subprocess.Popen[bytes]
) -> None:
    with subprocess.Popen(["true"]) as controller:
        controller.wait()

    assert not guard_process._was_released(
        line[1].fileno(), watch_process(peer.pid), watch_process(controller.pid)
    )
    assert peer.wait() == -9


def test_a_line_that_is_reset_is_no_release(line: Line) -> None:
    holders, guards = line
    guards.sendall(b"ready 4711\n")
    holders.close()

    assert guard_process._heard(guards.fileno()) == b""


def test_a_message_to_a_holder_that_is_gone_is_no_error(line: Line) -> None:
    holders, guards = line
    holders.close()

    guard_process._tell(guards.fileno(), b"ready 4711\n")
