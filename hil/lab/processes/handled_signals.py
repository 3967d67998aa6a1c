"""Handle signals by a function for a `with` block."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

__all__ = ["handled_by", "heard"]


@contextmanager
def handled_by(
    handler: Callable[[int, FrameType | None], object], numbers: Iterable[signal.Signals]
) -> Iterator[None]:
    """Call a function for each of these signals; afterwards they are handled as before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def heard(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Return the signals that are not ignored, as by nohup and by shells for background jobs."""
    return [number for number in numbers if signal.getsignal(number) not in {signal.SIG_IGN, None}]
