"""One cell of the matrix: a run, its end, and what is found afterwards."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.errors import HilError
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.record import BoardState, read_record
from tests.kill_matrix.inner_run import InnerRun, Way
from tests.kill_matrix.kill_causes import Cause, guard_and_holder
from tests.kill_matrix.run_processes import wait_for_the_last
from tests.kill_matrix.supply_watch import SupplyWatch

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess

OVER_WITHIN_S = 60.0
QUIET_S = 2.0
OFF_BELOW_AMPS = 0.02
LOCK_FREE_WITHIN_S = 1.0
POWER_OFF = "w30,p0"
REMEDIES = ("next holder", "hil safe")
_VENDOR, _TYPE_MASK = 0x40, 0x60  # bmRequestType, USB 2.0 table 9-2


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        cause: What ended the run.
        way: How the run was started.
        off_s: Seconds from death until the supply was off; None: it stayed on.
        over_s: Seconds from death until the last process was gone, its guard included.
        made_safe_by: Who.
        problems: What should not be; empty in a good cell.
    """

    cause: str
    way: str
    off_s: float | None
    over_s: float
    made_safe_by: str
    problems: tuple[str, ...]

    @classmethod
    def unplayed(cls, name: str, error: Exception) -> Self:
        """A cell that came to no end."""
        return cls(name, "-", None, 0.0, "-", (f"could not be played: {error}",))


def prepare(simulator: SimulatorProcess) -> None:
    """Give each board a power-off sequence of 3 s, in which it answers nothing."""
    for serial in simulator.serials():
        with open_driver(simulated_host(simulator.ready), serial) as board:
            board.settings.write(power_off=POWER_OFF)


class _Watches(ExitStack):
    """Watches the supplies of all boards of a simulator."""

    def __init__(self, simulator: SimulatorProcess) -> None:
        super().__init__()
        port, serials = simulator.management.port, simulator.serials()
        self._watches = [self.enter_context(SupplyWatch(port, serial)) for serial in serials]

    def off_after(self, moment: float) -> float | None:
        """Return how many seconds after `moment` the last supply was seen off; None: one never was."""
        seen = [watch.off_after(moment) for watch in self._watches]
        return None if None in seen else max(filter(None, seen), default=0.0)


def _started_as(way: Way, boards: int) -> str:
    return way.value if boards == 1 else f"{way.value}, {boards} boards"


def play(
    cause: Cause, way: Way, simulator: SimulatorProcess, folder: Path, quiet_s: float = QUIET_S
) -> Outcome:
    """Run, end and look: one cell."""
    boards = len(simulator.serials())
    with (
        _Watches(simulator) as watch,
        InnerRun(folder, way, simulator.management.port, cause.options, boards) as run,
    ):
        died = cause.end(run, run.wait_until_blocked())
        left = wait_for_the_last(folder, OVER_WITHIN_S)
        over_s = time.monotonic() - died
        run.reap()
        problems = (*_orphans(left), *inspect(simulator, run.locks, quiet_s))
        off_s = watch.off_after(died)
        who = _who(run.locks, simulator.serials()[0], way)
        return Outcome(cause.name, _started_as(way, boards), off_s, over_s, who, problems)


def play_without_guard(simulator: SimulatorProcess, folder: Path, quiet_s: float = QUIET_S) -> Outcome:
    """Play the cell in which no guard can start: no board is handed out, the DUT never has power."""
    serials = simulator.serials()
    port = simulator.management.port
    since = {serial: simulator.management.log(serial)[1] for serial in serials}
    began = time.monotonic()
    with InnerRun(folder, Way.PLAIN, port, ("-p", "broken_guard"), len(serials)) as run:
        left = wait_for_the_last(folder, OVER_WITHIN_S)
        over_s = time.monotonic() - began
        run.reap()
        problems = [*_orphans(left), *inspect(simulator, run.locks, quiet_s, BoardState.UNKNOWN)]
        if "no guard runs beside this process" not in run.output:
            problems.append(f"no test says that there was no guard: {run.output[-500:]}")
    logs = [entry for serial in serials for entry in simulator.management.log(serial, since[serial])[0]]
    asked = [(entry["bRequest"], entry["wValue"]) for entry in logs]
    problems += ["the DUT had power"] if {(1, 1), (1, 3)} & set(asked) else []
    return Outcome(
        "a guard that cannot start",
        _started_as(Way.PLAIN, len(serials)),
        0.0,
        over_s,
        "the run itself",
        tuple(problems),
    )


def play_last_resort(
    remedy: str, simulator: SimulatorProcess, folder: Path, quiet_s: float = QUIET_S, way: Way = Way.PLAIN
) -> Outcome:
    """Play a cell in which no process is left to make it safe: times are counted from the remedy's start."""
    serials = simulator.serials()
    port = simulator.management.port
    with _Watches(simulator) as watch, InnerRun(folder, way, port, boards=len(serials)) as run:
        blocked = run.wait_until_blocked()
        if way is Way.SHELL:
            run.order("exit")
        else:
            guard_and_holder(run, blocked)
        problems = (*_orphans(wait_for_the_last(folder, OVER_WITHIN_S)), *_not_left_on(simulator, run))
        run.reap()
        began = time.monotonic()
        for command in _remedy_commands(remedy, serials):
            status = run.start(command).wait(OVER_WITHIN_S)
            if status != 0:
                problems += (f"{remedy} ended with status {status}: {run.output[-500:]}",)
        over_s = time.monotonic() - began
        problems += (
            *_orphans(wait_for_the_last(folder, OVER_WITHIN_S)),
            *inspect(simulator, run.locks, quiet_s),
        )
        off_s, who = watch.off_after(began), _who(run.locks, serials[0])
    cause = "`os._exit` in a test" if way is Way.SHELL else "SIGKILL to guard and holder at once"
    return Outcome(cause, _started_as(way, len(serials)), off_s, over_s, who, problems)


def inspect(
    simulator: SimulatorProcess,
    locks: Path,
    quiet_s: float = QUIET_S,
    state: BoardState = BoardState.SAFE,
) -> list[str]:
    """Say what is wrong with a board whose run is over; the meter comes last, for reading it is an action."""
    serials = simulator.serials()
    problems = _actions_within(simulator, quiet_s)
    for serial in serials:
        problems += _untruths(simulator, serial)
        if read_record(locks, serial).state is not state:
            problems.append(f"the record of {serial} does not say {state}")
        try:
            with acquire(serial, wait_s=LOCK_FREE_WITHIN_S, folder=locks):
                problems += _metered(simulator, serial)
        except HilError as error:
            problems.append(f"{error.what}: {error.why}")
    return problems


def _actions_within(simulator: SimulatorProcess, quiet_s: float) -> list[str]:
    since = {serial: simulator.management.log(serial)[1] for serial in simulator.serials()}
    time.sleep(quiet_s)  # for what must not come
    requests = [entry for serial in since for entry in simulator.management.log(serial, since[serial])[0]]
    vendor = [entry for entry in requests if entry["bmRequestType"] & _TYPE_MASK == _VENDOR]
    return [f"asked {entry['bRequest']}/{entry['wValue']} after the end" for entry in vendor]


def _untruths(simulator: SimulatorProcess, serial: str) -> list[str]:
    truth = simulator.management.state(serial)
    found = {
        "the supply is on": truth["supply"],
        f"the DUT draws {truth['draw_amps']} A": truth["draw_amps"] > OFF_BELOW_AMPS,
        f"the stick is with {truth['mux']}": truth["mux"] != "off",
        f"pins are {truth['pins_set']}": set(truth["pins_set"].values()) != {"floating"},
        f"it is busy for {truth['busy_s']} s": truth["busy_s"] > 0,
    }
    return [problem for problem, is_so in found.items() if is_so]


def _metered(simulator: SimulatorProcess, serial: str) -> list[str]:
    with open_driver(simulated_host(simulator.ready), serial, console=False) as board:
        amps = board.power.read().amps
        board.make_safe()  # for the next cell, if this one failed
    return [f"the meter shows {amps:.2f} A"] if amps > OFF_BELOW_AMPS else []


def _not_left_on(simulator: SimulatorProcess, run: InnerRun) -> list[str]:
    problems = []
    for serial in simulator.serials():
        record = read_record(run.locks, serial)
        problems += [] if simulator.management.state(serial)["supply"] else ["somebody switched the DUT off"]
        if record.state is not BoardState.IN_USE:
            problems.append(f"the record says {record.state}")
    return problems


def _remedy_commands(remedy: str, serials: list[str]) -> list[list[str]]:
    if remedy == "hil safe":
        return [[sys.executable, "-m", "hil.cli.main", "safe", serial] for serial in serials]
    return [Way.PLAIN.command("-k", "0")]


def _orphans(left: dict[int, bytes]) -> list[str]:
    return [f"process {pid} is left: {command.decode()[:80]}" for pid, command in left.items()]


def _who(locks: Path, serial: str, way: Way = Way.PLAIN) -> str:
    events = read_record(locks, serial).events
    itself = {Way.LEASE: "`hil lease` itself", Way.PROGRAM: "the program itself"}
    return events[-1].by if events else itself.get(way, "the run itself")
