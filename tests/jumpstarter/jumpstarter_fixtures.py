"""A simulator, a certificate, exporters, and a lock folder of the test's own."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from certificates import Certificate, make_certificate
from controller import Controller
from exporters import DirectExporter, Exporter, wait_for
from stock_client import connected

from hil.sim.management.client import ManagementClient
from hil.sim.process import SimulatorProcess

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


TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.c2ln"  # noqa: S105 - a test's JWT: jmp looks when it ends
LABELS = {"board": "dutlink"}


@pytest.fixture(scope="module")
def controller(certificate: Certificate) -> Iterator[Controller]:
    """A controller that knows one client and three exporters, none of which runs yet."""
    exporters = {f"lab{number}": (f"token-{number}", LABELS | {"lab": str(number)}) for number in range(3)}
    with Controller(certificate, {"ann": TOKEN}, exporters) as running:
        yield running


@pytest.fixture(scope="module")
def client(
    controller: Controller, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The file of that client's configuration."""
    file = tmp_path_factory.mktemp("client") / "ann.yaml"
    file.write_text(json.dumps(client_facts(controller, certificate, TOKEN)), encoding="utf-8")
    return file


def client_facts(controller: Controller, certificate: Certificate, token: str) -> dict[str, Any]:
    """What stands in a client's configuration."""
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
    """Two exporters, each with a simulated board and real hooks."""
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
    """Start an exporter of the third board, for a `with` block; takes what `lab_exporter` does."""

    @contextmanager
    def start(hook_s: int = 0, words: str = "") -> Iterator[Exporter]:
        where = (controller, certificate, simulator, tmp_path)
        with lab_exporter(*where, 2, boards[2], hook_s, words) as exporter:
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
    words: str = "",
) -> Exporter:
    """Start an exporter of the lab.

    Args:
        hook_s: Its hooks take so many seconds longer than they must.
        words: More of its place in its lab file.
    """
    lab = folder / f"lab-{number}.toml"
    tags = ("red", "blue", "white")[number]
    login = '{ user = "root", password = "hil" }'
    place = f'[place.place{number}]\nserial = "{board}"\ntags = ["{tags}"]\nlogin = {login}\n{words}'
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
    """Wait until so many exporters can be leased."""
    wait_for(
        f"{count} free exporters", lambda: sum(one.free for one in controller.exporters.values()) == count
    )
