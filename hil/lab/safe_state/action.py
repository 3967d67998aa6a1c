"""Make a board safe and prove it by its meter: the action of a guard, the next holder and `hil safe`.

A board is safe if the DUT's supply is off, the stick is detached, the control pins float, and the meter shows
that the DUT draws nothing.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from hil.dutlink.board import make_board_safe, open_driver, open_twins
from hil.dutlink.discovery import ANSWER_LIMIT_S
from hil.dutlink.held_boards import held_boards
from hil.dutlink.host import Host
from hil.dutlink.pins import Pins
from hil.dutlink.power.power import OFF_AMPS, Power
from hil.dutlink.power.reading import SETTLE_S, PowerReading
from hil.dutlink.power.sequence import TICK_S, PinStep, PowerSequence, SupplyStep, WaitStep
from hil.dutlink.timing import sleep, until
from hil.errors import BoardUnsafeError, TwinBoardsError
from hil.lab.safe_state.policy import FORCE_OFF, HERE, LEAVE, OFF, STICK_TAKEN, MadeSafe, Safety, resolve
from hil.lab.this_host import this_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hil.dutlink.board import Board
    from hil.dutlink.usb.safe_requests import SafeProof

__all__ = ["apply_policy", "confirm_off", "host_of", "make_safe"]

# The functions as they are now: a test may replace them in the classes later.
_power_off, _force_on, _force_off, _set_pin = Power.off, Power.force_on, Power.force_off, Pins.set

MEASURED_WITHIN_S = 5.0
LOOK_EVERY_S = 0.05


def make_safe(  # noqa: PLR0913 - by keyword, as plain data
    serial: str,
    *,
    policy: str = FORCE_OFF,
    host: Mapping[str, Any] | None = None,
    answer_s: float = ANSWER_LIMIT_S,
    glance: bool = False,
    spare_stick: bool = False,
) -> MadeSafe:
    """Make a board safe, and return what its DUT draws afterwards.

    If several boards have its serial number, each of them is made safe, except at a glance.

    Args:
        serial: The board.
        policy: What to do before force-off: nothing (`force-off`), the board's own power-off sequence
            (`off`), or a sequence of the place's own, which this process carries out.
        host: Where the board is plugged in: `call` (`module:function`, returns a `Host`) and its `arguments`;
            None for this host's USB.
        answer_s: How long the board may be silent, in seconds: it may be working through a power sequence.
        glance: If the DUT drew nothing in the last seconds, do not wait for the meter.
        spare_stick: Do nothing while a program of this host uses the stick.

    Raises:
        UnavailableError: The board cannot be reached.
        BoardFaultError: The board refused, or its DUT still draws current.
        StickInUseError: A program of this host uses the stick, and `spare_stick` is True.
    """
    here = _host(host)
    with held_boards.any_board(), ExitStack() as opened:
        try:
            board = opened.enter_context(open_driver(here, serial, limit_s=answer_s, console=False))
        except TwinBoardsError as error:
            if glance:
                raise
            boards = [opened.enter_context(one) for one in open_twins(here, serial, answer_s)]
            return _make_twins_safe(boards, error.what)
        if spare_stick:
            board.storage.check_unused()
        before = _amps(board)
        was_on = abs(before) > OFF_AMPS
        if glance and not was_on:
            apply_policy(board, FORCE_OFF if policy == OFF else policy)
            return MadeSafe(before, _taken(board))
        apply_policy(board, policy)
        sleep(SETTLE_S)
        amps = confirm_off(board)
        return MadeSafe(amps, _taken(board), was_on)


def _make_twins_safe(boards: Sequence[Board], remark: str) -> MadeSafe:
    """Make each board with one serial number safe: one of them is the board of the lease.

    No other program uses the others, since boards with one serial number are handed out to none.
    """
    for board in boards:
        make_board_safe(board)
    sleep(SETTLE_S)
    amps = [confirm_off(board) for board in boards]
    return MadeSafe(max(amps), f"{remark}: each was made safe", was_on=True)


def _taken(board: Board) -> str:
    """Return which program of this host lost the stick, or an empty string if none is seen."""
    user = board.storage.taken_from
    return f"{STICK_TAKEN} although {user}" if user else ""


def _amps(board: Board) -> float:
    """Return what the DUT draws, by no method that a test can replace."""
    return PowerReading.parse(board.safe_requests.read_power()).amps


def confirm_off(board: Board) -> float:
    """Wait until the meter shows that a DUT that was just forced off draws nothing; return that reading.

    A reading is the mean of the last two seconds. If it shows no current, return at once; otherwise wait
    until these two seconds are over, because a reading also falls when a relay sticks and the DUT draws less
    after it has booted.

    Raises:
        BoardUnsafeError: The DUT still draws current: a relay sticks, or something else feeds the DUT.
    """

    def reading() -> float | None:
        amps = _amps(board)
        return amps if abs(amps) <= OFF_AMPS else None

    found = until(reading, MEASURED_WITHIN_S, LOOK_EVERY_S)
    if found is None:
        raise BoardUnsafeError(
            f"board {board.serial}: the DUT is not off",
            why=f"it draws {_amps(board):.2f} A after force-off",
            remedy="look at the board's relay, and at what else feeds the DUT",
            serial=board.serial,
        )
    return found


def apply_policy(board: Board, policy: str, *, leave_stick: bool = False) -> SafeProof | None:
    """Do what the policy wants before force-off, then make the open board safe; `leave` does nothing.

    Return the proof that the board is safe; None if nothing was done.

    Args:
        board: The board.
        policy: See `Safety.policy`.
        leave_stick: Leave the stick where it is.

    Raises:
        BoardFaultError, BoardLostError: The board refused, or did not answer.
    """
    if policy == LEAVE:
        return None
    try:
        _prepare(board, policy)
    except BaseException:
        make_board_safe(board, leave_stick=leave_stick)
        raise
    return make_board_safe(board, leave_stick=leave_stick)


def _host(description: Mapping[str, Any] | None) -> Host:
    if description is None:
        return this_host()
    host = resolve(description["call"])(**description.get("arguments", {}))
    if not isinstance(host, Host):
        raise TypeError(f"{description['call']} returned {type(host).__name__}, not a Host")
    return host


def host_of(safety: Safety) -> Host | None:
    """Return where the board is plugged in, or None if that is not known here."""
    if safety.action != HERE:
        return None
    try:
        return _host(safety.arguments.get("host"))
    except Exception:  # noqa: BLE001 - without the simulator or the module there is no node to lock
        return None


def _prepare(board: Board, policy: str) -> None:
    if policy == FORCE_OFF:
        return
    if policy == OFF:
        _power_off(board.power)
        return
    for order in PowerSequence.parse(policy).steps:
        match order:
            case PinStep(pin, level):
                _set_pin(board.pins, pin, level)
            case WaitStep(ticks):
                sleep(ticks * TICK_S)
            case SupplyStep(on):
                (_force_on if on else _force_off)(board.power)
