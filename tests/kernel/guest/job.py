"""What runs beside the attached boards: the plugger, then one stage of tests after the other.

Its one argument is the folder for results, with `job.json` in it; it ends with 0 when every stage passed.
Nothing but the standard library is imported here: a stage gets its packages by PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTACH_LIMIT_S = 60.0
LOOK_EVERY_S = 0.1
NO_TESTS = 5
END_LIMIT_S = 60.0


@dataclass(frozen=True)
class Stage:
    """One run of pytest.

    Attributes:
        name: Of its JUnit file, too.
        arguments: What it runs.
        limit_s: When it is given up.
    """

    name: str
    arguments: tuple[str, ...]
    limit_s: float


STAGES = (
    Stage(
        "kernel",
        (
            "--confcutdir=tests/kernel",
            "-p",
            "tests.kernel.kernel_fixtures",
            "--timeout=90",
            "-rs",
            "tests/kernel",
        ),
        2700.0,
    ),
    Stage("faults", ("--confcutdir=tests/faults", "--timeout=90", "tests/faults"), 300.0),
    Stage(
        "suite",
        ("-n", "2", "--hil-boards", "usb", "--hil-require", "tests/hardware", "tests/mixed"),
        400.0,
    ),
)
"""The suite's own conftest.py is for the last stage alone: the others look at the suite from outside."""


def main() -> int:
    """Run the job; returns its exit status."""
    results = Path(sys.argv[1])
    job = json.loads(results.joinpath("job.json").read_text("utf-8"))
    with plugged_in(job, results):
        chosen = job["stages"] or [stage.name for stage in STAGES]
        statuses = {stage.name: run(stage, job, results) for stage in STAGES if stage.name in chosen}
    say(", ".join(f"{name} {verdict(status)}" for name, status in statuses.items()))
    return int(any(verdict(status) == "FAILED" for status in statuses.values()))


@contextlib.contextmanager
def plugged_in(job: dict[str, Any], results: Path) -> Iterator[None]:
    """Attach the boards and wait until udev has named each one's tty."""
    command = [sys.executable, str(Path(__file__).with_name("plugger.py"))]
    command += [job["address"], str(job["ready"]["usbip_port"])]
    with results.joinpath("plugger.txt").open("w") as log:
        plugger = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for_boards(board["serial"] for board in job["ready"]["boards"])
            yield
        finally:
            plugger.terminate()
            plugger.wait(END_LIMIT_S)


def wait_for_boards(serials: Iterator[str]) -> None:
    """Wait until every board has its tty; raises TimeoutError."""
    wanted = [Path(f"/dev/serial/by-id/usb-Red_Hat_Inc._Dutlink_{serial}-if00") for serial in serials]
    deadline = time.monotonic() + ATTACH_LIMIT_S
    while not all(node.exists() for node in wanted):
        if time.monotonic() > deadline:
            message = f"no {wanted} {ATTACH_LIMIT_S:.0f} s after the boards were plugged in"
            raise TimeoutError(message)
        time.sleep(LOOK_EVERY_S)  # udev announces nothing to a program without libudev


def run(stage: Stage, job: dict[str, Any], results: Path) -> int:
    """Run one stage under coverage, time limited; returns pytest's exit status."""
    say(f"stage {stage.name}")
    chosen = job["pytest"]
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    command += ["--durations=20", "--tb=short"]
    command += [f"--junit-xml={results / stage.name}.xml", *stage.arguments, *chosen]
    with subprocess.Popen(command, env=environment(job, results)) as tests:
        try:
            status = tests.wait(stage.limit_s)
        except subprocess.TimeoutExpired:
            say(f"stage {stage.name} took more than {stage.limit_s:.0f} s")
            tests.send_signal(signal.SIGINT)  # pytest then tells what it has so far
            status = interrupted(tests)
    return 0 if chosen and status == NO_TESTS else status


def interrupted(tests: subprocess.Popen[bytes]) -> int:
    """Give pytest a moment to report; a status that is not 0 in any case."""
    try:
        return tests.wait(END_LIMIT_S) or 1
    except subprocess.TimeoutExpired:
        tests.kill()
        return 1


def environment(job: dict[str, Any], results: Path) -> dict[str, str]:
    """What a stage finds in its environment: its packages, and where the simulated boards' truth is told."""
    added = [path for path in (job["project"], job["packages"], os.environ.get("PYTHONPATH")) if path]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(added),
        "COVERAGE_FILE": str(results / ".coverage"),
        "HIL_KERNEL_JOB": str(results / "job.json"),
        "NO_COLOR": "1",
    }


def say(text: str) -> None:
    """Print what the session does, with the time, since stages are long."""
    print(f"kernel: {time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201 - the session's own output


def verdict(status: int) -> str:
    """In a word."""
    return "FAILED" if status else "passed"


if __name__ == "__main__":
    sys.exit(main())
