"""Flashing through a board: the mux, the proof and the stick together, at fifty times a board's pace."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil import errors
from hil.boards.sources import simulated_host
from hil.dutlink.board import Board, open_driver
from hil.dutlink.timing import until
from hil.dutlink.usb.control_link import ControlLink
from hil.dutlink.wiring import Wiring
from hil.flash import fingerprint
from hil.flash.progress import NoProgress
from hil.lab.stick_sockets import StickSockets
from hil.sim.dut.image import build_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.dutlink.host import Host
    from hil.sim.process import SimulatorProcess

MIB = 1 << 20
STICK_BYTES = 16 * MIB
LIMIT_S = 60.0
SIMULATOR = {"boards": 2, "speed": 50.0, "stick_bytes": STICK_BYTES}


@pytest.fixture(scope="module")
def host(simulator: SimulatorProcess) -> Host:
    return replace(simulated_host(simulator.ready), stick_memory=None)


@pytest.fixture(autouse=True)
def in_order(simulator: SimulatorProcess) -> Iterator[None]:
    yield
    for serial in simulator.serials():
        simulator.management.clear(serial)


@pytest.fixture
def board(host: Host, simulator: SimulatorProcess) -> Iterator[Board]:
    with open_driver(host, simulator.serials()[0], console=False) as board:
        board.make_safe()
        yield board


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.img"
    build_image(path, f"flash-{tmp_path.name[-8:]}", 8 * MIB)
    with path.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(tmp_path.name.encode() * 1000)
    return path


class When(NoProgress):
    """Does something when a phase begins."""

    def __init__(self, phase: str, act: Callable[[], Any]) -> None:
        self._phase, self._act = phase, act

    def begin(self, phase: str, _total_bytes: int | None) -> None:
        if phase == self._phase:
            self._phase = ""
            self._act()


def truth(simulator: SimulatorProcess, board: Board) -> Any:
    return simulator.management.state(board.serial)


def boots(simulator: SimulatorProcess, board: Board) -> str:
    """What the DUT says that it booted."""
    board.storage.dut()
    board.power.force_on()
    until(lambda: truth(simulator, board)["dut"]["phase"] not in {"rom", "boot"}, LIMIT_S)
    booted: str = truth(simulator, board)["dut"]["image"] or ""
    board.power.force_off()
    return booted


def interrupt() -> None:
    raise KeyboardInterrupt


def test_flash_makes_the_dut_boot_the_image(board: Board, simulator: SimulatorProcess, image: Path) -> None:
    flashed = board.storage.flash(image)

    assert (flashed.was_written, board.storage.position) == (True, "off")
    assert truth(simulator, board)["mux"] == "off"
    assert boots(simulator, board).startswith("flash-")


def test_flash_does_not_write_an_image_that_is_there(board: Board, image: Path) -> None:
    board.storage.flash(image)

    assert not board.storage.flash(image).was_written


@pytest.fixture
def old_image(image: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image that was not changed for long enough."""
    monkeypatch.setattr(fingerprint, "_SETTLED_S", 0.0)
    return image


def test_flash_does_not_read_a_stick_that_was_off_since(board: Board, old_image: Path) -> None:
    board.storage.flash(old_image)
    read = When("compare", lambda: pytest.fail("it was read"))

    assert not board.storage.flash(old_image, progress=read).was_written


def turned_without_an_answer(board: Board) -> None:
    send = ControlLink.control_out

    def silent(*arguments: Any) -> None:
        send(*arguments)
        raise errors.TransferError("no answer", serial=board.serial)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ControlLink, "control_out", silent)
        with pytest.raises(errors.TransferError, match="no answer"):
            board.storage.dut()
    board.storage.off()


@pytest.mark.parametrize(
    "had",
    [
        lambda board: board.storage.dut(),
        lambda board: board.storage.host(),
        lambda board: board.console.shell("storage dut"),
        turned_without_an_answer,
    ],
    ids=["the DUT", "the host", "the DUT, by the board's shell", "the DUT, by a request without an answer"],
)
def test_flash_reads_a_stick_that_was_attached_since(
    board: Board, old_image: Path, had: Callable[[Board], None]
) -> None:
    board.storage.flash(old_image)
    had(board)
    seen: list[str] = []

    board.storage.flash(old_image, progress=When("compare", lambda: seen.append("compare")))

    assert seen == ["compare"]


def test_flash_writes_another_image_to_a_stick_that_was_off_since(board: Board, old_image: Path) -> None:
    board.storage.flash(old_image)
    with old_image.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(b"another")

    assert board.storage.flash(old_image).was_written


def test_flash_proves_a_wired_stick_in_the_same_way(
    host: Host, simulator: SimulatorProcess, image: Path
) -> None:
    serial = simulator.serials()[0]
    wired = Wiring(stick=Path(simulator.management.state(serial)["stick"]["node"]))

    with open_driver(host, serial, wired, console=False) as board:
        assert board.storage.flash(image, force=True).node == wired.stick


def test_read_makes_a_sparse_file(board: Board, image: Path, tmp_path: Path) -> None:
    board.storage.flash(image)

    back = board.storage.read(tmp_path / "back.img", size_bytes=8 * MIB)

    assert (back.size_bytes, board.storage.position) == (8 * MIB, "off")
    assert back.path.read_bytes() == image.read_bytes().ljust(8 * MIB, b"\0")
    assert back.path.stat().st_blocks * 512 < 3 * MIB


@pytest.mark.parametrize("size_bytes", [0, -1, STICK_BYTES + 1])
def test_read_refuses_more_than_the_stick_holds(board: Board, tmp_path: Path, size_bytes: int) -> None:
    with pytest.raises(errors.StorageError, match="cannot be read from"):
        board.storage.read(tmp_path / "back.img", size_bytes=size_bytes)

    assert list(tmp_path.iterdir()) == []


def test_read_error_names_a_file_that_cannot_be_written(board: Board, tmp_path: Path) -> None:
    with pytest.raises(errors.StorageError, match="cannot be written"):
        board.storage.read(tmp_path / "no" / "such" / "folder")


def test_flash_of_a_damaged_image_turns_the_storage_off(board: Board, tmp_path: Path) -> None:
    (tmp_path / "image.gz").write_bytes(b"\x1f\x8b\x08")
    board.storage.dut()

    with pytest.raises(errors.ImageError):
        board.storage.flash(tmp_path / "image.gz")

    assert board.storage.position == "off"


@pytest.mark.parametrize("image", [None, 5, b"image.img"])
def test_flash_error_names_the_type_of_what_is_no_image(board: Board, image: object) -> None:
    with pytest.raises(errors.UsageError, match="cannot be flashed"):
        board.storage.flash(image)  # type: ignore[arg-type]


def test_flash_of_a_missing_image_leaves_the_board_alone(board: Board, simulator: SimulatorProcess) -> None:
    _, since = simulator.management.log(board.serial)

    with pytest.raises(errors.ImageError):
        board.storage.flash("nowhere.img")

    assert simulator.management.log(board.serial, since)[0] == []


@pytest.mark.parametrize("content", [b"<html><title>403 Forbidden</title></html>", b"\x01" * 6])
def test_flash_of_what_is_no_disk_writes_nothing_and_turns_the_storage_off(
    board: Board, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "page.img").write_bytes(content)

    with pytest.raises(errors.ImageError, match="does not look like a disk image"):
        board.storage.flash(tmp_path / "page.img", force=True)

    assert board.storage.position == "off"


def test_flash_warns_about_an_unknown_image(
    board: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "image").write_bytes(bytes(range(256)) * 4096)

    board.storage.flash(tmp_path / "image")

    assert "it has no MBR, no GPT" in caplog.text


@pytest.mark.parametrize("phase", ["compare", "write", "verify"])
def test_flash_on_an_unplugged_board_raises_and_the_next_flash_works(
    host: Host, simulator: SimulatorProcess, image: Path, phase: str
) -> None:
    serial = simulator.serials()[0]
    with open_driver(host, serial, console=False) as board:
        pull = When(phase, lambda: simulator.management.fault(serial, "unplug"))
        with pytest.raises((errors.BoardLostError, errors.BoardAbsentError)):
            board.storage.flash(image, progress=pull)

    simulator.management.fault(serial, "replug")
    with open_driver(host, serial, console=False) as board:
        assert board.storage.flash(image).was_written == (phase != "verify")  # by then it holds all of it
        assert boots(simulator, board).startswith("flash-")


@pytest.mark.parametrize("phase", ["compare", "write", "verify"])
def test_flash_raises_stick_lost_error_if_the_mux_is_turned_away(
    host: Host, board: Board, simulator: SimulatorProcess, image: Path, phase: str
) -> None:
    def turn_away() -> None:
        with open_driver(host, board.serial, console=False) as other:
            other.storage.dut(force=True)
        node = Path(truth(simulator, board)["stick"]["node"])
        assert until(lambda: not node.exists(), LIMIT_S)

    with pytest.raises(errors.StickLostError):
        board.storage.flash(image, progress=When(phase, turn_away))

    assert truth(simulator, board)["mux"] == "off"
    assert board.storage.flash(image).was_written == (phase != "verify")  # by then it holds all of it


def test_dut_refuses_an_unverified_stick(
    host: Host, simulator: SimulatorProcess, image: Path, tmp_path: Path
) -> None:
    """The board is lost while the image is read back, so that nothing on the stick can be mended."""
    serial = simulator.serials()[0]
    there = replace(host, stick_memory=lambda board: StickSockets(board, tmp_path))
    with open_driver(there, serial, console=False) as board:
        pull = When("verify", lambda: simulator.management.fault(serial, "unplug"))
        with pytest.raises((errors.BoardLostError, errors.BoardAbsentError)):
            board.storage.flash(image, progress=pull)
    simulator.management.fault(serial, "replug")

    with open_driver(there, serial, console=False) as board:
        with pytest.raises(errors.FlashError, match=r"image.img was written but not verified") as refused:
            board.storage.dut()
        assert truth(simulator, board)["mux"] == "off"
        board.storage.dut(force=True)
        assert truth(simulator, board)["mux"] == "dut"
        board.storage.off()
        board.storage.flash(image)
        board.storage.dut()

    assert f"hil storage dut --force --board {serial}" in refused.value.remedy


@pytest.mark.parametrize("phase", ["compare", "write", "verify"])
def test_flash_turns_the_storage_off_after_ctrl_c(
    board: Board, simulator: SimulatorProcess, image: Path, phase: str
) -> None:
    before = set(threading.enumerate())

    with pytest.raises(KeyboardInterrupt):
        board.storage.flash(image, progress=When(phase, interrupt))

    assert truth(simulator, board)["mux"] == "off"
    assert set(threading.enumerate()) <= before  # threads of other tests may end in between
    assert board.storage.flash(image).was_written


def test_a_stick_that_never_comes_is_missing(
    board: Board, simulator: SimulatorProcess, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.dutlink.storage.storage.APPEARS_WITHIN_S", 0.5)
    monkeypatch.setattr("hil.dutlink.storage.stick_mux.APPEARS_WITHIN_S", 0.5)
    simulator.management.fault(board.serial, "stick_missing")

    with pytest.raises(errors.StickMissingError):
        board.storage.flash(image)

    assert truth(simulator, board)["mux"] == "off"


@pytest.mark.thorough
def test_flash_refuses_a_wired_stick_of_another_board(
    host: Host, board: Board, simulator: SimulatorProcess, image: Path
) -> None:
    with open_driver(host, simulator.serials()[1], console=False) as other:
        other.storage.host()
        theirs = other.storage.wait_for_node()
        before = theirs.read_bytes()
        board.close()
        with open_driver(host, simulator.serials()[0], Wiring(stick=theirs), console=False) as wrong:
            with pytest.raises(errors.WrongDiskError, match="still there") as caught:
                wrong.storage.flash(image)
            assert truth(simulator, wrong)["mux"] == "off"
        assert theirs.read_bytes() == before
        other.storage.off()

    assert "nothing was written" in caught.value.what


def test_flash_refuses_a_file_at_the_wired_path(
    host: Host, simulator: SimulatorProcess, image: Path, tmp_path: Path
) -> None:
    serial, planted = simulator.serials()[0], tmp_path / "planted"
    with open_driver(host, serial, Wiring(stick=planted), console=False) as board:
        send = board.storage._link.control_out

        def plant(*arguments: Any) -> None:
            send(*arguments)
            if board.storage.position is None and arguments[1].name == "HOST":
                planted.write_bytes(b"precious")

        board.storage._link.control_out = plant  # type: ignore[method-assign]
        with pytest.raises(errors.WrongDiskError, match="planted is not proven to be the board's stick"):
            board.storage.flash(image)

    assert planted.read_bytes() == b"precious"


def test_flash_on_two_boards_at_once_writes_each_its_own_stick(
    host: Host, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    failures: list[BaseException] = []

    def one(serial: str) -> None:
        path = tmp_path / serial
        build_image(path, f"for-{serial}", 8 * MIB)
        try:
            with open_driver(host, serial, console=False) as board:
                board.storage.flash(path)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    both = [threading.Thread(target=one, args=(serial,)) for serial in simulator.serials()]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)

    assert failures == []
    sticks = [simulator.management.state(serial)["stick"]["path"] for serial in simulator.serials()]
    assert [
        f"for-{serial}".encode() in Path(path).read_bytes()[:512]
        for serial, path in zip(simulator.serials(), sticks, strict=True)
    ] == [True, True]
