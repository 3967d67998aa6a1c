"""A tty of the exporter as Jumpstarter's stream of bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from anyio import (
    BrokenResourceError,
    ClosedResourceError,
    EndOfStream,
    notify_closing,
    wait_readable,
    wait_writable,
)
from anyio.abc import ObjectStream

from hil.dutlink.tty import open_tty

if TYPE_CHECKING:
    from hil.dutlink.tty import Tty

__all__ = ["TtyStream"]

_READ_BYTES = 65536


class TtyStream(ObjectStream[bytes]):
    """An open tty: raw, and for this stream alone.

    Args:
        tty: Which.
        serial: The board's serial number, for errors.

    Raises:
        ConsoleMissingError, ConsoleDeniedError, ConsoleBusyError: It cannot be opened.
    """

    def __init__(self, tty: Tty, serial: str) -> None:
        self._descriptor = open_tty(tty, serial)

    async def receive(self) -> bytes:
        """Wait for bytes."""
        while self._descriptor >= 0:
            try:
                await wait_readable(self._descriptor)
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                continue
            except (OSError, ClosedResourceError) as error:
                raise EndOfStream from error
            if not data:
                raise EndOfStream
            return data
        raise EndOfStream

    async def send(self, item: bytes) -> None:
        """Send all of them."""
        rest = memoryview(item)
        while rest:
            try:
                await wait_writable(self._descriptor)
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise BrokenResourceError from error

    async def send_eof(self) -> None:
        """Close it: Jumpstarter's client ends a stream by that, and keeps the call behind it open."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close it; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            notify_closing(descriptor)
            os.close(descriptor)

    async def __aenter__(self) -> Self:
        return self
