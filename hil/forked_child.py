"""What a forked child must not keep: descriptors whose locks belong to the process that opened them.

A child shares every open file with its parent. A kernel lock on one (`flock`) lasts until the last process
has closed it, so a child that keeps its copy keeps the lock after its parent has ended. Closing the copy does
not unlock the parent's.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Closable", "OwnDescriptors", "forget_on_fork"]


class Closable(Protocol):
    """What a forked child has to let go of."""

    def close(self) -> None:
        """Close this process's descriptors of it, and nothing else."""


_OPEN: WeakSet[Closable] = WeakSet()


def forget_on_fork(held: Closable) -> None:
    """Close it in every child that this process forks.

    A forked child shares the open file, and would hold the lock beyond its parent's end.
    """
    _OPEN.add(held)


class OwnDescriptors:
    """Open descriptors that stay with this process: a forked child closes its copies at once."""

    def __init__(self, *descriptors: int) -> None:
        self._descriptors = list(descriptors)
        forget_on_fork(self)

    def close(self) -> None:
        """Close them; harmless when repeated."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _forget_all() -> None:
    for held in list(_OPEN):
        held.close()


os.register_at_fork(after_in_child=_forget_all)
