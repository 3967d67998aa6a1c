"""Make reports, live logs and warnings of tests safe to show: tests print and raise output of their DUT."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Final

import pytest

from hil.dutlink.console.sanitize import sanitize_text, without_ci_commands

if TYPE_CHECKING:
    import warnings
    from typing import Any

__all__ = ["PlainTerminal", "make_plain", "shown"]

_PYTEST_S_OWN: Final = pytest.ExceptionInfo.__module__
"""The module with the classes of which pytest makes the text of an exception."""


def make_plain(report: pytest.TestReport) -> None:
    """Leave only printable characters, and no CI commands, in output, failure and skip reason of a report.

    pytest adds its colours later.
    """
    report.sections = [(shown(title), shown(text)) for title, text in report.sections]
    longrepr: Any = _plain(report.longrepr)
    report.longrepr = longrepr


def shown(text: str) -> str:
    """Return text safe to show; it ends with a line end only if it did before."""
    plain = without_ci_commands(sanitize_text(text))
    return plain if text.endswith("\n") else plain.removesuffix("\n")


def _plain(value: object) -> object:
    """Return text safe to show, also inside what pytest made of an exception."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if type(value).__module__ == _PYTEST_S_OWN:
        for name, inside in vars(value).items():
            setattr(value, name, _plain(inside))
    return value


class PlainTerminal:
    """Leaves only printable characters, and no CI commands, in live logs and warnings."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Sanitize the messages of the live log; pytest has made its handler by now."""
        plugin = session.config.pluginmanager.get_plugin("logging-plugin")
        handler = getattr(plugin, "log_cli_handler", None)
        if handler is not None and handler.formatter is not None:
            handler.setFormatter(_PlainMessages(handler.formatter))

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Sanitize a warning before the terminal, or the controller of this worker, gets it."""
        said = str(warning_message.message)
        plain = shown(said)
        if plain != said:
            warning_message.message = plain


class _PlainMessages(logging.Formatter):
    """A formatter that sanitizes the message and calls another formatter; colours stay."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        plain = copy.copy(record)
        plain.msg, plain.args = shown(record.getMessage()), None
        if record.exc_info:
            plain.exc_text = shown(self._formatter.formatException(record.exc_info))
        if record.stack_info:
            plain.stack_info = shown(record.stack_info)
        return self._formatter.format(plain)
