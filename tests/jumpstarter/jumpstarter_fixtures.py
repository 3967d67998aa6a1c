"""A simulator, a certificate, exporters, and a lock folder of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from certificates import Certificate, make_certificate
from exporters import DirectExporter
from stock_client import connected

from hil.sim.control_client import ControlClient
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["boards", "certificate", "control", "direct", "locks", "mortal", "simulator", "stock"]


@pytest.fixture(scope="session", autouse=True)
def locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The machine's lock folder, for these tests alone; a run's own variables are out of the way."""
    folder = tmp_path_factory.mktemp("machine") / "locks"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HIL_BOARDS", "HIL_LAB", "JUMPSTARTER_HOST", "JMP_GRPC_PASSPHRASE"):
            patch.delenv(name, raising=False)
        patch.setenv("HIL_LOCK_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for loopback."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatorProcess]:
    """Three simulated boards."""
    with SimulatorProcess(boards=3, stick_bytes=64 << 20) as process:
        yield process


@pytest.fixture(scope="session")
def control(simulator: SimulatorProcess) -> Iterator[ControlClient]:
    """The simulator's control port: the truth about its boards, and their faults."""
    with ControlClient(simulator.ready["control_port"]) as client:
        yield client


@pytest.fixture(scope="session")
def boards(simulator: SimulatorProcess) -> list[str]:
    """Serial numbers of the simulated boards."""
    return [str(one["serial"]) for one in simulator.ready["boards"]]


@pytest.fixture(scope="module")
def direct(
    simulator: SimulatorProcess,
    boards: list[str],
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DirectExporter]:
    """An exporter of the first board that is reached directly; tests that end it have one of their own."""
    exporter = DirectExporter(
        certificate,
        folder=tmp_path_factory.mktemp("direct"),
        serial=boards[0],
        control_port=simulator.ready["control_port"],
    )
    with exporter:
        yield exporter.wait_until_ready()


@pytest.fixture
def mortal(
    simulator: SimulatorProcess, boards: list[str], certificate: Certificate, tmp_path: Path
) -> Iterator[DirectExporter]:
    """An exporter of the second board, for a test that ends it."""
    exporter = DirectExporter(
        certificate,
        folder=tmp_path / "mortal",
        serial=boards[1],
        control_port=simulator.ready["control_port"],
    )
    with exporter:
        yield exporter.wait_until_ready()


@pytest.fixture
def stock(direct: DirectExporter, certificate: Certificate) -> Iterator[Any]:
    """Jumpstarter's own client of the first board, with no driver client of ours allowed."""
    with connected(direct.address, certificate, allow=["jumpstarter_driver_*"]) as client:
        yield client.dutlink
        client.dutlink.power.call("force_off")
        client.dutlink.storage.off()
