"""Read a tty in pieces that are worth handling, and pause between reads while bytes keep coming.

A board sends packets of 64 bytes. To be woken for each of them would cost sixteen consoles a tenth of a core,
so the reader pauses while bytes keep coming, and the tty, which holds 4 KiB, gathers them. A flow begins
without a pause, so that an echo or a prompt is read at once. If a read finds the tty nearly full, because the
machine is busy, pauses are short for two seconds: no byte must be lost to save processor time.

Bytes that flood, faster than any UART, are gathered into longer pieces, since a short piece costs as much to
handle as a long one.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final

__all__ = ["BACKLOG_REST_S", "FLOOD_BYTES", "LONGEST_GATHER_S", "LONGEST_REST_S", "ReadPacing", "TtySource"]

FLOOD_BYTES: Final = 2048
"""A read of so many bytes is a flood: they waited to be read, or come from a USB device."""

LONGEST_GATHER_S: Final = 0.005
"""The longest time for which the first bytes of a piece wait for its last ones, in seconds."""

LONGEST_REST_S: Final = 0.075
"""The longest pause, in seconds; a fast UART gets shorter ones."""

BACKLOG_REST_S: Final = 0.02
"""The pause that lets a test catch up that waits for words and has a backlog, in seconds.

A UART that is read each 20 ms loses nothing below 2 Mbaud (4 KiB each 20 ms). A faster console is a USB
device, which waits without loss.
"""

_PIECE_BYTES: Final = 64 * 1024
_NEXT_MS: Final = 1

_ECHO_BYTES: Final = 4
"""A read of at most so many bytes is the echo of a key, and no flow."""

_LATE_BYTES: Final = 3072
_SHORT_REST_S: Final = 0.01
_CALM_AFTER_S: Final = 2.0
_FIRST_REST_S: Final = 0.0025
_GATHERED_BYTES: Final = 1024
_BITS_A_BYTE: Final = 10


class TtySource:
    """Reads an open tty without waiting for a first byte.

    Args:
        descriptor: The tty's file descriptor, in non-blocking mode.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._more = select.poll()
        self._more.register(descriptor, select.POLLIN)

    def read(self) -> bytes | None:
        """Return the bytes that are there, which may be none; None if the tty went away."""
        first = self._read_some()
        return first if first is None or len(first) < FLOOD_BYTES else self._flood(first)

    def _flood(self, first: bytes) -> bytes:
        """Return the first bytes and those that follow at once."""
        pieces, size, until_s = [first], len(first), time.monotonic() + LONGEST_GATHER_S
        while size < _PIECE_BYTES and time.monotonic() < until_s:
            piece = self._read_some()
            if piece is None or (not piece and not self._more.poll(_NEXT_MS)):
                break  # a tty that went away says so again at the next read
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _read_some(self) -> bytes | None:
        """Return the bytes of one read, or None if it failed or found the end: the tty went away."""
        try:
            return os.read(self._descriptor, _PIECE_BYTES) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None


class ReadPacing:
    """The pauses of one reader.

    Args:
        baud_rate: The console's.
    """

    def __init__(self, baud_rate: int) -> None:
        self._longest_s = min(LONGEST_REST_S, _GATHERED_BYTES * _BITS_A_BYTE / baud_rate)
        self._rest_s = 0.0
        self._read_s = 0.0
        self._calm_from_s = 0.0

    def rest_s(self, size_bytes: int, *, is_ahead: bool) -> float:
        """Return how many seconds to pause after a read.

        Args:
            size_bytes: How many bytes it returned.
            is_ahead: Whether a test that reads the bytes has a backlog.
        """
        if is_ahead:
            return BACKLOG_REST_S
        now_s = time.monotonic()
        if size_bytes >= _LATE_BYTES:
            self._calm_from_s = now_s + _CALM_AFTER_S
        if not _ECHO_BYTES < size_bytes < _GATHERED_BYTES:
            return 0.0
        flows = now_s - self._read_s < 2 * LONGEST_REST_S
        longest_s = self._longest_s if now_s >= self._calm_from_s else min(_SHORT_REST_S, self._longest_s)
        self._read_s = now_s
        self._rest_s = min(max(2 * self._rest_s, _FIRST_REST_S), longest_s) if flows else 0.0
        return self._rest_s
