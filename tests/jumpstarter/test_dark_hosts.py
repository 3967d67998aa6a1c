"""Run and exporter each detect that the other's host has gone dark, which closes no connection.

Jumpstarter's own client detects it after 200 s (gRPC's pings, as it configures them); each wait here is
shorter.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hil.errors import BoardAbsentError, BoardLostError, ConsoleLostError
from hil.jumpstarter.client.leased import OwnLeaseConnection, SharedLeaseConnection
from hil.jumpstarter.client.provider import connect_board
from hil.jumpstarter.client.target import LeaseTarget, SelectorTarget
from tests.jumpstarter.exporters import wait_for
from tests.jumpstarter.lab_run import LabRun
from tests.jumpstarter.relay import Relay
from tests.jumpstarter.remote_boards import address, open_remote_board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hil.dutlink.board import Board
    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.certificates import Certificate
    from tests.jumpstarter.controller import Controller
    from tests.jumpstarter.exporters import DirectExporter
    from tests.jumpstarter.jumpstarter_fixtures import StartThird

LIMIT_S = 60.0
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def relay(mortal: DirectExporter) -> Iterator[Relay]:
    """A relay between runs and an exporter of the second board."""
    with Relay(mortal.port) as running:
        yield running


def through(relay: Relay, certificate: Certificate, folder: Path) -> str:
    """Return the `--hil-boards` of the exporter, through the relay."""
    return address(f"127.0.0.1:{relay.port}", certificate, folder)


def opened(relay: Relay, certificate: Certificate, folder: Path) -> AbstractContextManager[Board]:
    """Open the board through the relay."""
    return open_remote_board(through(relay, certificate, folder), LIMIT_S)


def test_dark_exporter_is_lost_and_makes_its_board_safe(
    relay: Relay, certificate: Certificate, tmp_path: Path, control: ManagementClient
) -> None:
    with LabRun(tmp_path / "run", through(relay, certificate, tmp_path), ("-k", "holds")) as run:
        board = run.wait_for_sign("holding")
        was_on = control.state(board)["supply"]

        relay.go_dark()
        run.give_sign("go on")
        text = run.result(LIMIT_S)

    assert "DUTLink lost" in text, text
    assert "nothing was heard of it" in text, text
    assert was_on
    wait_for("the board is safe", lambda: not control.state(board)["supply"])


def test_stopped_leased_exporter_is_lost_though_its_lease_lasts(
    third: StartThird,
    tmp_path: Path,
    client: Path,
    controller: Controller,
) -> None:
    with third() as exporter:
        options = (f"--hil-client={client}", "-k", "holds")
        with LabRun(tmp_path / "run", "jumpstarter:lab=2", options) as run:
            run.wait_for_sign("holding")

            with exporter.stopped():
                run.give_sign("go on")
                text = run.result(LIMIT_S)

    assert "DUTLink lost" in text, text
    assert controller.active() == []


def test_connect_retry_gives_a_dark_leased_exporter_up_once(
    third: StartThird,
    tmp_path: Path,
    client: Path,
    controller: Controller,
) -> None:
    with third() as exporter:
        leases = len(controller.leases)
        with exporter.stopped():
            options = (f"--hil-client={client}", "--hil-wait", "600", "-k", "next or holds or no_board")
            with LabRun(tmp_path / "run", "jumpstarter:lab=2", options) as run:
                text = run.result()
            assert controller.active() == []

    assert "1 passed, 2 skipped" in text, text
    assert "DUTLink not available: exporter lab2 does not answer: it did not take its lease" in text, text
    assert "see whether its host is up" in text, text
    assert len(controller.leases) == leases + 1


def test_shared_lease_connection_to_a_dark_exporter_is_lost(
    third: StartThird,
    client: Path,
) -> None:
    with third() as exporter:
        connection = OwnLeaseConnection(SelectorTarget("lab=2", str(client)), LIMIT_S, print)

        with exporter.stopped(), pytest.raises(BoardLostError, match="did not answer within"):
            SharedLeaseConnection(LeaseTarget(connection.lease.name, str(client)), LIMIT_S)
        connection.close()


def test_flash_ends_as_a_lost_board_when_the_exporter_goes_dark(
    relay: Relay, certificate: Certificate, tmp_path: Path
) -> None:
    (tmp_path / "image").write_bytes(os.urandom(32 << 20))

    class DarkWhenSending:
        def begin(self, phase: str, total_bytes: int | None) -> None:  # noqa: ARG002 - the protocol's
            if phase == "send":
                relay.go_dark()

        def advance(self, size_bytes: int) -> None:
            pass

        def end(self) -> None:
            pass

    with opened(relay, certificate, tmp_path) as board, pytest.raises(BoardLostError, match="heard"):
        board.storage.flash(tmp_path / "image", progress=DarkWhenSending())


def test_console_is_lost_when_the_exporter_goes_dark(
    relay: Relay, certificate: Certificate, tmp_path: Path
) -> None:
    with opened(relay, certificate, tmp_path) as board:
        board.console.open()
        relay.go_dark()

        with pytest.raises(ConsoleLostError):
            board.console.expect("never", timeout_s=2 * LIMIT_S)


def test_connect_board_gives_a_dark_exporter_up(
    relay: Relay, certificate: Certificate, tmp_path: Path
) -> None:
    relay.go_dark()

    with pytest.raises(BoardAbsentError, match="cannot be reached"):
        connect_board(through(relay, certificate, tmp_path), "", LIMIT_S, print)
