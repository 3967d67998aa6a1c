"""Which part of a console is kept in files where it says too much: the beginning and the end."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.transcript import Chunk, Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.console.transcript import Event

__all__ = ["END_BYTES", "SizeLimiter"]

END_BYTES: Final = 2 * 1024 * 1024
"""How much room the last events take in files, in bytes, which are kept after a gap."""

_COPIES: Final = 2
_LINE_BYTES: Final = 40
_CHUNK_BYTES: Final = 512
"""What a line's time takes in a text file; a chunk's place in an index, which readers hold in memory."""


class SizeLimiter:
    """Hands events on until they fill so much of the disk, and then only the last of them, behind a note.

    Args:
        most_bytes: How much room their files may take, in bytes, those of the last events not counted.
        keep: Takes the events that are kept, in their order.

    Attributes:
        left_out_bytes: How many bytes of the console were left out; complete after `finish`.
    """

    def __init__(self, most_bytes: int, keep: Callable[[Event], None]) -> None:
        self.left_out_bytes = 0
        self._room_bytes = most_bytes
        self._keep = keep
        self._end: deque[Event] = deque()
        self._end_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether events are no longer handed on at once."""
        return self._room_bytes <= 0

    def add(self, event: Event) -> None:
        """Take one event."""
        if not self.is_full:
            self._keep(event)
            if isinstance(event, Chunk):
                self._room_bytes -= _files_bytes(event.data)
            return
        self._end.append(event)
        if isinstance(event, Chunk):
            self._end_bytes += _files_bytes(event.data)
        while self._end_bytes > END_BYTES:
            self._leave_out(self._end.popleft())

    def finish(self) -> None:
        """Hand on the end; nothing more will come."""
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
        self._end_bytes -= _files_bytes(event.data)
        self.left_out_bytes += len(event.data)


def _files_bytes(data: bytes) -> int:
    """Return about how much room a chunk takes: as it came, as lines with times, and in an index."""
    lines = data.count(b"\n") + data.count(b"\r")
    return _COPIES * len(data) + _LINE_BYTES * lines + _CHUNK_BYTES
