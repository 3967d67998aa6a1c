"""Runs the suite as its users do: root conftest.py, a test file, a process of its own, maybe another user."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["OPTIONS", "PLUGINS", "READS", "TALKS", "Outcome", "inner_environment", "run_suite"]

READS = """
def test_reads(power):
    power.read()
"""
TALKS = """
def test_talks(console):
    assert "0.09" in console.shell("version")
"""
LIMIT_S = 80.0
OPTIONS = ("-p", "no:cacheprovider", "-ra", "--hil-boards=usb", "--hil-silence=4")
PLUGINS = ("-p", "pytest_timeout", "-p", "xdist.plugin")
"""What these runs need: loading all that is there takes a machine without KVM seconds, for each run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test: `result` is passed, skipped, failed or error; `board` its serial number."""

    result: str
    message: str
    board: str


def run_suite(
    folder: Path,
    source: str,
    *arguments: str,
    user: str | None = None,
    prefix: Sequence[str] = (),
    limit_s: float = LIMIT_S,
) -> dict[str, Outcome]:
    """Run `source` as a test file and return what became of its tests, by name.

    Args:
        folder: An empty folder.
        source: The test file.
        arguments: For pytest.
        user: The user who runs it; None for the user of this process.
        prefix: A program that starts it.
        limit_s: The longest time that it may take, in seconds.
    """
    project = Path(__file__).parents[2]
    folder.joinpath("test_inner.py").write_text(source, "utf-8")
    shutil.copy(project / "conftest.py", folder)
    folder.chmod(0o777)
    folder.parent.chmod(0o755)
    folder.parent.parent.chmod(0o755)
    junit = folder / "inner.xml"
    ran = subprocess.run(
        [
            *prefix,
            *_as(user),
            sys.executable,
            "-m",
            "pytest",
            *PLUGINS,
            *OPTIONS,
            f"--junit-xml={junit}",
            *arguments,
        ],
        cwd=folder,
        env={**inner_environment(), "HOME": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        timeout=limit_s,
        check=False,
        text=True,
        capture_output=True,
    )
    if not junit.exists():
        message = f"the inner run ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}"
        raise AssertionError(message)
    return {case.get("name", ""): _outcome(case) for case in ET.parse(junit).iter("testcase")}  # noqa: S314 - ours


def _as(user: str | None) -> list[str]:
    """Become that user, with the groups that it has now."""
    if user is None:
        return []
    entry = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups"]


def inner_environment() -> dict[str, str]:
    """This process's, without what belongs to the outer run."""
    foreign = ("PYTEST_", "COVERAGE_", "COV_", "HIL_BOARDS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _outcome(case: ET.Element) -> Outcome:
    properties = {one.get("name"): one.get("value", "") for one in case.iter("property")}
    board = properties.get("hil_board", "")
    for tag, result in (("error", "error"), ("failure", "failed"), ("skipped", "skipped")):
        found = case.find(tag)
        if found is not None:
            return Outcome(result, found.get("message", "") + (found.text or ""), board)
    return Outcome("passed", "", board)
