"""`hil init`: set up a repository of tests; with `--`, run a command as first process of a container."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from hil.cli.param_types import QUANTITY
from hil.cli.result import Answer
from hil.errors import UsageError

__all__ = ["init"]

_COMMAND = "hil.cli.commands.init.command"


class _Init(click.Command):
    """Separates a command after `--` from a folder before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store the command for `init`."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_COMMAND] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(cls=_Init)
@click.option(
    "--guards",
    "guards_s",
    type=QUANTITY,
    metavar="SECONDS",
    default=120,
    show_default=True,
    help="With COMMAND: how long to wait for guards that make boards safe.",
)
@click.option(
    "--ci",
    type=click.Choice(["github", "gitlab"]),
    help="Also write CI files: simulated boards at each push, and nights on a runner that has boards.",
)
@click.argument(
    "folder",
    metavar="[FOLDER | -- COMMAND...]",
    required=False,
    type=click.Path(path_type=Path, file_okay=False),
)
@click.pass_context
def init(context: click.Context, guards_s: float, ci: str | None, folder: Path | None) -> Answer:
    r"""Set up a repository of tests in FOLDER (default: here), or run COMMAND as a container's first process.

    Writes .gitignore, conftest.py, pytest.ini, noxfile.py, and a first test if there is no test yet. Existing
    files stay unchanged; it says what they lack.

    With `-- COMMAND` it runs COMMAND as the first process of a container, and ends after all guards have
    ended. When PID 1 ends, the kernel kills all processes of the container. A guard outlives its run, but not
    PID 1: if pytest or a shell is PID 1, a killed run leaves its DUT powered. Signals are passed on to
    COMMAND. After COMMAND, its remaining processes are ended, and guards are waited for. Outside of PID 1 it
    does the same, for a job whose runner ends with it.

    \b
    hil init
    hil init my-product --ci github
    hil init -- pytest
    docker run IMAGE hil init -- pytest
    ENTRYPOINT ["hil", "init", "--"]

    Exit status: 0 set up; 2 misuse. With COMMAND: its own; 128 plus the number of a signal that ended it; 127
    if it is not found, 126 if it cannot be run; 1 if it ended with 0 and a guard did not end in time.
    """
    command = context.meta.get(_COMMAND)
    if command is None and os.getpid() == 1:
        raise UsageError(
            "hil init as PID 1 needs a command",
            why="the first process of a container runs a command and sets up no repository",
            remedy=f"hil init -- {folder or 'COMMAND'}",
        )
    if command is None:
        return _set_up(folder or Path(), ci or "")
    if not command:
        raise UsageError("no command to run", why="no words follow `--`", remedy="hil init -- COMMAND")
    if folder is not None:
        raise UsageError(
            "hil init takes FOLDER or `-- COMMAND`, not both",
            why=f"{folder} stands before `--`, so it is the folder",
            remedy=f"hil init -- {shlex.join([os.fspath(folder), *command])}",
        )
    if ci:
        raise UsageError(
            "hil init takes --ci or `-- COMMAND`, not both",
            why="--ci writes files of a repository, and COMMAND is run in a container",
            remedy=f"hil init -- {shlex.join(command)}",
        )
    from hil.lab.processes.reaper import run_as_init  # noqa: PLC0415 - ctypes is imported on use

    return Answer(None, run_as_init(command, guards_s))


def _set_up(folder: Path, ci: str) -> Answer:
    from hil.cli.commands.init_files import write_repository  # noqa: PLC0415 - imported on use

    requirement = _requirement()
    done = write_repository(folder, requirement, ci)
    lines = [f"Wrote {folder / name}." for name in done.written]
    if "noxfile.py" in done.written and Path(requirement).is_absolute():
        lines.append(
            f"{requirement} is only on this machine: for CI and other machines, set HIL in "
            f"{folder / 'noxfile.py'} to what pip can install there, such as a wheel in the repository."
        )
    lines += [f"Skipped {folder / name}: {why}." for name, why in done.kept.items()]
    lines += done.to_do
    there = "" if folder == Path() else f"cd {shlex.quote(os.fspath(folder))} && "
    lines.append(f"Next: {there}pytest --hil-boards sim:1")
    data = {"folder": str(folder), "written": done.written, "kept": done.kept, "to_do": done.to_do}
    return Answer(data, text="\n".join(lines))


def _requirement() -> str:
    """Return the requirement with which pip installs this hil: a checkout's path, else name and version.

    pip records the origin of a package: packaging.python.org, "Direct URL Data Structure".
    """
    from json import loads  # noqa: PLC0415 - imported on use
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - imported on use

    from hil.distribution import NAME, installed  # noqa: PLC0415 - imported on use

    origin = loads(installed().read_text("direct_url.json") or "{}")
    url, revision = origin.get("url", ""), origin.get("vcs_info")
    if not url:
        return f"{NAME}=={installed().version}"
    if revision:
        return f"{NAME} @ {revision['vcs']}+{url}@{revision['commit_id']}"
    return unquote(urlsplit(url).path) if url.startswith("file:") else f"{NAME} @ {url}"
