"""Run all checks: first those of the machine, then those of each board that is not in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.dutlink.board import open_driver
from hil.dutlink.held_boards import held_boards
from hil.errors import BoardBusyError, HilError, NoUsbBackendError, SpoiltFileError, UsageError, Verdict
from hil.lab.doctor.checks.bus import boards_on_the_bus, hub_power
from hil.lab.doctor.checks.console import console_answers, modem_manager, tty_holders
from hil.lab.doctor.checks.host import clock, disk_space, guard_survival, locks
from hil.lab.doctor.checks.services import services
from hil.lab.doctor.checks.stick import stick_follows
from hil.lab.doctor.checks.stored_state import lab_file, left_safe, power_sequences
from hil.lab.doctor.checks.usb_access import group_membership, libusb, udev_rule
from hil.lab.doctor.context import BoardCheck, BoardContext
from hil.lab.doctor.finding import problem, problem_of, skipped
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lease import last_used_s
from hil.lab.locks.lock_dir import lock_folder
from hil.lab.locks.lock_file import lock_file_problem
from hil.lab.safe_state.meter_settling import wait_until_settled

if TYPE_CHECKING:
    from hil.lab.doctor.context import Check, DoctorContext
    from hil.lab.doctor.finding import Findings
    from hil.lab.locks.lease import Lease

__all__ = ["BOARD_CHECKS", "HOST_CHECKS", "run_checks"]

SILENCE_S: Final = 3.0
"""How long a board that is not in use may be silent."""

HOST_CHECKS: Final[dict[str, Check]] = {
    "lock folder": locks,
    "disk space": disk_space,
    "clock": clock,
    "guards": guard_survival,
    "libusb": libusb,
    "udev rule": udev_rule,
    "services": services,
    "ModemManager": modem_manager,
    "hub power": hub_power,
    "console is free": tty_holders,
    "lab file": lab_file,
    "boards": boards_on_the_bus,
    "group": group_membership,
}
"""In this order: checks that do not need libusb come first."""

BOARD_CHECKS: Final[dict[str, BoardCheck]] = {
    "left safe": left_safe,
    "power sequences": power_sequences,
    "console": console_answers,
    "stick": stick_follows,
}
"""In this order: the last one moves the mux."""


def run_checks(context: DoctorContext) -> Findings:
    """Run all checks and yield their findings; an error in a check is a finding, too."""
    for name, check in HOST_CHECKS.items():
        yield from _errors_as_findings(name, check(context))
    yield from _errors_as_findings("boards", _boards(context))


def _boards(context: DoctorContext) -> Findings:
    names: dict[str, str] = {}
    for seen in context.probe_results:
        if seen.serial is not None and seen.verdict is Verdict.PRESENT:
            yield from _errors_as_findings("board", _check_if_free(context, seen.serial, names), seen.serial)


def _check_if_free(context: DoctorContext, serial: str, names: dict[str, str]) -> Findings:
    try:
        used_s = last_used_s(serial)
        lease = acquire(serial, test="hil doctor", host=context.host)
    except SpoiltFileError as error:
        yield problem_of("board", error, board=serial)
        return
    except UsageError:  # the check of the lock folder reports the cause
        yield skipped("board", "it cannot be leased; see the lock folder", board=serial)
        return
    except BoardBusyError as error:
        yield skipped("board", f"it is in use, and was left alone ({error.why})", board=serial)
        return
    try:
        if (trouble := lock_file_problem(lock_folder(), serial)) is not None:
            yield problem_of("board", trouble, board=serial)
        wait_until_settled(used_s)
        yield from _check_board(context, serial, lease, names)
    finally:
        lease.release()


def _check_board(doctor: DoctorContext, serial: str, lease: Lease, names: dict[str, str]) -> Findings:
    wiring = doctor.lab.wiring_of(serial)
    with (
        held_boards.any_board(),
        open_driver(doctor.host, serial, wiring, limit_s=SILENCE_S, console=False) as board,
    ):
        context = BoardContext(board, doctor, lease.record(), lease)
        other = names.setdefault(context.settings.name or serial, serial)
        if other != serial:
            says = f"boards {other} and {serial} both store the name {context.settings.name}"
            fix = f"hil settings set name NAME --board {serial}"
            yield problem("name", says, why="--hil-board NAME may take either", fix=fix, board=serial)
        for check_name, check in BOARD_CHECKS.items():
            yield from _errors_as_findings(check_name, check(context), serial)


def _errors_as_findings(name: str, findings: Findings, serial: str = "") -> Findings:
    """Yield a check's findings, and its error as another finding, so that the next check can go on."""
    try:
        yield from findings
    except NoUsbBackendError as error:  # the check of libusb reports the cause
        yield skipped(name, f"without libusb no board can be found ({error.what})", board=serial)
    except HilError as error:
        yield problem_of(name, error, board=error.serial or serial)
    except OSError as error:
        yield skipped(name, f"the machine could not be read: {error}", board=serial)
