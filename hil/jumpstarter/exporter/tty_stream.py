"""A tty of the exporter's host as a stream of bytes for Jumpstarter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    current_time,
    notify_closing,
    sleep,
    wait_readable,
    wait_writable,
)
from anyio.abc import ObjectStream

from hil.dutlink.console.tty import open_tty

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hil.dutlink.console.tty import Tty

__all__ = ["TtyStream"]

_READ_BYTES = 65536
_GATHER_S = 0.002
_FEW_BYTES = 256
"""After fewer bytes than these, the next read waits 2 ms for more: a message costs more than the bytes in it.

A console of 115200 baud delivers 64 bytes every 5.6 ms, so its reads never wait for the next packet.
"""


class TtyStream(ObjectStream[bytes]):
    """An open tty in raw mode; no other stream can open it.

    Args:
        tty: The tty.
        serial: The board's serial number, for errors.

    Raises:
        ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: The tty cannot be opened.
    """

    def __init__(self, tty: Tty, serial: str) -> None:
        self._descriptor = open_tty(tty, serial)
        self._gathered_at_s = 0.0

    async def receive(self) -> bytes:
        """Wait for bytes; return those that follow a short read closely in one message."""
        await self._gather()
        while self._descriptor >= 0:
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                await self._until(wait_readable, EndOfStream)
                continue
            except OSError as error:
                raise EndOfStream from error
            if not data:
                break
            self._gathered_at_s = current_time() + _GATHER_S if len(data) < _FEW_BYTES else 0.0
            return data
        raise EndOfStream

    async def _gather(self) -> None:
        early_s = self._gathered_at_s - current_time()
        if early_s > 0:
            await sleep(early_s)

    async def send(self, item: bytes) -> None:
        """Write all bytes to the tty."""
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                await self._until(wait_writable, BrokenResourceError)
            except OSError as error:
                raise BrokenResourceError from error

    async def _until(self, wait: Callable[[int], Awaitable[None]], ended: type[Exception]) -> None:
        """Wait until the tty is ready; raise `ended` if it is closed first."""
        try:
            await wait(self._descriptor)
        except (OSError, ValueError, ClosedResourceError) as error:
            raise ended from error

    async def send_eof(self) -> None:
        """Close the tty: Jumpstarter's client ends a stream so, and keeps the call itself open."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the tty; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            notify_closing(descriptor)
            os.close(descriptor)

    async def __aenter__(self) -> Self:
        return self
