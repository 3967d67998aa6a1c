"""What a board's stick and console are, found by moving its mux and switching its DUT on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.errors import FlashError, HilError, StickMissingError
from hil.lab.enroll.console_probe import ConsoleProbe

if TYPE_CHECKING:
    from pathlib import Path

    from hil.dutlink.board import Board

__all__ = ["LISTEN_S", "Survey", "survey"]

LISTEN_S: Final = 15.0
"""How long a DUT may take to say its first words, in seconds."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        stick: The disk that follows the mux; None: none came.
        console: The console that spoke, where it is not the board's own; None: the board's own, or none.
        spoke: Whether any did.
        remarks: What went wrong on the way, for people.
    """

    stick: Path | None
    console: Path | None
    spoke: bool
    remarks: tuple[str, ...] = ()


def survey(board: Board, listen_s: float = LISTEN_S) -> Survey:
    """Find out; the DUT is switched off, on, and off again, and the board is safe afterwards.

    Args:
        board: Open, without wiring: what a lab file says of its stick is what is to be found out.
        listen_s: How long to listen; 0 leaves the DUT off.

    Raises:
        BoardFaultError, BoardLostError: The board did not take a request.
    """
    board.make_safe()
    try:
        stick, remark = _stick(board)
        speaker = _speaker(board, listen_s) if listen_s > 0 else None
    finally:
        board.make_safe()
    own = board.console.tty.path
    quiet = "no console spoke when power came on" if listen_s > 0 and speaker is None else ""
    console = speaker if speaker not in {None, own} else None
    return Survey(stick, console, speaker is not None, tuple(filter(None, (remark, quiet))))


def _stick(board: Board) -> tuple[Path | None, str]:
    """Return a name of the stick that lasts: by its place, which no other disk takes, else by what it is.

    The kernel's own name is the next disk's after a moment, and is worth nothing in a file.
    """
    try:
        board.storage.learn()
        place = board.storage.wait_for_node()
        names = (place, board.storage.node)
        board.storage.off()
        board.storage.wait_until_gone()
    except StickMissingError:
        return None, "no stick came when the mux was turned to the host"
    except HilError as error:
        return None, f"{error.what}: {error.why}"
    return next((name for name in names if name is not None and name.parent != board.host.dev), None), ""


def _speaker(board: Board, listen_s: float) -> Path | None:
    with suppress(FlashError):  # an image that is not proven is not booted
        board.storage.dut()  # most DUTs say more when they find something to boot
    with ConsoleProbe(board.host.dev, board.serial, board.host.sys) as hunt:
        hunt.mark_power_on()
        board.power.on()
        return hunt.wait_for_speaker(listen_s)
