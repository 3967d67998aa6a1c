"""Run a simulator until a signal, a request to its management port or the end of its input ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from hil.sim.management.server import ManagementServer
from hil.sim.simulator import Simulator, SimulatorOptions, open_folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.simulator import Folders

__all__ = ["serve"]

_INPUT_BYTES = 4096


def serve(
    options: SimulatorOptions, announce: Callable[[dict[str, Any]], None], *, end_with_stdin: bool = False
) -> None:
    """Serve simulated boards until a signal or a request ends the simulator.

    Args:
        options: Options of the simulator.
        announce: Called once with the ready line's object, when the boards can be used.
        end_with_stdin: End also when standard input ends, so that the simulator never outlives its parent.

    Raises:
        SimulatorError: A port or the state folder cannot be used.
    """
    with open_folders(options.state) as folders:
        asyncio.run(_serve(options, folders, announce, end_with_stdin=end_with_stdin))


async def _serve(
    options: SimulatorOptions,
    folders: Folders,
    announce: Callable[[dict[str, Any]], None],
    *,
    end_with_stdin: bool,
) -> None:
    simulator = Simulator(options, folders)
    management = ManagementServer(simulator)
    _end_on_signals(simulator.ended)
    try:
        await simulator.begin()
        await management.listen()
        if end_with_stdin:
            _end_with_stdin(simulator.ended)
        announce(simulator.ready(management.number))
        await simulator.ended.wait()
    finally:
        await management.close()
        await simulator.end()
        await asyncio.sleep(0)  # connections close in the next turn of the loop


def _end_on_signals(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)


def _end_with_stdin(ended: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, _INPUT_BYTES):
            loop.remove_reader(stdin)
            ended.set()

    try:
        loop.add_reader(stdin, read)
    except PermissionError:  # a plain file or /dev/null cannot be watched, and has already ended
        ended.set()
