"""What the nox sessions run, seen through a session that only takes notes."""

from __future__ import annotations

import importlib.util
import json
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
    "browser",
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

    warn = log

    def error(self, message: str) -> None:
        raise RuntimeError(message)

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


@pytest.mark.parametrize("asked", [("--hil-boards", "jumpstarter:a=b"), ("--hil-boards=jumpstarter:a=b",)])
def test_a_session_that_asks_for_a_lab_installs_what_reaches_it(
    noxfile: ModuleType, asked: tuple[str, ...]
) -> None:
    session = FakeSession(*asked)

    noxfile.hil(session)

    assert session.installed[:2] == ["-e", ".[jumpstarter]"]


@pytest.mark.parametrize("name", ["hil", "hardware", "mixed"])
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
    boards = ("--hil-boards", "sim:2,speed=5", "--hil-require", "-n", "2")
    assert command[1:] == ("-m", "hardware or mixed", *boards)


class NightSession(FakeSession):
    """Keeps a record of a night that ended with `status`, as `hil nightly run` does."""

    def __init__(self, root: Path, status: int | None, *posargs: str) -> None:
        super().__init__(*posargs)
        self.root, self.status = root, status

    def run(self, *command: str, **options: Any) -> None:
        super().run(*command, **options)
        newest = self.root / "nightly" / "newest"
        (newest.parent / "1").mkdir(parents=True)
        newest.symlink_to("1")
        record = {"status": self.status, "meaning": "as it went", "folder": "nightly/1"}
        newest.joinpath("night.json").write_text(json.dumps(record), "utf-8")


def test_nightly_runs_what_hil_nightly_runs(noxfile: ModuleType, tmp_path: Path) -> None:
    session = NightSession(tmp_path, 0, "-k", "power")

    noxfile.nightly(session)

    (command,) = session.commands
    assert command[:4] == ("hil", "nightly", "run", "--folder")
    assert command[-3:] == ("--", "-k", "power")
    assert session.options[0]["interrupt_timeout"] == session.options[0]["terminate_timeout"] == 30


@pytest.mark.parametrize(("status", "said"), [(1, 1), (5, 5), (6, 6), (7, 7), (None, 1)])
def test_nox_exits_as_the_night_did(
    noxfile: ModuleType, tmp_path: Path, status: int | None, said: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        noxfile.nightly(NightSession(tmp_path, status))

    assert ended.value.code == said


def test_nightly_never_exits_as_the_night_before_did(noxfile: ModuleType, tmp_path: Path) -> None:
    NightSession(tmp_path, 0).run()
    session = FakeSession()

    with pytest.raises(RuntimeError, match="no night began"):
        noxfile.nightly(session)


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
