"""Check whether a board's console exists, may be opened, answers, and is used by no other program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hil.dutlink.console.tty import users_of
from hil.errors import ConsoleBusyError, ConsoleDeniedError, ConsoleError, ConsoleMissingError
from hil.flash.disk.permission import explain_denied
from hil.lab.doctor.checks.usb_access import ELSEWHERE
from hil.lab.doctor.finding import ok, problem, problem_of, skipped
from hil.lab.doctor.usb_tree import boards_in_sysfs, ttys_of
from hil.lab.udev.rule import INSTALL_RULE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.console.tty import Tty
    from hil.lab.doctor.context import BoardContext, DoctorContext
    from hil.lab.doctor.finding import Finding, Findings
    from hil.lab.doctor.host_info import HostInfo

__all__ = ["console_answers", "modem_manager", "tty_holders"]

_CHECK = "console"


def console_answers(context: BoardContext) -> Findings:
    """Check whether the console can be used; ask the board through it only if no DUT would read along."""
    serial = context.serial
    try:
        tty = context.board.console.tty
        if not tty.path.exists():
            yield _missing_tty(context, tty)
        elif not os.access(tty.path, os.R_OK | os.W_OK):
            yield _denied_tty(serial, tty)
        elif reason := context.reason_to_skip:
            yield skipped(_CHECK, f"{tty.path} exists and may be opened; {reason}", board=serial)
        else:
            yield _ask_board(context, tty)
    except ConsoleBusyError as error:
        yield problem_of(_CHECK, error, fix=f"sudo fuser -v -k {tty.path.resolve()}", board=serial)
    except ConsoleDeniedError:
        yield _denied_tty(serial, tty)
    except ConsoleError as error:
        yield problem_of(_CHECK, error, board=serial)


def _ask_board(context: BoardContext, tty: Tty) -> Finding:
    serial = context.serial
    with context.board.console.open(wait_s=0.0) as console:
        if not tty.is_board:
            return ok(_CHECK, f"{tty.path} can be opened; the DUT is off and prints nothing", board=serial)
        answer = console.shell("version")
    return ok(_CHECK, f"{tty.path} answers: {answer[:60]}", board=serial)


def _missing_tty(context: BoardContext, tty: Tty) -> Finding:
    serial, path = context.serial, tty.path
    if not tty.is_board and context.reason_to_skip == "":
        why = f"{path} does not exist; the DUT is off, and may provide it when it is on"
        return skipped(_CHECK, why, board=serial)
    host_info = context.doctor.host_info
    nodes = (
        [node for node in boards_in_sysfs(host_info) if node.serial == serial] if host_info.has_boards else []
    )
    ttys = [tty for node in nodes for tty in ttys_of(host_info, node)]
    says = f"the console of board {serial} is not at {path}"
    if not tty.is_board:
        fix = f"hil enroll --board {serial}    (finds the console that prints)"
        return problem(
            _CHECK, says, why="the lab file, or the board's usb_console, names it", fix=fix, board=serial
        )
    if ttys:
        why = f"the kernel calls it {', '.join(ttys)}: udev gave it no name"
        fix = "sudo systemctl restart systemd-udevd; sudo udevadm trigger"
        return problem(_CHECK, says, why=why, fix=fix, board=serial)
    return problem_of(
        _CHECK, ConsoleMissingError(says, why="no driver made a tty", remedy="sudo modprobe cdc_acm")
    )


def _denied_tty(serial: str, tty: Tty) -> Finding:
    denial = explain_denied(tty.path)
    return problem(_CHECK, f"{tty.path} may not be opened", why=denial.why, fix=denial.remedy, board=serial)


_IGNORED = "E:ID_MM_DEVICE_IGNORE=1"


def modem_manager(context: DoctorContext) -> Findings:
    """Check whether ModemManager runs, and whether udev tells it to leave the consoles alone."""
    host_info = context.host_info
    if not host_info.has_boards:
        yield skipped("ModemManager", ELSEWHERE)
        return
    running = [process for process in host_info.processes() if process.name == "ModemManager"]
    if not running:
        yield ok("ModemManager", "it does not run")
        return
    for serial, tty in _ttys(context):
        if _IGNORED in _udev_record(host_info, tty).splitlines():
            yield ok("ModemManager", f"it leaves {tty} alone", board=serial)
        else:
            yield problem(
                "ModemManager",
                f"{running[0]} will take {tty} for a modem",
                why="it writes AT commands to the DUT's console; no udev rule tells it not to",
                fix=f"{INSTALL_RULE}; sudo systemctl restart ModemManager",
                board=serial,
            )


def tty_holders(context: DoctorContext) -> Findings:
    """Check whether a program has a board's console open."""
    host_info = context.host_info
    if not host_info.has_boards:
        yield skipped("console is free", ELSEWHERE)
        return
    for serial, tty in _ttys(context):
        holders = users_of(Path("/dev") / tty, host_info.root / "proc")
        if not holders:
            yield ok("console is free", f"no process that this user can see has {tty} open", board=serial)
            continue
        yield problem(
            "console is free",
            f"{', '.join(map(str, holders))} has {tty} open",
            why="two readers of one console each get a part of what the DUT prints",
            fix=f"kill {' '.join(str(holder.pid) for holder in holders)}",
            board=serial,
        )


def _ttys(context: DoctorContext) -> Iterator[tuple[str, str]]:
    """Yield each board's serial number with its tty."""
    for node in boards_in_sysfs(context.host_info, context.only):
        for tty in ttys_of(context.host_info, node):
            yield node.serial, tty


def _udev_record(host_info: HostInfo, tty: str) -> str:
    """Return what udev has recorded about a tty."""
    return host_info.text(f"run/udev/data/c{host_info.text(f'sys/class/tty/{tty}/dev')}")
