"""A fake board for guards: a file that says "on", and an action that writes "off"."""

import time
from pathlib import Path
from typing import Any

from hil.dutlink.host import Host
from hil.errors import (
    BoardAbsentError,
    BoardDeniedError,
    BoardLostError,
    BoardTimeoutError,
    BoardUnsafeError,
    HilError,
    NoUsbBackendError,
)
from hil.sim.backend.backend import simulated_host

TROUBLE: dict[str, type[HilError]] = {
    "silent": BoardLostError,
    "denied": BoardDeniedError,
    "no backend": NoUsbBackendError,
    "stuck": BoardUnsafeError,
}


def switch_off(serial: str, *, policy: str, board: str, amps: float = 0.0) -> float:
    path = Path(board)
    if not path.exists():
        raise BoardAbsentError(f"board {serial} is not on the bus", serial=serial)
    if path.read_text() == "busy":
        path.write_text("on")
        raise BoardTimeoutError(f"board {serial} does not answer", serial=serial)
    if (error := TROUBLE.get(path.read_text())) is not None:
        raise error(f"board {serial} cannot be made safe", serial=serial)
    path.write_text("off" if policy == "force-off" else policy)
    with path.with_name("log").open("a") as log:
        log.write(f"{serial} {policy} {time.monotonic()}\n")
    return amps


def hang(_serial: str, *, policy: str, board: str) -> None:
    Path(board).write_text(f"hanging {policy}")
    time.sleep(1)


def simulated(ready: dict[str, Any]) -> Host:
    found = simulated_host(ready)
    return Host(label=found.label, backend=found.backend, dev=found.dev, sys=found.sys)
