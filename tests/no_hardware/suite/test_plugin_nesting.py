"""The wrappers of plugins nest as the table at the top of `hil/suite/plugin.py` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite import plugin

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # a run of the suite
pytest_plugins = "pytester"

WRAPPERS = """
def test_wrappers(dutlink, pytestconfig):
    dutlink.power.read()
    for name in {hooks}:
        implementations = reversed(getattr(pytestconfig.hook, f"pytest_{{name}}").get_hookimpls())
        wrappers = [one.plugin_name for one in implementations if one.wrapper or one.hookwrapper]
        print("hook", name, *[one.removeprefix("hil-") for one in wrappers])
"""


def test_plugin_nesting_is_as_the_table_says(run_suite: RunSuite) -> None:
    lines = [line.split() for line in (plugin.__doc__ or "").splitlines() if line.startswith(" " * 4)]
    table = {hook: plugins for hook, *plugins in lines}

    inner = run_suite(
        WRAPPERS.format(hooks=list(table)), "-s", "--hil-boards=sim:1", "--hil-repeat=1", "--hil-report=kept"
    )

    told = [line.partition("hook ")[2].split() for line in inner.text.splitlines() if "hook " in line]
    nested = {hook: [one for one in plugins if one in table[hook]] for hook, *plugins in told}
    assert nested == table, inner.text
