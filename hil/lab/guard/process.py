"""The guard: a process that outlives the holder of a board. Run as a script, it imports next to nothing.

It is started with every signal blocked that a run may get, in a session of its own, and forks once, so that
its parent is not the holder: neither Ctrl-C, nor a closing terminal, nor a program that kills a run's tree of
processes reaches it. It takes a name of its own, because `killall python3` and `pkill -f PROJECT` mean the
run. It shares the holder's lock by sharing its open file. It sleeps until the holder says "released" on the
line between them, or ends without a word; then it makes the board safe.

Arguments: descriptors of the lock, of the line, of the holder's and of the controller's process (pidfd;
-1: none), and the holder's pid. On the line the holder sends two messages, each with its length before it:
where modules are found, separated by NUL, and the task as JSON (`hil.lab.guard.recovery`).
"""

from __future__ import annotations

import os
import select
import sys

RELEASED = b"released"
READY = b"ready"
BROKEN = b"broken"
TAKEN = b"taken\n"

NAME = "hil-guard"
"""What `ps` shows: in `comm`, and as the first word of the command line."""

WORK = ("hil", "hil.lab", "hil.lab.guard", "hil.lab.guard.recovery")

LOAD_AFTER_S = 10.0
"""A guard that has waited for so long imports what it needs: a run may replace its own installation."""


def main() -> None:
    """Wait for the end; work if it came without a word."""
    lock, line, holder, controller, pid = map(int, sys.argv[1:6])
    if os.fork():
        os._exit(0)
    take_name(NAME, f"{NAME} of pid {pid}")
    _avoid_oom_kill()
    sys.path[:] = _message(line).decode("utf-8", "surrogateescape").split("\0")
    task = _message(line).decode("utf-8", "surrogateescape")
    missing = _missing()
    if missing:
        _tell(line, b"%s module %s is not found\n" % (BROKEN, missing.encode()))
        os._exit(1)
    _tell(line, b"%s %d\n" % (READY, os.getpid()))
    if _was_released(line, holder, controller):
        os._exit(0)
    _tell(line, TAKEN)
    os.close(line)
    _work(lock, task)
    os._exit(0)


def _work(lock: int, task: str) -> None:
    from hil.lab.guard.recovery import recover  # noqa: PLC0415 - until a death a guard costs next to nothing

    recover(lock, task)


def take_name(name: str, title: str) -> None:
    """Replace the name and command line that `ps` shows; where /proc does not allow it, the old ones stay."""
    try:
        with open("/proc/self/comm", "wb") as file:  # noqa: PTH123 - pathlib is not imported here
            file.write(name.encode())
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - as above
            fields = file.read().rpartition(b")")[2].split()
        begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5)
        with open("/proc/self/mem", "r+b", 0) as memory:  # noqa: PTH123 - as above
            os.pwrite(memory.fileno(), title.encode()[: end - begin].ljust(end - begin, b"\0"), begin)
    except (OSError, ValueError, IndexError):
        return


def _avoid_oom_kill() -> None:
    """Ask the kernel to spare this process when memory runs out, also where a cgroup is ended as a whole.

    Only root, or a service whose unit gave it that right, may ask for it.
    """
    try:
        with open("/proc/self/oom_score_adj", "wb", 0) as file:  # noqa: PTH123 - as above
            file.write(b"-1000")
    except OSError:
        return


def _message(line: int) -> bytes:
    """Read one message; ends the process if the holder ends before it has said it."""
    size = b""
    while not size.endswith(b"\n"):
        size += _read(line, 1)
    text = b""
    while len(text) < int(size):
        text += _read(line, int(size) - len(text))
    return text


def _read(line: int, most: int) -> bytes:
    data = os.read(line, most)
    if not data:
        os._exit(1)
    return data


def _missing() -> str:
    """Return the first module of the work that cannot be found; empty if all can. Imports none of them."""
    path = None
    for name in WORK:
        spec = next(filter(None, (finder.find_spec(name, path) for finder in sys.meta_path)), None)
        if spec is None:
            return name
        path = spec.submodule_search_locations
    return ""


def _tell(line: int, message: bytes) -> None:
    try:
        os.write(line, message)
    except OSError:  # the holder is gone already: the wait finds out
        return


def _was_released(line: int, holder: int, controller: int) -> bool:
    """Wait, and return whether the holder said "released" before it or its controller ended."""
    poll = select.poll()
    for descriptor in (line, holder, controller):
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
    while True:
        rang = _wait(poll) or _loaded(line, poll)
        if line in rang:
            return _heard(line) == RELEASED
        if controller in rang:
            _stop(holder)
        if controller in rang or holder in rang:
            return False


def _wait(poll: select.poll) -> set[int]:
    """Return what happened within the first seconds; empty if nothing did."""
    return {descriptor for descriptor, _event in poll.poll(LOAD_AFTER_S * 1000)}


def _loaded(line: int, poll: select.poll) -> set[int]:
    """Import what will be needed, then wait without a limit: see `LOAD_AFTER_S`."""
    try:
        from hil.lab.guard.recovery import load  # noqa: PLC0415 - as in `_work`

        load()
    except Exception as error:  # noqa: BLE001 - whatever it is, the holder must know that this guard is none
        _tell(line, b"%s %s\n" % (BROKEN, " ".join(repr(error).split()).encode()))
        os._exit(1)
    return {descriptor for descriptor, _event in poll.poll()}


def _heard(line: int) -> bytes:
    try:
        return os.read(line, len(RELEASED))
    except OSError:
        return b""


def _stop(holder: int) -> None:
    """End a worker whose controller is gone, also one that hangs in C; by its pidfd: a pid may be reused."""
    from signal import SIGKILL, pidfd_send_signal  # noqa: PLC0415 - for this alone

    try:
        pidfd_send_signal(holder, SIGKILL)
    except OSError:
        return


if __name__ == "__main__":
    main()
