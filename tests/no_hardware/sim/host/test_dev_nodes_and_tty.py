"""The `/dev`-like folder, and the console's tty in it."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import struct
import termios
import time
import tty
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import usb.core
import usb.util

from hil.dutlink.timing import until
from hil.sim.host.dev_nodes import DevFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.backend.backend import SimulatedHost
    from hil.sim.process import SimulatorProcess

FORCE_ON = (0x41, 1, 3, 3)
LIMIT_S = 60.0
PROMPT = b"boot> "
CTRL_B = b"\x02"
SIMULATOR = {"boards": 2, "speed": 20}


def test_new_dev_folder_has_the_by_id_folders(tmp_path: Path) -> None:
    DevFolder(tmp_path / "dev")

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("by-id")) == [
        "dev/disk/by-id",
        "dev/serial/by-id",
    ]


@pytest.mark.parametrize(("index", "name"), [(0, "sda"), (25, "sdz"), (26, "sdaa"), (52, "sdba")])
def test_disks_are_named_as_linux_names_them(tmp_path: Path, index: int, name: str) -> None:
    assert DevFolder(tmp_path / "dev").disk(index, "AB", "2-1").path.name == name


def test_by_id_name_is_a_relative_link_to_its_node(tmp_path: Path) -> None:
    node = DevFolder(tmp_path / "dev").tty(0, "5a1c0e01")
    node.show_link("/dev/null")

    assert node.by_id.readlink() == Path("../../ttyACM0")
    assert node.by_id.name == "usb-Red_Hat_Inc._Dutlink_5a1c0e01-if00"


def test_hidden_node_leaves_no_file(tmp_path: Path) -> None:
    node = DevFolder(tmp_path / "dev").tty(0, "5a1c0e01")
    node.show_link("/dev/null")
    node.hide()

    assert [path for path in tmp_path.rglob("*") if path.is_symlink()] == []


def test_hiding_a_node_twice_does_nothing(tmp_path: Path) -> None:
    node = DevFolder(tmp_path / "dev").tty(0, "5a1c0e01")
    node.hide()
    node.hide()

    assert not node.present


def test_file_that_cannot_be_linked_is_shown_by_a_symbolic_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    node = DevFolder(tmp_path / "dev").disk(0, "AB", "2-1")
    (tmp_path / "stick.img").write_bytes(b"bytes")
    node.show_file(tmp_path / "stick.img")

    assert node.by_id.read_bytes() == b"bytes"


def test_disk_has_a_by_path_link_of_its_own(tmp_path: Path) -> None:
    dev = DevFolder(tmp_path / "dev")
    (tmp_path / "stick.img").write_bytes(b"bytes")
    nodes = [dev.disk(0, "AB", "2-1"), dev.disk(1, "AB", "2-3.1")]
    for node in nodes:
        node.show_file(tmp_path / "stick.img")
    by_path = {path.name: path.readlink().name for path in (dev.root / "disk/by-path").iterdir()}
    for node in nodes:
        node.hide()

    assert by_path == {
        "platform-simulated.2-usb-0:1:1.0-scsi-0:0:0:0": "sda",
        "platform-simulated.2-usb-0:3.1:1.0-scsi-0:0:0:0": "sdb",
    }
    assert list((dev.root / "disk/by-path").iterdir()) == []


# the tty


def path_of(host: SimulatedHost, serial: str) -> Path:
    return host.dev / "serial/by-id" / f"usb-Red_Hat_Inc._Dutlink_{serial}-if00"


@contextmanager
def opened(host: SimulatedHost, serial: str, *, raw: bool = True) -> Iterator[int]:
    fd = os.open(path_of(host, serial), os.O_RDWR | os.O_NOCTTY)
    try:
        if raw:
            tty.setraw(fd)
        yield fd
    finally:
        os.close(fd)


def read_until(fd: int, wanted: bytes, limit_s: float = LIMIT_S) -> bytes:
    """Read until `wanted` came; whatever came when time is over."""
    deadline = time.monotonic() + limit_s
    came = b""
    while wanted not in came and select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
        came += os.read(fd, 1024)
    return came


def wait_for_unread(fd: int, length: int) -> None:
    """Wait until so many bytes wait in the tty, and read none of them."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        (unread,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
        if unread >= length:
            return
        time.sleep(0.005)  # a tty wakes no reader for its second byte


def test_every_board_has_a_tty(simulator: SimulatorProcess, host: SimulatedHost, serial: str) -> None:
    ttys = [path_of(host, one) for one in simulator.serials()]

    assert serial in str(ttys[0])
    assert all(stat.S_ISCHR(path.stat().st_mode) for path in ttys)


def test_tty_shows_the_duts_output(host: SimulatedHost, serial: str, board: Any) -> None:
    with opened(host, serial) as fd:
        board.ctrl_transfer(*FORCE_ON)

        assert PROMPT in read_until(fd, PROMPT)


def test_tty_passes_typed_bytes_to_the_dut(host: SimulatedHost, serial: str, board: Any) -> None:
    with opened(host, serial) as fd:
        board.ctrl_transfer(*FORCE_ON)
        read_until(fd, PROMPT)
        os.write(fd, b"\r")

        assert PROMPT in read_until(fd, PROMPT)


def test_tty_reaches_the_boards_shell(host: SimulatedHost, serial: str) -> None:
    with opened(host, serial) as fd:
        os.write(fd, CTRL_B * 5)

        assert b"Exiting console mode" in read_until(fd, b"#> ")


def test_tty_gives_old_output_to_the_next_program(
    simulator: SimulatorProcess, host: SimulatedHost, serial: str, board: Any
) -> None:
    board.ctrl_transfer(*FORCE_ON)
    deadline = time.monotonic() + LIMIT_S
    while simulator.management.state(serial)["dut"]["phase"] != "boot prompt" and time.monotonic() < deadline:
        time.sleep(0.005)  # the DUT takes its own time

    with opened(host, serial, raw=False) as fd:  # setraw drops what came since the open
        assert PROMPT in read_until(fd, PROMPT)


def test_tty_drops_bytes_that_a_program_left_unread(host: SimulatedHost, serial: str) -> None:
    with opened(host, serial) as fd:
        os.write(fd, CTRL_B * 5)
        read_until(fd, b"#> ")
        os.write(fd, b"about\r")
        answer_bytes = len(read_until(fd, b"#> "))
        os.write(fd, b"about\r")
        wait_for_unread(fd, answer_bytes)

    with opened(host, serial) as fd:
        os.write(fd, b"version\r")

        assert b"Jumpstarter" not in read_until(fd, b"0.09")


def test_new_tty_sends_no_old_output_back_to_the_dut(
    host: SimulatedHost, serial: str, simulator: SimulatorProcess
) -> None:
    simulator.management.fault(serial, "replug")
    board = usb.core.find(backend=host.backend(), serial_number=serial)
    board.ctrl_transfer(*FORCE_ON)
    usb.util.dispose_resources(board)
    assert until(lambda: simulator.management.state(serial)["dut"]["phase"] == "boot prompt", LIMIT_S)

    with opened(host, serial, raw=False) as fd:
        read_until(fd, PROMPT)
        local_modes = termios.tcgetattr(fd)[3]

    assert not local_modes & termios.ECHO


def test_tty_keeps_the_echo_that_a_program_set(host: SimulatedHost, serial: str) -> None:
    with opened(host, serial, raw=False) as fd:
        attributes = termios.tcgetattr(fd)
        attributes[3] |= termios.ECHO
        termios.tcsetattr(fd, termios.TCSANOW, attributes)

    with opened(host, serial, raw=False) as fd:
        assert termios.tcgetattr(fd)[3] & termios.ECHO
        tty.setraw(fd)


def test_tty_serves_a_second_program(host: SimulatedHost, serial: str) -> None:
    with opened(host, serial) as first:
        os.write(first, CTRL_B * 5)
        read_until(first, b"#> ")
    with opened(host, serial) as second:
        os.write(second, b"version\r")

        assert b"0.09" in read_until(second, b"0.09")


def test_unplugging_ends_the_tty(simulator: SimulatorProcess, host: SimulatedHost, serial: str) -> None:
    with opened(host, serial) as fd:
        simulator.management.fault(serial, "unplug")

        assert os.read(fd, 1) == b""
        with pytest.raises(OSError, match="Input/output error"):
            os.write(fd, b"x")


def test_unplugging_removes_the_tty(simulator: SimulatorProcess, host: SimulatedHost, serial: str) -> None:
    simulator.management.fault(serial, "unplug")

    assert not os.path.lexists(path_of(host, serial))


def test_boot_loader_has_no_tty(simulator: SimulatorProcess, host: SimulatedHost, serial: str) -> None:
    simulator.management.fault(serial, "boot_loader")

    assert not os.path.lexists(path_of(host, serial))


def test_denied_tty_is_for_root_only(simulator: SimulatorProcess, host: SimulatedHost, serial: str) -> None:
    before = path_of(host, serial).stat().st_mode & 0o777
    simulator.management.fault(serial, "deny_tty")
    denied = path_of(host, serial).stat().st_mode & 0o777
    simulator.management.fault(serial, "replug")

    assert (before, denied, path_of(host, serial).stat().st_mode & 0o777) == (0o660, 0, 0)


def test_detaching_the_kernel_driver_removes_the_tty(host: SimulatedHost, serial: str, board: Any) -> None:
    board.detach_kernel_driver(1)
    away = os.path.lexists(path_of(host, serial))
    board.attach_kernel_driver(1)

    assert (away, os.path.lexists(path_of(host, serial))) == (False, True)


def test_opening_raises_dtr(simulator: SimulatorProcess, host: SimulatedHost, serial: str) -> None:
    _, since = simulator.management.log(serial)

    with opened(host, serial) as fd:
        os.write(fd, CTRL_B * 5)
        read_until(fd, b"#> ")

    requests, _ = simulator.management.log(serial, since)
    assert (requests[0]["sender"], requests[0]["bRequest"], requests[0]["wValue"]) == ("cdc_acm", 0x22, 3)


@pytest.mark.parametrize("fault", ["garble", "drop"])
def test_tty_shows_garbled_and_dropped_bytes(
    simulator: SimulatorProcess, host: SimulatedHost, serial: str, board: Any, fault: str
) -> None:
    simulator.management.fault(serial, fault, every=3)

    with opened(host, serial) as fd:
        board.ctrl_transfer(*FORCE_ON)

        assert PROMPT not in read_until(fd, PROMPT, limit_s=0.5)


def test_closing_a_full_tty_lowers_dtr_while_the_board_takes_no_bytes(
    host: SimulatedHost, simulator: SimulatorProcess, serial: str
) -> None:
    _, since = simulator.management.log(serial)
    with opened(host, serial) as fd:
        os.write(fd, CTRL_B * 5)
        os.set_blocking(fd, False)
        while select.select([], [fd], [], 0.5)[1]:
            with suppress(BlockingIOError):
                os.write(fd, b"help\r" * 20)

    def line_states() -> list[int]:
        requests, _ = simulator.management.log(serial, since)
        return [request["wValue"] for request in requests if request["bRequest"] == 0x22]

    assert until(lambda: 0 in line_states(), LIMIT_S)


def test_reader_that_does_not_read_blocks_no_other_board(
    host: SimulatedHost, simulator: SimulatorProcess, serial: str
) -> None:
    other = usb.core.find(backend=host.backend(), serial_number=simulator.serials()[1])
    with opened(host, serial) as fd:
        os.write(fd, CTRL_B * 5)
        for _ in range(40):
            os.write(fd, b"help\r" * 20)

        assert other.ctrl_transfer(0xC1, 4, 0, 3, 64) is not None
    usb.util.dispose_resources(other)
