"""When a console's reader reads again: at once, or when more bytes have gathered.

A board sends packets of 64 bytes; to be woken for each would cost sixteen consoles a tenth of a core. The tty
holds 4 KiB, so the reader lets bytes gather while they keep coming. A flow begins without a rest, so that an
echo or a prompt is read at once. Where a machine is so busy that the tty is nearly full before the reader's
turn comes, rests are short for a while: no byte must be lost to spare a core that is overworked anyway.
"""

from __future__ import annotations

import time
from typing import Final

__all__ = ["ReadingPace"]

LONGEST_REST_S: Final = 0.075
"""In seconds; a fast UART gets shorter rests."""

CATCHING_UP_S: Final = 0.02
"""What a test is given that waits for words and is behind. No UART gets so far ahead: 4 KiB each 20 ms are
2 Mbaud. A console that does is a USB device, which waits, too, without loss."""

_ECHO_BYTES: Final = 4
"""The echo of a key, as somebody types: no flow."""

_LATE_BYTES: Final = 3072
_SHORT_REST_S: Final = 0.01
_CALM_AFTER_S: Final = 2.0
_FIRST_REST_S: Final = 0.0025
_GATHERED_BYTES: Final = 1024
_BITS_A_BYTE: Final = 10


class ReadingPace:
    """The pace of one reader.

    Args:
        baud_rate: Of the console.
    """

    def __init__(self, baud_rate: int) -> None:
        self._longest_s = min(LONGEST_REST_S, _GATHERED_BYTES * _BITS_A_BYTE / baud_rate)
        self._rest_s = 0.0
        self._read_s = 0.0
        self._calm_from_s = 0.0

    def rest_s(self, size_bytes: int, *, is_ahead: bool) -> float:
        """Return for how many seconds to rest after a read.

        Args:
            size_bytes: How much it brought.
            is_ahead: Whether those who take the bytes are behind.
        """
        if is_ahead:
            return CATCHING_UP_S
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
