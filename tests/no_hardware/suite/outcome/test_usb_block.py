"""Tests marked no_hardware cannot reach the system's USB; no other test is affected."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import usb.backend.libusb1
import usb.core

from hil.dutlink.discovery import probe
from hil.dutlink.host import Host
from hil.dutlink.storage import stick_mux
from hil.errors import UsbBlockedError
from hil.suite.boards.hooks import BoardHooks
from hil.suite.markers import KIND, Kind
from hil.suite.outcome.usb_block import UsbBlock

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"


class Backend:
    """The ways into a backend that are guarded; it has no devices."""

    def enumerate_devices(self) -> list[str]:
        return []

    def open_device(self, device: str) -> str:
        return f"handle of {device}"

    def ctrl_transfer(self, handle: str, *_setup: int) -> bytes:
        return handle.encode()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def module(backend: Backend) -> ModuleType:
    """A module like those of pyusb's backends."""
    module = ModuleType("usb.backend.some")
    module.get_backend = lambda: backend  # type: ignore[attr-defined]
    return module


@pytest.fixture
def block(module: ModuleType) -> UsbBlock:
    block = UsbBlock()
    block.wrap(module)
    return block


def test_usb_block_refuses_to_find_boards_by_the_system_s_backend() -> None:
    with pytest.raises(UsbBlockedError):
        usb.core.find(find_all=True)


def test_usb_block_refuses_to_load_libusb() -> None:
    with pytest.raises(UsbBlockedError, match="marked no_hardware"):
        usb.backend.libusb1.get_backend()


def test_usb_block_refuses_the_driver_on_this_host() -> None:
    with pytest.raises(UsbBlockedError):
        probe(Host())


def test_usb_block_allows_a_backend_of_the_test_s_own(backend: Backend) -> None:
    assert list(usb.core.find(find_all=True, backend=backend)) == []


def test_usb_block_returns_the_backend_while_inactive(
    block: UsbBlock, module: ModuleType, backend: Backend
) -> None:
    assert not block.active
    assert module.get_backend() is backend


def test_usb_block_refuses_an_earlier_backend_too(block: UsbBlock, module: ModuleType) -> None:
    backend = module.get_backend()
    block.active = True

    with pytest.raises(UsbBlockedError):
        backend.enumerate_devices()


def test_usb_block_guards_a_backend_once(block: UsbBlock, module: ModuleType) -> None:
    guarded = module.get_backend().open_device

    assert module.get_backend().open_device is guarded
    assert not block.active


def test_usb_block_keeps_a_missing_libusb_missing(block: UsbBlock) -> None:
    module = ModuleType("usb.backend.other")
    module.get_backend = lambda: None  # type: ignore[attr-defined]

    block.wrap(module)

    assert module.get_backend() is None


@pytest.mark.parametrize(
    ("setup", "turns"), [((0x41, 2, 1, 0), 1), ((0x41, 1, 1, 0), 0), ((0x40, 2, 1, 0), 0), ((), 0)]
)
@pytest.mark.usefixtures("block")
def test_usb_block_counts_a_test_s_own_requests_to_turn_the_mux(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, setup: tuple[int, ...], turns: int
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(stick_mux, "note_raw_turn", lambda: counted.append("turn"))

    module.get_backend().ctrl_transfer("handle", *setup)

    assert len(counted) == turns


def test_a_run_without_boards_never_imports_pyusb(run_suite: RunSuite) -> None:
    inner = run_suite("import sys\ndef test_passes():\n    assert 'usb' not in sys.modules")

    assert inner.results() == {"test_passes": "passed"}


@pytest.mark.parametrize("was_active", [True, False])
def test_usb_block_is_as_before_after_a_no_hardware_test_of_a_run_inside(
    block: UsbBlock, was_active: bool
) -> None:
    boards: Any = None
    item: Any = SimpleNamespace(nodeid="test_a", **{KIND: Kind.NO_HARDWARE})
    block.active = was_active
    protocol = BoardHooks(boards, block).pytest_runtest_protocol(item, None)
    next(protocol)
    during = block.active

    with pytest.raises(StopIteration):
        protocol.send(True)

    assert (during, block.active) == (True, was_active)


def test_usb_block_wraps_modules_that_are_imported_later() -> None:
    script = """
from hil.suite.boards.hooks import BoardHooks
from hil.suite.markers import KIND, Kind
from hil.suite.outcome.usb_block import UsbBlock
block = UsbBlock.install()
import usb.backend.libusb1
print(UsbBlock.install() is block, hasattr(usb.backend.libusb1.get_backend, "__wrapped__"))
"""

    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout

    assert said.split() == ["True", "True"]
