"""What a test sees of hil: options, markers, the runtest hook and the board's fixtures.

It decides nothing; `hil.suite` does. The package has this file as `hil.plugin`, so that another repository
takes it by one line in its root `conftest.py`:

    pytest_plugins = ["hil.plugin"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.history import recording
from hil.report import building
from hil.suite import early_exit, options, scheduled, selection, session

if TYPE_CHECKING:
    from hil.dutlink.board import Board
    from hil.dutlink.console import Console
    from hil.dutlink.pins import Pins
    from hil.dutlink.power import Power
    from hil.dutlink.storage import Storage


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add --hil-boards and its companions; take part in what xdist decides.

    pytest calls this hook first, so `os._exit` is replaced before other modules import it.
    """
    early_exit.replace_exit()
    options.add_options(parser)
    recording.add_options(parser)
    scheduled.register(pluginmanager, recording.measured_s)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options and take part in the run."""
    selection.register_markers(config)
    recording.begin(config)  # first, so that its session-finish hook wraps the one that sets the exit status
    session.begin(config)
    building.begin(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test hardware, mixed or no_hardware, before -m selects by it."""
    selection.sort_tests(items)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Skip a test whose error is that DUTLink, USB or the USB backend is proven not to be available.

    pytest builds the report. Called after set-up, body and tear-down, when the error of a unittest test is
    known, and before xfail, reruns and --pdb look at it.
    """
    if call.excinfo is not None:
        session.run_of(item.config).judge(item, call)


@pytest.fixture(scope="session")
def dutlink(pytestconfig: pytest.Config) -> Board:
    """The board: this xdist worker's alone (a file lock), safe before its first test and after its last.

    `power`, `storage`, `console`, `pins`, `settings`; `wait_until_up()`, `make_safe()`; `serial`.
    """
    return session.run_of(pytestconfig).board()


@pytest.fixture(scope="session")
def power(dutlink: Board) -> Power:
    """The DUT's supply and its meter.

    `on()`, `off()`, `cycle()`, `rescue()`, `force_on()`, `force_off()`; `read()`, `trace()`,
    `wait_until_off()`.
    """
    return dutlink.power


@pytest.fixture(scope="session")
def storage(dutlink: Board) -> Storage:
    """The storage stick: `flash(image)`, `read(path)`; `host()`, `dut()`, `off()`; `node`, `position`."""
    return dutlink.storage


@pytest.fixture(scope="session")
def console(dutlink: Board) -> Console:
    """The DUT's console.

    `login()`, `run(command)`; `expect(pattern)`, `send(text)`, `sendline(line)`; `transcript`, `discard()`.
    """
    return dutlink.console


@pytest.fixture(scope="session")
def pins(dutlink: Board) -> Pins:
    """The control pins a, b, c, d and reset: `low(pin)`, `high(pin)`, `floating(pin)`, `pulse_reset()`."""
    return dutlink.pins
