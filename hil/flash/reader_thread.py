"""A thread that reads an image, and ends soon after it is told to, whatever it reads or passes over."""

from __future__ import annotations

import threading

__all__ = ["StoppableThread", "StoppedError", "raise_if_stopped"]


class StoppedError(Exception):
    """The thread was told to stop: its work is not wanted any more."""


class StoppableThread(threading.Thread):
    """A thread whose work calls `raise_if_stopped` each fraction of a second."""

    is_stopped = False

    def stop(self) -> None:
        """Have the work end with a `StoppedError`; returns at once."""
        self.is_stopped = True


def raise_if_stopped() -> None:
    """Raise StoppedError if this is a `StoppableThread` that was told to stop."""
    thread = threading.current_thread()
    if isinstance(thread, StoppableThread) and thread.is_stopped:
        raise StoppedError
