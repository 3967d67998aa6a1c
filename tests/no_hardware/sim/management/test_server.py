"""The management port: the true state of each board, and faults."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import SimulatorError
from hil.sim.management.client import ManagementClient
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUTH = {
    *("serial", "busid", "plugged", "boot_loader", "supply", "pins", "pins_set", "mux", "settings"),
    *("console_mode", "monitor", "meter", "busy_s", "draw_amps", "supply_volts", "faults", "dut", "stick"),
    "flash",
}
SIMULATOR = {"boards": 2, "speed": 20}


@pytest.fixture
def wire(simulator: SimulatorProcess, serial: str) -> Iterator[socket.socket]:
    """A plain connection to the management port; the board's faults end with the test."""
    assert serial
    with socket.create_connection(("127.0.0.1", simulator.management.port), 5) as wire:
        yield wire


def ask(wire: socket.socket, line: bytes) -> dict[str, Any]:
    wire.sendall(line + b"\n")
    with wire.makefile("rb") as lines:
        answer: dict[str, Any] = json.loads(lines.readline())
    return answer


def test_hello_returns_the_ready_line(simulator: SimulatorProcess, wire: socket.socket) -> None:
    answer = ask(wire, b'{"do": "hello"}')

    assert answer == {"ok": True} | {key: value for key, value in simulator.ready.items() if key != "token"}


def test_ready_line_names_every_board(simulator: SimulatorProcess) -> None:
    places = [(board["busid"], board["stick_busid"]) for board in simulator.ready["boards"]]

    assert places == [("1-1", "2-1"), ("1-2", "2-2")]


def test_state_has_every_documented_key(simulator: SimulatorProcess, serial: str) -> None:
    truth = simulator.management.state(serial)

    assert truth.keys() >= TRUTH


def test_state_without_a_board_returns_all_boards(simulator: SimulatorProcess) -> None:
    truths = simulator.management.states()

    assert [truth["serial"] for truth in truths] == simulator.serials()


def test_state_shows_the_effect_of_a_request(simulator: SimulatorProcess, serial: str, board: Any) -> None:
    board.ctrl_transfer(0x41, 1, 3, 3)
    board.ctrl_transfer(0x41, 2, 1, 3)

    truth = simulator.management.state(serial)

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
def test_state_names_the_active_faults(
    simulator: SimulatorProcess, serial: str, fault: str, arguments: dict[str, Any], told: dict[str, Any]
) -> None:
    simulator.management.fault(serial, fault, **arguments)

    assert simulator.management.state(serial)["faults"] == told


def test_clear_ends_all_faults(simulator: SimulatorProcess, serial: str) -> None:
    for fault in ("hang", "deny", "no_backend", "stick_missing", "hang_in_boot", "sag", "unplug"):
        simulator.management.fault(serial, fault)
    simulator.management.clear(serial)

    truth = simulator.management.state(serial)

    assert (truth["faults"], truth["plugged"]) == ({}, True)


def test_fault_applies_to_one_board(simulator: SimulatorProcess, serial: str) -> None:
    simulator.management.fault(serial, "unplug")

    assert simulator.management.state(simulator.serials()[1])["plugged"]


def test_log_continues_at_the_given_index(simulator: SimulatorProcess, serial: str, board: Any) -> None:
    _, since = simulator.management.log(serial)
    board.ctrl_transfer(0x41, 0, 0, 3)

    requests, following = simulator.management.log(serial, since)

    assert [(one["index"], one["bmRequestType"]) for one in requests] == [(since, 0x41)]
    assert following == since + 1


def test_log_has_no_status_for_a_waiting_request(
    simulator: SimulatorProcess, serial: str, board: Any
) -> None:
    _, since = simulator.management.log(serial)
    simulator.management.fault(serial, "hang")
    with pytest.raises(OSError, match="timed out"):
        board.ctrl_transfer(0x41, 0, 0, 3, timeout=20)

    ((request,), _) = simulator.management.log(serial, since)

    assert request["status"] == -104


@pytest.mark.parametrize(
    ("line", "what"),
    [
        pytest.param(b"hello", "the request is no JSON", id="no JSON"),
        pytest.param(b"[]", "[] is no request", id="no object"),
        pytest.param(b"[" * 100_000, "the request is no JSON", id="nested for ever"),
        pytest.param(b"{}", "unknown request None", id="no verb"),
        pytest.param(b'{"do": ["state"]}', "unknown request ['state']", id="a verb that is a list"),
        pytest.param(
            b'{"do": "state", "board": 7, "token": "TOKEN"}',
            "no board has the name or serial number 7",
            id="no such board",
        ),
        pytest.param(
            b'{"do": "clear", "token": "TOKEN"}',
            "no board has the name or serial number None",
            id="no board at all",
        ),
    ],
)
def test_wrong_request_is_answered_with_an_error(
    simulator: SimulatorProcess, wire: socket.socket, line: bytes, what: str
) -> None:
    answer = ask(wire, line.replace(b"TOKEN", simulator.ready["token"].encode()))

    assert answer["ok"] is False
    assert answer["error"]["what"] == what
    assert answer["error"]["remedy"]


@pytest.mark.parametrize(
    ("fault", "arguments", "what"),
    [
        pytest.param("explode", {}, "unknown fault 'explode'", id="an unknown fault"),
        pytest.param("hang", {"volts": 1}, "the fault hang takes no volts", id="an unknown argument"),
        pytest.param("late", {}, "the fault late needs seconds", id="an argument that is missing"),
        pytest.param(
            "late",
            {"seconds": "soon"},
            "seconds of the fault late cannot be 'soon'",
            id="a word for a number",
        ),
        pytest.param(
            "late", {"seconds": -1}, "seconds of the fault late cannot be -1.0", id="a negative time"
        ),
        pytest.param("hang", {"on": 1}, "on of the fault hang cannot be 1", id="a number for a truth"),
        pytest.param(
            "stall", {"count": True}, "count of the fault stall cannot be True", id="a truth for a number"
        ),
    ],
)
def test_wrong_fault_is_answered_with_an_error(
    simulator: SimulatorProcess, serial: str, fault: str, arguments: dict[str, Any], what: str
) -> None:
    with pytest.raises(SimulatorError) as raised:
        simulator.management.fault(serial, fault, **arguments)

    assert raised.value.what == what
    assert raised.value.remedy


def test_connection_survives_a_wrong_request(wire: socket.socket) -> None:
    ask(wire, b"nonsense")

    assert ask(wire, b'{"do": "hello"}')["ok"]


def test_log_refuses_an_index_that_is_no_number(
    simulator: SimulatorProcess, wire: socket.socket, serial: str
) -> None:
    request = {"do": "log", "board": serial, "since": "now", "token": simulator.ready["token"]}
    answer = ask(wire, json.dumps(request).encode())

    assert answer["error"]["what"] == "`since` is 'now'"


@pytest.mark.parametrize("token", [None, "", 7, "0" * 32, "\u3164"])
@pytest.mark.parametrize("verb", ["state", "fault", "clear", "log", "quit"])
def test_management_port_refuses_a_request_without_its_token(
    wire: socket.socket, serial: str, verb: str, token: object
) -> None:
    answer = ask(wire, json.dumps({"do": verb, "board": serial, "fault": "hang", "token": token}).encode())

    assert answer["error"]["what"] == "this request lacks the simulator's token"


def test_management_port_is_not_ended_by_a_web_page(wire: socket.socket) -> None:
    wire.sendall(b'POST / HTTP/1.1\r\nContent-Length: 15\r\n\r\n{"do": "quit"}\n')
    with wire.makefile("rb") as lines:
        answers = [json.loads(lines.readline())["ok"] for _ in range(4)]

    assert answers == [False] * 4
    assert ask(wire, b'{"do": "hello"}')["ok"]


def test_management_port_answers_a_client_that_reads_late_in_order(
    simulator: SimulatorProcess, wire: socket.socket, serial: str
) -> None:
    request = {"do": "log", "board": serial, "token": simulator.ready["token"]}
    lines = [json.dumps({**request, "since": number}).encode() + b"\n" for number in range(0, -200, -1)]
    wire.sendall(b"".join(lines) + b'{"do": "hello"}\n')

    with ManagementClient(simulator.ready["control_port"]) as other:
        assert other.hello()["pid"] == simulator.pid
    with wire.makefile("rb") as answers:
        oks = [json.loads(answers.readline())["ok"] for _ in range(201)]
    assert oks == [True] * 201


def test_client_reads_the_token_of_its_own_users_simulator(simulator: SimulatorProcess, serial: str) -> None:
    with ManagementClient(simulator.ready["control_port"]) as client:
        state = client.state(serial)

    assert state["serial"] == serial


def test_token_file_is_readable_by_its_user_only(simulator: SimulatorProcess) -> None:
    file = Path(simulator.ready["state"]) / "hil-token"

    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o600, simulator.ready["token"])


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can be two users")
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104 - a stranger's
def test_client_refuses_another_users_simulator(address: str) -> None:
    listen = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.create_server((sys.argv[1], 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
    stranger = subprocess.Popen(
        [
            "setpriv",
            "--reuid",
            "60001",
            "--regid",
            "60001",
            "--clear-groups",
            sys.executable,
            "-I",
            "-c",
            listen,
            address,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd="/",
    )
    try:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())

        with pytest.raises(SimulatorError, match=r"another user \(uid 60001\)"):
            ManagementClient(port)
    finally:
        stranger.communicate(b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(
    ("owner", "mode", "why"), [(60001, 0o755, "another user"), (0, 0o757, "write to it")]
)
def test_client_refuses_folders_of_other_users(tmp_path: Path, owner: int, mode: int, why: str) -> None:
    with SimulatorProcess(boards=1, state=tmp_path / "state") as simulator:
        folder = Path(simulator.ready["sys"])
        os.chown(folder, owner, -1)
        folder.chmod(mode)

        with pytest.raises(SimulatorError, match=why):
            simulator.management.hello()


def test_two_requests_in_one_packet_get_two_answers(wire: socket.socket) -> None:
    wire.sendall(b'{"do": "hello"}\n{"do": "nothing"}\n')
    with wire.makefile("rb") as lines:
        answers = [json.loads(lines.readline())["ok"] for _ in range(2)]

    assert answers == [True, False]


def test_endless_line_ends_the_connection(wire: socket.socket) -> None:
    with pytest.raises(ConnectionError):  # noqa: PT012 - reset by either call
        wire.sendall(b"x" * (3 << 20))
        if not wire.recv(1):
            raise ConnectionError


def test_client_without_a_simulator_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]

        with pytest.raises(SimulatorError, match=f"management port {port}"):
            ManagementClient(port)


def test_client_at_the_usbip_port_is_an_error(simulator: SimulatorProcess) -> None:
    with pytest.raises(SimulatorError, match="it closed the connection") as caught:
        ManagementClient(simulator.ready["usbip_port"])

    assert "the control_port, not the usbip_port" in str(caught.value)
