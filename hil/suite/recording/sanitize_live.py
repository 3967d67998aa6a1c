"""Make live logs and warnings of tests safe to show: they are not part of reports."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

import pytest

from hil.suite.recording.sanitize import shown

if TYPE_CHECKING:
    import warnings

__all__ = ["PlainTerminal"]


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
