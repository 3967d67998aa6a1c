"""`hil sim`: serve simulated boards, and inspect and break running ones."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from hil.cli.command_groups import CommandGroup
from hil.cli.param_types import parse_size
from hil.cli.result import Answer
from hil.errors import SimulatorError, UsageError, name_boards

__all__ = ["sim"]

_BLOCK_BYTES = 512
_SHOWN_DIGITS = 16
_SMALLEST_STICK_BYTES = 8 << 20


def _size(_context: click.Context, _option: click.Parameter, text: str) -> int:
    """Return bytes, a multiple of 512."""
    size_bytes = parse_size(text) // _BLOCK_BYTES * _BLOCK_BYTES
    if size_bytes < _SMALLEST_STICK_BYTES:
        raise click.BadParameter(f"{text!r} is too small: at least 8M")
    return size_bytes


def _speed(_context: click.Context, _option: click.Parameter, speed: float) -> float:
    """Return a factor between a hundredth and a thousand."""
    if not 0.01 <= speed <= 1000:  # noqa: PLR2004 - the limits of the message; `nan` is refused, too
        raise click.BadParameter(f"{speed} is out of range: 0.01 to 1000")
    return speed


def _port(_context: click.Context, _option: click.Parameter, port: int | None) -> int:
    """Return the management port: the given one, else that of HIL_BOARDS."""
    if port is not None:
        return port
    where, _, named = os.environ.get("HIL_BOARDS", "").partition("@")
    if where != "sim" or not named.isdecimal():
        raise UsageError(
            "no running simulator is named",
            why="--control is missing, and HIL_BOARDS is not sim@PORT",
            remedy="hil sim, and paste the `export HIL_BOARDS=...` that it prints",
        )
    return int(named)


_CONTROL = click.option(
    "--control",
    "port",
    type=click.IntRange(1, 65535),
    callback=_port,
    metavar="PORT",
    help="Management port of the simulator.  [default: PORT of HIL_BOARDS=sim@PORT]",
)


@click.group(cls=CommandGroup, invoke_without_command=True)
@click.option("--boards", type=click.IntRange(1, 99), default=1, show_default=True, help="Number of boards.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="TCP port for USB/IP.  [default: any free one]"
)
@click.option(
    "--speed",
    type=float,
    callback=_speed,
    default=1.0,
    show_default=True,
    help="Factor of simulated time to real time.",
)
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="Keep settings and sticks here."
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="Address for USB/IP.")
@click.option("--stick-size", callback=_size, default="64M", show_default=True, help="Size of each stick.")
@click.option("--end-with-stdin", is_flag=True, help="End when standard input ends.")
@click.pass_context
def sim(ctx: click.Context, /, end_with_stdin: bool, **options: Any) -> None:  # noqa: ANN401 - see the options
    """Serve simulated boards over USB/IP until Ctrl-C.

    When the boards can be used, it prints them and a line to paste into other shells. If standard output is
    no terminal, or with --json, it prints one line of JSON.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return
    from hil.sim.serve import serve  # noqa: PLC0415 - imported on use
    from hil.sim.simulator import SimulatorOptions  # noqa: PLC0415 - imported on use

    stick_bytes = options.pop("stick_size")
    serials: list[str] = []

    def announce(ready: dict[str, Any]) -> None:
        serials.extend(board["serial"] for board in ready["boards"])
        as_json = ctx.find_root().params["as_json"] or not sys.stdout.isatty()
        click.echo(json.dumps(ready) if as_json else _ready_words(ready))

    serve(SimulatorOptions(stick_bytes=stick_bytes, **options), announce, end_with_stdin=end_with_stdin)
    if options["state"] is None:
        from hil.lab.locks.cleanup import forget_boards  # noqa: PLC0415 - imported on use

        forget_boards(serials)


def _ready_words(ready: dict[str, Any]) -> str:
    serials = [f"sim-{number} ({board['serial']})" for number, board in enumerate(ready["boards"], 1)]
    number = "1 simulated board runs" if len(serials) == 1 else f"{len(serials)} simulated boards run"
    return (
        f"{number} until Ctrl-C: {', '.join(serials)}\n"
        f"In another terminal:\n\n  export HIL_BOARDS=sim@{ready['control_port']}\n  hil boards\n"
    )


def _refuse_options(ctx: click.Context) -> None:
    given = [name for name in ctx.params if _is_given(ctx, name)]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise UsageError(
            f"{option} is for starting a simulator",
            why=f"`{ctx.invoked_subcommand}` uses a running one",
            remedy=f"hil sim {ctx.invoked_subcommand} --help",
        )


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


@sim.command()
@_CONTROL
@click.argument("board", required=False)
def state(port: int, board: str | None) -> Any:  # noqa: ANN401 - plain data
    """Show the true state of all boards, or of BOARD (its name or serial number)."""
    with _client(port) as client:
        return client.states() if board is None else client.state(board)


@sim.command()
@_CONTROL
@click.argument("board")
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
def fault(port: int, board: str, name: str, arguments: tuple[str, ...]) -> Answer:
    r"""Begin the fault NAME on BOARD, or end it: `hang on=false`, `late seconds=0`.

    \b
    unplug, replug              unplug the board, plug it in again
    boot_loader                 restart as the boot loader
    stall [count=1]             refuse requests
    line_error [count=1]        let transfers fail on the bus
    hang                        do not answer
    late seconds=S              answer late
    deny, deny_tty              deny access to the board, to its console
    no_backend                  let libusb be missing
    garble every=N              change every Nth console byte
    drop every=N                lose every Nth console byte
    sag [volts=4.5]             lower the supply under load
    hang_in_boot                let the DUT stop in its boot
    stays_on                    keep the DUT powered when it is switched off
    serial told=TEXT            plug in again with another serial number
    stick_error [after_bytes=0] let reads and writes fail
    stick_flip every=N          flip a bit of every Nth written byte
    stick_drop every=N          lose every Nth written block
    stick_counterfeit real_bytes=N
                                lose writes beyond this size
    stick_remove [after_bytes=0]
                                pull the stick out
    stick_late seconds=S        let the stick appear late
    stick_missing               let the stick not appear
    stick_model [told=TEXT]     use another model of stick
    \b
    hil sim fault 5a1c0e01 unplug
    hil sim fault 5a1c0e01 hang on=false
    """
    from hil.sim.management.fault_injection import check_fault  # noqa: PLC0415 - imported on use

    parsed = dict(_argument(text) for text in arguments)
    try:
        check_fault(name, parsed)
    except SimulatorError as error:
        raise UsageError(error.what, remedy=error.remedy) from None
    with _client(port) as client:
        client.fault(board, name, **parsed)
    return Answer({"board": board, "fault": name, **parsed}, text=f"Board {board} has the fault {name} now.")


@sim.command()
@_CONTROL
@click.argument("board")
def clear(port: int, board: str) -> Answer:
    """End all faults of BOARD."""
    with _client(port) as client:
        client.clear(board)
    return Answer({"board": board, "faults": []}, text=f"Board {board} has no faults now.")


@sim.command()
@_CONTROL
@click.option("--since", type=click.IntRange(min=0), default=0, help="First index to list.")
@click.argument("board")
def log(port: int, board: str, since: int) -> Answer:
    """List the control requests to BOARD, with times and senders.

    A request is shown as its SETUP packet: bmRequestType, bRequest, wValue, wIndex and wLength.
    """
    with _client(port) as client:
        requests: list[dict[str, Any]] = client.log(board, since)[0]
    return Answer(requests, text="\n".join(map(_request_line, requests)))


def _request_line(request: dict[str, Any]) -> str:
    setup = "{bmRequestType:02x} {bRequest:02x} {wValue:04x} {wIndex:04x} {length:4}".format(**request)
    status = errno.errorcode.get(-request["status"], "ok")
    data = request["data"][:_SHOWN_DIGITS] + ("..." if request["data"][_SHOWN_DIGITS:] else "")
    line = (
        f"{request['index']:5} {request['time']:9.3f} s  {request['sender']:<10} {setup}  {status:6} {data}"
    )
    return line.rstrip()


def _client(port: int) -> Any:  # noqa: ANN401 - a ManagementClient
    from hil.sim.management.client import ManagementClient  # noqa: PLC0415 - imported on use

    client = ManagementClient(port)
    name_boards({f"sim-{at}": one["serial"] for at, one in enumerate(client.hello()["boards"], 1)})
    return client


def _argument(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise UsageError(
            f"{text!r} is no argument of a fault", why="it is not KEY=VALUE", remedy="for example `on=false`"
        )
    return key, _value(value)


def _value(text: str) -> Any:  # noqa: ANN401 - a number, true or false, or a text
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except ValueError:
        return text
