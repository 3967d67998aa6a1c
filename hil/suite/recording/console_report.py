"""Attach the console of a failed test to its JUnit entry, in the controller."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

import pytest

from hil.suite.outcome.attempts import attempt_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["CONSOLE_FOLDER", "SECTION", "ConsoleReport"]

SECTION: Final = "DUT console"
"""How the titles of the sections with the console begin, in the report of a failed test."""

CONSOLE_FOLDER: Final = "console"
"""Name of the folder for consoles, in the folder of `--hil-report`."""


class ConsoleReport:
    """Prints a failed test's console once, and writes it to JUnit."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager
        self._root = config.rootpath

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Attach a failed test's console after its failure, and before JUnit completes the entry."""
        if not report.sections:
            return (yield)
        attempt = attempt_of(report)
        label = f"attempt {attempt}, " if attempt else ""
        shown = [
            f"{label}{title.removeprefix(SECTION).removeprefix(' of ')}\n{content}"
            for title, content in report.sections
            if title.startswith(SECTION)
        ]
        if report.when == "teardown":
            self._attach(shown, report)
            return (yield)
        result = yield
        self._attach(shown, report)
        return result

    def _attach(self, shown: list[str], report: pytest.TestReport) -> None:
        """Add it as `system-out`, with its file as an attachment for CI servers."""
        for plugin in self._plugins.get_plugins() if shown else ():
            entry_of = getattr(plugin, "node_reporter", None)
            if callable(entry_of):
                element = ET.Element("system-out")
                element.text = "\n".join([*shown, *_attachments(report, self._root)])
                entry_of(report).append(element)


def _attachments(report: pytest.TestReport, root: Path) -> list[str]:
    """Return the lines by which Jenkins and GitLab find a test's files; XML cannot name every path.

    Jenkins' JUnit Attachments plugin documents absolute paths (its README; `GetTestDataMethodObject.java`
    takes another path for one below the workspace). GitLab makes a link to the job's artifacts of the path,
    which has to be relative to `$CI_PROJECT_DIR` (GitLab, Unit test reports, "Add screenshots to test
    reports").
    """
    files = [root / str(value) for name, value in report.user_properties if name == "hil_console"]
    project = os.environ.get("CI_PROJECT_DIR", "")
    paths = [
        str(file.relative_to(project) if project and file.is_relative_to(project) else file) for file in files
    ]
    return [f"[[ATTACHMENT|{path}]]" for path in paths if path.isprintable()]
