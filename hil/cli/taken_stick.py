"""Commands that take the stick from the DUT: the message for a running DUT, and the detaching on a signal."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from hil.cli.result import KILLED, InterruptionError
from hil.cli.standard_output import stop_waiting_for_readers
from hil.errors import HilError
from hil.lab.processes.handled_signals import handled_by, heard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board

__all__ = ["detach_stick_on_signal", "dut_runs_with_stick", "stick_lost_sentence"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def dut_runs_with_stick(board: Board) -> bool:
    """Return True if the DUT draws current and, by the record, may have the stick.

    Call it before the mux moves, which changes the record.
    """
    from hil.lab.locks.lock_dir import lock_folder  # noqa: PLC0415 - the driver is imported on use
    from hil.lab.safe_state.record import read_record  # noqa: PLC0415 - the driver is imported on use

    return read_record(lock_folder(), board.serial).position not in {"host", "off"} and board.power.draws()


def stick_lost_sentence(done: str = "", *, is_back: bool = False) -> str:
    """Return the sentence for a running DUT.

    Args:
        done: What the command did to the stick, such as `written`.
        is_back: Whether the DUT has the stick again.
    """
    lost = f"The DUT runs and lost its stick{f' while it was {done}' if done else ''}"
    return f"{lost}: {'' if is_back else 'hil storage dut, then '}hil power cycle boots it again."


class _EndRequest(KeyboardInterrupt):
    """A signal requested the end of the process, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def detach_stick_on_signal(board: Board, interrupted: str) -> Iterator[None]:
    """Detach the stick if a signal ends the `with` block.

    The error contains notes that the block added to the exception, such as the number of written bytes.

    Args:
        board: The board with the stick.
        interrupted: Text of the error, with the state that is left.

    Raises:
        InterruptionError: A signal came.
    """
    signals = heard(_SIGNALS)
    with handled_by(_ask, signals):
        try:
            yield
        except _EndRequest as request:
            for number in signals:
                signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave the stick where it is
            raise _interruption_error(board, interrupted, request) from None


def _ask(number: int, _frame: object) -> NoReturn:
    stop_waiting_for_readers()
    raise _EndRequest(number)


def _interruption_error(board: Board, interrupted: str, request: _EndRequest) -> InterruptionError:
    where = "the stick is detached now (position off)"
    try:
        board.storage.off()
    except HilError as error:
        where = f"the stick may still be on the host: {error.what}"
    why = "; ".join((*getattr(request, "__notes__", ()), where))
    interruption = InterruptionError(
        interrupted, why=why, remedy="the same command again", serial=board.serial
    )
    interruption.status = KILLED + request.number
    return interruption
