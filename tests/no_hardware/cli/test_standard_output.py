"""Readers of a command's output that leave or stall: the command goes on, and its exit status is its own."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.sim.dut.image import build_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

HIL = (sys.executable, "-P", "-m", "hil.cli.main")
LIMIT_S = 60
_PIPE_BYTES = 4096
SIMULATOR = {"boards": 1, "speed": 20}


@pytest.fixture
def environ(simulator: SimulatorProcess, tmp_path: Path) -> dict[str, str]:
    boards = f"sim@{simulator.ready['control_port']}"
    (tmp_path / "locks").mkdir(mode=0o700)
    return {**os.environ, "HIL_BOARDS": boards, "HIL_LOCK_DIR": str(tmp_path / "locks"), "HIL_LAB": "none"}


@pytest.fixture
def no_reader() -> Iterator[IO[bytes]]:
    """The writing end of a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        yield pipe


@pytest.fixture
def unread() -> Iterator[int]:
    """The writing end of a pipe of 4 KiB whose reader takes nothing."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    yield writer
    os.close(writer)
    os.close(reader)


def fill(pipe: int) -> None:
    """Fill a pipe; its other writers block from then on."""
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with closing(os.fdopen(own, "wb", buffering=0)) as writer:
        while writer.write(b"0") is not None:
            pass


def is_set(mask_of: str, process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether a process handles a signal: proc(5), SigCgt."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith(mask_of))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        pytest.param(["power", "nope"], 2, id="misuse"),
        pytest.param(["power", "read", "--board", "00000000"], 1, id="no such board"),
        pytest.param(["power", "on"], 0, id="done"),
        pytest.param(["--help"], 0, id="help"),
    ],
)
def test_exit_status_is_the_commands_if_its_reader_ends(
    environ: dict[str, str], no_reader: IO[bytes], arguments: list[str], status: int
) -> None:
    alone = subprocess.run([*HIL, *arguments], env=environ, capture_output=True, timeout=LIMIT_S, check=False)
    done = subprocess.run(
        [*HIL, *arguments], env=environ, stdout=no_reader, stderr=no_reader, timeout=LIMIT_S, check=False
    )

    assert (alone.returncode, done.returncode) == (status, status)


def test_flash_continues_if_the_reader_of_its_progress_ends(
    environ: dict[str, str], simulator: SimulatorProcess, no_reader: IO[bytes], tmp_path: Path
) -> None:
    build_image(tmp_path / "demo.img", "demo-1")
    done = subprocess.run(
        [*HIL, "flash", str(tmp_path / "demo.img")],
        env=environ,
        stdout=no_reader,
        stderr=no_reader,
        timeout=LIMIT_S,
        check=False,
    )

    state = simulator.management.state(simulator.serials()[0])
    stick = Path(state["stick"]["path"]).read_bytes()
    assert (done.returncode, state["mux"]) == (0, "dut")
    assert stick.startswith((tmp_path / "demo.img").read_bytes())


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_flash_ends_by_a_signal_if_its_reader_stalls(
    environ: dict[str, str], simulator: SimulatorProcess, unread: int, tmp_path: Path, number: int
) -> None:
    build_image(tmp_path / "demo.img", "demo-1")
    process = subprocess.Popen(
        [*HIL, "flash", "--force", str(tmp_path / "demo.img")], env=environ, stdout=unread, stderr=unread
    )
    try:
        host = until(lambda: simulator.management.state(simulator.serials()[0])["mux"] == "host", LIMIT_S)
        fill(unread)
        assert host
        assert until(lambda: is_set("SigCgt", process, signal.SIGTERM), LIMIT_S)
        process.send_signal(number)

        assert process.wait(LIMIT_S) == 128 + number
        assert simulator.management.state(simulator.serials()[0])["mux"] == "off"
    finally:
        process.kill()
        process.wait()


def test_output_that_a_full_disk_refuses_is_named(environ: dict[str, str]) -> None:
    with closing(os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb")) as full:
        done = subprocess.run(
            [*HIL, "boards"], env=environ, stdout=full, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False
        )

    assert (done.returncode, b"standard output: No space left on device" in done.stderr) == (1, True)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_standard_error_shows_each_line_at_once(unbuffered: str) -> None:
    write = "tolerate_closed_output(); sys.stderr.write('waiting\\n'); os._exit(0)"  # no flush at an end
    code = f"import os, sys; from hil.cli.standard_output import tolerate_closed_output; {write}"
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )

    assert ran.stderr == "waiting\n"
