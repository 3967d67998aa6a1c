"""Check whether ModemManager, or a program that was left running, uses a board's console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.lab.doctor.checks.usb_access import ELSEWHERE
from hil.lab.doctor.finding import ok, problem, skipped
from hil.lab.doctor.usb_tree import boards_in_sysfs, ttys_of
from hil.lab.udev.rule import INSTALL_RULE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Findings
    from hil.lab.doctor.host_info import HostInfo

__all__ = ["modem_manager", "tty_holders"]

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
        holders = host_info.holders_of(f"/dev/{tty}")
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
