"""The guard process: it outlives the holder of a board, and takes the board over when the holder has died.

It runs as a script and imports next to nothing. What it does with a board that it took over is in `recovery`.

The guard starts in a session of its own, with every signal blocked that a run may get, and forks once, so
that its parent is not the holder: neither Ctrl-C, nor a closing terminal, nor a program that kills a run's
tree of processes reaches it. It takes a name of its own, because `killall python3` and `pkill -f PROJECT`
mean the run. It shares the holder's lock by sharing its open file. It sleeps until the holder says "released"
on the socket between them, or ends without saying so; then the guard makes the board safe.

Arguments: the descriptors of the lock, of the socket, of the holder's process and of the controller's process
(pidfd; -1 for none), and the command line that `ps` shows. On the socket the holder sends two messages, each
after its length: the folders of modules, separated by NUL, and the task as JSON (`hil.lab.guard.task`).
"""

from __future__ import annotations

import os
import select
import sys

RELEASED = b"released"
READY = b"ready"
BROKEN = b"broken"
TAKEN = b"taken\n"

WORK = ("hil", "hil.lab", "hil.lab.guard", "hil.lab.guard.recovery")

LOAD_AFTER_S = 10.0
"""After this wait a guard imports all that it needs, because a run may replace its own installation."""


def main() -> None:
    """Wait until the holder ends; make the board safe if it did not say "released" before."""
    lock, line, holder, controller = map(int, sys.argv[1:5])
    title = sys.argv[5]
    if os.fork():
        os._exit(0)
    take_name(title.split()[0], title)
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
    from hil.lab.guard.recovery import recover  # noqa: PLC0415 - a guard that only waits costs next to nothing

    recover(lock, task)


def take_name(name: str, title: str) -> None:
    """Replace the name and command line that `ps` shows; do nothing if /proc does not allow it."""
    try:
        with open("/proc/self/comm", "wb") as file:  # noqa: PTH123 - pathlib is not imported here
            file.write(name.encode())
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib is not imported here
            fields = file.read().rpartition(b")")[2].split()
        begin, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc(5)
        with open("/proc/self/mem", "r+b", 0) as memory:  # noqa: PTH123 - pathlib is not imported here
            os.pwrite(memory.fileno(), title.encode()[: end - begin].ljust(end - begin, b"\0"), begin)
    except (OSError, ValueError, IndexError):
        return


def _avoid_oom_kill() -> None:
    """Ask the kernel not to kill this process when memory runs out, also if it kills a whole cgroup.

    Only root, or a service whose unit gave it that right, may do so.
    """
    try:
        with open("/proc/self/oom_score_adj", "wb", 0) as file:  # noqa: PTH123 - pathlib is not imported here
            file.write(b"-1000")
    except OSError:
        return


def _message(line: int) -> bytes:
    """Read one message; end this process if the holder ends before it has sent it."""
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
    """Return the first module that cannot be found, or an empty string. Imports none of them."""
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
    except OSError:  # the holder has ended: `_was_released` finds out
        return


def _was_released(line: int, holder: int, controller: int) -> bool:
    """Wait, and return True if the holder said "released" before it or its controller ended."""
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
    """Return the descriptors that became readable within the first seconds."""
    return {descriptor for descriptor, _event in poll.poll(LOAD_AFTER_S * 1000)}


def _loaded(line: int, poll: select.poll) -> set[int]:
    """Import all that the guard needs, then wait without a limit; see `LOAD_AFTER_S`."""
    try:
        from hil.lab.guard.recovery import load  # noqa: PLC0415 - as in `_work`

        load()
    except Exception as error:  # noqa: BLE001 - the holder must know that this guard cannot act
        _tell(line, b"%s %s\n" % (BROKEN, " ".join(repr(error).split()).encode()))
        os._exit(1)
    return {descriptor for descriptor, _event in poll.poll()}


def _heard(line: int) -> bytes:
    try:
        return os.read(line, len(RELEASED))
    except OSError:
        return b""


def _stop(holder: int) -> None:
    """Kill a worker whose controller has ended, by its pidfd, because a pid may be reused."""
    from signal import SIGKILL, pidfd_send_signal  # noqa: PLC0415 - for this alone

    try:
        pidfd_send_signal(holder, SIGKILL)
    except OSError:
        return


if __name__ == "__main__":
    main()
