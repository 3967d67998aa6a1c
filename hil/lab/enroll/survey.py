"""Find a board's stick and console by turning its mux, switching its DUT on, and listening to consoles."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from hil.dutlink.console.port import ConsolePort
from hil.dutlink.console.transcript import Transcript
from hil.dutlink.console.tty import UART_BAUD, Tty, serial_devices, uart_of
from hil.dutlink.timing import Deadline, until
from hil.errors import ConsoleError, FlashError, HilError, StickMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from hil.dutlink.board import Board

__all__ = ["LISTEN_S", "ConsoleProbe", "Survey", "survey"]

LISTEN_S: Final = 15.0
"""How long a DUT may take until it prints, in seconds."""

_ENOUGH_BYTES: Final = 16
_READABLE: Final = 0.8
"""The least share of printable bytes; noise of an open line, or a wrong baud rate, has less."""

_GRACE_S: Final = 2.0
_PRINTABLE: Final = frozenset(range(0x20, 0x7F)) | {0x07, 0x08, 0x09, 0x0A, 0x0D, 0x1B}


@dataclass(frozen=True, slots=True)
class Survey:
    """What `survey` found.

    Attributes:
        stick: The disk that follows the mux; None if none appeared.
        console: The console that printed; None if it is the board's own, or if none printed.
        spoke: Whether a console printed.
        remarks: What went wrong, for the user.
    """

    stick: Path | None
    console: Path | None
    spoke: bool
    remarks: tuple[str, ...] = ()


def survey(board: Board, listen_s: float = LISTEN_S) -> Survey:
    """Find a board's stick and console; switches the DUT off, on, and off again, and makes the board safe.

    Args:
        board: The open board, without a lab file's wiring, which is to be found.
        listen_s: How long to listen; 0 leaves the DUT off.

    Raises:
        BoardFaultError, BoardLostError: The board refused a request, or did not answer.
    """
    board.make_safe()
    try:
        stick, remark = _stick(board)
        speaker = _speaker(board, listen_s) if listen_s > 0 else None
        unheard = board.power.unheard
    finally:
        board.make_safe()
    own = board.console.tty.path
    quiet = _quiet(unheard) if listen_s > 0 and speaker is None else ""
    console = speaker if speaker not in {None, own} else None
    return Survey(stick, console, speaker is not None, tuple(filter(None, (remark, quiet))))


def _quiet(unheard: str) -> str:
    """Return the remark that no console printed; `unheard` is `Power.unheard`."""
    quiet = "no console printed anything when power came on"
    return f"{quiet}: {unheard}; put the waits before p1, then enroll the board again" if unheard else quiet


def _stick(board: Board) -> tuple[Path | None, str]:
    """Return a lasting path of the stick, by USB port or by id, and a remark; None if no stick appeared.

    The kernel's own name, such as sda, may be another disk's in a moment, so a file must not have it.
    """
    try:
        board.storage.learn()
        place = board.storage.wait_for_node()
        names = (place, board.storage.node)
        board.storage.off()
        board.storage.wait_until_gone()
    except StickMissingError:
        return None, "no stick appeared when the mux was turned to the host"
    except HilError as error:
        return None, f"{error.what}: {error.why}"
    return next((name for name in names if name is not None and name.parent != board.host.dev), None), ""


def _speaker(board: Board, listen_s: float) -> Path | None:
    with suppress(FlashError):  # an unverified image is not booted
        board.storage.dut()  # most DUTs print more if they find something to boot
    with ConsoleProbe(board.host.dev, board.serial, board.host.sys) as probe:
        probe.mark_power_on()
        board.power.on()
        return probe.wait_for_speaker(listen_s)


class ConsoleProbe:
    """Listen to every console that may be the DUT's, except consoles of other boards and consoles in use.

    A console that prints while the DUT has no power is not the DUT's.

    Args:
        dev: The host's device folder.
        serial: The board's serial number.
        sys: The host's folder of kernel devices.
    """

    def __init__(self, dev: Path, serial: str, sys: Path) -> None:
        self._dev = dev
        self._sys = sys
        self._own = uart_of(dev, serial).path
        self._serial = serial
        self._ports: dict[Path, ConsolePort] = {}
        self._heard: dict[Path, Transcript] = {}
        self._not_the_duts: set[Path] = set()

    def __enter__(self) -> Self:
        self._open_consoles()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._ports:
            self._ports.popitem()[1].close()

    def mark_power_on(self) -> None:
        """Count output from now on; another console than the board's that printed before is not the DUT's."""
        self._not_the_duts = {
            path for path, heard in self._heard.items() if heard.position and path != self._own
        }
        for path in self._heard:
            self._heard[path].mark("power")

    def wait_for_speaker(self, limit_s: float) -> Path | None:
        """Wait until a console prints text, and return it; None if none did in time.

        Prefers the board's own console: if another prints as well, that may be a copy.
        """
        deadline = Deadline(limit_s)
        if until(lambda: self._speaking() or None, limit_s) is None:
            return None
        until(lambda: self._own in self._speaking(), min(_GRACE_S, deadline.left_s))
        speaking = self._speaking()
        return self._own if self._own in speaking else max(speaking, key=lambda path: len(self._said(path)))

    def _speaking(self) -> list[Path]:
        self._open_consoles()  # a DUT may provide a console when it has power
        return [path for path in self._heard if path not in self._not_the_duts and _is_text(self._said(path))]

    def _said(self, path: Path) -> bytes:
        """Return the output since the DUT got power."""
        heard = self._heard[path]
        marks = heard.marks
        return heard.between(marks[0].position if marks else 0)

    def _open_consoles(self) -> None:
        for path in self._candidates():
            if path not in self._ports:
                heard = Transcript()
                tty = Tty(path, UART_BAUD, is_board=path == self._own)
                with suppress(ConsoleError):  # in use, or forbidden: not the DUT's
                    self._ports[path] = ConsolePort(tty, self._serial, heard)
                    self._heard[path] = heard

    def _candidates(self) -> Iterator[Path]:
        for path, is_board in serial_devices(self._dev, self._sys).items():
            if path == self._own or not is_board:
                yield path


def _is_text(said: bytes) -> bool:
    return len(said) >= _ENOUGH_BYTES and sum(byte in _PRINTABLE for byte in said) >= _READABLE * len(said)
