"""The error of a wait for a system while the DUT waits at the prompt of its boot loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.console.expect_error import PATTERN_ADVICE, describe_last_line
from hil.dutlink.dut.boot_stage import boot_prompt, last_start, stage_of
from hil.dutlink.dut.prompt import PROMPT
from hil.errors import BootLoaderError, ExpectError

if TYPE_CHECKING:
    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.dut.prompt import DutConsole, StickState

__all__ = ["LINE_BYTES", "check_loader_prompt", "explain_loader", "newest_bytes"]

LINE_BYTES = 1024
"""The newest bytes of a console, enough for a prompt."""


def check_loader_prompt(console: DutConsole, said: bytes, *, is_named: bool = True) -> None:
    """Raise an error if the DUT waits in its boot loader.

    Args:
        console: The console.
        said: The last bytes that the DUT printed.
        is_named: Whether a prompt of a known boot loader counts even if a system runs.

    Raises:
        BootLoaderError: The last line is the prompt of a boot loader.
    """
    name = boot_prompt(said, stage_of(console.transcript, console.prompt), is_named=is_named)
    if name is not None:
        raise BootLoaderError(
            f"the DUT waits at the prompt of {name}",
            why=describe_last_line(console.serial, said),
            remedy=_advice(console.stick),
            serial=console.serial,
        )


def explain_loader(console: DutConsole, error: ExpectError) -> ExpectError:
    """Return the error of a timeout, with the cause and its remedy if the DUT waits in its boot loader.

    Args:
        console: The console.
        error: The error of a wait for a pattern.
    """
    said = newest_bytes(console.transcript)
    name = boot_prompt(said, stage_of(console.transcript, console.prompt), is_named=console.prompt == PROMPT)
    if name is None or error.remedy not in PATTERN_ADVICE:
        return error
    return ExpectError(
        error.what,
        why=f"the DUT waits at the prompt of {name}; {error.why}",
        remedy=f"{_advice(console.stick)}; if the test works in the boot loader, compare the pattern with "
        "what came after the last match",
        serial=error.serial,
    )


def _advice(stick: StickState) -> str:
    if stick.position not in {"", "dut"}:
        flash = "" if stick.image else "storage.flash(IMAGE) if the stick holds no system, then "
        return (
            f"{flash}storage.dut() and power.cycle(): the stick is not at the DUT (position {stick.position})"
        )
    stopped = "power.cycle(): a key, or noise on the line, stopped the autoboot"
    if stick.image:
        return f"see why image {stick.image} does not boot: it is verified on the stick; or {stopped}"
    return (
        f"storage.flash(IMAGE), storage.dut() and power.cycle() if the stick holds no system; else {stopped}"
    )


def newest_bytes(transcript: Transcript, begin: int = 0) -> bytes:
    """Return the newest `LINE_BYTES` of those since a position and since the DUT's last start."""
    return transcript.between(max(begin, last_start(transcript), transcript.position - LINE_BYTES))
