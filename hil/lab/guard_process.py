"""The guard: a process that outlives the holder of a board. Run as a script, it imports next to nothing.

It is started with every signal blocked that a run may get, in a session of its own, and forks once, so that
it is nobody's child: neither Ctrl-C, nor a closing terminal, nor whoever kills a run's tree of processes
means it. It shares the holder's lock by sharing its open file. It sleeps until the holder says "released" on
the line between them, or ends without a word; then it imports what it needs and makes the board safe.

Arguments: the lock's descriptor, the line's descriptor, the holder's pid, the controller's pid (0: none), and
the task as JSON (`hil.lab.guard_work`).
"""

from __future__ import annotations

import os
import select
import sys

RELEASED = b"released"
TAKEN = b"taken\n"


def main() -> None:
    """Wait for the end; work if it came without a word."""
    lock, line, holder, controller = map(int, sys.argv[1:5])
    if os.fork():
        os._exit(0)
    _tell(line, b"ready %d\n" % os.getpid())
    if _was_released(line, holder, controller):
        os._exit(0)
    _tell(line, TAKEN)
    os.close(line)
    _work(lock, sys.argv[5])
    os._exit(0)


def _work(lock: int, task: str) -> None:
    """Import what it takes, and only now: until a death a guard costs next to nothing."""
    import json  # noqa: PLC0415

    sys.path[:] = json.loads(task)["python_path"]
    from hil.lab.guard_work import work  # noqa: PLC0415

    work(lock, task)


def _tell(line: int, message: bytes) -> None:
    try:
        os.write(line, message)
    except OSError:  # the holder is gone already: the wait finds out
        return


def _was_released(line: int, holder: int, controller: int) -> bool:
    poll = select.poll()
    poll.register(line, select.POLLIN)
    ended = _watched(poll, holder)
    gone = _watched(poll, controller) if controller else -1
    if controller and _is_gone(controller):  # before it could be watched
        _stop(holder)
    while True:
        rang = {descriptor for descriptor, _event in poll.poll()}
        if line in rang:
            return _heard(line) == RELEASED
        if gone in rang:
            _stop(holder)
        if gone in rang or ended in rang:
            return False


def _watched(poll: select.poll, pid: int) -> int:
    """Wake up when that process ends; -1 where that cannot be had: then the line alone must tell."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return -1
    poll.register(descriptor, select.POLLIN)
    return descriptor


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _heard(line: int) -> bytes:
    try:
        return os.read(line, len(RELEASED))
    except OSError:
        return b""


def _stop(holder: int) -> None:
    """A worker whose controller is gone must not go on, even one that hangs in C."""
    try:
        os.kill(holder, 9)
    except OSError:
        return


if __name__ == "__main__":
    main()
