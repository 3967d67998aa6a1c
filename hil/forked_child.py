"""Close descriptors in forked children, since a child would keep its parent's locks.

A child shares every open file with its parent. A kernel lock on a file (`flock`) lasts until the last process
has closed the file, so a child that keeps its copy keeps the lock after its parent has ended. Closing the
copy does not release the parent's lock.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["Closable", "OwnDescriptors", "forget_on_fork"]


class Closable(Protocol):
    """An object with descriptors that a forked child must close."""

    def close(self) -> None:
        """Close the descriptors in this process, with no other effect; harmless when repeated."""


_OPEN: WeakSet[Closable] = WeakSet()


def forget_on_fork(held: Closable) -> None:
    """Call `held.close()` in every child that this process forks."""
    _OPEN.add(held)


class OwnDescriptors:
    """Open descriptors that stay with this process: a forked child closes its copies at once."""

    def __init__(self, *descriptors: int) -> None:
        self._descriptors = list(descriptors)
        forget_on_fork(self)

    def close(self) -> None:
        """Close the descriptors; harmless when repeated."""
        while True:
            try:
                descriptor = self._descriptors.pop()  # two threads that close at once get different ones
            except IndexError:
                return
            os.close(descriptor)


def _forget_all() -> None:
    for held in list(_OPEN):
        held.close()


os.register_at_fork(after_in_child=_forget_all)
