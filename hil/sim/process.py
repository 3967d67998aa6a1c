"""Start a simulator in a child process, and end that process with this one."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, Self

from hil.errors import SimulatorError
from hil.sim.management.client import ManagementClient

__all__ = ["SimulatorProcess"]

_READY_LIMIT_S = 30.0
_END_LIMIT_S = 5.0
_SHOWN_BYTES = 2000


class SimulatorProcess:
    """A running simulator. The end of the `with` block ends it.

    It also ends if this process dies, because that closes its standard input.

    Args:
        boards: Number of boards.
        speed: Simulated seconds per real second.
        state: Folder that keeps settings and sticks, or None to keep nothing.
        stick_bytes: Size of each stick, or None for the simulator's default.

    Attributes:
        ready: The object of its ready line.
        management: A client of its management port.

    Raises:
        SimulatorError: The simulator did not start. The error quotes its standard error.
    """

    def __init__(
        self,
        boards: int = 2,
        *,
        speed: float = 1.0,
        state: Path | None = None,
        stick_bytes: int | None = None,
    ) -> None:
        options = ["--boards", str(boards), "--speed", str(speed), "--port", "0", "--end-with-stdin"]
        options += ["--state", str(state)] if state is not None else []
        options += ["--stick-size", str(stick_bytes)] if stick_bytes is not None else []
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - read if the start fails
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hil.cli.main", "sim", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": _same_package()},
            start_new_session=True,  # Ctrl-C must not end the boards, which fixtures still use
        )
        self._keeps_state = state is not None
        self.ready: dict[str, Any] = {}
        try:
            self.ready = self._read_ready_line()
            self.management = ManagementClient(self.ready["control_port"], token=self.ready["token"])
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the simulator."""
        return self._process.pid

    def serials(self) -> list[str]:
        """Return the boards' serial numbers, in the order of their bus ids."""
        return [board["serial"] for board in self.ready["boards"]]

    def close(self) -> None:
        """End the process, and wait until it has ended; kill it if it does not end in time."""
        self.management.close()
        self._end()

    def _read_ready_line(self) -> dict[str, Any]:
        stdout = self._process.stdout
        line = b""
        deadline = time.monotonic() + _READY_LIMIT_S
        while stdout is not None and not line.endswith(b"\n"):
            readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
            piece = stdout.read1() if readable else b""  # type: ignore[attr-defined]  # a BufferedReader
            if not piece:
                raise self._failure("printed no ready line in time" if not readable else "ended at once")
            line += piece
        ready: dict[str, Any] = json.loads(line)
        return ready

    def _failure(self, why: str) -> SimulatorError:
        self._process.kill()
        self._process.wait()
        self._stderr.seek(0)
        output = self._stderr.read()[-_SHOWN_BYTES:].decode(errors="replace").strip()
        return SimulatorError(
            "the simulated boards did not start",
            why=f"their process {why}" + (f": {output}" if output else ""),
            remedy="`hil sim --boards 1` shows what is wrong",
        )

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._tidy_up()
        self._stderr.close()

    def _tidy_up(self) -> None:
        """Remove the temporary folder of a simulator that was killed."""
        if not self._keeps_state and self.ready:
            shutil.rmtree(Path(self.ready["dev"]).parent, ignore_errors=True)


def _same_package() -> str:
    """Return a PYTHONPATH with which the child imports the same `hil` package as this process."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
