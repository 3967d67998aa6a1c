"""A pytest plugin that names the line that a repository's conftest.py lacks for fixtures and options of hil.

The entry point `pytest11` loads this module into every pytest run of an environment that has hil, also into
runs that do not use it. So it adds no option, fixture or marker, and imports of hil only what makes further
imports of it cheaper.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.plain_imports import PlainImports

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["FIXTURES"]

FIXTURES: Final = ("dutlink", "dutlinks", "power", "storage", "image", "console", "pins", "measure")
"""The fixtures of `hil.plugin`."""

_HINT: Final = '{what}; put pytest_plugins = ["hil.plugin"] into {conftest}'

sys.meta_path.insert(0, PlainImports())


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Refuse an option of hil that no conftest.py added; pytest would only call it unrecognized.

    Raises:
        pytest.UsageError: The line is missing.
    """
    yield
    options = [arg.partition("=")[0] for arg in args if arg.startswith("--hil-")]
    if options and not hasattr(parser.parse_known_args(args), "hil_boards"):
        conftest = early_config.rootpath / "conftest.py"
        raise pytest.UsageError(_HINT.format(what=f"{options[0]} is an option of hil", conftest=conftest))


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
            what = f"hint: hil has a fixture {error.argname!r}"
            hint = _HINT.format(what=what, conftest=item.config.rootpath / "conftest.py")
            told.errorstring = f"{told.errorstring}\n{hint}"
    return report
