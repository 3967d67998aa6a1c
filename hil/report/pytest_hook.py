"""Write the pages of a run at its end, if it keeps evidence; a page that cannot be written fails no test.

On GitHub, the summary is appended to the workflow step's summary.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.regular_file import nonblocking_opener
from hil.suite.options import is_no_run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["ReportPlugin", "begin"]


def begin(config: pytest.Config) -> None:
    """Register the plugin in the controller, if evidence is kept."""
    asked: str | None = config.getoption("hil_report")
    again = config.pluginmanager.has_plugin("hil-report")
    if asked and not again and not hasattr(config, "workerinput") and not is_no_run(config):
        folder = config.invocation_params.dir / asked
        config.pluginmanager.register(ReportPlugin(folder), "hil-report")


class ReportPlugin:
    """pytest hooks that write the pages.

    Args:
        folder: The run's evidence folder, to which its pages are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the pages after all evidence was written, and print where they are."""
        try:
            line, red = self._build(), False
        except OSError as error:
            line, red = f"NO REPORT: its pages cannot be written: {error}", True
        terminalreporter.write_line(line, red=red, bold=red)

    def _build(self) -> str:
        from hil.report.run_pages import build_run  # noqa: PLC0415 - other runs do not import templates

        if build_run(self._folder) is None:
            return f"NO REPORT: there is no evidence in {self._folder}"
        _add_step_summary((self._folder / "summary.md").read_text(encoding="utf-8"))
        return f"hil: report: {self._folder / 'index.html'}"


def _add_step_summary(text: str) -> None:
    """Append the summary to that of the GitHub workflow step that runs pytest, if one does.

    Raises:
        OSError: The file cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with open(path, "a", encoding="utf-8", opener=nonblocking_opener) as file:
            file.write(text)
