"""Check which boards are on the bus, and whether their hubs have the power for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import BoardBusyError, BoardInBootLoaderError, UsageError, Verdict
from hil.lab.doctor.checks.usb_access import ELSEWHERE
from hil.lab.doctor.finding import ok, problem, problem_of, skipped
from hil.lab.doctor.usb_tree import boards_in_sysfs, children_of, hub_of
from hil.lab.locks.acquire import acquire

if TYPE_CHECKING:
    from hil.dutlink.discovery import ProbeResult
    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Finding, Findings
    from hil.lab.doctor.host_info import HostInfo
    from hil.lab.doctor.usb_tree import UsbTreeNode

__all__ = ["boards_on_the_bus", "hub_power"]

PORT_MA = 500
"""What a port of a USB 2 hub with its own supply gives (USB 2.0, 7.2.1)."""

BUS_POWERED_PORT_MA = 100
"""What a port of a hub without its own supply gives."""


def boards_on_the_bus(context: DoctorContext) -> Findings:
    """Check which boards are on the bus, and whether they may be used."""
    seen = context.probe_results
    if not seen:
        in_sysfs = boards_in_sysfs(context.host_info) if context.host_info.has_boards else []
        name = f"board {context.only} not" if context.only else "no DUTLink board"
        why = f"the kernel lists {len(in_sysfs)}" if in_sysfs else "no device has a board's USB ids"
        absent = f"{name} found on {context.host.label}"
        yield problem("boards", absent, why=why, fix="plug it in, then: lsusb -d 2b23:")
    for result in seen:
        yield _probe_finding(result, context)


def hub_power(context: DoctorContext) -> Findings:
    """Check whether the hub above each board has enough power for it."""
    if not context.host_info.has_boards:
        yield skipped("hub power", ELSEWHERE)
        return
    boards = boards_in_sysfs(context.host_info, context.only)
    if not boards:
        yield skipped("hub power", "no board is on the bus")
    for node in boards:
        yield _power_finding(context.host_info, node)


def _probe_finding(result: ProbeResult, context: DoctorContext) -> Finding:
    serial = result.serial or _serial_at(result.location, context.host_info)
    name = f"board {serial}" if serial else f"the board at {result.location}"
    error = result.error
    if error is None:
        return ok("boards", f"{name} answers, firmware {result.firmware}", board=serial)
    if isinstance(error, BoardInBootLoaderError):
        return problem("boot loader", error.what, why=error.why, fix=error.remedy, board=serial)
    if result.verdict is Verdict.DENIED:
        return problem(
            "permission", f"{name} may not be opened", why=error.why, fix=error.remedy, board=serial
        )
    if result.verdict is Verdict.LOST and serial and (holder := _holder_of(serial, context)):
        why = f"{name} is silent, as in a power sequence; it is in use, and was left alone ({holder})"
        return skipped("boards", why, board=serial)
    return problem_of("boards", error, board=serial)


def _serial_at(location: str, host_info: HostInfo) -> str:
    """Return the serial number that the kernel read when a board, which is silent now, was plugged in."""
    nodes = boards_in_sysfs(host_info) if host_info.has_boards else []
    return next((node.serial for node in nodes if node.location == location), "")


def _holder_of(serial: str, context: DoctorContext) -> str:
    """Return the holder of a board, or an empty string if it is not leased."""
    try:
        acquire(serial, test="hil doctor", host=context.host).release_untouched()
    except BoardBusyError as error:
        return error.why
    except UsageError:  # the check of the lock folder reports the cause
        return ""
    return ""


def _power_finding(host_info: HostInfo, node: UsbTreeNode) -> Finding:
    board = node.serial
    hub = hub_of(host_info, node)
    where = f"{node.parent or 'its hub'} gives"
    fix = "plug the board into a port of the machine, or into a hub with its own supply"
    if not node.configured:
        why = "the kernel switches a device on only if its hub has the power for it: dmesg | grep -i power"
        return problem("hub power", f"board {board} is not switched on", why=why, fix=fix, board=board)
    if hub is None:
        return skipped("hub power", f"the hub of {node.name} is not in sysfs", board=board)
    if hub.self_powered or not hub.parent:
        return ok("hub power", f"{where} {PORT_MA} mA, the board may draw {node.most_ma} mA", board=board)
    drawn_ma = sum(child.most_ma for child in children_of(host_info, hub))
    if node.most_ma > BUS_POWERED_PORT_MA:
        why = (
            f"{node.name} may draw {node.most_ma} mA, a port of a hub without its own supply gives "
            f"{BUS_POWERED_PORT_MA} mA; all devices of the hub may draw {drawn_ma} mA together"
        )
        says = f"board {board} is plugged into a hub without its own supply"
        return problem("hub power", says, why=why, fix=fix, board=board)
    return ok("hub power", f"{where} {BUS_POWERED_PORT_MA} mA, enough for {node.most_ma} mA", board=board)
