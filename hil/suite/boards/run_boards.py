"""The boards of a run, acquired or not: where they are, which can be used, and how they are listed.

The driver is imported when they are first looked for.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from hil.boards.requirements import BoardRequirement
from hil.errors import HilError
from hil.suite.xdist.plugin import worker_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hil.boards.board_source import BoardSource
    from hil.boards.requirements import BoardInfo
    from hil.boards.search import BoardSearch
    from hil.dutlink.discovery import ProbeResult
    from hil.dutlink.host import Host
    from hil.suite.boards.assigned_boards import AssignedBoards
    from hil.suite.columns.listed_boards import ListedBoard
    from hil.suite.options import RunOptions
    from hil.suite.xdist.processes import Processes

__all__ = ["RunBoards"]


class RunBoards:
    """The boards of a run.

    Args:
        config: The run.
        options: The options of the run.
        processes: The processes of the run.
        assigned: The boards that the controller assigns to this process.
        tell: Shows the user a line.
    """

    def __init__(
        self,
        config: pytest.Config,
        options: RunOptions,
        processes: Processes,
        assigned: AssignedBoards,
        tell: Callable[[str], None],
    ) -> None:
        self._config = config
        self._options = options
        self._processes = processes
        self._assigned = assigned
        self._tell = tell
        self._listed: Sequence[ListedBoard] | None = None
        self._source: BoardSource | None = None  # as the next one: None until it is used
        self._fallback: BoardSource | None = None

    @property
    def source(self) -> BoardSource:
        """Where the boards are."""
        if self._source is None:
            from hil.boards.sources import source_of  # noqa: PLC0415 - imports the driver

            options = self._options
            self._source = source_of(
                options.boards,
                ready=self._processes.simulated,
                lab=options.lab,
                wait_s=options.wait_s,
                tell=self._tell,
                leases=self._assigned.channel,
            )
        return self._source

    @property
    def fallback(self) -> BoardSource:
        """The simulated board that stands in for a real one in mixed tests; it starts when it is used."""
        if self._fallback is None:
            from hil.boards.sources import SimulatedSource  # noqa: PLC0415 - imports the driver

            self._fallback = SimulatedSource()
        return self._fallback

    @cached_property
    def search(self) -> BoardSearch:
        """What is known of the boards."""
        from hil.boards.search import BoardSearch  # noqa: PLC0415 - imports the driver

        return BoardSearch(self.source, self._options.lab, self._options.silence_s)

    @property
    def is_extra(self) -> bool:
        """Whether this process leased a remote board that the controller did not assign to it."""
        return self._source is not None and self._source.is_extra

    def infos(self) -> list[BoardInfo]:
        """Return the boards that can be used; none if no host can be searched: then the tests say why."""
        with suppress(Exception):
            return self.search.infos(with_words=True)
        return []

    def listed(self) -> list[ListedBoard]:
        """Return the boards that a test can be told to run on; none if they cannot be listed."""
        from hil.suite.columns.listed_boards import list_boards  # noqa: PLC0415 - for tests that run on each board

        with suppress(Exception):  # the tests say why
            source, options = self.source, self._options
            infos = [] if source.is_remote else self.infos()
            return list_boards(source, options.lab, infos, options.board)
        return []

    def listed_for_all(self) -> Sequence[ListedBoard]:
        """Return the boards that a test can be told to run on: all workers of a controller get its list.

        They are looked for once.
        """
        if self._listed is None:
            channel = worker_channel(self._config)
            self._listed = self.listed() if channel is None else channel.listed_boards()
        return self._listed

    def check_board(self, infos: Sequence[BoardInfo]) -> None:
        """Check `--hil-board`, in the controller.

        Args:
            infos: The boards that can be used.

        Raises:
            pytest.UsageError: No board has that name or serial number, so it is misspelt.
        """
        asked = self._options.board
        if not asked or any(asked in {one.serial, one.name} for one in infos):
            return
        if mistake := self.search.mistake(BoardRequirement(board=asked)):
            raise pytest.UsageError(f"--hil-board {asked}: {mistake}")

    def usbip_ports(self) -> set[int]:
        """Return the USB/IP ports of this run's simulated boards that run now.

        Raises:
            SimulatorError: The simulated boards cannot be reached.
        """
        return self.source.usbip_ports() | self.fallback.usbip_ports()

    def device_folders(self) -> set[Path]:
        """Return the folders with the device nodes of this run's simulated boards that run now."""
        return self.source.device_folders() | self.fallback.device_folders()

    def host(self) -> Host | None:
        """Return the host of the boards, or None if that is another machine or cannot be reached."""
        with suppress(HilError):
            return None if self.source.lock_folder() else self.source.host()
        return None

    def probe(self, serial: str) -> ProbeResult:
        """Probe one board, acquired or not.

        Raises:
            UnavailableError: The host of the boards cannot be reached, or the run uses no boards.
        """
        from hil.dutlink.discovery import probe  # noqa: PLC0415 - imports the driver

        return probe(self.source.host(), serial, self._options.silence_s)

    def close(self) -> None:
        """End the simulated boards that were started for this process alone."""
        try:
            if self._source is not None:
                self._source.close()
        finally:
            if self._fallback is not None:
                self._fallback.close()
