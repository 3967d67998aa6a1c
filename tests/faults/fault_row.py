"""One fault: what is raised, what we make of it, what a new probe finds; and how the page shows it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hil.dutlink.usb.error_mapping import ErrorSource
    from hil.errors import HilError, Verdict

__all__ = ["FaultRow", "Raised", "markdown"]


class Raised(NamedTuple):
    """What an exception says of itself: its class's name, errno, and libusb's code."""

    name: str
    number: int | None = None
    libusb: int | None = None


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault.

    Attributes:
        act: Its key in `USB_ACTS`, `TTY_ACTS` or `STICK_ACTS`: the function that provokes it.
        fault: What it is, in words.
        raised: What is raised; None where nothing is.
        source: What we say we were doing.
        ours: Our error.
        verdict: What a new probe finds while the fault lasts.
        later: What the same fault raises a moment later, in this order, where that differs.
        kernel_only: A simulated host has no such thing.
    """

    act: str
    fault: str
    raised: Raised | None
    source: ErrorSource
    ours: type[HilError] | None
    verdict: Verdict
    later: tuple[Raised, ...] = ()
    kernel_only: bool = False

    @property
    def expected(self) -> set[Raised | None]:
        """What may be raised."""
        return {self.raised, *self.later}

    def cells(self) -> tuple[str, ...]:
        """Return the row as the page shows it."""
        raised = [one for one in (self.raised, *self.later) if one is not None]
        numbers = [one.number for one in raised if one.number is not None]
        return (
            self.fault,
            f"`{raised[0].name}`" if raised else "nothing",
            ", then ".join(f"{number} {errno.errorcode[number]}" for number in numbers),
            ", then ".join(f"{one.libusb}" for one in raised if one.libusb is not None),
            f"`{self.ours.__name__}`" if self.ours else "",
            self.verdict.value,
            "kernel" if self.kernel_only else "both",
        )


_HEAD = ("fault", "raised", "errno", "libusb", "our error", "a new probe", "seen on")


def markdown(rows: tuple[FaultRow, ...]) -> str:
    """Return rows as a table for the page."""
    lines = [_HEAD, tuple("---" for _ in _HEAD), *(row.cells() for row in rows)]
    return "\n".join(" ".join(f"| {' | '.join(cells)} |".split()) for cells in lines)
