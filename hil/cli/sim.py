"""`hil sim`: simulated boards in a process of their own, and what can be asked of a running one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hil.cli.nouns import Nouns
from hil.cli.sizes import parse_size
from hil.errors import UsageError

__all__ = ["sim"]

_BLOCK_BYTES = 512
_SMALLEST_STICK_BYTES = 8 << 20


def _size(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """Return bytes, a multiple of 512."""
    size_bytes = parse_size(text) // _BLOCK_BYTES * _BLOCK_BYTES
    if size_bytes < _SMALLEST_STICK_BYTES:
        raise click.BadParameter(f"{text!r} is too small: at least 8M")
    return size_bytes


def _speed(_context: click.Context, _option: click.Parameter, speed: float) -> float:
    """Return a factor between a hundredth and a thousand."""
    if not 0.01 <= speed <= 1000:  # noqa: PLR2004 - as the message says; it refuses what is no number, too
        raise click.BadParameter(f"{speed} is out of range: 0.01 to 1000")
    return speed


_CONTROL = click.option(
    "--control", "port", type=click.IntRange(1, 65535), required=True, help="control_port of the ready line."
)


@click.group(cls=Nouns, invoke_without_command=True)
@click.option("--boards", type=click.IntRange(1, 99), default=1, show_default=True, help="How many.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="For USB/IP. [default: any free one]")
@click.option("--speed", type=float, callback=_speed, default=1.0, show_default=True, help="Times real time.")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="Keep settings and sticks here."
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address for USB/IP.")
@click.option("--stick-size", callback=_size, default="64M", show_default=True, help="Of each stick.")
@click.option("--end-with-stdin", is_flag=True, help="End when standard input ends.")
@click.pass_context
def sim(ctx: click.Context, /, end_with_stdin: bool, **options: Any) -> None:  # noqa: ANN401 - see the options
    """Serve simulated boards over USB/IP until Ctrl-C; prints one JSON line when they can be used."""
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    from hil.sim.serve import serve  # noqa: PLC0415 - only here is a simulator needed
    from hil.sim.simulator import SimulatorOptions  # noqa: PLC0415 - as above

    stick_bytes = options.pop("stick_size")
    serials: list[str] = []

    def announce(ready: dict[str, Any]) -> None:
        serials.extend(board["serial"] for board in ready["boards"])
        click.echo(json.dumps(ready))

    serve(SimulatorOptions(stick_bytes=stick_bytes, **options), announce, end_with_stdin=end_with_stdin)
    if options["state"] is None:
        from hil.lab.forgetting import forget_boards  # noqa: PLC0415 - a simulator starts without leases

        forget_boards(serials)


def _refuse_options(ctx: click.Context) -> None:
    given = [name for name in ctx.params if _is_given(ctx, name)]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise UsageError(
            f"{option} belongs to a simulator that is being started",
            why=f"`{ctx.invoked_subcommand}` asks one that runs",
            remedy=f"hil sim {ctx.invoked_subcommand} --help",
        )


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@sim.command()
@_CONTROL
@click.argument("board", required=False)
def state(port: int, board: str | None) -> Any:  # noqa: ANN401 - the truth is what it is
    """Tell the truth about all boards, or about BOARD (its serial number)."""
    with _client(port) as client:
        return client.states() if board is None else client.state(board)


@sim.command()
@_CONTROL
@click.argument("board")
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
def fault(port: int, board: str, name: str, arguments: tuple[str, ...]) -> None:
    """Begin the fault NAME on BOARD, or end it: `hang on=false`, `late seconds=0`."""
    parsed = dict(_argument(text) for text in arguments)
    with _client(port) as client:
        client.fault(board, name, **parsed)


@sim.command()
@_CONTROL
@click.argument("board")
def clear(port: int, board: str) -> None:
    """End every fault of BOARD."""
    with _client(port) as client:
        client.clear(board)


@sim.command()
@_CONTROL
@click.option("--since", type=click.IntRange(min=0), default=0, help="Only from this index on.")
@click.argument("board")
def log(port: int, board: str, since: int) -> list[dict[str, Any]]:
    """List the control requests that BOARD was sent, with their times and senders."""
    with _client(port) as client:
        requests: list[dict[str, Any]] = client.log(board, since)[0]
    return requests


def _client(port: int) -> Any:  # noqa: ANN401 - a ControlClient, imported when it is needed
    from hil.sim.control_client import ControlClient  # noqa: PLC0415 - as said

    return ControlClient(port)


def _argument(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise UsageError(
            f"{text!r} is no argument of a fault", why="not KEY=VALUE", remedy="as in `on=false`"
        )
    return key, _value(value)


def _value(text: str) -> Any:  # noqa: ANN401 - a number, a truth or a word
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text
