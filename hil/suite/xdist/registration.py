"""Register the schedule by boards, and tell it which boards a run has and what each test requires."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.address import Where, remote_lab
from hil.boards.remote_lab import LeasedBoards
from hil.boards.requirements import BoardInfo, BoardRequirement
from hil.errors import SimulatorError, UnavailableError
from hil.lab.guard.exit_with_parent import GONE_STATUS
from hil.suite import plugin
from hil.suite.hook_errors import contained, told
from hil.suite.markers import gets_a_board, requirement_of
from hil.suite.options import read_options
from hil.suite.xdist.plugin import BoardScheduling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.boards.address import BoardsOption
    from hil.boards.remote_lab import RemoteLab
    from hil.suite.columns.listed_boards import ListedBoard
    from hil.suite.options import RunOptions
    from hil.suite.xdist.costs import Measured

__all__ = ["register"]

VENDOR_ID = "2b23"


_LEASED = pytest.StashKey[LeasedBoards]()


def register(pluginmanager: pytest.PytestPluginManager, measured: Measured = lambda _config: {}) -> None:
    """Register the plugin, once and early: xdist asks for the number of workers before it configures.

    Args:
        pluginmanager: The run's plugin manager.
        measured: Returns how long tests took, from a history, which lies above this package.
    """
    if pluginmanager.has_plugin("hil-scheduling"):  # another copy of conftest.py registered it
        return
    pluginmanager.register(BoardScheduling(HilSuite(), measured), "hil-scheduling")


class HilSuite:
    """A `SchedulingSuite`: the boards and tests of a run."""

    def boards(
        self, config: pytest.Config, requirements: Sequence[BoardRequirement] = (), workers: int = 0
    ) -> Sequence[BoardInfo]:
        """Return the boards that can be used; before the run is configured, a guess of their number."""
        options = read_options(config)
        lab = remote_lab(options.boards.text)
        if lab is not None:
            return _leased_boards(lab, config, options, requirements, workers) if requirements else []
        if plugin.is_configured(config):
            of_run = plugin.run_of(config).boards.of_run
            infos = of_run.infos()
            of_run.check_board(infos)
            return infos
        return _guessed_boards(options.boards)

    def listed_boards(self, config: pytest.Config) -> Sequence[ListedBoard]:
        """Return the boards for tests that run on each; none if they cannot be listed."""
        return plugin.run_of(config).boards.of_run.listed()

    def return_to_lab(self, config: pytest.Config, serial: str) -> None:
        """Give a remote board back to its lab."""
        with contained(partial(_show, config, f"board {serial} was not given back")):
            config.stash[_LEASED].return_to_lab(serial)

    def take_over(self, config: pytest.Config, collected: dict[str, Any]) -> None:
        """Add what a worker knew after its collection to the run's ledger."""
        plugin.run_of(config).ledger.take_over(collected)

    def requirement(self, item: pytest.Item) -> BoardRequirement | None:
        """Return which boards a collected test can use, or None if it gets none."""
        if not gets_a_board(item):
            return None
        run = plugin.run_of(item.config)
        requirement = requirement_of(item, run.options.board)
        return requirement and replace(requirement, images=run.boards.images.keys_of(item))

    def controller_gone(self, config: pytest.Config) -> None:  # noqa: ARG002 - the protocol's
        """End this process at once; the guard makes the board safe."""
        os._exit(GONE_STATUS)


def _leased_boards(
    lab: RemoteLab,
    config: pytest.Config,
    options: RunOptions,
    requirements: Sequence[BoardRequirement],
    workers: int,
) -> Sequence[BoardInfo]:
    """Lease remote boards until the run ends; if there are none, return none: the tests will say why."""
    asked = (options.boards.text, options.boards.client, options.wait_s, plugin.run_of(config).boards.show)
    with contained(partial(_show, config, "no boards were leased")):
        leased = lab.lease_boards(*asked, lab=options.lab, requirements=requirements, workers=workers)
        config.stash[_LEASED] = leased
        config.add_cleanup(leased.close)
        return leased.infos
    return []


def _show(config: pytest.Config, what: str, error: BaseException) -> None:
    if not isinstance(error, UnavailableError):  # its tests say why
        plugin.run_of(config).boards.show(f"hil: {what}: {told(error)}")


def _guessed_boards(boards: BoardsOption) -> list[BoardInfo]:
    """Guess how many boards there are without pyusb, which most runs do without."""
    number = boards.number if boards.where is Where.STARTED else 0
    if boards.where is Where.RUNNING:
        from hil.sim.management.client import ManagementClient  # noqa: PLC0415 - few runs ask a running simulator

        with suppress(SimulatorError), ManagementClient(boards.number) as client:
            number = len(client.hello()["boards"])
    if boards.where is Where.USB:
        vendors = Path("/sys/bus/usb/devices").glob("*/idVendor")
        number = sum(map(_is_boards, vendors))
    return [BoardInfo(str(place)) for place in range(number)]


def _is_boards(vendor: Path) -> bool:
    with suppress(OSError):  # unplugged since it was listed
        return vendor.read_text().strip() == VENDOR_ID
    return False
