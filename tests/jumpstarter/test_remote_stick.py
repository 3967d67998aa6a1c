"""Images travel to an exporter piece by piece, and only those that its stick lacks."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from reached import address, reached

from hil.dutlink.usb.protocol import Request, StorageAction
from hil.errors import BoardBusyError, FlashError, ImageError
from hil.jumpstarter.client.provider import connect_board
from hil.lab.stick_sockets import StickSockets
from hil.sim.dut.image import build_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from certificates import Certificate
    from exporters import DirectExporter

    from hil.dutlink.board import Board
    from hil.sim.management.client import ManagementClient

LIMIT_S = 30.0


class Heard:
    """A progress that remembers how much was sent."""

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
    """The exporter's board, as a run opens it."""
    return reached(address(direct.address, certificate, folder), LIMIT_S)


@pytest.fixture
def board(direct: DirectExporter, certificate: Certificate, tmp_path: Path) -> Iterator[Board]:
    """A remote board."""
    with remote(direct, certificate, tmp_path) as opened:
        yield opened


def test_what_was_flashed_from_afar_boots(board: Board, tmp_path: Path) -> None:
    build_image(tmp_path / "image", "afar-1", 4 << 20)
    heard = Heard()

    flashed = board.storage.flash(tmp_path / "image", progress=heard)
    board.storage.dut()
    board.power.on()

    assert flashed.was_written
    assert "verify" in heard.phases
    assert board.console.expect("afar-1", timeout_s=LIMIT_S)


def test_only_what_the_stick_lacks_is_sent(board: Board, tmp_path: Path) -> None:
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


def test_far_stick_whose_socket_is_known_comes_once_to_be_written_and_once_to_be_read_back(
    board: Board, tmp_path: Path, control: ManagementClient
) -> None:
    """Each time takes seconds on a real host."""
    first, second = tmp_path / "first", tmp_path / "second"
    for image in (first, second):
        image.write_bytes(os.urandom(3 << 20))
    board.storage.flash(first)
    _, before = control.log(board.serial)

    board.storage.flash(second)

    asked, _ = control.log(board.serial, before)
    turned = [one["wValue"] for one in asked if one["bRequest"] == Request.STORAGE]
    assert turned.count(StorageAction.HOST) == 2


def test_a_stick_that_is_not_proven_on_record_there_is_not_given_to_the_dut_from_afar(
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


def test_a_damaged_image_is_refused_before_the_stick_is_touched(
    board: Board, tmp_path: Path, control: ManagementClient
) -> None:
    image = tmp_path / "image.gz"
    image.write_bytes(gzip.compress(os.urandom(1 << 20))[:-9])
    before = control.state(board.serial)["mux"]

    with pytest.raises(ImageError):
        board.storage.flash(image)

    assert control.state(board.serial)["mux"] == before


def test_an_image_that_is_too_large_is_told_as_here(board: Board, tmp_path: Path) -> None:
    with (tmp_path / "image").open("wb") as file:
        file.write(os.urandom(4096))
        file.truncate(65 << 20)

    with pytest.raises(ImageError, match="larger"):
        board.storage.flash(tmp_path / "image")


def test_the_sticks_bytes_come_from_afar(board: Board, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(3 << 20))
    board.storage.flash(image)

    read = board.storage.read(tmp_path / "read", size_bytes=3 << 20)

    assert read.path.read_bytes() == image.read_bytes()


def test_two_runs_never_share_a_board_that_is_reached_directly(
    board: Board, direct: DirectExporter, certificate: Certificate, tmp_path: Path
) -> None:
    told: list[str] = []
    asked = address(direct.address, certificate, tmp_path)

    with pytest.raises(BoardBusyError, match=f"pid {os.getpid()}"):
        connect_board(asked, "", 0.5, told.append)

    assert "waiting for the board" in told[0]
    assert board.power.read() is not None


def test_a_dut_with_a_console_of_its_own_has_it_from_afar_too(
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


def test_what_several_threads_say_at_once_all_arrives(board: Board) -> None:
    with ThreadPoolExecutor(4) as threads:
        readings = list(threads.map(lambda _: board.power.read(), range(100)))

    assert len(readings) == 100


def test_nobody_can_write_to_the_file_that_stands_for_a_far_stick(board: Board) -> None:
    board.storage.host()
    node = board.storage.wait_for_node()

    with pytest.raises(PermissionError), node.open("r+b", buffering=0) as file:
        file.write(b"lost")  # root, too: whoever gets it open cannot write

    assert node.stat().st_size == 64 << 20
