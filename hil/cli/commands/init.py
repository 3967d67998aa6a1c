"""`hil init`: a new repository of tests; with `--`, a container's first process, which waits for guards."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hil.cli.result import Answer
from hil.errors import UsageError

__all__ = ["init"]

_COMMAND = "hil.cli.commands.init.command"


class _Init(click.Command):
    """Tells what follows `--`, a command, from what does not, a folder."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the command for `init`."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(cls=_Init)
@click.option(
    "--guards",
    "guards_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=120.0,
    show_default=True,
    help="With COMMAND: how long to wait for guards that still make a board safe.",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.pass_context
def init(context: click.Context, guards_s: float, folder: Path | None) -> Answer:
    r"""Set up a repository of tests in FOLDER, or here; or, after `--`, be a container's first process.

    Writes .gitignore, conftest.py, pytest.ini, a first test, a noxfile and a GitHub workflow; it
    changes no file that is there already.

    With `-- COMMAND` it runs that as the first process of a container, and ends when its guards have, too.
    The kernel ends all processes of a container with PID 1. A guard outlives the run that it guards, but not
    PID 1: where that is pytest or a shell, a killed run leaves its DUT powered. Signals are passed on to
    COMMAND. When it has ended, so do the processes that it left behind, then guards are waited for. Elsewhere
    than in PID 1 it does the same, for a job whose runner ends with it.

    \b
    hil init
    hil init my-product
    hil init -- pytest
    docker run IMAGE hil init -- pytest
    ENTRYPOINT ["hil", "init", "--"]

    Exit status: 0 set up; 2 misuse. With COMMAND that of COMMAND; 128 and a signal's number if one ended it;
    127 if it is not there, 126 if it cannot be run; 1 if it ended with 0 and a guard did not end in time.
    """
    command = context.meta.get(_COMMAND)
    if command is None and os.getpid() == 1:
        raise UsageError(
            "hil init as PID 1 needs a command",
            why="the first process of a container runs one; no repository is set up there",
            remedy=f"hil init -- {folder or 'COMMAND'}",
        )
    if command is None:
        return _set_up(folder or Path())
    if not command:
        raise UsageError("there is nothing to run", why="no command was given", remedy="hil init -- COMMAND")
    if folder is not None:
        raise UsageError(
            "hil init takes FOLDER or `-- COMMAND`, not both",
            why=f"{folder} stands before `--`, where the folder does",
            remedy=f"hil init -- {folder} {' '.join(command)}",
        )
    from hil.lab.processes.reaper import run_as_init  # noqa: PLC0415 - ctypes is for those who need it

    return Answer(None, run_as_init(command, guards_s))


def _set_up(folder: Path) -> Answer:
    from hil.cli.commands.init_files import write_repository  # noqa: PLC0415 - for those who begin

    requirement = _requirement()
    written, kept = write_repository(folder, requirement)
    lines = [f"Wrote {folder / name}." for name in written]
    if "noxfile.py" in written and Path(requirement).is_absolute():
        lines.append(f"Only this machine has {requirement}: change HIL in noxfile.py before others run it.")
    lines += [f"Left {folder / name} out: {why}." for name, why in kept.items()]
    there = "" if folder == Path() else f"cd {folder} && "
    lines.append(f"Next: {there}pytest --hil-boards sim:1")
    return Answer({"folder": str(folder), "written": written, "kept": kept}, text="\n".join(lines))


def _requirement() -> str:
    """Return what pip installs to have this hil elsewhere: a checkout's path, else its name and version.

    What pip keeps of where it had it from: packaging.python.org, "Direct URL Data Structure".
    """
    from json import loads  # noqa: PLC0415 - for those who begin
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - the same

    from hil.distribution import NAME, installed  # noqa: PLC0415 - the same

    origin = loads(installed().read_text("direct_url.json") or "{}")
    url, revision = origin.get("url", ""), origin.get("vcs_info")
    if not url:
        return f"{NAME}=={installed().version}"
    if revision:
        return f"{NAME} @ {revision['vcs']}+{url}@{revision['commit_id']}"
    return unquote(urlsplit(url).path) if url.startswith("file:") else f"{NAME} @ {url}"
