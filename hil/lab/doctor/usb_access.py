"""May this user reach boards at all: libusb, the udev rule, the group."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hil.dutlink.link import backend_of
from hil.errors import HilError, Verdict
from hil.lab.doctor.finding import ok, problem, unchecked
from hil.lab.udev_rule import INSTALL_RULE, RULE_NAME, rule_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.lab.doctor.bench import Bench
    from hil.lab.doctor.finding import Findings
    from hil.lab.doctor.machine import Machine

__all__ = ["ELSEWHERE", "group_membership", "libusb", "udev_rule"]

ELSEWHERE = "these boards are not on this machine's USB"

_RULE_FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d")
_VENDOR = "2b23"
_GROUP = "plugdev"
_NO_LIBUSB = "sudo apt install libusb-1.0-0    (or: python3 -m pip install libusb-package)"


def libusb(bench: Bench) -> Findings:
    """Can libusb be loaded, and is it the system's, which knows udev?"""
    try:
        backend_of(bench.host)
    except HilError as error:
        yield problem("libusb", error.what, why=error.why, mend=_NO_LIBUSB)
        return
    if not bench.machine.has_boards:
        yield ok("libusb", f"{bench.host.label}: reached")
    elif importlib.import_module("usb.backend.libusb1").get_backend() is None:
        yield ok("libusb", "the one of libusb-package: it does, though the system's notices plugging sooner")
    else:
        yield ok("libusb", "the system's can be loaded")


def udev_rule(bench: Bench) -> Findings:
    """Is there a rule that lets people open boards, and is it this version's?"""
    machine = bench.machine
    if not machine.has_boards:
        yield unchecked("udev rule", ELSEWHERE)
        return
    ours = next((file for file in _rule_files(machine) if file.name == RULE_NAME), None)
    others = [file for file in _rule_files(machine) if file != ours]
    if ours is not None and machine.text(str(ours.relative_to(machine.root))) == rule_text().strip():
        yield ok("udev rule", f"{ours} is this version's")
    elif ours is not None:
        why = "it was installed by another version of hil, or changed by hand"
        yield problem("udev rule", f"{ours} is not this version's", why=why, mend=INSTALL_RULE)
    elif others:
        yield ok("udev rule", f"{others[0]} names DUTLink boards")
    else:
        why = "without one only root may open boards, and ModemManager writes to their consoles"
        yield problem("udev rule", "no udev rule names DUTLink boards", why=why, mend=INSTALL_RULE)


def group_membership(bench: Bench) -> Findings:
    """May this user open boards: by the rule's group, by sitting at this machine, or as root?"""
    machine = bench.machine
    if not machine.has_boards:
        yield unchecked("group", ELSEWHERE)
        return
    if machine.uid == 0:
        yield ok("group", "root needs none")
        return
    gid, members = _group(machine)
    if gid in machine.gids:
        yield ok("group", f"{machine.user} is in {_GROUP}")
    elif any(seen.verdict is Verdict.PRESENT for seen in bench.sightings):
        yield ok("group", f"{machine.user} is not in {_GROUP}, and may open boards all the same")
    elif machine.user in members:
        why = "groups count from the next login on"
        yield problem(
            "group",
            f"{machine.user} is in {_GROUP}, but this session is not",
            why=why,
            mend=f"newgrp {_GROUP}",
        )
    else:
        create = "" if gid is not None else f"sudo groupadd --system {_GROUP}; "
        mend = f"{create}sudo usermod --append --groups {_GROUP} {machine.user}    (then log in again)"
        why = "the udev rule lets that group open boards"
        yield problem("group", f"{machine.user} is not in {_GROUP}", why=why, mend=mend)


def _rule_files(machine: Machine) -> Iterator[Path]:
    """Yield the rule files that name our vendor id in a line that is no comment."""
    for folder in _RULE_FOLDERS:
        for file in machine.folders(folder):
            lines = machine.text(f"{folder}/{file.name}").splitlines() if file.suffix == ".rules" else []
            if any(_VENDOR in line and not line.lstrip().startswith("#") for line in lines):
                yield file


def _group(machine: Machine) -> tuple[int | None, list[str]]:
    """Return the group's number and its members; None where there is no such group."""
    for line in machine.text("etc/group").splitlines():
        name, *rest = line.split(":")
        if name == _GROUP and len(rest) == 3 and rest[1].isdecimal():  # noqa: PLR2004 - group(5): four fields
            return int(rest[1]), rest[2].split(",")
    return None, []
