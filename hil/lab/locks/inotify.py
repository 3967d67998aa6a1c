"""Wait until another process releases a file, by inotify, which Python's standard library does not offer.

The kernel reports a watched file when its last owner closes it, also when the kernel closes it for a process
that was killed. That event comes an instant *before* the lock is gone (Linux: __fput in fs/file_table.c), so
a process that it wakes must try the lock again a moment later.
"""

from __future__ import annotations

import os
import select
import struct
import time
from typing import TYPE_CHECKING

from hil.forked_child import forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FileWatch"]

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE = 0x2, 0x4, 0x8  # linux/inotify.h
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_BUFFER_BYTES = 16384
POLL_S = 0.05


class FileWatch:
    """Watch open files for being written, touched, or closed by a writer.

    If the kernel gives no inotify instance (its limit for each user is 128), `wait` only sleeps, 50 ms at
    most.

    Args:
        descriptors: The files; the caller closes them.
    """

    def __init__(self, descriptors: Iterable[int]) -> None:
        import ctypes  # noqa: PLC0415 - for processes that wait: most boards are free

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._watches: dict[int, int] = {}
        forget_on_fork(self)
        for descriptor in descriptors:
            self._watch(descriptor)

    @property
    def is_polling(self) -> bool:
        """True if there is no inotify instance, so that changes are not reported."""
        return self._descriptor < 0

    def wait(self, limit_s: float) -> frozenset[int]:
        """Sleep until a file changes; return the descriptors of the changed files, none after `limit_s`."""
        if self.is_polling:
            time.sleep(min(limit_s, POLL_S))
            return frozenset()
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(max(0.0, limit_s) * 1000):
            return frozenset()
        return self._read_events()

    def close(self) -> None:
        """Stop watching; harmless when repeated."""
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

    def _read_events(self) -> frozenset[int]:
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
