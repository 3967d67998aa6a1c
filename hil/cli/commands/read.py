"""`hil read`: copy the stick into a file."""

from __future__ import annotations

from pathlib import Path

import click

from hil.cli.board_options import BoardSelection, board_command
from hil.cli.commands.output_file import check_output_file
from hil.cli.param_types import format_size, parse_size
from hil.cli.progress import show_progress
from hil.cli.result import Answer
from hil.cli.taken_stick import detach_stick_on_signal, dut_runs_with_stick, stick_lost_sentence

__all__ = ["read"]


def _size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    size_bytes = None if text is None else parse_size(text)
    if size_bytes == 0:
        raise click.BadParameter("at least one byte")
    return size_bytes


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--size",
    "size_bytes",
    callback=_size,
    metavar="SIZE",
    help="Size from the start of the stick: bytes, or a number with K, M or G.  [default: all]",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@board_command
def read(selection: BoardSelection, file: Path, size_bytes: int | None, force: bool) -> Answer:
    """Read the stick into FILE, with holes for zeros. FILE appears when it is complete.

    Afterwards the stick is detached.

    \b
    hil read stick.img
    hil read first.img --size 64M --board 0df10035
    """  # noqa: D301 - click's own escape
    from hil.cli.board_context import use_board  # noqa: PLC0415 - the driver is imported on use

    check_output_file(file, force=force)
    with (
        use_board(selection, f"hil read {file.name}") as board,
        detach_stick_on_signal(board, f"interrupted: {file} was not written"),
        show_progress() as progress,
    ):
        had_stick = dut_runs_with_stick(board)
        done = board.storage.read(file, size_bytes=size_bytes, progress=progress)
        data = {"board": board.serial, "file": str(done.path), "size_bytes": done.size_bytes}
        text = (
            f"Read {format_size(done.size_bytes)} of the stick of {board.label} into {done.path}; "
            "the stick is detached."
        )
        text += f"\n{stick_lost_sentence('read')}" if had_stick else ""
        return Answer({**data, "read_s": round(done.read_s, 3), "storage": "off"}, text=text)
