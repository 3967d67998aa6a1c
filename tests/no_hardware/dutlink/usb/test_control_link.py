from __future__ import annotations

import errno
import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import usb.core

from hil import errors
from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.dutlink.usb import backend
from hil.dutlink.usb.backend import backend_of, usb_devices
from tests.support.fake_bus import FakeBackend, FakeBoard, host_with

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board


def test_backend_of_makes_a_host_s_backend_once(fake: FakeBoard) -> None:
    made = itertools.count()

    def make() -> FakeBackend:
        next(made)
        return FakeBackend([fake])

    host = Host(backend=make)

    assert backend_of(host) is backend_of(host)
    assert next(made) == 1


def nothing() -> None:
    return None


def not_loadable() -> Any:
    raise usb.core.NoBackendError("No backend available")


@pytest.mark.parametrize("make", [nothing, not_loadable])
def test_usb_devices_error_has_a_remedy_if_no_backend_can_be_loaded(make: Any) -> None:
    with pytest.raises(errors.NoUsbBackendError) as caught:
        usb_devices(Host("a fake host", backend=make))

    assert "a fake host" in caught.value.what
    assert "libusb" in caught.value.remedy


@pytest.mark.parametrize(
    ("system", "packaged", "taken"),
    [
        ("the system's", "libusb-package's", "the system's"),  # which knows udev
        (None, "libusb-package's", "libusb-package's"),
        (None, None, None),
    ],
)
def test_backend_of_prefers_the_system_s_libusb(
    system: str | None, packaged: str | None, taken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {
        "usb.backend.libusb1": SimpleNamespace(get_backend=lambda: system),
        "libusb_package": SimpleNamespace(get_libusb1_backend=lambda: packaged),
    }
    monkeypatch.setattr(backend.importlib, "import_module", modules.__getitem__)
    monkeypatch.setattr(backend, "_backends", {})

    if taken is not None:
        assert backend_of(Host()) == taken
    else:
        with pytest.raises(errors.NoUsbBackendError):
            backend_of(Host())


def test_open_board_finds_the_control_interface_by_its_class(dev: Path) -> None:
    fake = FakeBoard(interfaces=[(0xFF, 0, 0), (0xFF, 1, 1), (2, 2, 0)])

    with open_driver(host_with(fake, dev=dev), console=False) as board:
        board.power.force_on()

    assert fake.done[-1][0] == 1


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPIPE, errors.RequestStalledError),
        (errno.ETIMEDOUT, errors.BoardTimeoutError),
        (errno.ENODEV, errors.BoardLostError),
        (errno.EIO, errors.TransferError),
        (errno.EACCES, errors.BoardDeniedError),
    ],
)
def test_control_out_error_names_board_and_request(
    board: Board, fake: FakeBoard, number: int, kind: type[errors.HilError]
) -> None:
    fake.errors.append(number)

    with pytest.raises(kind) as caught:
        board.power.force_on()

    assert caught.value.serial == fake.serial
    assert "power request" in caught.value.what


def test_control_in_has_a_limit_of_two_seconds(board: Board, fake: FakeBoard) -> None:
    board.power.force_on()

    assert fake.limits_ms[-1] == 2000


def test_control_in_waits_as_long_as_a_started_sequence_may_take(board: Board, fake: FakeBoard) -> None:
    fake.settings[3] = b"p1,w40"
    board.power.on(wait=False)

    board.power.force_off()

    assert 6500 < fake.limits_ms[-2] <= 7000
    assert fake.limits_ms[-1] == 2000


def test_control_in_does_not_wait_again_after_an_answer(board: Board, fake: FakeBoard) -> None:
    fake.settings[3] = b"p1,w40"
    board.power.on()
    fake.limits_ms.clear()

    board.power.force_off()

    assert fake.limits_ms == [2000]


def test_wait_ready_retries_after_a_line_error(board: Board, fake: FakeBoard) -> None:
    fake.settings[3] = b"p1,w1"
    board.power.on(wait=False)
    fake.errors.append(errno.EIO)

    board.power.force_off()

    assert fake.done[-1] == (1, 2, b"")


def test_wait_ready_error_of_a_silent_board_names_the_time(board: Board, fake: FakeBoard) -> None:
    fake.settings[3] = b"p1,w4"
    board.power.on(wait=False)
    fake.always = errno.ETIMEDOUT

    with pytest.raises(errors.BoardTimeoutError, match=r"within 2\.5 s"):
        board._link.wait_ready()


def test_wait_ready_that_is_interrupted_keeps_the_time_of_the_sequence(
    board: Board, fake: FakeBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.settings[3] = b"p1,w40"

    def interrupt(_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(board._link, "_version", interrupt)
        with pytest.raises(KeyboardInterrupt):
            board.power.on()

    board.power.force_off()

    assert fake.limits_ms[-2] > 6500


def test_close_releases_the_device(board: Board, fake: FakeBoard) -> None:
    board.close()

    assert fake.opened == 0


def test_control_link_logs_transfers_at_debug_level(
    board: Board, fake: FakeBoard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "hil.dutlink.usb.control_link"):
        board.power.force_off()
        fake.errors.append(errno.EIO)
        with pytest.raises(errors.TransferError):
            board.power.force_on()

    done, failed = caplog.messages
    assert done == f"board {board.serial}: POWER request, value 2: b''"
    assert failed.startswith(f"board {board.serial}: POWER request, value 3: USBError")
