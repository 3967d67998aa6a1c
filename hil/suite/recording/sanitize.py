"""Make reports of tests on boards safe to show: tests print and raise output of their DUT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from hil.dutlink.console.sanitize import sanitize_text, without_ci_commands

if TYPE_CHECKING:
    from typing import Any

__all__ = ["make_plain", "shown"]

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
