"""Requests and errors that tests of the pyusb backend share."""

from __future__ import annotations

from typing import Any

import pytest
import usb.core

VERSION = (0xC1, 4, 0, 3, 64)
REFRESH = (0x41, 0, 0, 3)


def read_version(board: Any, timeout_ms: int = 5000) -> bytes:
    """Ask for the firmware's version, which answers empty before the first refresh."""
    return bytes(board.ctrl_transfer(*VERSION, timeout=timeout_ms))


def error_of(what: Any, *arguments: Any, **options: Any) -> tuple[type, int | None, int | None]:
    """The class, errno and libusb code of the USBError that a call raises."""
    with pytest.raises(usb.core.USBError) as raised:
        what(*arguments, **options)
    return type(raised.value), raised.value.errno, raised.value.backend_error_code
