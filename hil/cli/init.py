"""`hil init`: the first process of a container, which waits for guards."""

from __future__ import annotations

import click

from hil.cli.answer import Answer
from hil.errors import UsageError

__all__ = ["init"]


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option(
    "--guards",
    "guards_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=120.0,
    show_default=True,
    help="How long to wait for guards that still make a board safe.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def init(guards_s: float, command: tuple[str, ...]) -> Answer:
    r"""Run COMMAND as the first process of a container, and end when its guards have, too.

    The kernel ends all processes of a container with its first one, PID 1. A guard outlives the run that it
    guards, but not PID 1: where that is pytest or a shell, a killed run leaves its DUT powered.

    \b
    hil init -- pytest
    docker run IMAGE hil init -- pytest
    ENTRYPOINT ["hil", "init", "--"]

    Signals are passed on to COMMAND. When it has ended, so do the processes that it left behind, then guards
    are waited for. Elsewhere than in PID 1 it does the same, for a job whose runner ends with it.

    Exit status: COMMAND's; 128 and a signal's number if one ended it; 127 if it is not there, 126 if it
    cannot be run; 1 if COMMAND ended with 0 and a guard did not end in time; 2 misuse.
    """
    if not command:
        raise UsageError("there is nothing to run", why="no command was given", remedy="hil init -- COMMAND")
    from hil.lab.supervising import run_as_init  # noqa: PLC0415 - ctypes is for those who need it

    return Answer(None, run_as_init(command, guards_s))
