"""A thread that reads an image and can be stopped."""

from __future__ import annotations

import threading

__all__ = ["StoppableThread", "StoppedError", "raise_if_stopped"]


class StoppedError(Exception):
    """The thread was stopped: its work is not wanted any more."""


class StoppableThread(threading.Thread):
    """A thread whose work calls `raise_if_stopped` each fraction of a second."""

    is_stopped = False

    def stop(self) -> None:
        """Make the next `raise_if_stopped` of this thread raise `StoppedError`; returns at once."""
        self.is_stopped = True


def raise_if_stopped() -> None:
    """Raise StoppedError if the current thread is a `StoppableThread` that was stopped."""
    thread = threading.current_thread()
    if isinstance(thread, StoppableThread) and thread.is_stopped:
        raise StoppedError
