"""Strangers' disks beside a slow mux, on Linux' own USB stack: no byte reaches them."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.errors import HilError, StickInUseError, StickMissingError, StickMovedError, StorageError
from hil.flash.progress import NoProgress
from hil.lab.stick_sockets import StickSockets
from hil.sim.dut.image import build_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.dutlink.board import Board
    from tests.kernel.attached import Bench

pytestmark = pytest.mark.timeout(600)  # a stick comes up to six times in one test, ten seconds each

MIB = 1 << 20
MUX_S = 3.5
SIM_MUX_S = 1.0
"""When the simulator's stick is on the bus by itself."""

LIMIT_S = 60.0
DISK = "hers"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine without KVM, on a busy machine, needs many times what a host needs."""
    monkeypatch.setattr("hil.dutlink.storage.storage.APPEARS_WITHIN_S", LIMIT_S)
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.APPEARS_WITHIN_S", LIMIT_S)
    monkeypatch.setattr("hil.dutlink.storage.storage.GOES_WITHIN_S", LIMIT_S / 4)
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.GOES_WITHIN_S", LIMIT_S / 4)
    monkeypatch.setattr("hil.dutlink.storage.stick_path._NAMED_WITHIN_S", LIMIT_S / 4)


@pytest.fixture(autouse=True)
def untouched(bench: Bench, boards: tuple[str, ...]) -> Iterator[None]:
    """A mux that takes 3.5 s; afterwards no disk of others has changed."""
    for serial in boards:
        bench.management.fault(serial, "stick_late", seconds=MUX_S - SIM_MUX_S)
    yield
    bench.management.unplug_disk(DISK)
    bench.management.unplug_disk("his")
    assert [name for name, disk in bench.management.disks().items() if disk["changed_bytes"]] == []


def host_of(folder: Path) -> Host:
    """This host, with what is learned kept in a folder of the test."""
    return Host(stick_memory=lambda serial: StickSockets(serial, folder))


@pytest.fixture
def opened(serial: str, tmp_path: Path) -> Iterator[Board]:
    with open_driver(host_of(tmp_path), serial, console=False) as board:
        board.make_safe()
        yield board
        board.make_safe()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image that no test before has left on the stick."""
    path = tmp_path / "image.img"
    build_image(path, f"other-disks-{uuid.uuid4().hex}", 2 * MIB)
    return path


def plug(bench: Bench, serial: str = "HERS", disk: str = DISK, socket: str = "") -> None:
    socket = socket or ("2-100" if disk == DISK else "2-101")
    bench.management.plug_disk(disk, socket=socket, serial=serial, size_bytes=8 * MIB)


class Hand(threading.Thread):
    """Does something so many seconds after the mux has turned to a position, the n-th time."""

    def __init__(self, bench: Bench, board: str, *acts: tuple[str, float, Callable[[], None]]) -> None:
        super().__init__()
        self._bench, self._board, self._acts = bench, board, acts
        self.start()

    def run(self) -> None:
        for position, after_s, act in self._acts:
            until(lambda: self._bench.management.state(self._board)["mux"] == position, LIMIT_S)  # noqa: B023
            time.sleep(after_s)
            act()


class OnceWritten(NoProgress):
    """Sets a hand to work when a flash begins to write, however often the mux turns before."""

    def __init__(self, begin: Callable[[], Hand]) -> None:
        self._begin = begin

    def begin(self, phase: str, _total_bytes: int | None) -> None:
        if phase == "write":
            self.hand = self._begin()


@pytest.mark.parametrize("after_s", [1.0, 2.7])
def test_a_disk_that_comes_before_the_stick_is_left_alone(
    bench: Bench, opened: Board, image: Path, after_s: float
) -> None:
    opened.storage.off()
    hand = Hand(bench, opened.serial, ("host", after_s, lambda: plug(bench)))

    flashed = opened.storage.flash(image)

    hand.join()
    assert flashed.was_written
    assert stick_serial(bench, opened.serial) in flashed.node.name


def stick_serial(bench: Bench, serial: str) -> str:
    stick: dict[str, Any] = bench.management.state(serial)["stick"]
    return str(stick["serial"])


def test_a_disk_with_the_stick_s_own_names_is_left_alone(bench: Bench, opened: Board, image: Path) -> None:
    hand = Hand(bench, opened.serial, ("host", 1.0, lambda: plug(bench, stick_serial(bench, opened.serial))))

    flashed = opened.storage.flash(image)

    hand.join()
    assert flashed.was_written


def test_a_disk_is_not_called_the_stick_where_none_comes(
    bench: Bench, opened: Board, image: Path, tmp_path: Path
) -> None:
    bench.management.fault(opened.serial, "stick_missing")
    hand = Hand(bench, opened.serial, ("host", 1.0, lambda: plug(bench)))

    with pytest.raises(StorageError) as caught:
        opened.storage.flash(image)

    hand.join()
    assert "nothing was written" in str(caught.value)
    with pytest.raises(StickMissingError):
        opened.storage.read(tmp_path / "back.img")


def test_a_disk_that_is_pulled_out_and_put_back_while_it_is_watched_is_left_alone(
    bench: Bench, opened: Board, image: Path
) -> None:
    hand = Hand(
        bench,
        opened.serial,
        ("host", 0.5, lambda: plug(bench)),
        ("off", 0.2, lambda: bench.management.unplug_disk(DISK)),
        ("host", 3.0, lambda: plug(bench)),
    )

    flashed = opened.storage.flash(image)

    hand.join()
    assert stick_serial(bench, opened.serial) in flashed.node.name


def test_a_known_stick_that_does_not_come_is_not_replaced_by_another_disk(
    bench: Bench, opened: Board, image: Path
) -> None:
    opened.storage.wait_for_node()
    opened.storage.off()
    bench.management.fault(opened.serial, "stick_missing")
    hand = Hand(bench, opened.serial, ("host", 3.0, lambda: plug(bench)))

    with pytest.raises(StickMovedError, match="where it was learned"):
        opened.storage.flash(image, force=True)

    hand.join()


def test_a_disk_that_comes_during_the_read_back_is_left_alone(
    bench: Bench, opened: Board, image: Path
) -> None:
    opened.storage.wait_for_node()
    acts = [
        ("off", 0.1, lambda: plug(bench)),
        ("host", 0.3, lambda: plug(bench, disk="his")),
    ]
    once_written = OnceWritten(lambda: Hand(bench, opened.serial, *acts))

    flashed = opened.storage.flash(image, force=True, progress=once_written)

    once_written.hand.join()
    assert flashed.was_written


def test_a_disk_with_the_stick_s_own_names_in_its_very_socket_gets_nothing_in_the_middle_of_a_flash(
    bench: Bench, opened: Board, image: Path
) -> None:
    """The stick is pulled out when it has gone, and another disk is put in its place, at its pace."""
    opened.storage.wait_for_node()
    its_names, its_socket = stick_serial(bench, opened.serial), f"2-{bench.serials.index(opened.serial) + 1}"
    acts = [
        ("off", 0.0, lambda: bench.management.fault(opened.serial, "stick_missing")),
        ("host", MUX_S, lambda: plug(bench, its_names, socket=its_socket)),
    ]
    once_written = OnceWritten(lambda: Hand(bench, opened.serial, *acts))

    with pytest.raises(StorageError, match=r"up to \d{6,} bytes were written"):
        opened.storage.flash(image, force=True, progress=once_written)

    once_written.hand.join()
    assert bench.management.disks()[DISK]["node"]


def test_two_boards_that_are_not_known_flash_at_the_same_time_beside_two_disks(
    bench: Bench, boards: tuple[str, ...], image: Path, tmp_path: Path
) -> None:
    failures: list[HilError] = []

    def flash(serial: str) -> None:
        try:
            with open_driver(host_of(tmp_path), serial, console=False) as board:
                board.make_safe()
                assert stick_serial(bench, serial) in board.storage.flash(image).node.name
        except HilError as error:
            failures.append(error)

    both = [threading.Thread(target=flash, args=(serial,)) for serial in boards]
    for thread in both:
        thread.start()
    hand = Hand(
        bench, boards[0], ("host", 1.0, lambda: plug(bench)), ("host", 1.0, lambda: plug(bench, disk="his"))
    )
    for thread in (*both, hand):
        thread.join()

    assert failures == []


def test_a_stick_that_is_mounted_is_not_pulled(opened: Board, tmp_path: Path) -> None:
    node = opened.storage.wait_for_node().resolve()
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", node, "4096"], check=True)
    point = tmp_path / "point"
    point.mkdir()
    subprocess.run(["mount", node, point], check=True)
    try:
        with open_driver(host_of(tmp_path), opened.serial, console=False) as other:
            for turn in (other.storage.off, other.storage.dut, other.storage.host, other.storage.learn):
                with pytest.raises(StickInUseError, match=f"mounted at {point}"):
                    turn()
    finally:
        subprocess.run(["umount", point], check=True)
    opened.storage.off()
