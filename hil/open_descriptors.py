"""Descriptors stay with their files: the kernel gives the number of a closed one to the next file."""

from __future__ import annotations

import os

__all__ = ["CheckedDescriptor", "keep_standard_streams"]

_STANDARD = (0, 1, 2)


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
