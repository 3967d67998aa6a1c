"""The console probe: it finds the console that prints when the DUT gets power."""

from __future__ import annotations

import os
import pty
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console.tty import serial_devices, uart_of
from hil.dutlink.timing import until
from hil.lab.enroll.survey import ConsoleProbe

if TYPE_CHECKING:
    from collections.abc import Iterator

SERIAL = "0df10035"
WORDS = b"U-Boot 2026.01 (Jan 01 2026)\r\n"


class Consoles:
    """A device folder with pseudo-terminals in it."""

    def __init__(self, dev: Path) -> None:
        self.dev = dev
        self._ends: list[int] = []
        (dev / "serial/by-id").mkdir(parents=True)

    def plug(self, name: str) -> int:
        ours, theirs = pty.openpty()
        (self.dev / "serial/by-id" / name).symlink_to(os.ttyname(theirs))
        self._ends += [ours, theirs]
        return ours

    def plug_adapter(
        self, number: int, usb_serial: str, by_id: str = "usb-1a86_USB_Serial-if00-port0"
    ) -> int:
        """Plug a USB adapter in, which the kernel lists; an equal name in `by-id` leads to the last one."""
        ours, theirs = pty.openpty()
        self._ends += [ours, theirs]
        node = Path(os.ttyname(theirs))
        device = self.dev / f"sys/devices/usb1/1-{number}"
        (device / "1-1:1.0/tty").mkdir(parents=True)
        for name, value in {"idVendor": "1a86", "idProduct": "7523", "serial": usb_serial}.items():
            (device / name).write_text(value)
        listed = self.dev / f"sys/class/tty/{node.name}"
        listed.mkdir(parents=True)
        (listed / "device").symlink_to(device / "1-1:1.0")
        (self.dev / "serial/by-path").mkdir(exist_ok=True)
        (self.dev / "serial/by-path" / f"pci-usb-0:{number}:1.0-port0").symlink_to(node)
        (self.dev / "serial/by-id" / by_id).unlink(missing_ok=True)
        (self.dev / "serial/by-id" / by_id).symlink_to(node)
        return ours

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


@pytest.fixture
def consoles(tmp_path: Path) -> Iterator[Consoles]:
    consoles = Consoles(tmp_path)
    yield consoles
    consoles.close()


@pytest.fixture
def own(consoles: Consoles) -> int:
    return consoles.plug(uart_of(consoles.dev, SERIAL).path.name)


def test_console_probe_finds_the_boards_own(consoles: Consoles, own: int) -> None:
    consoles.plug("usb-FTDI")
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        hunt.mark_power_on()
        os.write(own, WORDS)

        assert hunt.wait_for_speaker(10) == uart_of(consoles.dev, SERIAL).path


def test_console_probe_finds_one_of_the_duts(consoles: Consoles, own: int) -> None:
    other = consoles.plug("usb-FTDI")
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        hunt.mark_power_on()
        os.write(own, b"\x00")
        os.write(other, WORDS)

        assert hunt.wait_for_speaker(10) == consoles.dev / "serial/by-id/usb-FTDI"


@pytest.mark.thorough
def test_console_probe_finds_one_that_appears_with_the_power(consoles: Consoles) -> None:
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        hunt.mark_power_on()
        os.write(consoles.plug("usb-Gadget"), WORDS)

        assert hunt.wait_for_speaker(10) == consoles.dev / "serial/by-id/usb-Gadget"


def test_console_probe_ignores_one_that_printed_before_power(consoles: Consoles, own: int) -> None:
    chatty = consoles.plug("usb-Chatty")
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        os.write(chatty, WORDS)
        assert until(lambda: any(heard.position for heard in hunt._heard.values()), 60)
        hunt.mark_power_on()
        os.write(chatty, WORDS)
        os.write(own, b"\xff\x00" * 40)

        assert hunt.wait_for_speaker(0.2) is None


@pytest.mark.parametrize("speaking", [0, 1])
@pytest.mark.parametrize("usb_serial", ["", "0001"])
def test_console_probe_names_one_of_two_alike_adapters_by_its_port(
    consoles: Consoles, own: int, usb_serial: str, speaking: int
) -> None:
    adapters = [consoles.plug_adapter(number, usb_serial) for number in (0, 1)]
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        hunt.mark_power_on()
        os.write(own, b"\x00")
        os.write(adapters[speaking], WORDS)

        assert hunt.wait_for_speaker(60) == consoles.dev / f"serial/by-path/pci-usb-0:{speaking}:1.0-port0"


@pytest.mark.parametrize(
    ("usb_serial", "name"),
    [("AB01", "by-id/usb-one"), ("", "by-path/pci-usb-0:0:1.0-port0")],
    ids=["a serial number", "none"],
)
def test_console_probe_names_an_unambiguous_adapter_by_its_id(
    consoles: Consoles, usb_serial: str, name: str
) -> None:
    consoles.plug_adapter(0, usb_serial, "usb-one")
    consoles.plug_adapter(1, "CD02", "usb-other")

    found = serial_devices(consoles.dev, consoles.dev / "sys")

    assert consoles.dev / "serial" / name in found


def test_console_probe_ignores_other_boards(consoles: Consoles) -> None:
    consoles.plug("usb-Red_Hat_Inc._Dutlink_5a1c0e01-if00")
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        assert hunt._heard == {}


def test_console_probe_finds_none_if_none_prints(consoles: Consoles, own: int) -> None:
    assert own
    with ConsoleProbe(consoles.dev, SERIAL, consoles.dev / "sys") as hunt:
        hunt.mark_power_on()

        assert hunt.wait_for_speaker(0.1) is None


def test_console_probe_finds_none_without_a_device_folder(tmp_path: Path) -> None:
    with ConsoleProbe(tmp_path, SERIAL, tmp_path) as hunt:
        assert hunt.wait_for_speaker(0) is None
