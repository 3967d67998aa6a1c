"""What an open tty has to read, by pieces that are worth their handling.

A tty holds 4 KiB, so a console that never pauses comes in pieces of that size, and each costs as much to hand
on as a long one. Where a read shows that bytes flood, more of them are gathered before they are handed on.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final

__all__ = ["FLOOD_BYTES", "LONGEST_GATHER_S", "TtySource"]

FLOOD_BYTES: Final = 2048
"""A read of so many bytes is no UART's at its pace: they wait to be read, or come from a USB device."""

LONGEST_GATHER_S: Final = 0.005
"""How long the first bytes of a piece wait for its last ones, in seconds, at most."""

_PIECE_BYTES: Final = 64 * 1024
_NEXT_MS: Final = 1


class TtySource:
    """Reads an open tty without waiting for a first byte.

    Args:
        descriptor: Of the tty; it must not block.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._more = select.poll()
        self._more.register(descriptor, select.POLLIN)

    def read(self) -> bytes | None:
        """Return what is there, none if nothing is; None when the tty went away."""
        first = self._read_some()
        return first if first is None or len(first) < FLOOD_BYTES else self._flood(first)

    def _flood(self, first: bytes) -> bytes:
        """Return that, and what follows it at once."""
        pieces, size, until_s = [first], len(first), time.monotonic() + LONGEST_GATHER_S
        while size < _PIECE_BYTES and time.monotonic() < until_s:
            piece = self._read_some()
            if piece is None or (not piece and not self._more.poll(_NEXT_MS)):
                break  # a tty that went away says so again at the next read
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _read_some(self) -> bytes | None:
        """What one read brings; None when the tty went away, which reads as an error or as nothing at all."""
        try:
            return os.read(self._descriptor, _PIECE_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None
