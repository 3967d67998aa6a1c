"""Every byte of a console, with the times it came."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

__all__ = ["KEPT_BYTES", "Chunk", "Transcript"]

KEPT_BYTES = 32 * 1024 * 1024
"""The newest bytes that a transcript keeps: some 48 minutes of a DUT that never pauses at 115200 baud."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that came together.

    Attributes:
        monotonic_s: When, on the clock that never jumps (`time.monotonic`).
        time_s: When, in seconds since 1970.
        data: The bytes.
    """

    monotonic_s: float
    time_s: float
    data: bytes


class Transcript:
    """What a console said since it was opened, the shell's words included.

    Memory is bounded: beyond `kept_bytes` the oldest chunks are dropped, and counted.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._chunks: deque[Chunk] = deque()
        self._size_bytes = 0
        self._dropped_bytes = 0
        self._lock = threading.Lock()

    def append(self, data: bytes) -> None:
        """Note that these bytes came now."""
        chunk = Chunk(time.monotonic(), time.time(), data)
        with self._lock:
            self._chunks.append(chunk)
            self._size_bytes += len(data)
            while self._size_bytes > self._kept_bytes and len(self._chunks) > 1:
                oldest = self._chunks.popleft()
                self._size_bytes -= len(oldest.data)
                self._dropped_bytes += len(oldest.data)

    @property
    def chunks(self) -> list[Chunk]:
        """All that is kept, oldest first."""
        with self._lock:
            return list(self._chunks)

    @property
    def data(self) -> bytes:
        """The bytes of all that is kept."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def text(self) -> str:
        """The same as text; what is no UTF-8 becomes U+FFFD."""
        return self.data.decode(errors="replace")

    @property
    def dropped_bytes(self) -> int:
        """How many bytes were dropped for want of room."""
        return self._dropped_bytes

    def __len__(self) -> int:
        """How many bytes are kept."""
        return self._size_bytes
