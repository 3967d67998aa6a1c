"""`hil flash` and `hil read`: images onto the stick and back, by hand."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run
from hil.cli.progress import ProgressBar
from hil.dutlink.power.reading import OFF_AMPS
from hil.dutlink.storage.storage import Storage
from hil.dutlink.timing import until
from hil.flash.progress import ProgressLines
from hil.lab.locks.acquire import acquire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

STICK_BYTES = 8 << 20
_RANDOM = random.Random(5)  # noqa: S311 - an image, no secret
CONTENT = _RANDOM.randbytes(510) + b"\x55\xaa" + _RANDOM.randbytes(1_000_000 - 512)
SIMULATOR = {"boards": 1, "speed": 50, "stick_bytes": STICK_BYTES}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> Iterator[str]:
    """The board that commands use, its stick wired; it has no faults before and after the test."""
    serial = simulator.serials()[0]
    node = simulator.management.state(serial)["stick"]["node"]
    tmp_path.joinpath("lab.toml").write_text(f'[place.one]\nserial = "{serial}"\nstick = "{node}"\n', "utf-8")
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.delenv("HIL_BOARD", raising=False)
    monkeypatch.chdir(tmp_path)
    simulator.management.clear(serial)
    yield serial
    simulator.management.clear(serial)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.img"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def truth(simulator: SimulatorProcess, serial: str) -> Any:
    """What the simulator knows of the board, asked for afresh."""
    return lambda: simulator.management.state(serial)


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def drain(terminal: int) -> str:
    """Everything that was written to a terminal that no process has open any more."""
    seen = b""
    with contextlib.suppress(OSError):  # EIO is its end
        while piece := os.read(terminal, 65536):
            seen += piece
    os.close(terminal)
    return seen.decode()


def on_stick(truth: Any) -> bytes:
    return Path(truth()["stick"]["path"]).read_bytes()[: len(CONTENT)]


def test_flash_writes_verifies_and_connects_the_stick_to_the_dut(
    image: Path, serial: str, truth: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "flash", str(image), "--force"])

    answer = told(capsys)
    assert (status, answer["board"], answer["image"], answer["storage"]) == (0, serial, image.name, "dut")
    assert (answer["result"], answer["written_bytes"]) == ("written and verified", len(CONTENT))
    assert (truth()["mux"], on_stick(truth)) == ("dut", CONTENT)


def test_flash_that_writes_nothing_reports_a_comparison_to_a_running_dut(
    image: Path, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["flash", str(image)])
    run(["power", "force-on"])
    assert until(lambda: _reads_watts(serial, capsys), 60)

    run(["flash", str(image)])
    said = capsys.readouterr().out
    run(["power", "force-off"])

    assert "nothing was written" in said
    assert "The DUT runs and lost its stick while it was compared: hil power cycle boots it again." in said


def _reads_watts(serial: str, capsys: pytest.CaptureFixture[str]) -> bool:
    capsys.readouterr()
    run(["--json", "power", "read", "--board", serial])
    return abs(told(capsys)["amps"]) >= OFF_AMPS


@pytest.mark.parametrize("then", ["off", "host"])
def test_flash_then_option_sets_the_position(
    image: Path, truth: Any, then: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(["--json", "flash", str(image), "--then", then])

    assert (status, told(capsys)["storage"], truth()["mux"]) == (0, then, then)
    assert then == "off" or truth()["stick"]["node_present"]


def test_flash_unpacks_an_archive(tmp_path: Path, truth: Any) -> None:
    archive = tmp_path / "image.img.gz"
    archive.write_bytes(gzip.compress(CONTENT[:512] + CONTENT[:511:-1], 1))

    status = run(["flash", str(archive)])

    assert (status, on_stick(truth)) == (0, CONTENT[:512] + CONTENT[:511:-1])


def test_flash_finds_takes_or_ignores_a_block_map(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image.with_name("image.bmap").write_text("no map", encoding="utf-8")
    named = image.with_name("other.bmap")
    named.write_text("no map either", encoding="utf-8")

    found = run(["flash", str(image)]), capsys.readouterr().err
    given = run(["flash", str(image), "--bmap", str(named)]), capsys.readouterr().err
    left_out = run(["flash", str(image), "--no-bmap"])

    assert (found[0], given[0], left_out) == (1, 1, 0)
    assert (found[1].split()[1], given[1].split()[1]) == ("image.bmap", "other.bmap")


def test_flash_names_the_block_map_in_use(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zeros, size = "0" * 64, len(CONTENT)
    text = (
        f'<bmap version="2.0"><ImageSize>{size}</ImageSize><BlockSize>{size}</BlockSize>'
        "<BlocksCount>1</BlocksCount><MappedBlocksCount>1</MappedBlocksCount><ChecksumType>sha256</ChecksumType>"
        f"<BmapFileChecksum>{zeros}</BmapFileChecksum><BlockMap>"
        f'<Range chksum="{hashlib.sha256(CONTENT).hexdigest()}">0</Range></BlockMap></bmap>'
    )
    own = hashlib.sha256(text.encode()).hexdigest()
    image.with_name("image.bmap").write_text(text.replace(zeros, own), "ascii")

    status = run(["--json", "flash", str(image), "--force"])

    assert (status, told(capsys)["bmap"]) == (0, "image.bmap")


def test_flash_reports_bytes_after_the_image(
    tmp_path: Path, truth: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "box.img.gz"
    archive.write_bytes(gzip.compress(CONTENT, 1) + b"FWx0 trailer")

    status = run(["--json", "flash", str(archive), "--force"])

    assert (status, on_stick(truth)) == (0, CONTENT)
    assert "follows the end of the gzip archive" in told(capsys)["notes"][0]


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_flash_refuses_a_web_page_before_it_uses_the_board(
    simulator: SimulatorProcess, serial: str, force: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("image.img").write_text("<html><title>404 Not Found</title></html>", "utf-8")
    _, since = simulator.management.log(serial)

    status = run(["flash", "image.img", *force])

    assert (status, simulator.management.log(serial, since)[0]) == (1, [])
    assert "image.img does not look like a disk image: it is a web page" in capsys.readouterr().err


def test_flash_refuses_an_unknown_image_without_force(truth: Any) -> None:
    Path("image.img").write_bytes(CONTENT[600:])

    asked = run(["flash", "image.img"])
    forced = run(["flash", "image.img", "--force"])

    assert (asked, forced, on_stick(truth)[:1000]) == (1, 0, CONTENT[600:1600])


def test_flash_refuses_a_missing_image_before_it_uses_the_board(
    simulator: SimulatorProcess, serial: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, since = simulator.management.log(serial)

    status = run(["flash", "nowhere.img"])

    assert (status, simulator.management.log(serial, since)[0]) == (1, [])
    assert "nowhere.img cannot be read: No such file or directory" in capsys.readouterr().err


def test_flash_refuses_bmap_with_no_bmap(image: Path) -> None:
    assert run(["flash", str(image), "--bmap", "a.bmap", "--no-bmap"]) == 2


def test_flash_of_a_bad_stick_fails_and_detaches_it(
    image: Path, simulator: SimulatorProcess, serial: str, truth: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.management.fault(serial, "stick_flip", every=200_000)
    image.write_bytes(CONTENT[::-1])  # what the stick holds already is not written, and nothing of it flipped

    status = run(["--json", "flash", str(image), "--force"])

    assert (status, truth()["mux"]) == (1, "off")
    assert json.loads(capsys.readouterr().err)["error"] == "FlashError"


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize("phase", ["write", "verify"])
def test_flash_ended_by_a_signal_detaches_the_stick(  # noqa: PLR0913 - fixtures
    image: Path,
    truth: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    phase: str,
    number: signal.Signals,
    status: int,
) -> None:
    monkeypatch.setattr(
        ProgressLines, "begin", lambda _, now, __: signal.raise_signal(number) if now == phase else None
    )

    before = signal.getsignal(number)

    ended = run(["flash", str(image), "--force"])

    said = capsys.readouterr().err
    assert (ended, truth()["mux"]) == (status, "off")
    assert "interrupted: image.img may not be on the stick: " in said
    assert "; the stick is detached now" in said
    assert {"write": "nothing was written", "verify": "wiped, so that it does not boot; up to "}[
        phase
    ] in said
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("coming", [1, 2])
def test_flash_ended_while_the_stick_comes_reports_what_was_written_and_boots(
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    coming: int,
) -> None:
    comings: list[int] = []
    host = Storage.host

    def give(storage: Storage, **how: Any) -> None:
        comings.append(1)
        if len(comings) == coming:
            signal.raise_signal(signal.SIGINT)
        host(storage, **how)

    monkeypatch.setattr(Storage, "host", give)

    status = run(["flash", str(image), "--force"])

    said = capsys.readouterr().err
    assert status == 130
    assert ("nothing was written" in said) == (coming == 1)
    assert ("bytes were written to " in said) == (coming == 2)
    assert ("the stick may boot an image that is not verified" in said) == (coming == 2)


def test_flash_ended_after_verification_says_that_the_image_is_verified(
    image: Path, truth: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Storage, "dut", lambda *_, **__: signal.raise_signal(signal.SIGTERM))

    status = run(["flash", str(image), "--force"])

    assert (status, truth()["mux"]) == (143, "off")
    assert (
        "interrupted: image.img is on the stick and verified; the stick was not connected"
        in capsys.readouterr().err
    )


def test_flash_keeps_ignoring_a_signal_under_nohup(
    image: Path, truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProgressLines, "begin", lambda *_: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        status = run(["flash", str(image), "--force"])
        assert (status, on_stick(truth), signal.getsignal(signal.SIGHUP)) == (0, CONTENT, signal.SIG_IGN)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_flash_works_again_after_an_interruption(
    image: Path, truth: Any, serial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ProgressLines, "begin", lambda *_: signal.raise_signal(signal.SIGINT))
        run(["flash", str(image), "--force"])

    assert acquire(serial).release() is None
    assert (run(["flash", str(image)]), on_stick(truth)) == (0, CONTENT)


def test_flash_prints_progress_lines_in_a_log_and_none_with_json(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["flash", str(image), "--force"])
    lines = capsys.readouterr().err
    run(["--json", "flash", str(image), "--force"])

    assert lines.startswith("hil: waiting for the stick to attach to this host"), lines
    assert "hil: write: 976.6 KiB in" in lines
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("columns", [0, 100])
def test_flash_shows_a_bar_with_rate_and_time_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, columns))
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        bar = ProgressBar()
        bar.begin("write", 100 << 20)
        bar.advance(30 << 20)
        bar.end()
    drawn = drain(ours).split("\r")

    assert any(line.startswith("  write:  30%|") and "30.0M/100M [" in line for line in drawn)


def test_flash_tells_on_a_terminal_that_it_waits_for_the_stick(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        bar = ProgressBar()
        bar.begin("stick", None)

        assert os.read(ours, 1000).startswith(b"hil: waiting for the stick")


def test_flash_removes_the_bar_of_a_comparison_that_ended_early(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 60))
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal)
        bar = ProgressBar()
        bar.begin("compare", 100)
        bar.advance(30)
        bar.end()

    assert drain(ours).split("\r")[-2].strip() == ""


def test_read_copies_the_stick_into_a_file(
    image: Path, serial: str, truth: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["flash", str(image)])
    capsys.readouterr()

    status = run(["--json", "read", "copy.img", "--size", "512K"])

    answer = told(capsys)
    assert (status, answer["board"], answer["file"], answer["storage"]) == (0, serial, "copy.img", "off")
    assert (Path("copy.img").read_bytes(), truth()["mux"]) == (CONTENT[: 512 << 10], "off")


def test_read_copies_the_whole_stick_with_holes_for_zeros(truth: Any) -> None:
    Path("lab.toml").unlink()

    status = run(["read", "whole.img"])

    copy = Path("whole.img")
    assert (status, copy.read_bytes()) == (0, Path(truth()["stick"]["path"]).read_bytes())
    assert copy.stat().st_blocks * 512 < STICK_BYTES // 2


def test_read_replaces_a_file_only_with_force() -> None:
    Path("precious.img").write_bytes(b"image")

    refused = run(["read", "precious.img", "--size", "1K"]), Path("precious.img").read_bytes()
    forced = run(["read", "precious.img", "--size", "1K", "--force"]), Path("precious.img").stat().st_size

    assert (refused, forced) == ((2, b"image"), (0, 1024))


@pytest.mark.parametrize(
    "arguments", [["."], ["nowhere/x.img"], ["x.img", "--size", "0"], ["x.img", "--size", "9x"]]
)
def test_read_refuses_a_file_that_cannot_be_written(arguments: list[str]) -> None:
    assert run(["read", *arguments]) == 2


def test_read_that_is_interrupted_leaves_no_file(
    truth: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ProgressLines, "advance", lambda *_: signal.raise_signal(signal.SIGINT))

    status = run(["read", "part.img"])

    assert (status, truth()["mux"]) == (130, "off")
    assert [path.name for path in Path().iterdir() if path.is_file()] == ["lab.toml"]
    assert "interrupted: part.img was not written" in capsys.readouterr().err


@pytest.mark.thorough
@pytest.mark.parametrize("verb", ["flash", "read", "storage host"])
def test_killed_command_leaves_no_wrong_position_in_the_record(
    simulator: SimulatorProcess, image: Path, truth: Any, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    run(["storage", "off"])
    # The command waits for the stick until it is killed.
    simulator.management.fault(simulator.serials()[0], "stick_missing")
    words = {"flash": [str(image)], "read": [str(image.with_name("bytes"))]}.get(verb, [])
    arguments = [sys.executable, "-m", "hil.cli.main", *verb.split(), *words]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: truth()["mux"] == "host", 60)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(60)
    capsys.readouterr()

    run(["--json", "boards"])

    (row,) = told(capsys)
    assert row["position"] == "unknown"
