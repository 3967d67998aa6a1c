"""Map a status to the error that pyusb's libusb backend raises, as libusb 1.0.26 on Linux."""

from __future__ import annotations

import errno
from typing import Final, Never

import usb.core

__all__ = ["check_status", "raise_usb_error"]

_CODES: Final = {
    errno.EPIPE: (-9, errno.EPIPE, "Pipe error"),
    errno.ETIMEDOUT: (-7, errno.ETIMEDOUT, "Operation timed out"),
    errno.ENODEV: (-4, errno.ENODEV, "No such device (it may have been disconnected)"),
    errno.ESHUTDOWN: (-4, errno.ENODEV, "No such device (it may have been disconnected)"),
    errno.EACCES: (-3, errno.EACCES, "Access denied (insufficient permissions)"),
    errno.EBUSY: (-6, errno.EBUSY, "Resource busy"),
    errno.ENOENT: (-5, errno.ENOENT, "Entity not found"),
    errno.EOVERFLOW: (-8, errno.EOVERFLOW, "Overflow"),
}
_IO: Final = (-1, errno.EIO, "Input/Output Error")
"""For line errors and all others."""


def raise_usb_error(status: int) -> Never:
    """Raise the error for a negative errno.

    Raises:
        usb.core.USBTimeoutError, usb.core.USBError: Always.
    """
    code, number, words = _CODES.get(-status, _IO)
    kind = usb.core.USBTimeoutError if number == errno.ETIMEDOUT else usb.core.USBError
    raise kind(words, code, number)


def check_status(status: int) -> int:
    """Return a status, or raise if it is an error.

    Raises:
        usb.core.USBTimeoutError, usb.core.USBError: The status is negative.
    """
    if status < 0:
        raise_usb_error(status)
    return status
