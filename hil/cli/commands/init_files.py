"""The files of a new repository of tests, which `hil init` writes."""

from __future__ import annotations

import configparser
import os
import tomllib
from typing import TYPE_CHECKING, Final

from hil.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_repository"]

_CONFTEST = '''"""Options, markers and fixtures of hil."""

pytest_plugins = ["hil.plugin"]
'''

_PYTEST_INI = """\
[pytest]
testpaths = tests
addopts = --strict-markers --strict-config
timeout = 120
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

_WORKFLOW = """\
# Every test on simulated boards, for each push. For the night on real ones copy packaging/github/nightly.yml
# of hil, which runs the session `nightly`, to .github/workflows.
name: hil
on: [push, pull_request]
jobs:
  sim:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v6
      - uses: actions/setup-python@v6
        with:
          python-version: "3.13"
      - run: python -m pip install --quiet nox
      - run: nox -s sim -- --hil-report report
      - uses: actions/upload-artifact@v7
        if: always()
        with:
          name: report
          path: report/
"""

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
    ".github/workflows/hil.yml": _WORKFLOW,
}


def write_repository(folder: Path, requirement: str) -> tuple[list[str], dict[str, str]]:
    """Write the files that do not exist yet.

    Args:
        folder: The repository; it is created if missing.
        requirement: Requirement with which pip installs hil.

    Returns:
        The names of the written files, and for each other file the reason.

    Raises:
        UsageError: pytest's settings in the folder cannot be read; nothing was written.
    """
    written, kept = [], {}
    settings = _settings_of_pytest(folder)  # first, so that nothing is written if they cannot be read
    for name, text in FILES.items():
        path = folder / name
        if os.path.lexists(path):  # a link, even one that leads nowhere, is not written through
            kept[name] = "it exists already"
        elif name == "pytest.ini" and settings:
            kept[name] = f"{settings} has pytest's settings"
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file_of_it:
                file_of_it.write(text.replace("{requirement}", requirement))
            written.append(name)
    return written, kept


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
            remedy=f"fix or remove it, then: hil init {folder}",
        ) from error
    return ""
