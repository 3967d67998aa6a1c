"""`TtyStream`, with a pty as its tty."""

from __future__ import annotations

import asyncio
import os
import pty
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio import EndOfStream

from hil.dutlink.console.tty import Tty
from hil.jumpstarter.exporter import tty_stream
from hil.jumpstarter.exporter.tty_stream import TtyStream

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

LIMIT_S = 30.0


@contextmanager
def a_tty() -> Iterator[tuple[Tty, int]]:
    """Yield a tty and the descriptor of its other end, where the DUT is."""
    dut, end = pty.openpty()
    tty = Tty(Path(os.ttyname(end)))
    try:
        yield tty, dut
    finally:
        os.close(end)
        os.close(dut)


def run(act: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(act, LIMIT_S))


def test_receive_gathers_bytes_that_follow_a_short_read_closely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gather() -> None:
        with a_tty() as (tty, dut):

            async def write_more(_seconds: float) -> None:
                os.write(dut, b"b")
                os.write(dut, b"c")

            monkeypatch.setattr(tty_stream, "sleep", write_more)
            async with TtyStream(tty, "5a1c0e01") as stream:
                os.write(dut, b"a")
                first, then = await stream.receive(), await stream.receive()
        assert (first, then) == (b"a", b"bc")

    run(gather())


def test_receive_never_delays_a_long_read(monkeypatch: pytest.MonkeyPatch) -> None:
    many = bytes(tty_stream._FEW_BYTES)

    async def never(_seconds: float) -> None:
        pytest.fail("it waited for more")

    async def stream_plenty() -> None:
        with a_tty() as (tty, dut):
            async with TtyStream(tty, "5a1c0e01") as stream:
                os.write(dut, many)
                assert await stream.receive() == many
                os.write(dut, b"more")
                assert await stream.receive() == b"more"

    monkeypatch.setattr(tty_stream, "sleep", never)
    run(stream_plenty())


def test_send_writes_to_the_tty() -> None:
    async def talk() -> None:
        with a_tty() as (tty, dut):
            async with TtyStream(tty, "5a1c0e01") as stream:
                await stream.send(b"root\r")
                assert os.read(dut, 64) == b"root\r"

    run(talk())


def test_aclose_ends_a_waiting_receive() -> None:
    async def close() -> None:
        with a_tty() as (tty, _):
            stream = TtyStream(tty, "5a1c0e01")
            waiting = asyncio.ensure_future(stream.receive())
            await asyncio.sleep(0)  # it waits now
            await stream.aclose()
            with pytest.raises(EndOfStream):
                await waiting

    run(close())
