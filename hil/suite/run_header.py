"""Tell at the start of a run where boards are, which other users decide that, and what endangers guards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.boards.address import Where
from hil.dutlink.console.sanitize import sanitize_line
from hil.lab.guard.survival import find_dangers, is_first

if TYPE_CHECKING:
    from pathlib import Path

    from hil.boards.address import BoardsOption
    from hil.lab.config.lab import Lab

__all__ = ["where_boards_are", "why_in_doubt"]

_WAS_PID_1 = (
    "hil: this run was PID 1 of its container; it goes on in a child, and PID 1 waits for guards. "
    "Better start it as: hil init -- COMMAND (docs/containers.md)"
)


def where_boards_are(boards: BoardsOption) -> str:
    """Return a line that tells where the boards of a run are."""
    if not boards.simulated:
        asked = f" ({boards.text})" if boards.where is Where.JUMPSTARTER else ""
        if boards.where is Where.USB and os.environ.get("HIL_BOARDS") == "":
            asked = " (HIL_BOARDS is empty, which counts as not set)"
        return f"hil: boards from {boards.where.value}{asked}"
    number = f"{boards.number} " if boards.where is Where.STARTED else ""
    ending = "" if boards.where is Where.STARTED and boards.number == 1 else "s"
    return f"hil: {number}SIMULATED board{ending} (asked for by --hil-boards {boards.text} or HIL_BOARDS)"


def why_in_doubt(lab: Lab) -> list[str]:
    """Return a line about a lab file that other users can change, and one for each danger to guards."""
    stepped_aside = [_WAS_PID_1] if os.getppid() == 1 and is_first() else []
    return [*_other_users(lab.file), *stepped_aside, *(f"hil: {danger}" for danger in find_dangers())]


def _other_users(file: Path | None) -> list[str]:
    """Return a line if other users can change the lab file."""
    if file is None:
        return []
    from hil.lab.files.trusted_path import why_untrusted  # noqa: PLC0415 - only for runs that have a lab file

    why = why_untrusted(file)
    return [f"hil: other users decide what {file} says: {sanitize_line(why)}"] if why else []
