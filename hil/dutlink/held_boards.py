"""The boards that this process holds, and the objects that were opened for each of them.

Outside of runs `open_driver` opens any board. In a run it opens only boards that this process holds, since
another worker or run may use any other board. The end of a lease ends every object of the board, including
those that a test opened itself.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakSet

from hil.dutlink.borrowed_lease import BORROWED
from hil.errors import NotLeasedError
from hil.forked_child import forget_on_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hil.dutlink.host import Host
    from hil.dutlink.usb.access import Access

__all__ = ["HeldBoards", "held_boards"]


class HeldBoards:
    """The boards that this process holds; a host is identified by its device folder."""

    def __init__(self) -> None:
        self._restricted: dict[Path, int] = {}
        self._held: dict[tuple[Path, str], Callable[[], None] | None] = {}
        self._opened: dict[tuple[Path, str], WeakSet[Access]] = {}
        self._lock = threading.RLock()
        self._of_thread = threading.local()
        forget_on_fork(self)

    def close(self) -> None:
        """In a forked child, hold no board: a fork inherits no lease."""
        self._lock = threading.RLock()
        self._held.clear()

    @contextmanager
    def any_board(self) -> Iterator[None]:
        """Let the calling thread open any board in a block, for code that checks the leases itself."""
        depth = self._depth
        self._of_thread.depth = depth + 1
        try:
            yield
        finally:
            self._of_thread.depth = depth

    def restrict(self, dev: Path) -> None:
        """Restrict `open_driver` on a host to the boards that this process holds, until `lift` is called.

        Boards of this host that were opened before and are not held, as when a test file was imported, are
        ended.
        """
        with self._lock:
            self._restricted[dev] = self._restricted.get(dev, 0) + 1
            others = [key for key in self._opened if key[0] == dev and key not in self._held]
            opened = [access for key in others for access in self._opened.pop(key)]
        for access in opened:
            access.end(
                "was opened without a lease, before the run,", why="a run opens only boards that it holds"
            )
            access.finish()

    def lift(self, dev: Path) -> None:
        """Undo one `restrict`."""
        with self._lock:
            self._restricted[dev] -= 1
            if not self._restricted[dev]:
                del self._restricted[dev]

    def add(self, host: Host, serial: str, raise_if_lost: Callable[[], None] | None = None) -> None:
        """Let this process open a board whose lease has begun.

        Args:
            host: Where the board is plugged in.
            serial: The board.
            raise_if_lost: Called before each request to the board; raises an error if its lease was lost.
        """
        key = (host.dev, serial)
        with self._lock:
            self._held[key] = raise_if_lost
            for access in self._opened.get(key, ()):
                access.raise_if_lost = raise_if_lost

    def end(self, host: Host, own: Access, how: str, *, after: str = "", why: str = "") -> None:
        """End every object of a board that was opened in this process, and let no new one be opened.

        Args:
            host: Where the board is plugged in.
            own: The lease holder's access, which the calling thread keeps to make the board safe.
            how: What happens to the board: `was given back`.
            after: The test after which that happens.
            why: The cause.
        """
        key = (host.dev, own.serial)
        with self._lock:
            self._held.pop(key, None)
            opened = list(self._opened.pop(key, ()))
        own.end(how, after=after, why=why)
        for access in opened:  # without the lock: `end` waits for transfers of other threads
            if access is not own:
                access.end(how, after=after, why=why)
                access.finish()

    def default_for(self, host: Host) -> str | None:
        """Return the board to open if none is named: in a run, one that this process holds; else None."""
        if not self.is_restricted(host):
            return None
        return next((serial for dev, serial in sorted(self._held) if dev == host.dev), None)

    def admit(self, host: Host, access: Access) -> None:
        """Record that a board was opened; if this process does not hold it, the borrowed lease counts.

        Raises:
            NotLeasedError: This process belongs to a run, and does not hold the board.
        """
        key = (host.dev, access.serial)
        with self._lock:
            if self.is_restricted(host) and key not in self._held:
                raise NotLeasedError(
                    f"board {access.serial} was opened without a lease",
                    why="in a run, a test opens only the board that it was given: another worker, or another "
                    "run, may hold each other one",
                    remedy="ask for the fixture: def test_x(dutlink); for a certain board mark the test: "
                    '@pytest.mark.hardware(tags="...")',
                    serial=access.serial,
                )
            if key not in self._held and not self._depth:
                access.lease = BORROWED
            access.raise_if_lost = self._held.get(key)
            self._opened.setdefault(key, WeakSet()).add(access)

    def is_restricted(self, host: Host) -> bool:
        """Return True if the calling thread may open only boards that this process holds."""
        return host.dev in self._restricted and not self._depth

    @property
    def _depth(self) -> int:
        """The number of `any_board` blocks that the calling thread is in."""
        return getattr(self._of_thread, "depth", 0)


held_boards = HeldBoards()
"""The instance of this process."""
