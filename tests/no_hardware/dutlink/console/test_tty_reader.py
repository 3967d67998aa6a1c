from __future__ import annotations

import os
import pty
import threading
import tty
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console.tty_reader import FLOOD_BYTES, TtySource

if TYPE_CHECKING:
    from collections.abc import Iterator

TTY_BYTES = 4096
MOST_READS = 100_000


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The far end of a pseudo-terminal, and the near one, which does not block."""
    far, near = pty.openpty()
    tty.setraw(near)
    os.set_blocking(near, False)
    yield far, near
    os.close(near)
    os.close(far)


def pieces(source: TtySource, size: int) -> list[bytes]:
    """Read so many bytes, with a bound on how often nothing is there."""
    came: list[bytes] = []
    for _ in range(MOST_READS):
        came.append(source.read() or b"")
        if sum(map(len, came)) >= size:
            return [piece for piece in came if piece]
        os.sched_yield()
    raise AssertionError(came)


def test_read_returns_no_bytes_without_waiting(ends: tuple[int, int]) -> None:
    assert TtySource(ends[1]).read() == b""


def test_read_returns_a_few_bytes_as_they_came(ends: tuple[int, int]) -> None:
    os.write(ends[0], b"login: ")

    assert TtySource(ends[1]).read() == b"login: "


def test_read_gathers_a_flood_into_long_pieces(ends: tuple[int, int]) -> None:
    far, near = ends
    said = bytes(range(256)) * 4096
    writer = threading.Thread(
        target=lambda: [os.write(far, said[at : at + 4096]) for at in range(0, len(said), 4096)]
    )
    writer.start()
    came = pieces(TtySource(near), len(said))
    writer.join()

    assert b"".join(came) == said
    assert max(map(len, came)) > TTY_BYTES


def test_read_returns_a_flood_before_it_reports_the_end() -> None:
    near, far = os.pipe()  # a pseudo-terminal whose far end goes drops what was not read
    os.set_blocking(near, False)
    os.write(far, b"x" * FLOOD_BYTES)
    os.close(far)
    source = TtySource(near)

    assert source.read() == b"x" * FLOOD_BYTES
    assert source.read() is None
    os.close(near)
