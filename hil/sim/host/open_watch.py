"""Watch files for being opened, with Linux' inotify, which the standard library lacks.

The master of a pty sees that the last program closed the slave, but no event tells it that a program opened
it again.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["OpenWatch"]

_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")
_READ_BYTES = 4096


class OpenWatch:
    """Calls back when a program opens one of the watched files."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._callbacks: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._fd, self._read)

    def add(self, path: str, on_open: Callable[[], None]) -> int:
        """Watch `path`; return the number for `remove`. Raise OSError if the file cannot be watched."""
        watch = self._checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_OPEN))
        self._callbacks[watch] = on_open
        return watch

    def remove(self, watch: int) -> None:
        """End a watch; do nothing if the file is gone."""
        self._callbacks.pop(watch, None)
        self._libc.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
        """End all watches."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        raw = os.read(self._fd, _READ_BYTES)
        at = 0
        while at < len(raw):
            watch, _mask, _cookie, name_bytes = _EVENT.unpack_from(raw, at)
            at += _EVENT.size + name_bytes
            callback = self._callbacks.get(watch)
            if callback is not None:
                callback()

    @staticmethod
    def _checked(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
