"""Put the image of a test on its board before the test begins, once for each board and image."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.dutlink.storage.storage import Position
from hil.errors import BoardLostError, FlashError, HilError, UsageError
from hil.flash.progress import ProgressLines
from hil.lab.safe_state.policy import LEAVE
from hil.suite.images.file_states import check_digest, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.boards.acquired import AcquiredBoard
    from hil.dutlink.board import Board
    from hil.flash.results import Flashed
    from hil.images.source import ImageSource
    from hil.lab.config.lab import Lab
    from hil.suite.images.file_states import Agree, FileStates
    from hil.suite.images.flash_counts import FlashCounts

__all__ = ["ImageFlasher", "ImageOnBoard", "RunImage"]

_SHOWN_AFTER_S: Final = 10.0
"""Shorter phases are not shown: a line tells the result of the flash."""


@dataclass(frozen=True, slots=True)
class RunImage:
    """The image of the present test.

    Attributes:
        name: Its file name.
        version: The version in its name, such as `v2.1`; empty if there is none.
        path: Its file on this machine.
        digest: Names the image by its content, the same for an archive of it.
    """

    name: str
    version: str
    path: Path
    digest: str


@dataclass(slots=True)
class ImageOnBoard:
    """The image that this process put on a board's stick.

    Attributes:
        board: The open board.
        image: The image.
        flashed: The result of the flash.
        file: The image's file.
        changes: `Storage.changes` at that time.
    """

    board: Board
    image: ImageSource
    flashed: Flashed
    file: Path
    changes: int

    def is_still(self, wanted: ImageSource) -> bool:
        """Return True if it is the image that a test wants, and no test has turned the stick since."""
        storage = self.board.storage
        return self.image == wanted and storage.position is Position.DUT and storage.changes == self.changes

    def as_run_image(self) -> RunImage:
        """Return the image as a test sees it."""
        return RunImage(self.image.name, self.image.version, self.file, self.flashed.digest)


class ImageFlasher:
    """Flashes images to this process's boards, and refuses those that a board did not take before.

    Args:
        lab: The lab file, for the names of boards.
        limit_s: The longest time for an image, in seconds; it is not a part of a test's time.
        tell: Shows the user a line.
        flashes: Counts the flashes.
        planned: The states of the images' files when the run was planned.
        agree: Returns on what all processes of the run agree.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - of one caller
        self,
        lab: Lab,
        limit_s: float,
        tell: Callable[[str], None],
        flashes: FlashCounts,
        planned: FileStates,
        agree: Agree,
    ) -> None:
        self._lab = lab
        self._limit_s = limit_s
        self._tell = tell
        self._failed: dict[tuple[str, ImageSource], str] = {}
        self._flashes = flashes
        self._planned = planned
        self._agree = agree

    def flash(self, held: AcquiredBoard, wanted: ImageSource, test: str) -> ImageOnBoard:
        """Put an image on the board's stick, verify it, and turn the stick to the DUT.

        Args:
            held: The board; its DUT has no power, unless its place leaves it alone.
            wanted: The image.
            test: The node id of the test that wants it.

        Raises:
            BoardLostError: The board was lost on the way.
            FlashError: The image could not be put on this board before another test.
            HilError: The image cannot be downloaded, is damaged, or the stick does not take it.
        """
        serial = held.board.serial
        before = self._failed.get((serial, wanted))
        if before is not None:
            raise FlashError(
                f"image {wanted.name} is not on board {serial}",
                why=f"it could not be put there, see {before}",
                remedy="mend what that test tells, then run again",
                serial=serial,
            )
        try:
            return self._flash(held, wanted)
        except BoardLostError:
            raise
        except HilError:
            self._failed[serial, wanted] = test
            raise

    def _flash(self, held: AcquiredBoard, image: ImageSource) -> ImageOnBoard:
        board = held.board
        where = self._lab.name_of(board.serial) or held.listed_name or board.serial
        progress = FlashProgress(self._tell, f"image {image.name} for {where}", self._limit_s)
        file = self._file_of(image, progress)
        if board.power.draws():
            self._switch_off(held, image, where)
        flashed = board.storage.flash(file, progress=progress)
        check_unchanged(image, self._planned)  # the file may have changed while it was read
        check_digest(image, flashed.digest, self._agree)
        board.storage.dut()
        board.storage.wait_until_gone()
        is_news = self._flashes.put(board.serial, image.key, was_written=flashed.was_written)
        done = ImageOnBoard(board, image, flashed, file, board.storage.changes)
        how = "flashed and verified" if flashed.was_written else "was on the stick already"
        if is_news:  # the summary counts the rest
            self._tell(f"hil: image {flashed.image} {how}: {where}")
        return done

    def _switch_off(self, held: AcquiredBoard, image: ImageSource, where: str) -> None:
        """Leave the DUT without power: its stick is taken away.

        Raises:
            UsageError: The board's place wants its DUT left alone.
        """
        if held.policy == LEAVE:
            raise UsageError(
                f"image {image.name} is not put on {where}",
                why="its DUT has power, and its place says safe = leave",
                remedy=f"switch it off (hil power off --board {held.board.serial}), or change its place",
                serial=held.board.serial,
            )
        held.power_down()

    def _file_of(self, image: ImageSource, progress: FlashProgress) -> Path:
        """Return the file of an image; a downloaded one is verified each time.

        Raises:
            FlashError: The file is not as it was when the run was planned.
        """
        if image.path is None:
            from hil.images.download import cache_folder, download  # noqa: PLC0415 - ssl and HTTP are slow to import

            return download(image, cache_folder(), progress)
        check_unchanged(image, self._planned)
        return image.path


class FlashProgress(ProgressLines):
    """Shows the progress of a flash, and raises an error if bytes are done after a time limit.

    Waits for the stick are not limited here: each has its own limit.

    Args:
        tell: Shows the user a line.
        what: What is flashed and where, for lines and errors.
        limit_s: The longest time from now, in seconds.
    """

    def __init__(self, tell: Callable[[str], None], what: str, limit_s: float) -> None:
        self._flash_began_s = self._phase_began_s = time.monotonic()
        self._what = what
        self._limit_s = limit_s
        super().__init__(lambda line: self._show(tell, line))

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Start a phase; see `Progress`."""
        self._phase_began_s = time.monotonic()
        super().begin(phase, total_bytes)

    def advance(self, size_bytes: int) -> None:
        """Add bytes that are done.

        Raises:
            FlashError: The time limit is over.
        """
        super().advance(size_bytes)
        if time.monotonic() - self._flash_began_s > self._limit_s:
            raise FlashError(
                f"{self._what}: not done after {self._limit_s:g} s",
                why="that is the time limit for an image",
                remedy="look at the stick and the network, or give it more: --hil-image-limit SECONDS",
            )

    def _show(self, tell: Callable[[str], None], line: str) -> None:
        if time.monotonic() - self._phase_began_s > _SHOWN_AFTER_S:
            tell(f"hil: {self._what}: {line}")
