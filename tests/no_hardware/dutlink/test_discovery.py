from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import usb.core

from hil import errors
from hil.dutlink import discovery
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards, probe
from hil.dutlink.host import Host
from hil.dutlink.usb.firmware import FirmwareVersion
from hil.errors import Verdict
from tests.support.fake_bus import FakeBackend, FakeBoard, host_with, usb_error

DFU = [(0xFE, 1, 2)]
OF_RELEASE_0_07 = [(2, 2, 0), (0x0A, 0, 0), (0xFE, 1, 1)]
"""Serial port and DFU of the running firmware (release 0.07: main.rs)."""


def test_probe_of_a_board_that_answers_is_present(host: Host) -> None:
    result = probe(host)

    assert result.verdict is Verdict.PRESENT
    assert result.serial == "5a1c0e01"
    assert result.firmware == FirmwareVersion(0, 9, "1a2b3c4")
    assert result.error is None


def test_probe_leaves_no_device_open(host: Host, fake: FakeBoard) -> None:
    probe(host)
    list_boards(host)

    assert fake.opened == 0


def test_probe_of_an_empty_bus_is_absent(dev: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_driver(host_with(dev=dev))

    assert type(caught.value) is errors.BoardAbsentError


def test_probe_of_a_host_without_boards_offers_simulated_ones() -> None:
    error = probe(host_with(dev=Path("/dev")), None).error

    assert error is not None
    assert error.remedy == "plug it in, or check its cable, or try a simulated one: hil sim"


def test_probe_of_a_host_with_other_boards_offers_no_simulated_one() -> None:
    error = probe(host_with(FakeBoard(), dev=Path("/dev")), "ffffffff").error

    assert error is not None
    assert error.remedy == "plug it in, or check its cable"


def test_probe_of_an_unknown_serial_number_is_absent(host: Host) -> None:
    result = probe(host, "ffffffff")

    assert result.verdict is Verdict.ABSENT
    assert "only other boards" in str(result.error)


@pytest.mark.parametrize(("product_id", "bcd_device"), [(0xE012, 0x0001), (0x1012, 0x0001)])
def test_probe_recognizes_a_boot_loader_by_its_interfaces(
    dev: Path, product_id: int, bcd_device: int
) -> None:
    fake = FakeBoard(product_id=product_id, bcd_device=bcd_device, interfaces=DFU)

    with pytest.raises(errors.BoardInBootLoaderError, match="5a1c0e01 is in DFU mode") as caught:
        open_driver(host_with(fake, dev=dev))

    assert "firmware 0.01" not in str(caught.value)
    assert f"{product_id:04x}" in caught.value.what


def test_list_boards_lists_a_boot_loader_as_absent(dev: Path) -> None:
    (result,) = list_boards(host_with(FakeBoard(product_id=0xE012, interfaces=DFU), dev=dev))

    assert (result.verdict, result.serial) == (Verdict.ABSENT, "5a1c0e01")
    assert isinstance(result.error, errors.BoardInBootLoaderError)


def test_probe_ignores_another_board_in_its_boot_loader(dev: Path) -> None:
    host = host_with(FakeBoard(interfaces=DFU), FakeBoard("00000002"), dev=dev)

    assert probe(host, "00000002").verdict is Verdict.PRESENT


def test_probe_error_mentions_a_chip_in_its_factory_boot_loader(dev: Path) -> None:
    chip = FakeBoard(vendor_id=0x0483, product_id=0xDF11, interfaces=DFU)

    assert "0483:df11" in str(probe(host_with(chip, dev=dev)).error)


def test_probe_of_a_board_that_cannot_be_opened_is_denied(host: Host, fake: FakeBoard) -> None:
    fake.open_always = errno.EACCES

    result = probe(host)

    assert (result.verdict, result.serial) == (Verdict.DENIED, None)
    assert "udev" in str(result.error)


def test_probe_of_a_serial_number_is_denied_if_a_denied_board_may_have_it(
    host: Host, fake: FakeBoard
) -> None:
    fake.open_always = errno.EACCES

    assert probe(host, "ffffffff").verdict is Verdict.DENIED


def test_probe_repeats_while_udev_has_not_set_permissions(host: Host, fake: FakeBoard) -> None:
    fake.open_errors.extend([errno.EACCES, errno.EACCES])

    assert probe(host).verdict is Verdict.PRESENT


@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV])
def test_probe_of_a_board_that_leaves_is_absent(dev: Path, number: int) -> None:
    class Leaving(FakeBackend):
        looks = 0

        def enumerate_devices(self) -> Any:
            self.looks += 1
            return iter(self.boards if self.looks < 3 else [])

    backend = Leaving([FakeBoard(open_always=number)])

    assert probe(Host(backend=lambda: backend, dev=dev)).verdict is Verdict.ABSENT


def test_probe_of_a_listed_board_that_never_opens_is_lost(host: Host, fake: FakeBoard) -> None:
    fake.open_always = errno.EIO

    assert probe(host).verdict is Verdict.LOST


def test_list_boards_repeats_after_a_line_error(host: Host, fake: FakeBoard) -> None:
    fake.open_errors.append(errno.EIO)

    (result,) = list_boards(host)

    assert result.verdict is Verdict.PRESENT


def test_probe_of_a_silent_board_is_lost(host: Host, fake: FakeBoard) -> None:
    fake.always = errno.ETIMEDOUT

    result = probe(host, limit_s=0.2)

    assert result.verdict is Verdict.LOST
    assert isinstance(result.error, errors.BoardLostError)


def test_probe_is_not_delayed_by_a_silent_neighbour(dev: Path) -> None:
    busy = FakeBoard("00000001", string_error=errno.ETIMEDOUT)
    host = host_with(busy, FakeBoard("00000002"), dev=dev)

    assert probe(host, "00000002").verdict is Verdict.PRESENT
    assert probe(host).serial == "00000002"


def test_probe_of_a_board_that_stalls_is_present(host: Host, fake: FakeBoard) -> None:
    fake.errors.append(errno.EPIPE)

    result = probe(host)

    assert result.verdict is Verdict.PRESENT
    assert result.firmware == FirmwareVersion(0, 9)


def test_probe_without_a_backend_returns_a_result(dev: Path) -> None:
    assert probe(Host(backend=lambda: None, dev=dev)).verdict is Verdict.NO_BACKEND


def test_list_boards_without_a_backend_raises(dev: Path) -> None:
    with pytest.raises(errors.NoUsbBackendError):
        list_boards(Host(backend=lambda: None, dev=dev))


def test_open_board_refuses_old_firmware_and_closes_the_device(host: Host, fake: FakeBoard) -> None:
    fake.version = b"0.06 git-ref: old"

    with pytest.raises(errors.FirmwareTooOldError):
        open_driver(host)

    assert fake.opened == 0


def test_probe_of_a_board_with_old_firmware_is_faulty(host: Host, fake: FakeBoard) -> None:
    fake.version = b"0.07 git-ref: old"

    result = probe(host)

    assert (result.verdict, type(result.error)) == (Verdict.FAULTY, errors.FirmwareTooOldError)


def test_probe_of_firmware_without_a_control_interface_is_no_boot_loader(dev: Path) -> None:
    host = host_with(FakeBoard(interfaces=OF_RELEASE_0_07, bcd_device=0x0007), dev=dev)

    result = probe(host)

    assert (result.verdict, type(result.error)) == (Verdict.FAULTY, errors.FirmwareTooOldError)
    assert "board 5a1c0e01 runs firmware 0.07" in str(result.error)


def test_open_board_opens_by_serial_number(dev: Path) -> None:
    host = host_with(FakeBoard("00000001"), FakeBoard("00000002"), dev=dev)

    with open_driver(host, "00000002", console=False) as board:
        assert board.serial == "00000002"


def test_probe_of_a_malformed_serial_number_is_faulty(host: Host, fake: FakeBoard) -> None:
    fake.serial = "??"

    result = probe(host)

    assert (result.verdict, result.serial) == (Verdict.FAULTY, None)


def test_probe_of_a_board_that_refuses_its_serial_number_is_faulty(host: Host, fake: FakeBoard) -> None:
    fake.string_error = errno.EPIPE

    result = probe(host)

    assert (result.verdict, type(result.error)) == (Verdict.FAULTY, errors.RequestStalledError)


def test_probe_of_a_board_without_descriptors_is_absent(host: Host, fake: FakeBoard) -> None:
    fake.interfaces = []

    class Gone(list):  # type: ignore[type-arg]
        def __len__(self) -> int:
            raise usb_error(errno.ENODEV)

    fake.interfaces = Gone()

    assert probe(host).verdict is Verdict.ABSENT


def test_probe_of_a_bus_that_cannot_be_listed_is_lost(dev: Path) -> None:
    class Broken(FakeBackend):
        def enumerate_devices(self) -> Any:
            raise usb_error(errno.EIO)

    assert probe(Host(backend=lambda: Broken([]), dev=dev)).verdict is Verdict.LOST


@pytest.mark.parametrize("number", [None, errno.EIO, errno.ENODEV])
def test_probe_ignores_an_error_on_closing(
    host: Host, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    def broken(_self: FakeBackend, handle: FakeBoard) -> None:
        if handle.opened:  # pyusb tries again when it forgets the device
            handle.opened = 0
            raise usb_error(number)

    monkeypatch.setattr(FakeBackend, "close_device", broken)

    with open_driver(host, console=False) as board:
        serial = board.serial
    assert probe(host, serial).verdict is Verdict.PRESENT


def test_probe_of_a_backend_that_fails_on_opening_returns_a_result(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_self: FakeBackend, _device: FakeBoard) -> FakeBoard:
        raise usb.core.NoBackendError("gone")

    monkeypatch.setattr(FakeBackend, "open_device", gone)

    assert probe(host).verdict is Verdict.NO_BACKEND


@pytest.mark.parametrize(("name", "now"), [("look", probe), ("Sighting", discovery.ProbeResult)])
def test_discovery_knows_its_names_until_0_1(name: str, now: object) -> None:
    with pytest.warns(DeprecationWarning, match=f"{name} is now"):
        assert getattr(discovery, name) is now


def test_discovery_refuses_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        discovery.nothing  # noqa: B018 - the look-up is what fails


def test_probe_leaves_a_board_alone_that_is_listed_with_another_serial_number(
    dev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_with(FakeBoard("5a1c0e02"), FakeBoard("5a1c0e01"), dev=dev)
    listed = [one._replace(listed_serial=one.device._ctx.dev.serial) for one in discovery.candidates(host)]
    probed: list[str | None] = []
    probe_candidate = discovery._probe_candidate
    monkeypatch.setattr(discovery, "candidates", lambda _host: listed)
    monkeypatch.setattr(
        discovery,
        "_probe_candidate",
        lambda one, limit_s: probed.append(one.listed_serial) or probe_candidate(one, limit_s),
    )

    probe(host, "5a1c0e01")

    assert probed == ["5a1c0e01"]
