"""Fixtures: a simulator, a certificate, a controller, exporters, and a private lock folder."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from hil.sim.management.client import ManagementClient
from hil.sim.process import SimulatorProcess
from tests.jumpstarter.certificates import Certificate, make_certificate
from tests.jumpstarter.controller import Controller
from tests.jumpstarter.exporters import DirectExporter, Exporter, wait_for
from tests.jumpstarter.stock_client import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = [
    "boards",
    "certificate",
    "client",
    "control",
    "controller",
    "direct",
    "lab",
    "locks",
    "mortal",
    "simulator",
    "stock",
    "third",
]

StartThird: TypeAlias = "Callable[..., AbstractContextManager[Exporter]]"


@pytest.fixture(scope="session", autouse=True)
def locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A private lock folder; variables of the environment that would change a run are unset."""
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
def control(simulator: SimulatorProcess) -> Iterator[ManagementClient]:
    """The simulator's management port: the truth about its boards, and their faults."""
    with ManagementClient(simulator.ready["control_port"]) as client:
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
    """A direct exporter of the first board, shared by the tests of a module."""
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
    """A direct exporter of the second board, for a test that kills or stops it."""
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
    """Jumpstarter's own client of the first board; client classes of hil are not allowed."""
    with connected(direct.address, certificate, allow=["jumpstarter_driver_*"]) as client:
        yield client.dutlink
        client.dutlink.power.call("force_off")
        client.dutlink.storage.off()


TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.c2ln"  # noqa: S105 - a test's JWT: jmp looks when it ends
LABELS = {"board": "dutlink"}


@pytest.fixture(scope="module")
def controller(certificate: Certificate) -> Iterator[Controller]:
    """A controller with one client and three exporters that are not started yet."""
    exporters = {f"lab{number}": (f"token-{number}", LABELS | {"lab": str(number)}) for number in range(3)}
    with Controller(certificate, {"ann": TOKEN}, exporters) as running:
        yield running


@pytest.fixture(scope="module")
def client(
    controller: Controller, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The configuration file of the controller's client."""
    file = tmp_path_factory.mktemp("client") / "ann.yaml"
    file.write_text(json.dumps(client_facts(controller, certificate, TOKEN)), encoding="utf-8")
    return file


def client_facts(controller: Controller, certificate: Certificate, token: str) -> dict[str, Any]:
    """Return the contents of a client's configuration."""
    return {
        "apiVersion": "jumpstarter.dev/v1alpha1",
        "kind": "ClientConfig",
        "metadata": {"namespace": "default", "name": "ann"},
        "endpoint": controller.endpoint,
        "tls": {"ca": certificate.base64},
        "token": token,
        "drivers": {"allow": ["hil.jumpstarter.*", "jumpstarter_driver_*"]},
    }


@pytest.fixture(scope="module")
def lab(
    controller: Controller,
    simulator: SimulatorProcess,
    boards: list[str],
    certificate: Certificate,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[list[Exporter]]:
    """Two exporters, each with a simulated board and hooks."""
    folder = tmp_path_factory.mktemp("lab")
    with ExitStack() as stack:
        exporters = [
            stack.enter_context(
                lab_exporter(controller, certificate, simulator, folder, number, boards[number])
            )
            for number in range(2)
        ]
        wait_until_free(controller, 2)
        yield exporters


@pytest.fixture
def third(
    tmp_path: Path,
    controller: Controller,
    certificate: Certificate,
    simulator: SimulatorProcess,
    boards: list[str],
) -> StartThird:
    """A context manager that starts an exporter of the third board; arguments as of `lab_exporter`."""

    @contextmanager
    def start(hook_s: int = 0, place_lines: str = "") -> Iterator[Exporter]:
        where = (controller, certificate, simulator, tmp_path)
        with lab_exporter(*where, 2, boards[2], hook_s, place_lines) as exporter:
            wait_for("it is free", lambda: controller.exporters["lab2"].free)
            yield exporter

    return start


def lab_exporter(  # noqa: PLR0913, PLR0917 - what an exporter needs
    controller: Controller,
    certificate: Certificate,
    simulator: SimulatorProcess,
    folder: Path,
    number: int,
    board: str,
    hook_s: int = 0,
    place_lines: str = "",
) -> Exporter:
    """Start an exporter of the lab.

    Args:
        hook_s: Seconds that its hooks sleep.
        place_lines: More lines of the place in its lab file.
    """
    lab = folder / f"lab-{number}.toml"
    tags = ("red", "blue", "white")[number]
    login = '{ user = "root", password = "hil" }'
    place = f'[place.place{number}]\nserial = "{board}"\ntags = ["{tags}"]\nlogin = {login}\n{place_lines}'
    lab.write_text(place, encoding="utf-8")
    hook = f"sleep {hook_s}; " + "j dutlink board describe >> {0}; echo {1} >> {0}"
    hooks = {
        f"{moment}Lease": {"script": hook.format(folder / f"hooks-{number}", moment), "timeout": 60}
        for moment in ("before", "after")
    }
    return Exporter(
        folder,
        board,
        simulator.ready["control_port"],
        name=f"lab{number}",
        config={"lab": str(lab)},
        more={
            "endpoint": controller.endpoint,
            "tls": {"ca": certificate.base64},
            "token": f"token-{number}",
            "hooks": hooks,
        },
    )


def wait_until_free(controller: Controller, count: int) -> None:
    """Wait until `count` exporters can be leased."""
    wait_for(
        f"{count} free exporters", lambda: sum(one.free for one in controller.exporters.values()) == count
    )
