"""`hil doctor`: check this bench and suggest remedies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.board_options import boards_option, complete_board
from hil.cli.result import Answer
from hil.dutlink.console.sanitize import sanitize_text
from hil.errors import UsageError, with_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.lab.doctor.context import DoctorContext
    from hil.lab.doctor.finding import Finding

__all__ = ["doctor"]

_WIDTH = 12


@click.command()
@click.option(
    "--board",
    "serial",
    envvar="HIL_BOARD",
    metavar="SERIAL",
    shell_complete=complete_board,
    help="Check only this board or place. Environment variable: HIL_BOARD.",
)
@click.option("--quick", is_flag=True, help="Skip checks that move a mux.")
@boards_option
@click.pass_context
def doctor(ctx: click.Context, serial: str | None, quick: bool, boards: str) -> Answer:
    r"""Check the bench: libusb, permissions, other console users, hubs, boards, sticks, clock, disk, locks.

    Each line says ok, problem or not checked; each problem has a remedy. A board in use, or one whose DUT has
    power, is only checked in ways that the DUT does not notice. On other boards, the stick is connected to
    the host and then disconnected.

    \b
    hil doctor
    hil doctor --quick
    hil --json doctor --board 0df10035

    Exit status: 0 no problem, 1 problems, 2 misuse.
    """
    context = _bench(boards, serial, quick=quick)
    from hil.lab.doctor.runner import run_checks  # noqa: PLC0415 - the driver is imported on use

    if ctx.find_root().params["as_json"]:
        found = list(run_checks(context))
        return Answer(_data(found), _status(found))
    found = _shown(run_checks(context))
    click.echo(_summary(found))
    return Answer(None, _status(found))


def _bench(boards: str, serial: str | None, *, quick: bool) -> DoctorContext:
    from hil.cli.board_context import current_lab, find_source  # noqa: PLC0415 - the driver is imported on use
    from hil.lab.board_lookup import resolve_serial  # noqa: PLC0415 - the driver is imported on use
    from hil.lab.config.lab import Lab  # noqa: PLC0415 - only for this command
    from hil.lab.doctor.context import DoctorContext  # noqa: PLC0415 - the driver is imported on use
    from hil.lab.doctor.host_info import HostInfo  # noqa: PLC0415 - the driver is imported on use

    source = find_source(boards)
    host = source.host()
    lab, lab_error = Lab(), None
    try:
        lab = current_lab()
    except UsageError as error:
        lab_error = error
    return DoctorContext(
        host,
        HostInfo(has_boards=not source.is_simulated),
        lab,
        lab_error,
        source.safety(),
        quick,
        resolve_serial(host, lab, serial) if serial else "",
        Path.cwd(),
    )


def _shown(findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as soon as it is known, and return all."""
    found = []
    for finding in findings:
        found.append(finding)
        click.echo(_text(finding))
    return found


def _text(finding: Finding) -> str:
    label = f"{finding.outcome:{_WIDTH}}"
    if not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb":
        label = click.style(label, fg={"ok": "green", "problem": "red"}.get(finding.outcome))
    about = f"{finding.check}{f' of board {finding.board}' if finding.board else ''}"
    indent = " " * _WIDTH
    if finding.outcome == "not checked":
        return with_names(f"{label}{about}: {sanitize_text(finding.why)}")
    lines = [f"{label}{about}: {sanitize_text(finding.says)}"]
    lines += [f"{indent}why:  {sanitize_text(finding.why)}"] if finding.why else []
    lines += [f"{indent}try:  {sanitize_text(finding.fix)}"] if finding.fix else []
    return with_names("\n".join(lines))


def _count(found: list[Finding], outcome: str) -> int:
    return sum(finding.outcome == outcome for finding in found)


def _summary(found: list[Finding]) -> str:
    problems = _count(found, "problem")
    words = "no problem" if not problems else f"{problems} problem{'s' * (problems > 1)}"
    return f"{words}, {_count(found, 'ok')} ok, {_count(found, 'not checked')} not checked"


def _status(found: list[Finding]) -> int:
    return int(_count(found, "problem") > 0)


def _data(found: list[Finding]) -> dict[str, Any]:
    counts = {name: _count(found, name) for name in ("problem", "ok", "not checked")}
    return {"counts": counts, "findings": [finding.to_data() for finding in found]}
