"""Find a board's stick and console by turning its mux and switching its DUT on."""

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
"""How long a DUT may take until it prints, in seconds."""


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
    finally:
        board.make_safe()
    own = board.console.tty.path
    quiet = "no console printed anything when power came on" if listen_s > 0 and speaker is None else ""
    console = speaker if speaker not in {None, own} else None
    return Survey(stick, console, speaker is not None, tuple(filter(None, (remark, quiet))))


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
