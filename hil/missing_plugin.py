"""A pytest plugin of one hook: name the line that a repository's conftest.py lacks for the fixtures of hil.

The entry point `pytest11` loads this module into every pytest run of an environment that has hil, also into
runs that do not use it. So it imports nothing of hil and adds no option, fixture or marker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["FIXTURES"]

FIXTURES: Final = ("dutlink", "power", "storage", "console", "pins")
"""The fixtures of `hil.plugin`."""

_HINT: Final = 'hint: hil has a fixture {name!r}; put pytest_plugins = ["hil.plugin"] into {conftest}'


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the hint to the error of a test whose fixture was not found."""
    report = yield
    error = call.excinfo and call.excinfo.value
    if isinstance(error, pytest.FixtureLookupError) and error.argname in FIXTURES:
        told: Any = report.longrepr
        if hasattr(told, "errorstring") and not item.config.pluginmanager.has_plugin("hil-run"):
            hint = _HINT.format(name=error.argname, conftest=item.config.rootpath / "conftest.py")
            told.errorstring = f"{told.errorstring}\n{hint}"
    return report
