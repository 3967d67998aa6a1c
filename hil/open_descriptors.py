"""Descriptors stay with their files: the kernel gives the number of a closed one to the next file."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CheckedDescriptor", "keep_standard_streams", "room_for_descriptors"]

_STANDARD = (0, 1, 2)

_raising = threading.RLock()
"""Held while the limit is raised, so that two threads do not restore each other's limit."""


class CheckedDescriptor:
    """A descriptor that is used only as long as it is the file that it was.

    Other code of the process may close it, as `os.closerange` does. So the file is compared before each use:
    hil must neither write into another file nor close it.

    Args:
        number: The descriptor; -1 for none.
    """

    def __init__(self, number: int = -1) -> None:
        self._number = number
        self._file = os.fstat(number) if number >= 0 else None

    @property
    def number(self) -> int:
        """The descriptor; -1 if it is closed, also by other code."""
        return -1 if self.was_closed_by_others else self._number

    @property
    def was_closed_by_others(self) -> bool:
        """Whether other code closed it."""
        if self._number < 0 or self._file is None:
            return False
        try:
            return not os.path.samestat(self._file, os.fstat(self._number))
        except OSError:
            return True

    def close(self) -> None:
        """Close it, unless other code did; harmless when repeated."""
        number, self._number = self.number, -1
        if number >= 0:
            os.close(number)


@contextmanager
def room_for_descriptors() -> Iterator[None]:
    """Raise this process's limit of open files as far as it may, for a `with` block.

    A test that leaks descriptors reaches the soft limit; then no guard can be started and no device opened.
    """
    with _raising:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        raised = (before[1], before[1])
        with suppress(OSError, ValueError):  # a sandbox, or a hard limit beyond what the kernel allows
            resource.setrlimit(resource.RLIMIT_NOFILE, raised)
        try:
            yield
        finally:
            if resource.getrlimit(resource.RLIMIT_NOFILE) == raised:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)


def keep_standard_streams() -> None:
    """Open /dev/null as standard input, output or error if that descriptor is closed.

    The kernel assigns the lowest free number. In a process that was started without standard error, the next
    file that is opened would be number 2: libusb and the C library would write messages into it, and a child
    process that gets /dev/null as standard error would lose it.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:  # another thread has opened that number since
                os.close(null)
            else:
                os.set_inheritable(number, True)
