"""How whoever reads or writes a disk tells how far it is. It prints nothing itself."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Told how far the work is; called by the thread that asked for the work, never by another.

    An error raised by it ends the work as any other error would.
    """

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """A phase begins.

        Args:
            phase: `compare`, `write`, `verify` or `read`.
            total_bytes: How much it will be; None where an archive does not tell.
        """
        ...

    def advance(self, size_bytes: int) -> None:
        """So many more bytes are done."""
        ...

    def end(self) -> None:
        """The phase is over, be it because of an error."""
        ...


class Silent:
    """A `Progress` that tells nobody."""

    def begin(self, phase: str, total_bytes: int | None) -> None:
        """Nothing."""

    def advance(self, size_bytes: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""
