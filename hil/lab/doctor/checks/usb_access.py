"""Check whether this user can reach boards: libusb, the udev rule, the group."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hil.dutlink.usb.backend import backend_of
from hil.errors import HilError, Verdict
from hil.flash.disk.permission import BOARD_GROUP
from hil.lab.doctor.finding import ok, problem, skipped
from hil.lab.doctor.usb_tree import boards_in_sysfs
from hil.lab.udev.rule import INSTALL_RULE, RULE_NAME, is_this_version, unopened_sticks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Finding, Findings
    from hil.lab.doctor.host_info import HostInfo

__all__ = ["ELSEWHERE", "group_membership", "libusb", "rule_finding", "udev_rule"]

ELSEWHERE = "these boards are not on this machine's USB"

_RULE_FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d")
_VENDOR = "2b23"
_DEVICES = "/sys/bus/usb/devices"
_NO_LIBUSB = "sudo apt install libusb-1.0-0    (or: python3 -m pip install libusb-package)"
_GRANTS = {
    "ID_MM_DEVICE_IGNORE=1": "ModemManager is not told to leave it alone",
    "uaccess": "the logged-in user may not open it (no uaccess tag)",
}
"""What `udevadm test` prints if udev applies the rule, and what it means if that is missing."""

_MAKE_GROUP = f"sudo groupadd --system {BOARD_GROUP}; {INSTALL_RULE}"


def libusb(context: DoctorContext) -> Findings:
    """Check whether libusb can be loaded, and whether it is the system's, which uses udev."""
    try:
        backend_of(context.host)
    except HilError as error:
        yield problem("libusb", error.what, why=error.why, fix=_NO_LIBUSB)
        return
    if not context.host_info.has_boards:
        yield ok("libusb", f"{context.host.label}: reached")
    elif importlib.import_module("usb.backend.libusb1").get_backend() is None:
        yield ok("libusb", "libusb-package is loaded; the system's libusb would notice plugging sooner")
    else:
        yield ok("libusb", "the system's libusb can be loaded")


def udev_rule(context: DoctorContext) -> Findings:
    """Check whether the udev rule is installed, is this version's, and is applied by udev."""
    host_info = context.host_info
    if not host_info.has_boards:
        yield skipped("udev rule", ELSEWHERE)
        return
    ours = next((file for file in _rule_files(host_info) if file.name == RULE_NAME), None)
    others = [file for file in _rule_files(host_info) if file != ours]
    if ours is not None and not is_this_version(host_info.text(str(ours.relative_to(host_info.root)))):
        why = "it was installed by another version of hil, or changed by hand"
        yield problem("udev rule", f"{ours} is not this version's", why=why, fix=INSTALL_RULE)
    elif ours is None and not others:
        why = "without one only root may open boards, and ModemManager writes to their consoles"
        yield problem("udev rule", "no udev rule names DUTLink boards", why=why, fix=INSTALL_RULE)
    else:
        file = ours or others[0]
        boards = boards_in_sysfs(host_info, context.only)
        findings = [rule_finding(host_info, file, f"{_DEVICES}/{node.name}", node.serial) for node in boards]
        yield from findings or [ok("udev rule", f"{file} names DUTLink boards; none is plugged in")]
        yield from _unopened(host_info)


def _unopened(host_info: HostInfo) -> Iterator[Finding]:
    """Yield a problem for each known stick that the installed rule does not open to users."""
    if host_info.uid == 0:
        return
    rule = host_info.root / _RULE_FOLDERS[0] / RULE_NAME
    for stick in unopened_sticks(host_info.root / "sys", installed=rule):
        yield problem(
            "udev rule",
            f"the rule does not open the stick at {stick}",
            why="hil enroll or hil storage learn found its socket after the rule was installed",
            fix=INSTALL_RULE,
            board=stick.board,
        )


def rule_finding(host_info: HostInfo, file: Path, device: str, board: str) -> Finding:
    """Ask udev how it applies the rules to a device of a board now.

    Args:
        host_info: This machine.
        file: The rules' file.
        device: The device's folder in sysfs.
        board: The board's serial number.
    """
    said = host_info.udev_test(device)
    if not said:
        why = f"{file} names DUTLink boards; udevadm does not say whether udev applies it"
        return skipped("udev rule", why, board=board)
    trouble = [line.strip() for line in said.splitlines() if file.name in line and BOARD_GROUP in line]
    if unknown := next((line for line in trouble if "nknown group" in line or "resolve group" in line), ""):
        says = f"udev knows no group {BOARD_GROUP}"
        return problem("udev rule", says, why=unknown, fix=_MAKE_GROUP, board=board)
    missing = [means for grant, means in _GRANTS.items() if grant not in said and file.name == RULE_NAME]
    if missing:
        why = "; ".join([*missing, *trouble[:1]])
        says = f"udev does not apply {file}"
        fix = f"udevadm verify {file}; {INSTALL_RULE}"
        return problem("udev rule", says, why=why, fix=fix, board=board)
    return ok("udev rule", f"udev applies {file}", board=board)


def group_membership(context: DoctorContext) -> Findings:
    """Check whether this user may open boards: by the rule's group, as the logged-in user, or as root."""
    host_info = context.host_info
    if not host_info.has_boards:
        yield skipped("group", ELSEWHERE)
        return
    if host_info.uid == 0:
        yield ok("group", "root needs none")
        return
    gid, members = _group(host_info)
    if gid in host_info.gids:
        yield ok("group", f"{host_info.user} is in {BOARD_GROUP}")
    elif any(seen.verdict is Verdict.PRESENT for seen in context.probe_results):
        yield ok("group", f"{host_info.user} is not in {BOARD_GROUP}, but may open boards")
    elif host_info.user in members:
        why = "a group counts from the next login"
        yield problem(
            "group",
            f"{host_info.user} is in {BOARD_GROUP}, but this session is not",
            why=why,
            fix=f"newgrp {BOARD_GROUP}",
        )
    else:
        create = "" if gid is not None else f"sudo groupadd --system {BOARD_GROUP}; "
        fix = f"{create}sudo usermod --append --groups {BOARD_GROUP} {host_info.user}    (then log in again)"
        why = "the udev rule lets that group open boards"
        yield problem("group", f"{host_info.user} is not in {BOARD_GROUP}", why=why, fix=fix)


def _rule_files(host_info: HostInfo) -> Iterator[Path]:
    """Yield the rule files that name the boards' vendor id in a line that is no comment."""
    for folder in _RULE_FOLDERS:
        for file in host_info.folders(folder):
            lines = host_info.text(f"{folder}/{file.name}").splitlines() if file.suffix == ".rules" else []
            if any(_VENDOR in line and not line.lstrip().startswith("#") for line in lines):
                yield file


def _group(host_info: HostInfo) -> tuple[int | None, list[str]]:
    """Return the group's number and its members; None and an empty list if there is no such group."""
    for line in host_info.text("etc/group").splitlines():
        name, *rest = line.split(":")
        if name == BOARD_GROUP and len(rest) == 3 and rest[1].isdecimal():  # noqa: PLR2004 - group(5): four fields
            return int(rest[1]), rest[2].split(",")
    return None, []
