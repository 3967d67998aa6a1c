"""Limit the size of a console's files: of too much output, keep the beginning and the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.transcript import Chunk, Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.console.transcript import Event

__all__ = ["END_BYTES", "SizeLimiter"]

END_BYTES: Final = 2 * 1024 * 1024
"""Bytes of files for the last events, which are kept after a gap."""

_COPIES: Final = 2
_LINE_BYTES: Final = 40
_CHUNK_BYTES: Final = 512
"""Estimated bytes for a line's time in a text file, and for a chunk's entry in an index."""


class SizeLimiter:
    """Passes events on until they fill their files; of later events only the last ones, after a note.

    Args:
        max_bytes: Maximum size of the files, without the last events.
        keep: Called with each event that is kept, in order.

    Attributes:
        left_out_bytes: Bytes of the console that were left out; complete after `finish`.
    """

    def __init__(self, max_bytes: int, keep: Callable[[Event], None]) -> None:
        self.left_out_bytes = 0
        self._free_bytes = max_bytes
        self._keep = keep
        self._end: deque[Event] = deque()
        self._end_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the files are full, so that events are no longer passed on at once."""
        return self._free_bytes <= 0

    def add(self, event: Event) -> None:
        """Take one event."""
        if not self.is_full:
            self._keep(event)
            if isinstance(event, Chunk):
                self._free_bytes -= _file_bytes(event.data)
            return
        self._end.append(event)
        if isinstance(event, Chunk):
            self._end_bytes += _file_bytes(event.data)
        while self._end_bytes > END_BYTES:
            self._leave_out(self._end.popleft())

    def finish(self) -> None:
        """Pass the last events on; no event may follow."""
        for event in self._end:
            if self.left_out_bytes and isinstance(event, Chunk):
                text = (
                    f"{self.left_out_bytes} bytes are left out here: the console said too much to keep it all"
                )
                self._keep(Mark(event.monotonic_s, event.time_s, text, event.position))
                break
        for event in self._end:
            self._keep(event)
        self._end.clear()

    def _leave_out(self, event: Event) -> None:
        if isinstance(event, Mark):
            self._keep(event)
            return
        self._end_bytes -= _file_bytes(event.data)
        self.left_out_bytes += len(event.data)


def _file_bytes(data: bytes) -> int:
    """Return the approximate size of a chunk in all files: raw, as lines with times, and in the index."""
    lines = data.count(b"\n") + data.count(b"\r")
    return _COPIES * len(data) + _LINE_BYTES * lines + _CHUNK_BYTES
