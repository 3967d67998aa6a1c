"""Find the boards of a source that a test can use, and remember what is wrong with the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hil.boards.requirements import BoardInfo, BoardRequirement, KnownWords, matching_serials, split_tags
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards, probe
from hil.dutlink.held_boards import held_boards
from hil.errors import (
    BoardAbsentError,
    BoardFaultError,
    BoardLostError,
    HilError,
    UnavailableError,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.boards.board_source import BoardSource
    from hil.dutlink.board import Board
    from hil.dutlink.host import Host
    from hil.errors import UsageError
    from hil.lab.config.lab import Lab

__all__ = ["GLANCE_S", "BoardSearch"]

GLANCE_S = 0.25
"""How long to wait for a board that was silent before, in seconds: later tests do not wait for it again."""

LISTING_S = 1.0
"""Seconds for each board when all are listed: a silent board must not hold up the others."""


class BoardSearch:
    """The boards of a source, and what this run knows of them.

    Args:
        source: Where the boards are.
        lab: The lab file of this machine.
        silence_s: How long a board may be silent before it counts as lost, in seconds.

    Attributes:
        faults: By serial number, the first error of each board that answers and cannot be used: a board
            fault, or a stick that a program of this host uses.
        words: The names and tags that boards have told in this run.
    """

    def __init__(self, source: BoardSource, lab: Lab, silence_s: float) -> None:
        self.faults: dict[str, HilError] = {}
        self.words = KnownWords()
        self._source = source
        self._lab = lab
        self._silence_s = silence_s
        self._silent: set[str | None] = set()
        self._nameless: dict[str, HilError] = {}
        self._unreadable: list[HilError] = []

    def of_source(self, source: BoardSource) -> BoardSearch:
        """Return a search of another source, of which nothing is known yet."""
        return BoardSearch(source, self._lab, self._silence_s)

    def take_shared(self, faults: Mapping[str, HilError], words: KnownWords) -> None:
        """Add what other workers of the run, and their controller, know of the boards.

        Args:
            faults: What is wrong with boards.
            words: The names and tags that boards have told.
        """
        self.words |= words
        for serial, fault in faults.items():
            self.faults.setdefault(serial, fault)

    def patience_s(self, serial: str | None) -> float:
        """Return how long a board may be silent, in seconds; None: any board.

        A board that was silent before must not hold up later tests.
        """
        return GLANCE_S if serial in self._silent else self._silence_s

    def find(self, host: Host, requirement: BoardRequirement) -> list[str]:
        """Return the serial numbers of boards that may be usable and meet a requirement.

        Raises:
            UnavailableError: There is none.
            BoardFaultError: A board refused to tell its name and tags, and no other meets the requirement.
            UsageError: A word of the requirement is misspelt.
        """
        if self._source.is_remote:
            requirement = replace(requirement, among=frozenset())  # the source has met that
        try:
            serials = self._find_among(host, requirement.among) or self._find_any(host)
        except BoardAbsentError as error:
            raise (self.mistake(requirement) or error) from None
        if not requirement.has_words:
            return serials
        infos = self.infos(with_words=True)  # looks again: a board may have come, or may answer again
        fitting = matching_serials(requirement, infos)
        if not fitting:
            mistake = self.mistake(requirement)
            if mistake is not None:
                raise mistake
            self._refuse_to_guess(host)
            there = ", ".join(map(str, infos))
            there_is = f"there is {there}" if there else "none of its boards says its name and tags now"
            raise BoardAbsentError(
                f"no board {requirement} is on {host.label}",
                why="; ".join(filter(None, (self._lab.missing(requirement.board), there_is))),
                remedy="give a board that name or those tags, or change what the test asks for",
            )
        found_first = [
            *serials,
            *sorted(fitting),
        ]  # a board that came since the first look is the last choice
        return sorted(fitting, key=found_first.index)

    def infos(self, *, with_words: bool) -> list[BoardInfo]:
        """Return the boards that can be used now.

        Args:
            with_words: Ask each board for its name and tags; without, these are empty.
        """
        host = self._source.host()
        seen = list_boards(host, min(LISTING_S, self._silence_s))
        serials = [s.serial for s in seen if s.verdict is Verdict.PRESENT and s.serial]
        if not with_words:
            return [BoardInfo(serial) for serial in serials]
        read = {serial: self._read_info(host, serial) for serial in serials}
        told = [info for info in read.values() if isinstance(info, BoardInfo)]
        self._nameless = {serial: error for serial, error in read.items() if isinstance(error, HilError)}
        self._unreadable = [result.error for result in seen if result.error is not None]
        self.words = self.words.and_now(KnownWords.of(told, certain=len(told) == len(seen)))
        lab = self._lab
        nameless = [BoardInfo(one, lab.name_on(host, one), lab.tags_of(one)) for one in self._nameless]
        return sorted([*told, *nameless], key=lambda info: serials.index(info.serial))

    def info_of(self, board: Board, source: BoardSource | None = None) -> BoardInfo:
        """Return a board's name and tags, from its settings and from lab files.

        Args:
            board: The board.
            source: Where it came from; None: this source. Each board of a Jumpstarter lab has its own.
        """
        settings = board.settings.read()
        source = source or self._source
        remote = source.remote_info_of(board.serial)
        stored = remote.name or settings.name
        name = self._lab.name_of(board.serial) or stored or source.listed_name(board.serial)
        tags = self._lab.tags_of(board.serial).union(split_tags(settings.tags), remote.tags)
        return BoardInfo(board.serial, name, tags, exporter=remote.exporter)

    def mistake(self, requirement: BoardRequirement) -> UsageError | None:
        """Return what is misspelt in a requirement, or None if nothing is known to be.

        A Jumpstarter lab has words of its own, which are not known here.
        """
        if self._source.is_remote:
            return None
        return (self.words | KnownWords.of_lab(self._lab)).mistake(requirement)

    def diagnose(self, host: Host, serial: str, error: UnavailableError | BoardFaultError) -> HilError:
        """Return what is wrong with a board: a fault only if the board answers now, else it is lost."""
        if isinstance(error, BoardFaultError):
            seen = probe(host, serial, self.patience_s(serial))
            if seen.error is None or seen.verdict is Verdict.FAULTY:
                self.faults.setdefault(serial, error)
                return error
            error = (
                seen.error if isinstance(seen.error, UnavailableError) else BoardLostError(seen.error.what)
            )
        if isinstance(error, BoardLostError):
            self._silent.add(serial)
        return error

    def _find_among(self, host: Host, among: frozenset[str]) -> list[str]:
        """Return those of these boards that may be usable; none if there are no such boards.

        Raises:
            HilError: None of them can be used.
        """
        results = [probe(host, serial, self.patience_s(serial)) for serial in sorted(among)]
        self._silent.update(one.serial for one in results if one.verdict is Verdict.LOST)
        useful = [one.serial for one in results if one.serial and one.verdict is Verdict.PRESENT]
        if not useful and results:
            raise next(one.error for one in results if one.error is not None)
        return useful

    def _find_any(self, host: Host) -> list[str]:
        """Return the serial numbers of boards that may be usable; boards that answer come first.

        A board that works through a power sequence may not tell its serial number yet: wait for it.
        """
        seen = list_boards(host, min(LISTING_S, self._silence_s))
        useful = (Verdict.PRESENT, Verdict.LOST)
        seen = sorted(
            (s for s in seen if s.verdict in useful and s.serial), key=lambda s: useful.index(s.verdict)
        )
        if seen:
            return [result.serial for result in seen if result.serial]
        result = probe(host, None, self.patience_s(None))
        if result.error is not None or result.serial is None:
            if result.verdict is Verdict.LOST:
                self._silent.add(None)
            raise result.error or BoardLostError(
                "a board answered without a serial number", remedy="replug it"
            )
        return [result.serial]

    def _refuse_to_guess(self, host: Host) -> None:
        """Raise why a board did not tell its name and tags, if one did not: it may be the required one.

        Raises:
            BoardFaultError: The board answered, and refused.
            UnavailableError: The board cannot be used.
        """
        errors = list(self._unreadable)
        for serial, error in self._nameless.items():
            if isinstance(error, UnavailableError | BoardFaultError):
                errors.append(self.diagnose(host, serial, error))
        faults = (error for error in errors if isinstance(error, BoardFaultError))
        if errors:
            raise next(faults, errors[0])

    def _read_info(self, host: Host, serial: str) -> BoardInfo | HilError:
        """Ask a board for its name and tags; return the error if it does not tell them."""
        try:
            with (
                held_boards.any_board(),
                open_driver(host, serial, limit_s=LISTING_S, console=False) as board,
            ):
                return self.info_of(board)
        except HilError as error:
            return error
