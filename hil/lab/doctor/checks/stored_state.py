"""Check what is stored about a board: on the board, in the lab file, and in its record."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from hil.dutlink.power.sequence import PowerSequence
from hil.errors import SequenceError
from hil.lab.config.lab import SEQUENCES
from hil.lab.config.lab_file import SYSTEM_FOLDER
from hil.lab.doctor.finding import ok, problem, problem_of, skipped
from hil.lab.files.trusted_path import why_untrusted
from hil.lab.safe_state.record import BoardState
from hil.text_table import counted

if TYPE_CHECKING:
    from hil.lab.doctor.context import BoardContext, DoctorContext
    from hil.lab.doctor.finding import Findings

__all__ = ["lab_file", "left_safe", "power_sequences"]


def lab_file(context: DoctorContext) -> Findings:
    """Check whether the lab file can be read, and whether the boards of its places are plugged in."""
    if context.lab_error is not None:
        yield problem_of("lab file", context.lab_error)
        return
    if context.lab.file is None:
        yield ok("lab file", "there is no lab file; each board is a place by itself")
        return
    if why := why_untrusted(context.lab.file):
        yield problem(
            "lab file",
            f"other users control {context.lab.file}: root does not obey it",
            why=why,
            fix=f"sudo chown {context.host_info.user} FILE; chmod go-w FILE"
            f"    (or: move it to {SYSTEM_FOLDER})",
        )
    there = {seen.serial for seen in context.probe_results}
    yield ok("lab file", f"{context.lab.file} has {counted(len(context.lab.places), 'place')}")
    for name, place in context.lab.places.items():
        if place.serial not in there and not context.only:
            yield skipped("lab file", f"the board of place {name} is not plugged in", board=place.serial)


def left_safe(context: BoardContext) -> Findings:
    """Check whether the last holder left the board safe."""
    serial, record = context.serial, context.record
    if record.state is BoardState.UNKNOWN:
        known = f"this host has no record of it yet; its first use makes it safe, or now: hil safe {serial}"
        yield ok("left safe", known, board=serial)
        return
    if not record.needs_safety:
        yield ok("left safe", "the last holder left it safe", board=serial)
        return
    attempt = str(record.last_attempt or "")
    why = record.trouble or record.abandoned or attempt or "its holder and its guard died"
    fix = f"hil safe {serial}"
    yield problem("left safe", f"board {serial} was not left safe", why=why, fix=fix, board=serial)


def power_sequences(context: BoardContext) -> Findings:
    """Check whether the stored power sequences are valid, and whether they are those of the lab file."""
    serial, stored, well = context.serial, asdict(context.settings), True
    for name, wanted in context.doctor.lab.differing_sequences(serial, context.settings).items():
        well = False
        says = f"board {serial} stores {name} = {stored[name]!r}, the lab file has {wanted!r}"
        fix = f"hil settings apply --board {serial}"
        yield problem("power sequences", says, why="the board does what it stores", fix=fix, board=serial)
    for name in SEQUENCES:
        try:
            PowerSequence.parse(stored[name])
        except SequenceError as error:
            well = False
            says = f"board {serial} stores {name} = {stored[name]!r}, which the firmware reads differently"
            fix = f"hil settings set {name} {_suggestion(error)} --board {serial}"
            yield problem("power sequences", says, why=error.why, fix=fix, board=serial)
    if well:
        yield ok("power sequences", "the stored sequences are valid", board=serial)


def _suggestion(error: SequenceError) -> str:
    return error.remedy if error.remedy.startswith("'") else "SEQUENCE"
