"""What holds for all tests: how hard property tests try, what signals do, where leases of absent boards meet.

Property tests try a little in every run, and the same each time; a lot, and others each time, where
HYPOTHESIS_PROFILE=thorough says so. No deadlines: a machine that is busy with other workers is no bug.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

try:
    from hypothesis import HealthCheck, settings
except ModuleNotFoundError:  # tests on boards run without it
    settings = None  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

_WITHOUT_BOARDS = Path(__file__).parent / "no_hardware"
_LOCKS = pytest.StashKey[str]()
collect_ignore_glob = ["*/programs/*"]  # tests of runs inside tests

# Container images forbid bytecode. Without it, each of the many processes compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Who is started by nohup, or by a shell in the background, ignores these, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

if settings is not None:
    BUSY = [HealthCheck.too_slow]
    settings.register_profile(
        "quick", max_examples=25, deadline=None, suppress_health_check=BUSY, derandomize=True, database=None
    )
    settings.register_profile("thorough", max_examples=200, deadline=None, suppress_health_check=BUSY)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


class _LackingTests(pytest.Dir):
    """A folder whose tests need packages that are not installed here: one error in place of one a file."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Name the command that installs the packages.

        Raises:
            CollectError: In any case.
        """
        message = (
            f"tests/{self.path.name} needs hypothesis and other packages, which are not installed here: "
            "type nox, which installs them, or name your own tests, as in: pytest tests/test_first.py"
        )
        raise self.CollectError(message)


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Explain that the packages of the tests without boards are missing."""
    is_lacking = settings is None and path == _WITHOUT_BOARDS
    return _LackingTests.from_parent(parent, path=path) if is_lacking else None


def _make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))


@pytest.fixture(params=[os.mkfifo, os.mkdir, _make_socket], ids=["named pipe", "folder", "socket"])
def no_file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is no file though its path names something."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make: Callable[[Path], None] = request.param
    make(Path("it"))
    return Path("it")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep tests that use no board of this machine out of the folder where the machine's leases meet."""
    if _WITHOUT_BOARDS not in item.path.parents:
        return (yield)
    if _LOCKS not in item.config.stash:
        item.config.stash[_LOCKS] = tempfile.mkdtemp(prefix="hil-test-locks-")
        Path(item.config.stash[_LOCKS]).chmod(0o1777)  # some tests run as other users
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIL_LOCK_DIR", item.config.stash[_LOCKS])
        for name in ("HIL_LEASE", "HIL_BOARDS"):  # of a board that this process had before
            patch.delenv(name, raising=False)
        return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder of those tests."""
    if _LOCKS in config.stash:
        shutil.rmtree(config.stash[_LOCKS], ignore_errors=True)
