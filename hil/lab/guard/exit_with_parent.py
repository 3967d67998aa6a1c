"""End a worker at once when its parent process, the controller, has ended."""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GONE_STATUS", "exit_with_parent"]

GONE_STATUS = 70
"""The exit status of a worker whose controller has ended (sysexits.h: EX_SOFTWARE)."""

LOOK_EVERY_S = 0.2


def exit_with_parent(controller: int, stop: Callable[[], None] | None = None) -> None:
    """End this process, without any cleaning up, as soon as its parent process `controller` has ended.

    The guard takes over a lease that this process holds. Call this early in a worker: if the controller has
    ended before the call, the worker ends, too.

    Args:
        controller: The pid of this process's parent.
        stop: Called instead of ending the process.
    """
    watched = _open(controller)
    end = stop or _end
    if os.getppid() != controller:
        end()
        return
    wait = _wait_for_pidfd if watched >= 0 else _poll_parent
    arguments = (watched, controller, end)
    threading.Thread(target=wait, args=arguments, name="hil-controller-watch", daemon=True).start()


def _open(controller: int) -> int:
    try:
        return os.pidfd_open(controller)
    except OSError:  # an old kernel, or a sandbox that forbids it
        return -1


def _wait_for_pidfd(watched: int, _controller: int, end: Callable[[], None]) -> None:
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    poll.poll()
    os.close(watched)
    end()


def _poll_parent(_watched: int, controller: int, end: Callable[[], None]) -> None:
    pause = threading.Event()
    while os.getppid() == controller:
        pause.wait(LOOK_EVERY_S)
    end()


def _end() -> None:
    os._exit(GONE_STATUS)
