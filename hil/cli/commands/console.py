"""`hil console`: show the DUT's console on a terminal, or write it to a pipe or file."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.commands.console_terminal import EndedError, raw_terminal, signals_as_errors
from hil.cli.commands.output_file import check_output_file, is_redirected_stream
from hil.cli.result import KILLED, Answer
from hil.errors import ConsoleError, HilError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.cli.commands.console_output import ConsoleOutput, ConsoleSink
    from hil.cli.commands.console_session import ConsoleSession
    from hil.dutlink.board import Board

__all__ = ["console"]

_KEYBOARD = 0
"""Standard input; Python's `sys.stdin` may be None."""

_REACTION_S = 0.5
"""Time for a board to report that it left console mode, in seconds."""

_OLD_S = 0.3
"""Time in which old bytes come after the console is opened, in seconds."""

_STALLED_S = 0.3
"""Time for a stalled output to take the last lines, in seconds."""

KEYS = (
    "Ctrl-]  leaves the console; the DUT keeps running",
    "Ctrl-^  lists these keys; after it, ^ sends Ctrl-^ to the DUT, and ] sends Ctrl-]",
    "Ctrl-B five times  enters the board's own shell; its command `console` goes back to the DUT",
    "all other keys go to the DUT, also Ctrl-C",
)
"""Text of the help key."""


@click.command()
@click.option(
    "--transcript",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write all output to FILE: as lines with times, or as raw bytes if its name ends in .raw.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option(
    "--read-only", is_flag=True, help="Send no keys. This is the default if standard input is no terminal."
)
@click.option("--power-on", is_flag=True, help="Run the power_on sequence when the console is open.")
@board_command
@click.pass_context
def console(  # noqa: PLR0913 - its options
    ctx: click.Context,
    *,
    selection: BoardSelection,
    transcript: Path | None,
    force: bool,
    read_only: bool,
    power_on: bool,
) -> Answer:
    """Show the DUT's console and send typed keys to the DUT; Ctrl-] leaves, Ctrl-^ lists the keys.

    A terminal gets the DUT's bytes unchanged; a pipe or a file gets plain text without control sequences.

    \b
    hil console
    hil console --power-on --transcript boot.txt
    hil --json console --read-only
    """  # noqa: D301 - click's own escape
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use
    from hil.cli.commands.console_output import ConsoleOutput  # noqa: PLC0415 - only for this command

    keys = None if read_only or not os.isatty(_KEYBOARD) else _KEYBOARD
    as_json = bool(ctx.find_root().params["as_json"])
    with ExitStack() as session:
        kept = _kept(session, transcript, force=force)
        try:
            session.enter_context(signals_as_errors())
            board = session.enter_context(use_board(selection, "hil console"))
            output = ConsoleOutput(sys.stdout.fileno())
            _talk(board, [_shown(output, as_json=as_json), *kept], output, keys, power_on=power_on)
        except EndedError as ended:
            return Answer(None, KILLED + ended.number)
        except HilError:  # some are an OSError, too
            raise
        except BrokenPipeError:
            _forget_output()
        except OSError as error:
            raise _not_written(error) from error
    return Answer(None)


def _talk(
    board: Board, sinks: list[ConsoleSink], output: ConsoleOutput, keys: int | None, *, power_on: bool
) -> None:
    """Open the console and run a session."""
    from hil.cli.commands.console_session import ConsoleSession  # noqa: PLC0415 - only for this command
    from hil.lab.locks.lock_dir import lock_folder  # noqa: PLC0415 - only for this command
    from hil.lab.safe_state.record import record_name  # noqa: PLC0415 - only for this command

    board.console.open()
    record_name(lock_folder(), board)
    _warn_of_others(board.console.tty.path)
    end = "Ctrl-C" if keys is None else "Ctrl-]"  # other commands wait until this one releases the board
    leave = "no keys are sent; Ctrl-C ends" if keys is None else "Ctrl-] leaves, Ctrl-^ lists the keys"
    _say(f"console of {board.label}, {board.console.tty.path}; {leave}")
    _note_old_bytes(board)
    if power_on:
        if board.power.draws():
            again = "hil power off, then hil console --power-on boots it again"  # with its first output
            _say(f"the DUT was on already and keeps running; {end}, {again}")
        board.power.on(wait=False)
    elif not board.power.draws():
        _say(f"the DUT is off; {end}, then hil console --power-on switches it on")
    with ExitStack() as session:
        talk = ConsoleSession(board.console, sinks, output, keys, show_help=_say_keys)
        session.callback(_restore_mode, board, talk)
        if keys is not None:
            session.enter_context(raw_terminal(keys))
        session.enter_context(_closing(sinks, output))
        talk.run()
    _say(f"left the console of {board.label}")


def _note_old_bytes(board: Board) -> None:
    """Mark the DUT's bytes that came when the console was opened: they may be hours old.

    They cannot be distinguished from new output. The dialog of hil with the board's shell does not count.
    """
    from hil.cli.commands.console_output import DutByteFilter  # noqa: PLC0415 - only for this command
    from hil.dutlink.console.transcript import MarkKind  # noqa: PLC0415 - only for this command
    from hil.dutlink.timing import sleep  # noqa: PLC0415 - only for this command

    sleep(_OLD_S)
    board.console.drain()
    transcript, dut, said = board.console.transcript, DutByteFilter(), bytearray()
    stop_listening = transcript.listen(lambda event: said.extend(dut.of(event)), from_start=True)
    stop_listening()
    if said or dut.rest():
        transcript.mark("the output above came when the console was opened; it may be old", MarkKind.OPENED)


def _say_keys() -> None:
    """Print the help for the keys."""
    _say("\r\nhil: ".join(KEYS), before="\r\n")


def _warn_of_others(tty: Path) -> None:
    """Warn of other processes that have the tty open: each reader gets only a part of the output."""
    from hil.dutlink.console.tty import users_of  # noqa: PLC0415 - only for this command

    for other in users_of(tty):
        _say(f"{other} reads {tty}, too: each gets only a part of the DUT's output; kill {other.pid} ends it")


@contextmanager
def _closing(sinks: list[ConsoleSink], output: ConsoleOutput) -> Iterator[None]:
    try:
        yield
    finally:
        for sink in sinks:
            sink.close()
        output.flush(_STALLED_S)


def _shown(output: ConsoleOutput, *, as_json: bool) -> ConsoleSink:
    from hil.cli.commands.console_output import JsonSink, PlainTextSink, TerminalSink  # noqa: PLC0415 - only for this command

    if as_json:
        return JsonSink(output)
    return TerminalSink(output) if os.isatty(output.descriptor) else PlainTextSink(output)


def _kept(session: ExitStack, transcript: Path | None, *, force: bool) -> list[ConsoleSink]:
    """Open the file of the transcript, before any use of the board.

    Raises:
        UsageError: The file cannot be written, or exists.
    """
    from hil.cli.commands.console_output import RawFileSink, TimestampedFileSink  # noqa: PLC0415 - only for this command

    if transcript is None:
        return []
    if transcript.is_fifo() or transcript.is_socket():
        raise UsageError(
            f"{transcript} cannot be written", why="it is a named pipe or a socket", remedy="name a file"
        )
    is_old = transcript.is_file() and not is_redirected_stream(transcript)
    if is_old:
        check_output_file(transcript, force=force)
    try:
        if is_old:
            os.truncate(transcript, 0)
        is_raw = transcript.suffix == ".raw"
        file = (
            RawFileSink(transcript) if is_raw else TimestampedFileSink(transcript, "console, by hil console")
        )
    except OSError as error:
        raise UsageError(f"{transcript} cannot be written", why=str(error), remedy="another FILE") from error
    session.callback(file.close)
    return [file]


def _not_written(error: OSError) -> ConsoleError:
    return ConsoleError(
        "the console's output cannot be written",
        why=str(error),
        remedy="free some space, or write to another file",
        errno=error.errno,
    )


def _restore_mode(board: Board, talk: ConsoleSession) -> None:
    """Return the board from its shell to console mode, so that the next user sees the DUT."""
    from hil.dutlink.console.board_shell import ends_in_shell  # noqa: PLC0415 - only for this command
    from hil.dutlink.timing import until  # noqa: PLC0415 - only for this command

    reaction_s = _REACTION_S if talk.has_typed_escape else 0.0
    if until(lambda: ends_in_shell(board.console.transcript.data), reaction_s):
        with suppress(ConsoleError):
            board.console.restore_console_mode()
            _say("the board was in its shell; it is in console mode again")


def _forget_output() -> None:
    """Redirect standard output to /dev/null, because its reader has ended and Python would report it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(line: str, *, before: str = "") -> None:
    """Print a line to standard error, unless that stalls, too; `before` ends a line that the DUT began."""
    from hil.cli.commands.console_output import ConsoleOutput  # noqa: PLC0415 - only for this command

    told = ConsoleOutput(sys.stderr.fileno())
    told.write(f"{before}hil: {line}\r\n" if sys.stderr.isatty() else f"hil: {line}\n")
    with suppress(OSError):
        told.flush(_STALLED_S)
    told.close()
