"""The control port: the truth about every board, and its faults."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import SimulatorError
from hil.sim.control_client import ControlClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

TRUTH = {
    *("serial", "busid", "plugged", "boot_loader", "supply", "pins", "pins_set", "mux", "settings"),
    *("console_mode", "monitor", "meter", "busy_s", "draw_amps", "supply_volts", "faults", "dut", "stick"),
    "flash",
}


@pytest.fixture
def wire(simulator: SimulatorProcess, serial: str) -> Iterator[socket.socket]:
    """A plain connection to the control port; the board's faults end with the test."""
    assert serial
    with socket.create_connection(("127.0.0.1", simulator.control.port), 5) as wire:
        yield wire


def ask(wire: socket.socket, line: bytes) -> dict[str, Any]:
    wire.sendall(line + b"\n")
    with wire.makefile("rb") as lines:
        answer: dict[str, Any] = json.loads(lines.readline())
    return answer


def test_hello_is_the_ready_line(simulator: SimulatorProcess, wire: socket.socket) -> None:
    answer = ask(wire, b'{"do": "hello"}')

    assert answer == {"ok": True, **simulator.ready}


def test_the_ready_line_names_every_board(simulator: SimulatorProcess) -> None:
    places = [(board["busid"], board["stick_busid"]) for board in simulator.ready["boards"]]

    assert places == [("1-1", "2-1"), ("1-2", "2-2")]


def test_the_truth_has_every_promised_part(simulator: SimulatorProcess, serial: str) -> None:
    truth = simulator.control.state(serial)

    assert truth.keys() >= TRUTH


def test_the_truth_about_all_boards(simulator: SimulatorProcess) -> None:
    truths = simulator.control.states()

    assert [truth["serial"] for truth in truths] == simulator.serials()


def test_the_truth_follows_a_request(simulator: SimulatorProcess, serial: str, board: Any) -> None:
    board.ctrl_transfer(0x41, 1, 3, 3)
    board.ctrl_transfer(0x41, 2, 1, 3)

    truth = simulator.control.state(serial)

    assert (truth["supply"], truth["mux"]) == (True, "host")


@pytest.mark.parametrize(
    ("fault", "arguments", "told"),
    [
        pytest.param("hang", {}, {"hang": {"on": True}}, id="a fault that is on"),
        pytest.param("late", {"seconds": 1}, {"late": {"seconds": 1.0}}, id="a fault with a number"),
        pytest.param("late", {"seconds": 0}, {}, id="a fault that its argument ends"),
        pytest.param("stall", {"count": 3}, {"stall": {"count": 3}}, id="a counted fault"),
        pytest.param("unplug", {}, {"unplug": {}}, id="an unplugged board"),
        pytest.param("boot_loader", {}, {"boot_loader": {}}, id="a boot loader"),
        pytest.param("replug", {}, {}, id="a replugged board"),
        pytest.param("sag", {"volts": 3.9}, {"sag": {"volts": 3.9, "on": True}}, id="a fault of the DUT"),
        pytest.param("hang_in_boot", {}, {"hang_in_boot": {"on": True}}, id="another one"),
        pytest.param("stick_flip", {"every": 9}, {"stick_flip": {"every": 9}}, id="a fault of the stick"),
        pytest.param("stick_missing", {}, {"stick_missing": {"on": True}}, id="a missing stick"),
        pytest.param(
            "stick_error", {}, {"stick_error": {"on": True, "after_bytes": 0}}, id="a stick that errs"
        ),
    ],
)
def test_the_truth_names_the_faults_that_are_on(
    simulator: SimulatorProcess, serial: str, fault: str, arguments: dict[str, Any], told: dict[str, Any]
) -> None:
    simulator.control.fault(serial, fault, **arguments)

    assert simulator.control.state(serial)["faults"] == told


def test_clear_ends_every_fault(simulator: SimulatorProcess, serial: str) -> None:
    for fault in ("hang", "deny", "no_backend", "stick_missing", "hang_in_boot", "sag", "unplug"):
        simulator.control.fault(serial, fault)
    simulator.control.clear(serial)

    truth = simulator.control.state(serial)

    assert (truth["faults"], truth["plugged"]) == ({}, True)


def test_a_fault_is_one_boards(simulator: SimulatorProcess, serial: str) -> None:
    simulator.control.fault(serial, "unplug")

    assert simulator.control.state(simulator.serials()[1])["plugged"]


def test_the_log_goes_on_where_it_was_left(simulator: SimulatorProcess, serial: str, board: Any) -> None:
    _, since = simulator.control.log(serial)
    board.ctrl_transfer(0x41, 0, 0, 3)

    requests, following = simulator.control.log(serial, since)

    assert [(one["index"], one["bmRequestType"]) for one in requests] == [(since, 0x41)]
    assert following == since + 1


def test_a_request_that_waits_has_no_status_in_the_log(
    simulator: SimulatorProcess, serial: str, board: Any
) -> None:
    _, since = simulator.control.log(serial)
    simulator.control.fault(serial, "hang")
    with pytest.raises(OSError, match="timed out"):
        board.ctrl_transfer(0x41, 0, 0, 3, timeout=20)

    ((request,), _) = simulator.control.log(serial, since)

    assert request["status"] == -104


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param(b"hello", "that is no JSON", id="no JSON"),
        pytest.param(b"[]", "[] is no request", id="no object"),
        pytest.param(b"{}", "nothing can do None", id="no verb"),
        pytest.param(b'{"do": ["state"]}', "nothing can do ['state']", id="a verb that is a list"),
        pytest.param(b'{"do": "state", "board": 7}', "no board 7 here", id="no such board"),
        pytest.param(b'{"do": "clear"}', "no board None here", id="no board at all"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(wire: socket.socket, line: bytes, what: str) -> None:
    answer = ask(wire, line)

    assert answer["ok"] is False
    assert answer["error"]["what"] == what
    assert answer["error"]["remedy"]


@pytest.mark.parametrize(
    ("fault", "arguments", "what"),
    [
        pytest.param("explode", {}, "no fault is called 'explode'", id="an unknown fault"),
        pytest.param("hang", {"volts": 1}, "hang takes no volts", id="an unknown argument"),
        pytest.param("late", {}, "late needs seconds", id="an argument that is missing"),
        pytest.param(
            "late", {"seconds": "soon"}, "late's seconds cannot be 'soon'", id="a word for a number"
        ),
        pytest.param("late", {"seconds": -1}, "late's seconds cannot be -1.0", id="a negative time"),
        pytest.param("hang", {"on": 1}, "hang's on cannot be 1", id="a number for a truth"),
        pytest.param("stall", {"count": True}, "stall's count cannot be True", id="a truth for a number"),
    ],
)
def test_what_is_wrong_with_a_fault_is_told(
    simulator: SimulatorProcess, serial: str, fault: str, arguments: dict[str, Any], what: str
) -> None:
    with pytest.raises(SimulatorError) as raised:
        simulator.control.fault(serial, fault, **arguments)

    assert raised.value.what == what
    assert raised.value.remedy


def test_a_connection_survives_a_wrong_request(wire: socket.socket) -> None:
    ask(wire, b"nonsense")

    assert ask(wire, b'{"do": "hello"}')["ok"]


def test_a_log_index_is_a_number(wire: socket.socket, serial: str) -> None:
    answer = ask(wire, json.dumps({"do": "log", "board": serial, "since": "now"}).encode())

    assert answer["error"]["what"] == "since is 'now'"


def test_two_requests_in_one_packet_get_two_answers(wire: socket.socket) -> None:
    wire.sendall(b'{"do": "hello"}\n{"do": "nothing"}\n')
    with wire.makefile("rb") as lines:
        answers = [json.loads(lines.readline())["ok"] for _ in range(2)]

    assert answers == [True, False]


def test_a_line_that_never_ends_ends_the_connection(wire: socket.socket) -> None:
    with pytest.raises(ConnectionError):  # noqa: PT012 - reset by either call
        wire.sendall(b"x" * (3 << 20))
        if not wire.recv(1):
            raise ConnectionError


def test_nobody_at_the_control_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]

    with pytest.raises(SimulatorError, match=f"control port {port}"):
        ControlClient(port)


def test_the_port_of_usbip_is_told_from_the_control_port(simulator: SimulatorProcess) -> None:
    saying = "nothing that a simulator says"
    with (
        ControlClient(simulator.ready["usbip_port"]) as client,
        pytest.raises(SimulatorError, match=saying) as caught,
    ):
        client.hello()

    assert "the control_port, not the usbip_port" in str(caught.value)
