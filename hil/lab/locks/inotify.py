"""Sleeping until somebody gives a file up: inotify, which Python's standard library does not reach.

The kernel rings when a watched file is closed by its last owner, also when it closes it for a process that
was killed. That bell rings an instant *before* the lock is gone (Linux: __fput in fs/file_table.c), so
whoever is woken by it looks again a moment later; `Backoff` says when.
"""

from __future__ import annotations

import os
import select
import struct
import time
from typing import TYPE_CHECKING

from hil.lab.locks.lock_dir import forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Backoff", "FileWatch"]

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE = 0x2, 0x4, 0x8  # linux/inotify.h
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_BUFFER_BYTES = 16384
POLL_S = 0.05
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 1.0


class Backoff:
    """How long to sleep at most: shortly after a bell, up to a second when all is quiet.

    The long ones are a net under the bell, not the way boards are handed over.
    """

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    def reset(self) -> None:
        """Begin again with the shortest."""
        self._next_s = FIRST_PAUSE_S

    def next(self) -> float:
        """Return the longest next sleep in seconds."""
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, LONGEST_PAUSE_S)
        return pause_s


class FileWatch:
    """Watches open files for being written, touched, or closed by a writer.

    Where the kernel gives no inotify (its limit of instances for each user is 128) it looks every 50 ms.

    Args:
        descriptors: The files; they stay the caller's.
    """

    def __init__(self, descriptors: Iterable[int]) -> None:
        import ctypes  # noqa: PLC0415 - for who waits: most boards are free

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._watches: dict[int, int] = {}
        forget_on_fork(self)
        for descriptor in descriptors:
            self._watch(descriptor)

    @property
    def is_polling(self) -> bool:
        """Whether there is no bell, so that nothing is known about who reset."""
        return self._descriptor < 0

    def wait(self, limit_s: float) -> frozenset[int]:
        """Sleep until a file rings; return the descriptors that reset, none when the time was over."""
        if self.is_polling:
            time.sleep(min(limit_s, POLL_S))
            return frozenset()
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(max(0.0, limit_s) * 1000):
            return frozenset()
        return self._rung()

    def close(self) -> None:
        """Watch no more; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _watch(self, descriptor: int) -> None:
        if self.is_polling:
            return
        path = f"/proc/self/fd/{descriptor}".encode()
        watch = self._libc.inotify_add_watch(self._descriptor, path, IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE)
        if watch < 0:
            self.close()
        else:
            self._watches[watch] = descriptor

    def _rung(self) -> frozenset[int]:
        try:
            events = os.read(self._descriptor, _BUFFER_BYTES)
        except BlockingIOError:
            return frozenset()
        watches = (_EVENT.unpack_from(events, offset)[0] for offset in _offsets(events))
        return frozenset(self._watches.get(watch, -1) for watch in watches)


def _offsets(events: bytes) -> Iterable[int]:
    offset = 0
    while offset + _EVENT.size <= len(events):
        yield offset
        offset += _EVENT.size + int(_EVENT.unpack_from(events, offset)[3])
