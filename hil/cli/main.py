"""The command line `hil`: run a command, print its result, and report its errors.

Exit status: 0 success, 1 failure, 2 misuse, 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from hil.cli.command_groups import Root
from hil.cli.common_options import wants_json
from hil.cli.result import INTERRUPTED, Answer, InterruptionError, fold, room_of
from hil.cli.standard_output import tolerate_closed_output
from hil.dutlink.console.sanitize import sanitize_line, sanitize_text, without_ci_commands
from hil.errors import HilError, UsageError, with_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cli", "main", "run"]

_MISUSE = 2
_EMPTY: Final[tuple[object, ...]] = ({}, "")
_NO_THREAD = "can't start new thread"
"""Python's message if no thread can be started; it has no exception of its own for this."""


def _show_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from hil.distribution import installed  # noqa: PLC0415 - only for this option

        click.echo(f"hil, version {installed().version}")
        context.exit()


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--json", "as_json", is_flag=True, help="Print data and errors as JSON.")
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli(as_json: bool) -> None:
    """Hardware-in-the-loop tests with DUTLink boards, real or simulated."""


@cli.result_callback()
def _print(answer: Any, *, as_json: bool) -> int:  # noqa: ANN401 - the result of any command
    result = answer if isinstance(answer, Answer) else Answer(answer)
    text = (
        json.dumps(result.value)
        if as_json
        else fold(_as_text(result.value if result.text is None else result.text), room_of(sys.stdout))
    )
    if result.value is not None and text:  # an empty list prints no line
        click.echo(text)
    return result.status


def _as_text(value: Any, indent: str = "") -> str:  # noqa: ANN401 - the result of any command
    if isinstance(value, dict):
        return "\n".join(_line(key, item, indent) for key, item in value.items())
    if isinstance(value, list):
        return "\n".join(
            _row(item) if isinstance(item, dict) else f"{indent}{_shown(item)}" for item in value
        )
    return f"{indent}{without_ci_commands(sanitize_text(with_names(str(value))))}"


def _line(key: str, item: Any, indent: str) -> str:  # noqa: ANN401 - the result of any command
    if isinstance(item, dict) and item:
        return f"{indent}{key}:\n{_as_text(item, indent + '  ')}"
    if isinstance(item, list):
        return f"{indent}{key}: {', '.join(map(_shown, item)) or '-'}"
    return f"{indent}{key}: {'-' if item in _EMPTY else _shown(item)}"


def _row(item: dict[str, Any]) -> str:
    if any(isinstance(part, dict) for part in item.values()):
        return _as_text(item)
    return "  ".join(f"{key}={_shown(part)}" for key, part in item.items() if part not in {None, ""})


def _shown(item: Any) -> str:  # noqa: ANN401 - the result of any command
    """Return a value on one line, without control sequences: any user may have stored a name."""
    if item is None:
        return "-"
    if isinstance(item, bool):
        return "yes" if item else "no"
    return without_ci_commands(sanitize_line(str(item)))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = cli.main(argv, prog_name="hil", standalone_mode=False)
    except (click.ClickException, HilError) as error:
        return _complain(error, argv)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except (OSError, MemoryError, RuntimeError) as error:
        return _complain(_of_the_machine(error), argv)
    return result if isinstance(result, int) else 0


def _complain(error: click.ClickException | HilError, argv: Sequence[str]) -> int:
    as_json = wants_json(argv)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        click.echo(error.format_message(), err=True)
        return _MISUSE
    if isinstance(error, click.ClickException):
        from hil.cli.usage_errors import as_usage_error  # noqa: PLC0415 - only after a typing error

        reported: HilError = as_usage_error(error, argv, cli)
    else:
        reported = error
    click.echo(
        json.dumps(reported.parts)
        if as_json
        else fold(f"hil: {without_ci_commands(sanitize_text(str(reported)))}", room_of(sys.stderr)),
        err=True,
    )
    if isinstance(reported, InterruptionError):
        return reported.status
    return _MISUSE if isinstance(reported, UsageError) else 1


def _of_the_machine(error: OSError | MemoryError | RuntimeError) -> HilError:
    """Return an error for a full disk, a file that may not be written, no memory, or no thread.

    Raises:
        RuntimeError: The error has another cause, a mistake in hil.
    """
    if isinstance(error, OSError):
        why = error.strerror or str(error)
        what = f"{error.filename}: {why}" if error.filename else why
        return HilError(what, why="the machine refused it", remedy="hil doctor", errno=error.errno)
    if isinstance(error, RuntimeError) and str(error) != _NO_THREAD:
        raise error
    what = "memory" if isinstance(error, MemoryError) else "thread"
    why = "the machine has none left, or a limit forbids it"
    return HilError(f"this process gets no more {what}", why=why, remedy="ulimit -a; free -m")


def _reader_left() -> int:
    """Ignore that the reader of the output (head, less) has ended, also when Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main() -> None:
    """Run `hil` as a program."""
    if os.getpid() == 1 and sys.argv[1:2] != ["init"]:
        from hil.lab.processes.reaper import fork_from_pid_1  # noqa: PLC0415 - only for the first process of a container

        fork_from_pid_1()
    tolerate_closed_output()
    sys.exit(run())


if __name__ == "__main__":
    main()
