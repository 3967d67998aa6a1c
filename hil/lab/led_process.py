"""Becomes the command that `hil lease` runs. Started as a script, it imports next to nothing.

In between it sees to two things that only a process itself can do: signals have their usual meaning again,
and the kernel ends it (SIGTERM) when its leader is killed, because then a guard makes the board safe and
hands it on: a command that went on would go on with somebody else's board (Linux: prctl(2)).

Arguments: the leader's pid, and the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses, as shells have them."""

_USUAL = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGUSR1", "SIGUSR2")


def main() -> None:
    """Become the command."""
    leader, command = int(sys.argv[1]), sys.argv[2:]
    for name in _USUAL:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != leader:  # it was killed before the kernel was told
        os._exit(128 + signal.SIGTERM)
    try:
        os.execvp(command[0], command)  # noqa: S606 - this is what it is for
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        sys.stderr.write(f"hil: {command[0]} cannot be run: {error.strerror}\n")
        os._exit(NOT_FOUND if missing else NOT_EXECUTABLE)


if __name__ == "__main__":
    main()
