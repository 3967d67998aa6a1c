"""The pytest plugin of hil: its options and markers, and the fixtures of the board. `hil.suite` has the code.

The package has this file as `hil.plugin`. Another repository uses it by one line in its root `conftest.py`:

    pytest_plugins = ["hil.plugin"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.history import pytest_recorder
from hil.report import pytest_hook
from hil.suite import markers, options, plugin
from hil.suite.outcome import early_exit, exit_status
from hil.suite.xdist import registration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.dutlink.board import Board
    from hil.dutlink.console.console import Console
    from hil.dutlink.pins import Pins
    from hil.dutlink.power.power import Power
    from hil.dutlink.storage.storage import Storage
    from hil.evidence.measure import Measure
    from hil.suite.images.board_images import RunImage


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options of hil, and register the schedule by boards.

    pytest calls this hook first, so `os._exit` is replaced before other modules import it.
    """
    early_exit.replace_exit()
    options.add_options(parser)
    pytest_recorder.add_options(parser)
    registration.register(pluginmanager, pytest_recorder.measured_durations_s)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and plugins of hil."""
    markers.register_markers(config)
    pytest_recorder.begin(config)  # first: its session-finish hook wraps the one that sets the exit status
    plugin.begin(config)
    pytest_hook.begin(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Make a run red that a conftest ended with status 0 before it was configured here."""
    if not plugin.is_configured(config) and not options.is_no_run(config):
        exit_status.refuse_green_start(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test hardware, mixed or no_hardware, before -m selects by these markers."""
    markers.sort_tests(items)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Skip a test if DUTLink, USB or the USB backend was proven not to be available.

    pytest builds the report and calls this after set-up, body and tear-down: the error of a unittest test is
    known by then, and xfail, reruns and --pdb come later.
    """
    plugin.run_of(item.config).judge(item, call)


@pytest.fixture(scope="session")
def _hil_column() -> None:
    """The parameter of a test that runs on each board (`--hil-each`): another one sets up `dutlink` again."""


@pytest.fixture(scope="session")
def dutlink(pytestconfig: pytest.Config, _hil_column: None) -> Board:
    """The board: this xdist worker's alone (a file lock), safe before its first test and after its last.

    `power`, `storage`, `console`, `pins`, `settings`; `wait_until_up()`, `make_safe()`; `serial`.
    """
    return plugin.run_of(pytestconfig).board()


@pytest.fixture(scope="session")
def dutlinks(dutlink: Board, pytestconfig: pytest.Config) -> Mapping[str | int, Board]:  # noqa: ARG001 - the first
    """The boards of a test marked `hardware(boards=...)`, by role or index; `dutlink` is the first."""
    return plugin.run_of(pytestconfig).boards_by_role()


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
def image(dutlink: Board, pytestconfig: pytest.Config) -> RunImage:  # noqa: ARG001 - its board has the image
    """The image on the board's stick, by --hil-image: `name`, `version`, `digest`, `path`."""
    return plugin.run_of(pytestconfig).boards.image()


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


@pytest.fixture(scope="session")
def measure(pytestconfig: pytest.Config) -> Measure:
    """Keep a number of the present test, for every night: `measure("boot", 12.3, "s", below=20)`.

    `time(name, below_s=...)` around a block; `power(name, trace)`. A broken limit fails the test after its
    body.
    """
    return plugin.run_of(pytestconfig).numbers.measure
