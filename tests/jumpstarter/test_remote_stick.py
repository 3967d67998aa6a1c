"""Flash and read the stick of a remote board; share its session and console."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.usb.protocol import Request, StorageAction
from hil.errors import BoardBusyError, FlashError, ImageError
from hil.jumpstarter.client.provider import connect_board
from hil.lab.stick_sockets import StickSockets
from hil.sim.dut.image import build_image
from tests.jumpstarter.remote_boards import address, open_remote_board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.certificates import Certificate
    from tests.jumpstarter.exporters import DirectExporter

LIMIT_S = 30.0


class Heard:
    """A progress that counts the bytes that were sent."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.sent_bytes = 0

    def begin(self, phase: str, total_bytes: int | None) -> None:  # noqa: ARG002 - the protocol's
        self.phases.append(phase)

    def advance(self, size_bytes: int) -> None:
        self.sent_bytes += size_bytes if self.phases[-1] == "send" else 0

    def end(self) -> None:
        pass


def remote(direct: DirectExporter, certificate: Certificate, folder: Path) -> AbstractContextManager[Board]:
    """Open the exporter's board as a run does."""
    return open_remote_board(address(direct.address, certificate, folder), LIMIT_S)


@pytest.fixture
def board(direct: DirectExporter, certificate: Certificate, tmp_path: Path) -> Iterator[Board]:
    """A remote board."""
    with remote(direct, certificate, tmp_path) as opened:
        yield opened


def test_remote_flash_boots(board: Board, tmp_path: Path) -> None:
    build_image(tmp_path / "image", "afar-1", 4 << 20)
    heard = Heard()

    flashed = board.storage.flash(tmp_path / "image", progress=heard)
    board.storage.dut()
    board.power.on()

    assert flashed.was_written
    assert "verify" in heard.phases
    assert board.console.expect("afar-1", timeout_s=LIMIT_S)


def test_flash_sends_only_the_chunks_that_the_stick_lacks(board: Board, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(8 << 20))
    board.storage.flash(image)
    with image.open("r+b") as file:
        file.seek(5 << 20)
        file.write(b"another")
    again, changed = Heard(), Heard()

    board.storage.flash(image, progress=changed)
    flashed = board.storage.flash(image, progress=again)

    assert changed.sent_bytes == 1 << 20
    assert again.sent_bytes == 0
    assert not flashed.was_written


def test_flash_attaches_a_stick_with_known_socket_twice(
    board: Board, tmp_path: Path, control: ManagementClient
) -> None:
    """On a real host a stick takes seconds to appear each time."""
    first, second = tmp_path / "first", tmp_path / "second"
    for image in (first, second):
        image.write_bytes(os.urandom(3 << 20))
    board.storage.flash(first)
    _, before = control.log(board.serial)

    board.storage.flash(second)

    asked, _ = control.log(board.serial, before)
    turned = [one["wValue"] for one in asked if one["bRequest"] == Request.STORAGE]
    assert turned.count(StorageAction.HOST) == 2


def test_dut_is_refused_if_the_exporters_record_says_unverified(
    board: Board, control: ManagementClient
) -> None:
    board.storage.off()
    StickSockets(board.serial).mark_unverified("image.img")  # as the exporter does, before it dies
    try:
        with pytest.raises(FlashError, match=r"image.img was written but not verified"):
            board.storage.dut()
        before = control.state(board.serial)["mux"]
        board.storage.dut(force=True)
    finally:
        StickSockets(board.serial).mark_unverified("")

    assert (before, control.state(board.serial)["mux"]) == ("off", "dut")


def test_flash_refuses_a_damaged_image_before_the_stick_moves(
    board: Board, tmp_path: Path, control: ManagementClient
) -> None:
    image = tmp_path / "image.gz"
    image.write_bytes(gzip.compress(os.urandom(1 << 20))[:-9])
    before = control.state(board.serial)["mux"]

    with pytest.raises(ImageError):
        board.storage.flash(image)

    assert control.state(board.serial)["mux"] == before


def test_flash_raises_the_exporters_error_for_a_too_large_image(board: Board, tmp_path: Path) -> None:
    with (tmp_path / "image").open("wb") as file:
        file.write(os.urandom(4096))
        file.truncate(65 << 20)

    with pytest.raises(ImageError, match="larger"):
        board.storage.flash(tmp_path / "image")


def test_read_returns_the_bytes_of_the_remote_stick(board: Board, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(3 << 20))
    board.storage.flash(image)

    read = board.storage.read(tmp_path / "read", size_bytes=3 << 20)

    assert read.path.read_bytes() == image.read_bytes()


def test_direct_exporter_serves_one_run_at_a_time(
    board: Board, direct: DirectExporter, certificate: Certificate, tmp_path: Path
) -> None:
    told: list[str] = []
    asked = address(direct.address, certificate, tmp_path)

    with pytest.raises(BoardBusyError, match=f"pid {os.getpid()}"):
        connect_board(asked, "", 0.5, told.append)

    assert "waiting for the board" in told[0]
    assert board.power.read() is not None


def test_console_named_by_usb_console_is_used_remotely(
    direct: DirectExporter, certificate: Certificate, tmp_path: Path, boards: list[str]
) -> None:
    own = f"usb-Red_Hat_Inc._Dutlink_{boards[2]}-if00"  # any other tty of the exporter's host will do
    with remote(direct, certificate, tmp_path) as board:
        board.settings.write(usb_console=own)
    try:
        with remote(direct, certificate, tmp_path) as board:
            board.console.open()
            board.console.sendline("")

            assert board.console.tty.path.name == own
    finally:
        with remote(direct, certificate, tmp_path) as board:
            board.settings.write(usb_console="")


def test_requests_of_several_threads_are_all_answered(board: Board) -> None:
    with ThreadPoolExecutor(4) as threads:
        readings = list(threads.map(lambda _: board.power.read(), range(100)))

    assert len(readings) == 100


def test_placeholder_refuses_writes(board: Board) -> None:
    board.storage.host()
    node = board.storage.wait_for_node()

    with pytest.raises(PermissionError), node.open("r+b", buffering=0) as file:
        file.write(b"lost")  # root can open the file, and cannot write either

    assert node.stat().st_size == 64 << 20
