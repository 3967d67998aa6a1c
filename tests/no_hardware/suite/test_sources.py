"""Sources of boards: which one an option gets, and what a remote one remembers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hil.boards.address import parse_boards
from hil.boards.requirements import BoardRequirement
from hil.boards.sources import NoSource, SimulatedSource, UsbSource, source_of
from hil.dutlink.dut.account import Login
from hil.dutlink.wiring import Wiring
from hil.errors import BoardAbsentError, BoardBusyError
from hil.jumpstarter.client import provider
from hil.jumpstarter.client.remote_source import RemoteSource
from hil.lab.config.lab import Lab
from hil.sim.process import SimulatorProcess

SERIAL = "5a1c0e01"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("usb", UsbSource), ("none", NoSource), ("sim:2", SimulatedSource), ("sim@4711", SimulatedSource)],
)
def test_source_of_returns_the_source_of_an_option(text: str, kind: type) -> None:
    assert type(source_of(parse_boards(text))) is kind


def test_host_of_no_source_is_an_absent_board() -> None:
    with pytest.raises(BoardAbsentError, match="looks for no boards"):
        NoSource().host()


def test_simulated_source_starts_no_simulator_to_tell_its_ports() -> None:
    source = SimulatedSource()

    assert (source.usbip_ports(), source.device_folders()) == (set(), set())


def test_simulated_source_tells_the_device_folder_of_a_running_simulator_first() -> None:
    with SimulatorProcess() as simulator:
        source = SimulatedSource(control_port=simulator.management.port)

        assert source.device_folders() == {Path(simulator.ready["dev"])}


class Provider:
    """Provides remote boards, or raises errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.waited_s: list[float] = []
        self.closed = 0

    def connect(self, _text: str, _client: str, wait_s: float, *_: object, **__: object) -> Any:
        self.waited_s.append(wait_s)
        if self.errors:
            raise self.errors.pop(0)
        wiring = Wiring(login=Login("root", "there"), pace_s=0.5)
        return SimpleNamespace(host="a host", wiring=wiring, folder=Path("/locks"), close=self._close)

    def _close(self) -> None:
        self.closed += 1


def remote_source(fake: Provider, monkeypatch: pytest.MonkeyPatch, leases: Any = None) -> RemoteSource:
    monkeypatch.setattr(provider, "connect_board", fake.connect)
    return RemoteSource(
        "jumpstarter:lab=one", "", lab=Lab(), wait_s=60.0, tell=lambda _line: None, leases=leases
    )


def test_remote_source_connects_once_until_its_board_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Provider()
    source = remote_source(fake, monkeypatch)
    hosts = [source.host(), source.host()]
    source.return_to_lab()

    source.host()

    assert (hosts, len(fake.waited_s), fake.closed) == (["a host"] * 2, 2, 1)


def test_remote_source_remembers_a_lookup_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Provider(BoardBusyError("all are leased"))
    source = remote_source(fake, monkeypatch)

    for _ in range(2):
        with pytest.raises(BoardBusyError):
            source.host(requirement=BoardRequirement(board="left"))

    assert fake.waited_s == [60.0]


def test_remote_source_waits_no_second_time_for_busy_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Provider(BoardBusyError("all are leased"))
    source = remote_source(fake, monkeypatch)
    with pytest.raises(BoardBusyError):
        source.host(requirement=BoardRequirement(board="left"))

    source.host(requirement=BoardRequirement(board="right"))

    assert fake.waited_s == [60.0, 0.0]


def test_remote_source_is_extra_beside_the_boards_of_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = SimpleNamespace(way_to=lambda serial: f"lent:{serial}", waited_s=lambda: 45.0)
    fake = Provider()
    source = remote_source(fake, monkeypatch, leases)

    source.host(SERIAL)
    given = source.is_extra
    source.return_to_lab()
    source.host(requirement=BoardRequirement(board="left"))

    assert (given, source.is_extra, fake.waited_s) == (False, True, [60.0, 15.0])


def test_wiring_of_a_remote_board_is_the_exporter_s_where_this_lab_file_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = remote_source(Provider(), monkeypatch)

    wiring = source.wiring_of(SERIAL)

    assert (wiring.login, wiring.pace_s) == (Login("root", "there"), 0.5)
