"""The boards that a process holds already when it acquires those of its next test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.lab.locks.choice import choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hil.boards.acquired import AcquiredBoard

__all__ = ["OwnBoards"]


class OwnBoards:
    """The boards that this process holds; `keep` keeps those that will do.

    Args:
        held: The boards; all of them work.
        release: Called with each that is not kept: makes it safe and releases it.
    """

    def __init__(self, held: Iterable[AcquiredBoard], release: Callable[[AcquiredBoard], None]) -> None:
        self._held = {one.board.serial: one for one in held}
        self._release = release

    def __bool__(self) -> bool:
        """Return True if this process holds any board."""
        return bool(self._held)

    def __contains__(self, serial: str) -> bool:
        """Return True if this process holds a board."""
        return serial in self._held

    def keep(self, choices: Sequence[Sequence[str]]) -> list[AcquiredBoard | None]:
        """Return the own board for each choice, or None where another has to be acquired; release the rest.

        Args:
            choices: For each board that is needed, the boards that would do.
        """
        own_first = [sorted(serials, key=lambda serial: serial not in self._held) for serials in choices]
        chosen = choose(own_first, {serial for serials in choices for serial in serials}) or []
        for serial in self._held.keys() - set(chosen):
            self._release(self._held.pop(serial))
        return [self._held.get(serial) for serial in chosen]

    def release(self) -> None:
        """Release all of them."""
        while self._held:
            self._release(self._held.popitem()[1])
