"""What the nox sessions run, seen through a session that only takes notes."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
TEST_SESSIONS = [
    "hil",
    "hardware",
    "mixed",
    "no_hardware",
    "thorough",
    "sim",
    "nightly",
    "coverage",
    "minimums",
]


class FakeSession:
    """Notes what a session installs and runs."""

    def __init__(self, *posargs: str) -> None:
        self.posargs = list(posargs)
        self.installed: list[str] = []
        self.commands: list[tuple[str, ...]] = []
        self.options: list[dict[str, Any]] = []

    def install(self, *arguments: str) -> None:
        self.installed += arguments

    def run(self, *command: str, **options: Any) -> None:
        self.commands.append(command)
        self.options.append(options)

    def log(self, message: str) -> None:
        pass

    @property
    def pytest(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The one command that runs pytest, and how it is run."""
        (found,) = [number for number, command in enumerate(self.commands) if "pytest" in command]
        return self.commands[found], self.options[found]


@pytest.fixture(scope="session")
def loaded() -> ModuleType:
    """The noxfile, once a process: nox warns of sessions that are defined twice."""
    pytest.importorskip("nox")
    spec = importlib.util.spec_from_file_location("hil_noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def noxfile(loaded: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The noxfile of a repository in a folder of its own."""
    monkeypatch.setattr(loaded, "ROOT", tmp_path)
    return loaded


@pytest.mark.parametrize("name", TEST_SESSIONS)
def test_what_follows_the_two_dashes_reaches_pytest_last(noxfile: ModuleType, name: str) -> None:
    session = FakeSession("-k", "power")

    getattr(noxfile, name)(session)

    assert session.pytest[0][-2:] == ("-k", "power")


@pytest.mark.parametrize("name", TEST_SESSIONS)
def test_after_ctrl_c_pytest_has_half_a_minute_to_switch_the_boards_off(
    noxfile: ModuleType, name: str
) -> None:
    session = FakeSession()

    getattr(noxfile, name)(session)

    options = session.pytest[1]
    assert options["interrupt_timeout"] == options["terminate_timeout"] == 30


@pytest.mark.parametrize("name", TEST_SESSIONS)
def test_every_test_session_installs_the_project(noxfile: ModuleType, name: str) -> None:
    session = FakeSession()

    getattr(noxfile, name)(session)

    assert session.installed[:2] == ["-e", "."]


@pytest.mark.parametrize("name", ["hil", "hardware", "mixed", "nightly"])
def test_a_session_for_this_hosts_boards_leaves_the_choice_to_hil_boards(
    noxfile: ModuleType, name: str
) -> None:
    session = FakeSession()

    getattr(noxfile, name)(session)

    assert "--hil-boards" not in session.pytest[0]


def test_sim_takes_two_simulated_boards_and_two_workers(noxfile: ModuleType) -> None:
    session = FakeSession()

    noxfile.sim(session)

    command = session.pytest[0]
    assert command[1:] == ("-m", "hardware or mixed", "--hil-boards", "sim:2", "-n", "2")


def test_nightly_requires_hardware(noxfile: ModuleType) -> None:
    session = FakeSession()

    noxfile.nightly(session)

    assert "--hil-require" in session.pytest[0]


def test_two_nights_of_one_second_get_two_folders(noxfile: ModuleType, tmp_path: Path) -> None:
    folders = {noxfile._new_folder(tmp_path) for _ in range(3)}

    assert len(folders) == 3


def test_a_night_keeps_what_the_terminal_showed(noxfile: ModuleType, tmp_path: Path) -> None:
    class TalkingSession(FakeSession):
        def run(self, *command: str, **options: Any) -> None:
            super().run(*command, **options)
            os.write(options["stdout"], b"12 passed\n")

    noxfile.nightly(TalkingSession())

    (console,) = tmp_path.glob("nightly/*/console.txt")
    assert console.read_bytes() == b"12 passed\n"


@pytest.mark.parametrize(
    ("printed", "ledger"),
    [
        (
            "2 failed\n=== hil: hardware ledger ===\nboard 1\nno board 2\n=== summary ===\nF\n",
            "board 1\nno board 2\n",
        ),
        ("ended at once\n", "no ledger\n"),
    ],
    ids=["reported", "ended early"],
)
def test_a_night_keeps_its_ledger_apart(noxfile: ModuleType, printed: str, ledger: str) -> None:
    assert noxfile._ledger(printed) == ledger


def test_a_failed_night_keeps_its_ledger_too(noxfile: ModuleType, tmp_path: Path) -> None:
    class FailingSession(FakeSession):
        def run(self, *command: str, **options: Any) -> None:
            super().run(*command, **options)
            os.write(options["stdout"], b"=== hil: hardware ledger ===\nno board\n=== 1 failed ===\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        noxfile.nightly(FailingSession())

    (kept,) = tmp_path.glob("nightly/*/ledger.txt")
    assert kept.read_text(encoding="utf-8") == "no board\n"


def test_a_night_shows_on_the_terminal_what_it_keeps(
    noxfile: ModuleType, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with noxfile._copied_to(tmp_path / "console.txt") as pipe:
        os.write(pipe, b"a line\n")

    assert b"a line\n" in capfdbinary.readouterr().out


def test_a_failed_night_fails_its_session(noxfile: ModuleType) -> None:
    class FailingSession(FakeSession):
        def run(self, *command: str, **options: Any) -> None:
            super().run(*command, **options)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        noxfile.nightly(FailingSession())


def test_minimums_pins_each_dependency_to_its_lower_bound(noxfile: ModuleType) -> None:
    session = FakeSession()
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))
    dependencies = [*project["project"]["dependencies"], *project["dependency-groups"]["test"]]

    noxfile.minimums(session)

    assert {line.replace(">=", "==") for line in dependencies} <= set(session.installed)


def test_a_dependency_without_a_lower_bound_is_named(noxfile: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"'pytest' needs exactly one lower bound"):
        noxfile._oldest("pytest")


def test_plain_nox_runs_the_simulated_boards_and_then_the_rest(noxfile: ModuleType) -> None:
    assert list(noxfile.nox.options.sessions) == ["sim", "no_hardware"]
