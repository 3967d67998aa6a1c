"""Two simulated boards in this process, with a witness at their door: each request is seen with its lease.

Simulator, faults and the desk to which tests tell what they do run in one event loop, so what happens there
has one order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.sim.management.server import ManagementServer
from hil.sim.simulator import Simulator, SimulatorOptions, open_folders
from tests.laws.fault_script import FaultScript
from tests.laws.lease_witness import lease_of
from tests.laws.run_record import Record
from tests.laws.suite_plan import TAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from hil.sim.host.faulty_path import LoggedRequest
    from hil.sim.interfaces import Urb
    from tests.laws.suite_plan import Fault

_Result = TypeVar("_Result")
_SETUP = struct.Struct("<BBHHH")
SEQUENCE = "p1,w40"
"""A power sequence of four simulated seconds, a real one: longer than the silence that runs bear."""

SPEED = 4.0
"""Simulated seconds per second: what a replugged board needs until it is there again is short."""


class WatchedBoards:
    """The boards; a `with` block ends them. They are kept from one run to the next."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="boards", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._simulator: Simulator
        self._folder = tempfile.TemporaryDirectory(prefix="hil-laws-")
        self._locks = Path(self._folder.name)
        self.record = Record()
        self._script: FaultScript | None = None
        self.port = 0
        self.desk = f"{self._folder.name}/desk"
        self.serials: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        for serial, tags in zip(self.serials, TAGS, strict=True):
            with open_driver(simulated_host(self.ready), serial, console=False) as board:
                board.settings.write(tags=" ".join(tags), power_on=SEQUENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._simulator.ended.set)
        self._thread.join()
        self._folder.cleanup()

    @property
    def ready(self) -> dict[str, Any]:
        """The object of the simulator's ready line."""
        return self._simulator.ready(self.port)

    @property
    def tags(self) -> dict[str, tuple[str, ...]]:
        """The tags of each board."""
        return dict(zip(self.serials, TAGS, strict=True))

    def begin(self, faults: Sequence[Fault], locks: Path) -> Record:
        """Begin a run's record, with fresh boards."""

        def begin() -> Record:
            self._heal()
            self._locks = locks
            self.record = Record()
            self._script = FaultScript(faults, list(self._simulator.boards.values()), self.record, locks)
            self._script.reach("start")
            return self.record

        return self.call(begin)

    def end(self) -> None:
        """End the run's faults, and whatever they hold."""

        script, self._script = self._script, None
        if script is not None:
            script.end()
        self.call(self._heal)

    def truths(self) -> dict[str, dict[str, Any]]:
        """Return the simulator's own word about each board, with its lease."""

        def ask() -> dict[str, dict[str, Any]]:
            return {
                serial: {**served.state(), "lease": lease_of(self._locks, serial)}
                for serial, served in self._simulator.boards.items()
            }

        return self.call(ask)

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Call a function in the boards' own thread."""

        async def in_loop() -> _Result:
            return function()

        return asyncio.run_coroutine_threadsafe(in_loop(), self._loop).result()

    def _heal(self) -> None:
        for served in self._simulator.boards.values():
            served.faults.clear()
            served.slot.unplug()
            served.slot.plug()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        with open_folders(None) as folders:
            self._simulator = Simulator(SimulatorOptions(boards=len(TAGS), speed=SPEED), folders)
            control = ManagementServer(self._simulator)
            await self._simulator.begin()
            await control.listen()
            desk = await asyncio.start_unix_server(self._attend, self.desk)
            self.port, self.serials = control.number, list(self._simulator.boards)
            for serial, served in self._simulator.boards.items():
                self._watch(serial, served.slot.log)
            self._ready.set()
            await self._simulator.ended.wait()
            desk.close()
            await control.close()
            await self._simulator.end()
            await asyncio.sleep(0)

    def _watch(self, serial: str, log: Any) -> None:
        begin = log.begin

        def watched(urb: Urb) -> LoggedRequest:
            lease = lease_of(self._locks, serial)
            self.record.note_request(serial, urb.sender, _SETUP.unpack(urb.setup)[:3], lease)
            if self._script is not None:
                self._script.request(serial)
            request: LoggedRequest = begin(urb)
            return request

        log.begin = watched

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one process of a run."""
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                facts = json.loads(line)
                what, pid = facts.pop("what"), facts.pop("pid")
                self.record.tell(what, pid, facts)
                times = self._script.told(what, facts) if self._script is not None else 0
                writer.write(json.dumps({"times": times}).encode() + b"\n")
                await writer.drain()
        writer.close()
