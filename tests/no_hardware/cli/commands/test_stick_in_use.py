"""A stick that a program of this host uses is not pulled by a command, and `hil storage learn`."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run
from hil.dutlink.timing import until
from hil.lab.safe_state.record import read_record, write_record
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

pytestmark = pytest.mark.thorough  # processes
HOLD = "import sys; disk = open(sys.argv[1], 'rb'); print('open', flush=True); sys.stdin.read()"
SIMULATOR = {"boards": 1, "speed": 10}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Iterator[str]:
    serial = simulator.serials()[0]
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.setenv("HIL_LAB", "none")
    yield serial
    run(["storage", "off", "--force"])
    simulator.management.clear(serial)


@pytest.fixture
def node(capsys: pytest.CaptureFixture[str]) -> str:
    """The stick's node, with the host."""
    assert run(["--json", "storage", "host"]) == 0
    return str(json.loads(capsys.readouterr().out)["node"])


@contextmanager
def opened(node: str) -> Iterator[int]:
    """A program that has the stick open."""
    command = [sys.executable, "-c", HOLD, node]
    with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout.readline() == b"open\n"
        yield program.pid


def failed(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    """The error of a command that must fail."""
    capsys.readouterr()
    assert run(["--json", *command]) == 1
    printed = capsys.readouterr()
    error: dict[str, Any] = json.loads(printed.out or printed.err)
    return error.get("error", error) if isinstance(error.get("error"), dict) else error


@pytest.mark.parametrize("verb", ["off", "dut", "host", "learn"])
def test_storage_leaves_an_open_stick_on_the_host_and_names_its_user(
    simulator: SimulatorProcess, serial: str, node: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(node) as pid:
        error = failed(capsys, "storage", verb)
        mux = simulator.management.state(serial)["mux"]

    assert (error["error"], mux) == ("StickInUseError", "host")
    assert f"process {pid}" in error["why"]
    assert "--force" in error["remedy"]


@pytest.mark.parametrize("verb", ["off", "dut"])
def test_storage_force_moves_a_stick_in_use(
    simulator: SimulatorProcess, serial: str, node: str, verb: str
) -> None:
    with opened(node):
        status = run(["storage", verb, "--force"])

    assert (status, simulator.management.state(serial)["mux"]) == (0, verb)


def test_doctor_skips_a_stick_in_use_and_says_why(
    simulator: SimulatorProcess, serial: str, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(node) as pid:
        capsys.readouterr()
        run(["--json", "doctor", "--board", serial])
        found = json.loads(capsys.readouterr().out)["findings"]
        mux = simulator.management.state(serial)["mux"]

    (stick,) = [finding for finding in found if finding["check"] == "stick"]
    assert (stick["outcome"], mux) == ("not checked", "host")
    assert f"process {pid}" in stick["why"]


def test_lease_does_not_begin_while_the_stick_is_in_use(
    simulator: SimulatorProcess, serial: str, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(node):
        error = failed(capsys, "lease", "--", "true")

        assert (error["error"], simulator.management.state(serial)["mux"]) == ("StickInUseError", "host")


COMMAND = """
printf %s "$HIL_STICK" > "$0/node.part"; mv "$0/node.part" "$0/node"
hil power on
while [ ! -e "$0/in-use" ]; do sleep 0.02; done
exit 0
"""


NODE = r"""
HIL_STICK=$(hil --json storage host | tr , "\n" | sed -n 's/.*"node": "\(.*\)".*/\1/p')
"""


def use_when_told(folder: Path, using: ExitStack) -> None:
    """Open the stick that the command in a lease tells, and let the command end."""
    node = folder / "node"
    until(node.exists, 60)
    using.enter_context(opened(node.read_text()))
    (folder / "in-use").touch()


@pytest.mark.parametrize("force", [False, True])
def test_lease_leaves_a_stick_in_use_on_the_host_at_its_end(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], force: bool
) -> None:
    with ExitStack() as using:
        user = threading.Thread(target=use_when_told, args=(tmp_path, using))
        user.start()
        options = ["--force"] if force else []
        status = run(["lease", "--storage", "host", *options, "--", "sh", "-c", COMMAND, str(tmp_path)])
        user.join()
        truth = simulator.management.state(serial)

    said = capfd.readouterr().err
    record = read_record(tmp_path / "locks", serial)
    assert (status, truth["mux"], truth["supply"]) == (int(not force), "off" if force else "host", False)
    assert ("stays on the host, and the DUT is off" in said, "is open in process" in said) == (
        (False, False) if force else (True, True)
    )
    assert record.position == truth["mux"]
    assert run(["lease", "--", "true"]) == 0  # what used it has ended, and so has the lease


def test_safe_moves_a_stick_in_use_and_records_it(
    simulator: SimulatorProcess, serial: str, node: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with opened(node) as pid:
        status = run(["safe", serial])

    assert f"the stick was taken away although sda is open in process {pid}" in capsys.readouterr().out
    event = read_record(tmp_path / "locks", serial).events[-1]
    assert (status, simulator.management.state(serial)["mux"]) == (0, "off")
    assert f"the stick was taken away although sda is open in process {pid}" in event.why


def test_storage_learn_prints_and_stores_the_port(
    simulator: SimulatorProcess, serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "storage", "learn"])

    assert (status, json.loads(capsys.readouterr().out)["socket"]) == (0, "2-1")
    (kept,) = (tmp_path / "locks").glob(f"hil-stick-{serial}-*.json")
    assert (json.loads(kept.read_text())["socket"], kept.stat().st_mode & 0o777) == ("2-1", 0o644)
    _, since = simulator.management.log(serial)
    run(["storage", "host"])
    requests, _ = simulator.management.log(serial, since)
    assert [one["wValue"] for one in requests if one["bRequest"] == 2] == [0, 1]


def test_read_and_storage_host_use_no_foreign_disk(
    simulator: SimulatorProcess, serial: str, tmp_path: Path
) -> None:
    simulator.management.fault(serial, "stick_missing")
    simulator.management.plug_disk("hers", socket="2-9", serial="HERS", size_bytes=1 << 20)
    simulator.management.unplug_disk("hers")
    command = [sys.executable, "-m", "hil.cli.main", "read", str(tmp_path / "back.img")]
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as reading:
        while simulator.management.state(serial)["mux"] != "host":
            assert reading.poll() is None
        simulator.management.plug_disk("hers", socket="2-9", serial="HERS")
        said = reading.communicate(timeout=60)[0]
    simulator.management.unplug_disk("hers")

    assert (reading.returncode, (tmp_path / "back.img").exists()) == (1, False), said
    assert simulator.management.disks()["hers"]["changed_bytes"] == 0


def test_doctor_skips_a_stick_that_is_opened_when_it_appears(
    simulator: SimulatorProcess, serial: str, node: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["storage", "off"])
    until(lambda: not Path(node).exists(), 60)
    with ExitStack() as using:

        def mount() -> None:
            until(Path(node).exists, 60)
            using.enter_context(open(node, "rb"))  # noqa: PTH123 - a descriptor to keep

        desktop = threading.Thread(target=mount)
        desktop.start()
        capsys.readouterr()
        run(["--json", "doctor", "--board", serial])
        desktop.join()
        found = json.loads(capsys.readouterr().out)["findings"]
        mux = simulator.management.state(serial)["mux"]

    (stick,) = [finding for finding in found if finding["check"] == "stick"]
    assert (stick["outcome"], mux) == ("not checked", "host")
    assert "is open in process" in stick["why"]


def note(folder: Path, serial: str, position: str) -> None:
    """Put on record who has the stick, as a command did before another program turned the mux."""
    write_record(folder, serial, read_record(folder, serial).with_position(position))


def test_lease_does_not_begin_while_an_unknown_stick_is_in_use(
    simulator: SimulatorProcess, serial: str, node: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note(tmp_path / "locks", serial, "off")
    with opened(node):
        error = failed(capsys, "lease", "--", "true")

        assert (error["error"], simulator.management.state(serial)["mux"]) == ("StickInUseError", "host")


def test_lease_leaves_an_unknown_stick_in_use_at_its_end(
    simulator: SimulatorProcess, serial: str, tmp_path: Path
) -> None:
    with ExitStack() as using:

        def use() -> None:
            until((tmp_path / "node").exists, 60)
            note(tmp_path / "locks", serial, "off")
            use_when_told(tmp_path, using)

        user = threading.Thread(target=use)
        user.start()
        command = f"{NODE}{COMMAND}"
        status = run(["lease", "--", "sh", "-c", command, str(tmp_path)])
        user.join()
        truth = simulator.management.state(serial)

    assert (status, truth["mux"], truth["supply"]) == (1, "host", False)


def test_safe_names_disks_that_may_be_the_unknown_stick(
    simulator: SimulatorProcess, serial: str, node: str, tmp_path: Path
) -> None:
    for file in (tmp_path / "locks").glob("hil-stick-*"):
        file.unlink()
    with opened(node) as pid:
        status = run(["safe", serial])

    event = read_record(tmp_path / "locks", serial).events[-1]
    assert (status, simulator.management.state(serial)["mux"]) == (0, "off")
    assert f"sda is open in process {pid}" in event.why
    assert "that disk may be the stick" in event.why
