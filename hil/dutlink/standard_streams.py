"""Keep descriptors 0 to 2 open, so that no lock file, socket, tty or stick gets one of these numbers."""

from __future__ import annotations

import os

__all__ = ["keep_standard_streams"]

_STANDARD = (0, 1, 2)


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
