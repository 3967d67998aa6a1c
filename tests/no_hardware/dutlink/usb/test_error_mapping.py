from __future__ import annotations

import errno
import pickle
import subprocess
import sys
import termios
from typing import Any

import pytest
import usb.core
import usb.util

from hil import errors
from hil.dutlink.usb.error_mapping import ErrorSource, classify, translate

USB_ROWS = [
    (errno.EPIPE, errors.RequestStalledError),
    (errno.ETIMEDOUT, errors.BoardTimeoutError),
    (errno.ENODEV, errors.BoardLostError),
    (errno.EIO, errors.TransferError),
    (errno.EBUSY, errors.BoardBusyError),
    (errno.EACCES, errors.BoardDeniedError),
    (None, errors.TransferError),
]
TTY_ROWS = [
    (None, errors.ConsoleLostError),
    (errno.EIO, errors.ConsoleLostError),
    (errno.ENOENT, errors.ConsoleMissingError),
    (errno.EACCES, errors.ConsoleDeniedError),
    (errno.EAGAIN, errors.ConsoleBusyError),
]
STICK_ROWS = [
    (errno.ENOSPC, errors.StickLostError),
    (errno.EIO, errors.StickLostError),
    (errno.ENOENT, errors.StickLostError),
]


def serial_error(number: int | None) -> OSError:
    """An exception as pyserial raises it; the package need not be installed for that."""
    module = type(sys)("serial")
    module.SerialException = type("SerialException", (OSError,), {"__module__": "serial"})  # type: ignore[attr-defined]
    sys.modules.setdefault("serial", module)
    kind = sys.modules["serial"].SerialException
    return kind(number, "words") if number is not None else kind("words")


@pytest.mark.parametrize(("number", "kind"), USB_ROWS)
def test_translate_maps_each_usb_error(number: int | None, kind: type) -> None:
    error = translate(usb.core.USBError("words", None, number), ErrorSource.USB, "what", serial="5a1c0e01")

    assert type(error) is kind
    assert (error.errno, error.serial) == (number, "5a1c0e01")


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.ENOENT])
def test_classify_of_a_board_that_left_before_opening_is_absent(number: int) -> None:
    assert classify(usb.core.USBError("", None, number), ErrorSource.USB_OPEN) is errors.BoardAbsentError


def test_classify_recognizes_a_timeout_by_its_class() -> None:
    assert classify(usb.core.USBTimeoutError("", -7, None)) is errors.BoardTimeoutError


def test_classify_recognizes_no_backend_by_its_class() -> None:
    assert classify(usb.core.NoBackendError("No backend available")) is errors.NoUsbBackendError


def test_classify_recognizes_a_missing_langid_by_its_origin() -> None:
    class Silent:
        langids = ()

    with pytest.raises(ValueError, match="langid") as caught:
        usb.util.get_string(Silent(), 3)

    assert classify(caught.value) is errors.BoardDeniedError


def test_classify_ignores_other_value_errors() -> None:
    with pytest.raises(ValueError, match="invalid") as caught:
        int("no langid")

    assert classify(caught.value) is None


@pytest.mark.parametrize(("number", "kind"), TTY_ROWS)
@pytest.mark.parametrize("source", [ErrorSource.UNKNOWN, ErrorSource.TTY])
def test_classify_maps_each_tty_error(number: int | None, kind: type, source: ErrorSource) -> None:
    assert classify(serial_error(number), source) is kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, errors.ConsoleMissingError),
        (errno.EIO, errors.ConsoleMissingError),
        (errno.EACCES, errors.ConsoleDeniedError),
        (errno.EAGAIN, errors.ConsoleBusyError),
        (errno.EBUSY, errors.ConsoleBusyError),
    ],
)
def test_classify_maps_each_error_of_opening_a_tty(number: int, kind: type) -> None:
    assert classify(OSError(number, "words"), ErrorSource.TTY_OPEN) is kind


def test_classify_reads_termios_errors() -> None:
    assert classify(termios.error(errno.EIO, "words"), ErrorSource.TTY) is errors.ConsoleLostError


@pytest.mark.parametrize(("number", "kind"), STICK_ROWS)
def test_classify_maps_each_stick_error(number: int, kind: type) -> None:
    assert classify(OSError(number, "words"), ErrorSource.STICK) is kind


def test_classify_of_a_missing_file_is_an_absent_board() -> None:
    assert classify(FileNotFoundError(errno.ENOENT, "words")) is errors.BoardAbsentError


@pytest.mark.parametrize("error", [AssertionError(), KeyError(1), ConnectionResetError(104, "words")])
def test_classify_ignores_other_errors(error: Exception) -> None:
    assert classify(error) is None


def test_translate_returns_hil_errors_unchanged() -> None:
    error = errors.BoardLostError("gone")

    assert classify(error) is errors.BoardLostError
    assert translate(error, ErrorSource.USB, "what") is error


@pytest.mark.parametrize("source", list(ErrorSource))
@pytest.mark.parametrize(
    "number", [None, *sorted({row[0] for row in USB_ROWS + TTY_ROWS + STICK_ROWS if row[0]})]
)
def test_translate_returns_errors_that_survive_pickling(source: ErrorSource, number: int | None) -> None:
    error = translate(OSError(number, "words"), source, "what", serial="5a1c0e01")

    copy: Any = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes

    assert (type(copy), copy.parts, str(copy)) == (type(error), error.parts, str(error))


def test_import_of_the_driver_imports_neither_pyusb_nor_pexpect() -> None:
    code = "import sys, hil.dutlink.board; print({'usb', 'serial', 'pexpect'} & set(sys.modules))"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "set()"
