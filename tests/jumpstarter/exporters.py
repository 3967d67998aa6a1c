"""Jumpstarter's own exporter, as `jmp run` starts it, on a simulated board."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from tests.jumpstarter.certificates import Certificate

__all__ = ["PASSPHRASE", "DirectExporter", "Exporter", "free_port", "wait_for"]

PASSPHRASE = "open sesame"  # noqa: S105 - of a test
LIMIT_S = 60.0
PAUSE_S = 0.05
JMP = Path(sys.executable).with_name("jmp")


def wait_for(what: str, is_so: Any, limit_s: float = LIMIT_S) -> Any:
    """Call `is_so` until it returns a true value; return that value."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        found = is_so()
        if found:
            return found
        time.sleep(PAUSE_S)
    raise TimeoutError(f"{what}: not within {limit_s} s")


def free_port() -> int:
    """Return a free TCP port of loopback."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@dataclass
class Exporter:
    """A running exporter.

    Args:
        folder: Folder for configuration and log.
        serial: Serial number of the board that the exporter offers.
        control_port: Management port of the simulator that has the board.
        more: More lines of the configuration, as JSON has them: endpoint, token, hooks.
        options: More options of `jmp run`.
    """

    folder: Path
    serial: str
    control_port: int
    name: str = "lab1"
    more: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.log = self.folder / f"{self.name}.log"
        file = self.folder / f"{self.name}.yaml"
        file.write_text(json.dumps(self._configuration()), encoding="utf-8")  # JSON is YAML
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [JMP, "run", "--exporter-config", file, *self.options],
                stdout=log,
                stderr=log,
                env=os.environ | {"PATH": f"{JMP.parent}:{os.environ['PATH']}"} | self.environment,
                cwd=self.folder,
            )

    def _configuration(self) -> dict[str, Any]:
        board = {"serial": self.serial, "boards": f"sim@{self.control_port}", "lab": "none", **self.config}
        return {
            "apiVersion": "jumpstarter.dev/v1alpha1",
            "kind": "ExporterConfig",
            "metadata": {"namespace": "default", "name": self.name},
            "export": {"dutlink": {"type": "hil.jumpstarter.exporter.driver.Dutlink", "config": board}},
            **self.more,
        }

    @property
    def text(self) -> str:
        """The exporter's log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def server_pids(self) -> list[int]:
        """The processes that serve clients; `jmp run` itself supervises them."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut of the exporter's host would."""
        servers = self.server_pids
        self.process.kill()
        for pid in servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=LIMIT_S)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop all its processes for a block: connections stay open, as with a host that went dark."""
        pids = [self.process.pid, *self.server_pids]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Terminate the exporter as a service manager does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class DirectExporter(Exporter):
    """An exporter that listens itself, with TLS and a passphrase."""

    def __init__(self, certificate: Certificate, **rest: Any) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        options = (
            *("--tls-grpc-listener", self.address),
            *("--tls-cert", str(certificate.certificate), "--tls-key", str(certificate.key)),
            *("--passphrase", PASSPHRASE),
        )
        super().__init__(options=options, **rest)

    def wait_until_ready(self) -> Self:
        """Wait until the exporter accepts connections."""
        wait_for(f"exporter {self.name} listens", self._listens)
        return self

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise ChildProcessError(self.text)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False
