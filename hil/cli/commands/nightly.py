"""`hil nightly`: run all tests at night, by hand or by systemd or cron."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.command_groups import CommandGroup
from hil.cli.result import Answer
from hil.distribution import PACKAGE
from hil.errors import UsageError, tell_user
from hil.flash.disk.permission import BOARD_GROUP
from hil.login_name import login_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.nightly.systemd import Units
    from hil.nightly.units import Schedule

__all__ = ["nightly"]

_HAS_TESTS = ("conftest.py", "pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg", "tests")

_user = click.option("--user", is_flag=True, help="Use the systemd of your user instead of the machine's.")
_name = click.option("--name", default="hil-nightly", show_default=True, help="Name of service and timer.")
_keep = click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="NIGHTS",
    help="Keep only the folders of the newest nights; the history keeps all. Default: keep all folders.",
)
_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="nightly",
    show_default=True,
    help="Folder of the nights.",
)


@click.group(cls=CommandGroup)
def nightly() -> None:
    r"""Run all tests with boards required, and keep all results: `hil nightly run`.

    \b
    hil nightly run
    hil nightly run --keep 60 -- -k power
    hil nightly install --at 04:30
    hil nightly status

    Exit status: that of hil nightly run.
    """


@nightly.command()
@_keep
@_folder
@click.option(
    "--simulated",
    is_flag=True,
    help="Allow simulated boards that no argument after -- selects; otherwise such a night fails.",
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(
    context: click.Context,
    keep: int | None,
    folder: Path,
    simulated: bool,
    pytest_arguments: tuple[str, ...],
) -> Answer:
    """Run a night now, in the current folder. Arguments after -- are passed to pytest.

    Exit status: 0 passed; 1 tests failed; 5 no test ran; 16 the bench was not ready; 17 flaky; else pytest's.
    """
    from hil.nightly.night import run_night  # noqa: PLC0415 - imported on use
    from hil.nightly.run_folder import delete_old_folders  # noqa: PLC0415 - imported on use

    _folder_of_tests()
    as_json = context.find_root().params.get("as_json", False)
    terminal = sys.stderr.buffer if as_json else sys.stdout.buffer
    record = run_night(folder, pytest_arguments, terminal, tell_user, simulated=simulated)
    removed = delete_old_folders(folder, keep) if keep else []
    told = {"night": record.folder, "status": record.status, "meaning": record.summary}
    if record.status and not as_json:
        tell_user(f"{record.summary} ({record.folder})")
    data = told | ({"removed": [str(one) for one in removed]} if removed else {})
    meaning = "" if record.status else f"{record.summary}. "
    gone = f"; removed {len(removed)} older" if removed else ""
    return Answer(data, record.status or 0, text=f"{meaning}The night is kept in {record.folder}{gone}.")


def _folder_of_tests() -> Path:
    """Return the current folder.

    Raises:
        UsageError: The folder has no tests.
    """
    folder = Path.cwd()
    if any((folder / name).exists() for name in _HAS_TESTS):
        return folder
    raise UsageError(
        f"there are no tests in {folder}",
        why=f"it has none of {', '.join(_HAS_TESTS)}",
        remedy="cd to the folder of your tests, or hil init",
    )


@nightly.command()
@click.option("--at", required=True, metavar="HH:MM", help="Time of day, in this host's time zone.")
@_user
@_name
@_keep
@click.option("--memory", default="50%", show_default=True, help="Memory limit of a night.")
@click.option("--limit", default="8h", show_default=True, help="Time limit of a night.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def install(  # noqa: PLR0913, PLR0917 - click gives each option by its name
    at: str,
    user: bool,
    name: str,
    keep: int | None,
    memory: str,
    limit: str,
    pytest_arguments: tuple[str, ...],
) -> dict[str, Any]:
    """Run the tests of the current folder every night. Arguments after -- are passed to pytest.

    Writes a systemd service and a timer, checked by systemd-analyze. If systemd does not run, it prints a
    line for cron.
    """
    import shutil  # noqa: PLC0415 - only for this command

    from hil.nightly.systemd import Units, is_running  # noqa: PLC0415 - only for this command
    from hil.nightly.units import cron_line  # noqa: PLC0415 - only for this command

    kept = ("--keep", str(keep)) if keep else ()
    further = ("--", *pytest_arguments) if pytest_arguments else ()
    schedule, said = _schedule(at, (*kept, *further), user=user, memory=memory, limit=limit)
    units = Units.of(name, user=user)
    told: dict[str, Any] = {"at": str(schedule.at), "runs": str(schedule.clone), **said}
    if is_running() or shutil.which("systemd-analyze"):
        units.write(schedule)
        told |= {"service": str(units.service), "timer": str(units.timer)}
    if is_running():
        units.enable()
        return told | ({"note": f"{_LINGER} {_own_name()}"} if user and not _lingers() else {})
    return told | {"note": _NO_SYSTEMD, "cron": cron_line(schedule)}


@nightly.command()
@_user
@_name
def uninstall(user: bool, name: str) -> dict[str, Any]:
    """Stop the timer and remove the files of `install`; nights and history stay."""
    from hil.nightly.systemd import Units  # noqa: PLC0415 - only for this command

    units = Units.of(name, user=user)
    removed = units.remove()
    if not removed:
        raise UsageError(
            f"{units.timer} does not exist",
            why="no night was installed under this name" + ("" if user else " for the whole machine"),
            remedy=f"hil nightly uninstall{'' if user else ' --user'}, or --name NAME; for cron: crontab -e",
        )
    return {"removed": removed}


@nightly.command()
@_user
@_name
@_folder
def status(user: bool, name: str, folder: Path) -> Answer:
    """Show what starts the nights, whether one runs now, the last one's result, and whether one is overdue.

    Exit status: that of the last night that ended; 18 if a due night did not run, or none ever ended.
    """
    from hil.lab.files.trusted_path import refuse_untrusted  # noqa: PLC0415 - only for this command
    from hil.nightly.last_night import describe_last_night  # noqa: PLC0415 - the database is imported on use
    from hil.nightly.systemd import Units, is_running  # noqa: PLC0415 - only for this command

    units = Units.of(name, user=user)
    refuse_untrusted(folder / "history.db", "the history", "run it as its owner")
    told, code = describe_last_night(folder, due_s=_due_s(units))
    if not is_running():
        told = {"schedule": _schedule_without_systemd(units), **told}
    else:
        there = str(units.timer) if units.timer.exists() else "none; hil nightly install --at 04:30"
        told = {"timer": there, **units.state(), **told}
    return Answer(told, code, text="\n".join(_status_sentences(told)))


def _status_sentences(told: dict[str, Any]) -> Iterator[str]:
    """Yield what starts the nights, how the last one was, and what is wrong."""
    due, kept = told.get("NextElapseUSecRealtime"), told.get("folder")
    sentences = [
        told.get("schedule") or (f"the next night is due {due}" if due else f"timer: {told['timer']}"),
        *((told["running"],) if "running" in told else ()),
        (f"the last night, of {told['last_night']}: " if told["last_night"] != "none" else "")
        + told["meaning"]
        + (f"; it is kept in {kept}" if kept else ""),
        *(told[name] for name in ("late", "damaged", "history") if name in told),
        *told.get("ahead", ()),
    ]
    yield from (f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def _schedule_without_systemd(units: Units) -> str:
    from hil.nightly.units import nights_in_crontab  # noqa: PLC0415 - only for this command

    idle = f", which would read {units.timer}," if units.timer.exists() else ""
    lines = nights_in_crontab()
    if lines:
        return f"by your crontab, as systemd{idle} does not run this host: {'; '.join(lines)}"
    cron = "crontab is not installed" if lines is None else "your crontab starts none"
    return (
        f"nothing starts nights: systemd{idle} does not run this host, and {cron}; "
        "hil nightly install --at 04:30 prints a line for crontab -e"
    )


_NO_SYSTEMD = "systemd does not run this host, so no unit starts a night; add the line below with crontab -e"
_LINGER = "your systemd ends when you log out: loginctl enable-linger"


def _schedule(
    at: str, arguments: tuple[str, ...], *, user: bool, memory: str, limit: str
) -> tuple[Schedule, dict[str, Any]]:
    """Return the schedule to install, and facts about it for the user."""
    from hil.lab.files.system_root import SystemRoot  # noqa: PLC0415 - only for this command
    from hil.lab.files.trusted_path import refuse_untrusted  # noqa: PLC0415 - only for this command
    from hil.nightly import schedule as due_nights  # noqa: PLC0415 - only for this command
    from hil.nightly.schedule import TimeOfDay  # noqa: PLC0415 - only for this command
    from hil.nightly.units import Schedule, kept_environment, left_out_variables  # noqa: PLC0415 - only for this command

    clone = _folder_of_tests()
    time_of_day = TimeOfDay.parse(at)
    owner = "" if user else _owner(clone)
    if owner in {"", "root"}:  # then the tests run as root, if this process is root's
        refuse_untrusted(clone, "the tests' folder", "chmod go-w it, or let its owner be another than root")
        for program in (Path(sys.executable), PACKAGE / "__init__.py"):
            refuse_untrusted(program, "what root's nights run,", "install hil where root alone may write")
    moved = list(due_nights.moved_nights(time_of_day))
    environment = kept_environment()
    said: dict[str, Any] = {
        "next": [f"{night:%a %Y-%m-%d %H:%M %Z}" for night in due_nights.next_nights(time_of_day)]
    }
    if words := due_nights.summer_time_words(time_of_day, moved):
        said["summer_time"] = words
    if environment:
        said["environment"] = environment
    if others := left_out_variables():
        said["left_out"] = others
    schedule = Schedule(
        at=time_of_day,
        clone=clone,
        python=Path(sys.executable),
        user=owner,
        groups=() if user or not SystemRoot(Path("/")).has_group(BOARD_GROUP) else (BOARD_GROUP,),
        arguments=arguments,
        memory=memory,
        limit=limit,
        also=tuple(one.begins for one in moved if one.is_skipped),
        environment=environment,
    )
    return schedule, said


def _due_s(units: Units) -> float | None:
    """Return when the last night was due by the installed timer, or None if it was installed later."""
    from hil.nightly.schedule import last_due  # noqa: PLC0415 - only for this command

    at = units.time_of_day()
    if at is None:
        return None
    due_s = last_due(at, time.time())
    return due_s if due_s > units.timer.stat().st_mtime else None


def _owner(clone: Path) -> str:
    """Return the folder's owner, so that tests do not run as root because root installed the unit."""
    uid = clone.stat().st_uid
    return login_name(uid) or str(uid)


def _lingers() -> bool:
    return Path("/var/lib/systemd/linger", _own_name()).exists()


def _own_name() -> str:
    return login_name(os.getuid()) or str(os.getuid())
