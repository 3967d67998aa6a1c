"""The files of a new repository of tests, which `hil init` writes."""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Final

from hil.errors import UsageError

__all__ = ["CI_FILES", "Repository", "write_repository"]

_CONFTEST = '''"""Options, markers and fixtures of hil."""

pytest_plugins = ["hil.plugin"]
'''

_PYTEST_INI = """\
[pytest]
testpaths = tests
addopts = --strict-markers --strict-config
timeout = 120
"""

_PYTEST_INI_BESIDE_TESTS = """\
[pytest]
# This file fixes the root folder, so that a test keeps its name whichever folders the command line names.
"""

_FIRST_TEST = '''"""My first test on a board."""

from time import sleep

from hil import Console, Power, Storage


def test_dut_wakes_up(power: Power, storage: Storage, console: Console) -> None:
    """After power on, the DUT says something within 30 s and draws less than 10 W."""
    storage.dut()
    power.cycle()

    console.expect(r"[\\w ]{5,}", timeout_s=30)  # a boot loader's words, too; "login: " only if it boots
    with power.trace() as trace:
        sleep(3)  # the meter settles in 2 s

    trace.assert_mean_below(10.0)  # watts
'''

_NOXFILE = '''"""What can be run: one session, one command. What follows `--` goes to pytest."""

import json
import sys
from pathlib import Path

import nox

nox.options.sessions = ["sim"]
HIL = "{requirement}"  # how this environment got it


@nox.session
def sim(session: nox.Session) -> None:
    """Run every test on two simulated boards, in parallel."""
    session.install(HIL)
    session.run("pytest", "--hil-boards", "sim:2", "--hil-require", "-n", "2", *session.posargs)


@nox.session
def hil(session: nox.Session) -> None:
    """Run every test on the boards of this host."""
    session.install(HIL)
    session.run("pytest", *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run a night on the boards of this host; its exit status is in docs/nightly.md of hil."""
    session.install(HIL)
    newest = Path("nightly", "newest", "night.json")
    before = newest.resolve()  # each night has a folder of its own
    arguments = ("--", *session.posargs) if session.posargs else ()
    session.run(
        *("hil", "nightly", "run", *arguments),
        success_codes=range(256),
        interrupt_timeout=30,  # a power-off sequence may take 20 s
        terminate_timeout=30,
    )
    if newest.resolve() == before:
        session.error("no night began")
    night = json.loads(newest.read_text(encoding="utf-8"))
    if night["status"] != 0:
        session.warn(night["meaning"])
        sys.exit(night["status"] or 1)  # nox makes a 1 of any other status
'''

_SESSIONS = ("sim", "nightly")

_GITIGNORE = """\
__pycache__/
/.nox/
/.venv/
/night/
/nightly/
/report/
"""

FILES: Final = {
    ".gitignore": _GITIGNORE,
    "conftest.py": _CONFTEST,
    "pytest.ini": _PYTEST_INI,
    "tests/test_first.py": _FIRST_TEST,
    "noxfile.py": _NOXFILE,
}
CI_FILES: Final = {
    "github": {
        ".github/workflows/hil.yml": "github-sim.yml",
        ".github/workflows/nightly.yml": "github-nightly.yml",
    },
    "gitlab": {".gitlab-ci.yml": "gitlab-sim.yml", "nightly.gitlab-ci.yml": "gitlab-nightly.yml"},
}
"""For each kind of CI: the files in a repository, and their templates in `hil/data/ci`."""

_NOT_OURS: Final = {"venv", "site-packages", "node_modules", "__pycache__"}
"""Folders with tests of other projects, besides those whose names begin with a dot."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What `hil init` did.

    Attributes:
        written: The names of the written files.
        kept: The name of each file that was not written, and why.
        to_do: What the kept files lack, as sentences that say what to do.
    """

    written: list[str]
    kept: dict[str, str]
    to_do: list[str]


def write_repository(folder: Path, requirement: str, ci: str = "") -> Repository:
    """Write the files that do not exist yet.

    Args:
        folder: The repository; it is created if missing.
        requirement: Requirement with which pip installs hil.
        ci: `github` or `gitlab`: also write the files of that CI.

    Raises:
        UsageError: pytest's settings in the folder cannot be read, and nothing was written; or a file could
            not be written.
    """
    settings = _settings_of_pytest(folder)  # first, so that nothing is written if they cannot be read
    test = _a_test_in(folder)
    written, kept = [], {}
    for name, text in (FILES | _texts_of_ci(ci)).items():
        path = folder / name
        if os.path.lexists(path):  # a link, even one that leads nowhere, is not written through
            kept[name] = "it exists already"
        elif name == "pytest.ini" and settings:
            kept[name] = f"{settings} has pytest's settings"
        elif name == "tests/test_first.py" and test:
            kept[name] = f"there are tests already, such as {test}"
        else:
            plain = _PYTEST_INI_BESIDE_TESTS if name == "pytest.ini" and test else text
            _write(path, plain.replace("{requirement}", requirement))
            written.append(name)
    return Repository(written, kept, [line for name in kept if (line := _lack(folder, name, ci))])


def _texts_of_ci(ci: str) -> dict[str, str]:
    templates = CI_FILES.get(ci, {})
    folder = files("hil") / "data" / "ci"
    return {name: (folder / template).read_text("utf-8") for name, template in templates.items()}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written",
            why=f"{error.filename}: {error.strerror}",
            remedy=f"ls -ld {quote(os.fspath(path.parent))}, or another folder: hil init FOLDER",
        ) from error


def _a_test_in(folder: Path) -> str:
    """Return the path of a test in a repository, or an empty text."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in _NOT_OURS)
        for name in sorted(names):
            if fnmatch(name, "test_*.py") or fnmatch(name, "*_test.py"):
                return (Path(parent) / name).relative_to(folder).as_posix()
    return ""


def _lack(folder: Path, name: str, ci: str) -> str:
    """Return what to add to a file that was there already; empty if it lacks nothing."""
    try:
        text = (folder / name).read_text("utf-8")
    except (OSError, ValueError):  # not there, because another file has its part; or not readable
        return ""
    if name == "conftest.py" and not re.search(r"\bhil\b", text):
        return f'Add to {folder / name}: pytest_plugins = ["hil.plugin"]'
    if name == ".gitignore" and (
        missing := [line for line in _GITIGNORE.split() if line not in text.split()]
    ):
        return f"Add to {folder / name}: {' '.join(missing)}, each on a line of its own."
    if name == ".gitlab-ci.yml" and "nightly.gitlab-ci.yml" not in text:
        return f"Add to {folder / name}: include: nightly.gitlab-ci.yml"
    if (
        name == "noxfile.py"
        and ci
        and (missing := [each for each in _SESSIONS if f"def {each}(" not in text])
    ):
        return (
            f"{folder / name} lacks {' and '.join(missing)}, which the CI files run: type hil init in an "
            "empty folder, and copy from its noxfile.py."
        )
    return ""


def _settings_of_pytest(folder: Path) -> str:
    """Return the file with pytest's settings, which pytest.ini would hide, or an empty text."""
    for name in ("pytest.toml", ".pytest.toml", ".pytest.ini"):
        if (folder / name).exists():
            return name
    name = "pyproject.toml"
    try:
        file = folder / name
        if file.exists() and "pytest" in tomllib.loads(file.read_text("utf-8")).get("tool", {}):
            return name
        for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
            parser = configparser.ConfigParser(interpolation=None)
            parser.read(folder / name, encoding="utf-8")
            if parser.has_section(section):
                return name
    except (ValueError, configparser.Error, OSError) as error:  # a ValueError for wrong TOML or UTF-8
        raise UsageError(
            f"{folder / name} cannot be read",
            why=" ".join(str(error).split()),
            remedy=f"fix or remove it, then: hil init {quote(os.fspath(folder))}",
        ) from error
    return ""
