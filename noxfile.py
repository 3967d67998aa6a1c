"""What can be run: one session, one command.

`nox` alone runs `sim`, then `no_hardware`. What follows `--` goes to pytest: `nox -s hil -- -k power -x`.
The environment variable HIL_BOARDS chooses the boards where a session leaves the choice open.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2.9"  # dependency groups, several backends to choose from
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.sessions = ["sim", "no_hardware"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
TEST_GROUP = nox.project.dependency_groups(PYPROJECT, "test")
BENCH_GROUP = nox.project.dependency_groups(PYPROJECT, "bench")
JUMPSTARTER_GROUP = nox.project.dependency_groups(PYPROJECT, "jumpstarter")
BROWSER_GROUP = nox.project.dependency_groups(PYPROJECT, "browser")
FUZZ_GROUP = nox.project.dependency_groups(PYPROJECT, "fuzz")
LINT_GROUP = nox.project.dependency_groups(PYPROJECT, "lint")
# The tests build the wheel and read this file.
FRAME_TOOLS = [*PYPROJECT["build-system"]["requires"], "nox"]

ON_BOARDS = ("-m", "hardware or mixed")
# Of thousands of tests with processes and signals, one may meet an accident of the machine: CI tries up to
# three failed ones of a session once more and lists them: such a test has a fault, which is to be mended.
CI_RERUNS = (
    ("--reruns", "1", "--max-suite-reruns", "3", "--rerun-show-tracebacks") if "CI" in os.environ else ()
)
# Most of the time a test waits for a simulated board, so three workers for each core.
WITHOUT_BOARDS = (*CI_RERUNS, "-n", str(min(6, 3 * (os.cpu_count() or 1))), "-m")
# Simulated boards can always be had: a test that is skipped for want of one is a hole in the run.
# In real time it takes 16 s to prove which disk is a board's stick.
SIMULATED = ("--hil-boards", "sim:2,speed=5", "--hil-require", "-n", "2")

# A thousand random cases bring no line that the first few do not.
WITHOUT_SEEDS = ("-m", "not seeds")

# After Ctrl-C pytest switches boards off before it ends: a power-off sequence may take 20 s.
PATIENCE_S = 30.0


@nox.session
def hil(session: nox.Session) -> None:
    """Run every test that wants a board on the boards of this host."""
    _install(session)
    _pytest(session, *ON_BOARDS)


@nox.session
def hardware(session: nox.Session) -> None:
    """Run the tests that need a board."""
    _install(session)
    _pytest(session, "-m", "hardware")


@nox.session
def mixed(session: nox.Session) -> None:
    """Run the tests that take a board where there is one, and a simulated one elsewhere."""
    _install(session)
    _pytest(session, "-m", "mixed")


@nox.session
def no_hardware(session: nox.Session) -> None:
    """Run the tests that must not touch a board, but for the longest of them."""
    _install(session)
    _pytest(session, *WITHOUT_BOARDS, "no_hardware and not thorough")


@nox.session
def thorough(session: nox.Session) -> None:
    """Run what `no_hardware` leaves out: many processes, many signals, many turns."""
    _install(session)
    _pytest(session, *WITHOUT_BOARDS, "no_hardware and thorough")


@nox.session
def sim(session: nox.Session) -> None:
    """Run every test that wants a board on two simulated ones, in parallel and five times as fast."""
    _install(session)
    _pytest(session, *ON_BOARDS, *SIMULATED)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run a night as `hil nightly` does, and exit as it does: docs/nightly.md says what the status means."""
    _install(session)
    newest = ROOT / "nightly" / "newest" / "night.json"
    before = newest.resolve()  # each night has a folder of its own
    more = ("--", *session.posargs) if session.posargs else ()
    command = ("hil", "nightly", "run", "--folder", str(ROOT / "nightly"), *more)
    session.run(
        *command, success_codes=range(256), interrupt_timeout=PATIENCE_S, terminate_timeout=PATIENCE_S
    )
    if newest.resolve() == before:
        session.error("no night began: the command line or the folder is wrong, as the lines above say")
    night = json.loads(newest.read_text(encoding="utf-8"))
    if night["status"] != 0:
        session.warn(f"{night['meaning']}; kept in {night['folder']}")
        sys.exit(night["status"] or 1)  # nox would make a 1 of whatever it was


@nox.session
def kernel(session: nox.Session) -> None:
    """Run the suite on Linux' own USB stack, to which simulated boards are attached; see docs/kernel.md."""
    _install(session, "pip")  # an environment that uv made has none, and the guest's packages come by it
    session.run("python", "tests/kernel/run.py", *session.posargs, interrupt_timeout=PATIENCE_S)


@nox.session
def kill_matrix(session: nox.Session) -> None:
    """End runs in every way there is, and look at their boards; `-- --write` keeps the table in docs."""
    _install(session)
    session.run("python", "tests/kill_matrix/run.py", *session.posargs, interrupt_timeout=PATIENCE_S)


@nox.session
def jumpstarter(session: nox.Session) -> None:
    """Run the tests of many hosts: Jumpstarter's own client and exporter, on simulated boards."""
    session.install("-e", ".[jumpstarter]", *TEST_GROUP, *JUMPSTARTER_GROUP)
    _pytest(session, "tests/jumpstarter", "-n", "2", "--dist", "loadfile")


@nox.session
def browser(session: nox.Session) -> None:
    """Open the report's pages in a headless Chromium, and have axe look at them."""
    _install(session, *BROWSER_GROUP)
    _pytest(session, "tests/browser", *CI_RERUNS)


@nox.session
def pictures(session: nox.Session) -> None:
    """Take the pictures of the report in docs: ten nights on simulated boards, and a Chromium."""
    _install(session, *BROWSER_GROUP)
    session.run("python", "tests/pictures/take.py", *session.posargs)


@nox.session
def bench_jumpstarter(session: nox.Session) -> None:
    """Measure our driver for Jumpstarter's exporter against Jumpstarter's own, on one simulated board."""
    session.install("-e", ".[jumpstarter]", *TEST_GROUP, *JUMPSTARTER_GROUP)
    session.run("python", "tests/bench/bench_jumpstarter.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what suite, driver, leases, scheduling, console, flashing, report cost: half an hour."""
    _install(session, *BENCH_GROUP)
    session.run("python", "tests/bench/run.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, lint, types, the walls between the packages, and the plan of the house."""
    _install(session, *LINT_GROUP)
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("python", "tests/house.py")


@nox.session
def audit(session: nox.Session) -> None:
    """Look up known vulnerabilities of all that is installed; needs an advisory service in reach."""
    _install(session, "pip-audit>=2.9")
    session.run("pip-audit", "--skip-editable", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz every parser and both protocols of the simulator, five minutes or `-- --minutes 60`."""
    _install(session, *FUZZ_GROUP)
    session.run("python", "tests/fuzz/run.py", *session.posargs, interrupt_timeout=PATIENCE_S)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run every test but the thousand seeds, boards simulated, and measure lines and branches of `hil`."""
    _install(session)
    session.run("coverage", "erase")
    _pytest(session, *SIMULATED, *WITHOUT_SEEDS, start=("coverage", "run", "-m", "pytest"))
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", "--fail-under=95")


@nox.session
def minimums(session: nox.Session) -> None:
    """Run every test, the boards simulated, on the oldest versions that pyproject.toml allows."""
    oldest = [_oldest(line) for line in [*PYPROJECT["project"]["dependencies"], *TEST_GROUP]]
    session.install("-e", ".", *oldest, *FRAME_TOOLS)
    _pytest(session, *SIMULATED, *WITHOUT_SEEDS)


def _install(session: nox.Session, *more: str) -> None:
    session.install("-e", _project(session), *TEST_GROUP, *FRAME_TOOLS, *more)


def _project(session: nox.Session) -> str:
    """Return what to install: with the extra where the boards of a Jumpstarter lab are asked for."""
    asked = (*session.posargs, os.environ.get("HIL_BOARDS", ""))
    wants_lab = any(part.removeprefix("--hil-boards=").startswith("jumpstarter") for part in asked)
    return ".[jumpstarter]" if wants_lab or "JUMPSTARTER_HOST" in os.environ else "."


def _pytest(
    session: nox.Session,
    *arguments: str,
    start: tuple[str, ...] = ("pytest",),
) -> None:
    """Run pytest with what the user typed after `--`, and time to make the boards safe after Ctrl-C."""
    session.run(
        *start,
        *arguments,
        *session.posargs,
        interrupt_timeout=PATIENCE_S,
        terminate_timeout=PATIENCE_S,
    )


def _oldest(line: str) -> str:
    """Return the requirement `line` with its lower bound, or its pin, as the only version allowed.

    Raises:
        ValueError: The line has neither, so "oldest" means nothing.
    """
    requirement = Requirement(line)
    bounds = [bound.version for bound in requirement.specifier if bound.operator in {">=", "=="}]
    if len(bounds) != 1:
        message = f"pyproject.toml: {line!r} needs exactly one lower bound (`>=`)"
        raise ValueError(message)
    where = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}=={bounds[0]}{where}"
