from __future__ import annotations

from pathlib import Path

import pytest

from hil.dutlink.console.tty import find_tty
from hil.dutlink.wiring import Wiring
from hil.errors import ConsoleMissingError

SERIAL = "5a1c0e01"
ORIN = "usb-NVIDIA_Tegra_1234-if01"


def test_find_tty_finds_the_board_s_port_by_its_serial_number(dev: Path) -> None:
    tty = find_tty(dev, SERIAL, "", Wiring())

    assert tty.path == dev / "serial/by-id/usb-Red_Hat_Inc._Dutlink_5a1c0e01-if00"
    assert tty.is_board


def test_find_tty_prefers_the_wiring(dev: Path) -> None:
    tty = find_tty(dev, SERIAL, "ttyUSB0", Wiring(console=Path("/dev/ttyS1"), baud_rate=9600))

    assert (tty.path, tty.baud_rate, tty.is_board) == (Path("/dev/ttyS1"), 9600, False)


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        (ORIN, f"serial/by-id/{ORIN}"),
        ("NVIDIA_Tegra", f"serial/by-id/{ORIN}"),
        ("/dev/ttyUSB7", "ttyUSB7"),
        ("serial/by-path/pci-0000", "serial/by-path/pci-0000"),
        ("not-there", "serial/by-id/not-there"),
        ("ttyUSB7", "ttyUSB7"),
        ("/dev/jetson", "jetson"),
    ],
)
def test_find_tty_accepts_a_path_a_name_or_a_part_of_one(dev: Path, setting: str, path: str) -> None:
    (dev / "serial/by-id" / ORIN).touch()
    (dev / "jetson").symlink_to("ttyACM3")

    tty = find_tty(dev, SERIAL, setting, Wiring())

    assert (tty.path, tty.is_board) == (dev / path, False)


def test_find_tty_error_names_both_ttys_that_fit(dev: Path) -> None:
    (dev / "serial/by-id" / ORIN).touch()
    (dev / "serial/by-id/usb-NVIDIA_Tegra_5678-if01").touch()

    with pytest.raises(ConsoleMissingError, match="5678"):
        find_tty(dev, SERIAL, "Tegra", Wiring())


@pytest.mark.parametrize(
    "setting",
    [
        *("/dev/watchdog", "/dev/tty1", "/dev/disk/by-id/usb-x", "/etc/passwd", "/dev/../etc/passwd", "/dev"),
        *("serial/by-id/../../sda", "serial/by-id/a/b", "../tmp/x", "/dev/planted", "/dev/", "/"),
    ],
)
def test_find_tty_refuses_a_usb_console_setting_that_names_no_serial_device(dev: Path, setting: str) -> None:
    (dev / "planted").symlink_to("/etc/passwd")

    with pytest.raises(ConsoleMissingError, match="names no serial device"):
        find_tty(dev, SERIAL, setting, Wiring())
