"""A pytest plugin that names the line that a repository's conftest.py lacks for fixtures and options of hil.

The entry point `pytest11` loads this module into every pytest run of an environment that has hil, also into
runs that do not use it. So it adds no option, fixture or marker, and imports of hil only what must be there
before a conftest.py is loaded.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from hil.option_values import join_values
from hil.plain_imports import PlainImports

if TYPE_CHECKING:
    from collections.abc import Collection, Generator
    from pathlib import Path

__all__ = ["FIXTURES"]

FIXTURES: Final = ("dutlink", "dutlinks", "power", "storage", "image", "console", "pins", "measure")
"""The fixtures of `hil.plugin`."""

_PREFIX: Final = "--hil-"
_LINE: Final = 'put pytest_plugins = ["hil.plugin"] into {conftest}'
_NOT_LOADED: Final = "pytest did not load {conftest}: name a path of tests beside it, without --noconftest"

sys.meta_path.insert(0, PlainImports())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Join values to options of hil; refuse an option that no conftest.py added, or that is misspelt.

    Raises:
        pytest.UsageError: The line is missing or the option is misspelt (pytest would only call the option
            unrecognized), or pytest took a value for a path of tests.
    """
    join_values(early_config, parser, args)
    yield
    options = [arg.partition("=")[0] for arg in args if arg.startswith(_PREFIX)]
    if not options:
        return
    parsed, unknown = parser.parse_known_and_unknown_args(args)
    if not hasattr(parsed, "hil_boards"):
        raise pytest.UsageError(f"{options[0]} is an option of hil; {_remedy(early_config)}")
    if misspelt := [arg.partition("=")[0] for arg in unknown if arg.startswith(_PREFIX)]:
        raise pytest.UsageError(_unknown_option(misspelt[0], vars(parsed)))


def _unknown_option(option: str, parsed: Collection[str]) -> str:
    from hil.nearest import nearest  # noqa: PLC0415 - only after a typing error

    known = sorted(name.removeprefix("hil_").replace("_", "-") for name in parsed if name.startswith("hil_"))
    near = nearest(option.removeprefix(_PREFIX), known)
    remedy = (
        f"did you mean {_PREFIX}{near}?" if near else f"one of {', '.join(_PREFIX + one for one in known)}"
    )
    return f"hil has no option {option}\n  try: {remedy}"


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
            hint = f"hint: hil has a fixture {error.argname!r}; {_remedy(item.config)}"
            told.errorstring = f"{told.errorstring}\n{hint}"
    return report


def _remedy(config: pytest.Config) -> str:
    """Return what to do about a plugin that is not loaded."""
    conftest = _folder(config) / "conftest.py"
    try:
        has_line = any(name in conftest.read_bytes() for name in (b"hil.plugin", b"hil.suite"))
    except OSError:
        has_line = False
    return (_NOT_LOADED if has_line else _LINE).format(conftest=conftest)


def _folder(config: pytest.Config) -> Path:
    """Return the project's root folder: not that of a file given by -c, which may be /dev/null."""
    elsewhere = config.known_args_namespace.inifilename and not config.known_args_namespace.rootdir
    return config.invocation_params.dir if elsewhere else config.rootpath
