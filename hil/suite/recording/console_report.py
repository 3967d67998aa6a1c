"""What the first process of a run does about consoles: JUnit's attachments."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["CONSOLE_FOLDER", "SECTION", "ConsoleReport"]

SECTION: Final = "DUT console"
"""How the sections of a failed test's report begin that show it."""

CONSOLE_FOLDER: Final = "console"
"""Of the report's folder."""


class ConsoleReport:
    """The plugin."""

    def __init__(self, plugins: pytest.PytestPluginManager) -> None:
        self._plugins = plugins

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Give a failed test's console to JUnit: behind its failure, and before its entry is complete."""
        shown = [content for title, content in report.sections if title.startswith(SECTION)]
        if report.when == "teardown":
            self._attach(shown, report)
            return (yield)
        result = yield
        self._attach(shown, report)
        return result

    def _attach(self, shown: list[str], report: pytest.TestReport) -> None:
        """Add it as `system-out`, with the file as CI servers look for one."""
        for plugin in self._plugins.get_plugins() if shown else ():
            entry_of = getattr(plugin, "node_reporter", None)
            if callable(entry_of):
                element = ET.Element("system-out")
                element.text = "\n".join([*shown, *_attachments(report)])
                entry_of(report).append(element)


def _attachments(report: pytest.TestReport) -> list[str]:
    """Return the lines by which Jenkins and GitLab find a test's files."""
    return [f"[[ATTACHMENT|{value}]]" for name, value in report.user_properties if name == "hil_console"]
