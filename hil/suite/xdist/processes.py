"""The processes of a parallel run: the controller starts simulated boards, and workers send their ledgers.

In a run without xdist the only process does the controller's part.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from hil.boards.address import Where
from hil.errors import SimulatorError

if TYPE_CHECKING:
    from hil.boards.address import BoardsOption
    from hil.sim.process import SimulatorProcess
    from hil.suite.outcome.ledger import Ledger

__all__ = ["Processes"]

_BOARDS = "hil_simulated_boards"
_LEDGER = "hil_ledger"


class Processes:
    """Tells workers the controller's choices, and gives it their ledgers; registered in every process.

    Args:
        config: The run.
        boards: The value of `--hil-boards`.
        ledger: This process's ledger.

    Attributes:
        controller: Pid of the xdist controller that this process works for; 0 if there is none.
    """

    def __init__(self, config: pytest.Config, boards: BoardsOption, ledger: Ledger) -> None:
        self._config = config
        self._boards = boards
        self._ledger = ledger
        self._told: dict[str, Any] | None = getattr(config, "workerinput", None)
        self._started: SimulatorProcess | None = None
        self.controller = os.getppid() if self.is_worker else 0

    @property
    def is_worker(self) -> bool:
        """Whether this process is an xdist worker."""
        return self._told is not None

    @property
    def simulated(self) -> dict[str, Any] | None:
        """The ready line of the simulated boards that the controller started; None: it started none."""
        return self._started.ready if self._started is not None else (self._told or {}).get(_BOARDS)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Start the simulated boards of a parallel run once, and send each worker their ready line."""
        if self._boards.where is Where.STARTED:
            if self._started is None:
                from hil.sim.process import SimulatorProcess  # noqa: PLC0415 - only runs that ask for it pay

                try:
                    self._started = SimulatorProcess(boards=self._boards.number, speed=self._boards.speed)
                except SimulatorError as error:
                    raise pytest.UsageError(str(error)) from error
            node.workerinput[_BOARDS] = self._started.ready

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Add a worker's ledger to the controller's."""
        self._ledger.take_over(getattr(node, "workeroutput", {}).get(_LEDGER, {}))

    def tell(self) -> None:
        """Send the ledger to the controller, at the end of a worker."""
        if self.is_worker:
            self._config.workeroutput[_LEDGER] = self._ledger.as_data()  # type: ignore[attr-defined]  # xdist's

    def close(self) -> None:
        """End the simulated boards that this process started."""
        if self._started is not None:
            self._started.close()
