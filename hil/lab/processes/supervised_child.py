"""The process between `hil lease` (the leader) and its COMMAND, which ends all descendants of COMMAND.

It runs as a script. When the leader is killed, a guard makes the board safe, and the next holder gets it: a
descendant of COMMAND that went on would read the next holder's console. So this process ends them when
COMMAND or the leader ends. It adopts orphans, asks the kernel for a signal when the leader ends, and has a
process group and a name of its own, so that a program that kills the leader does not find it. COMMAND itself
is in the leader's process group, so it has the terminal.

This process keeps some files open until it ends, which COMMAND does not inherit: the pipe by which a guard
sees that no process drives the board any more, and the board's locks, so that the board is not free before,
even if leader and guard are killed.

Arguments: the leader's pid, the leader's process group, the descriptors of these files, and the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CANNOT_RUN = 126  # as shells have it


def main() -> None:
    """Run the command, then end its descendants."""
    from hil.lab.guard.process import take_name  # noqa: PLC0415 - found only now
    from hil.lab.locks.stopped_guards import LEASE_END_NAME, continue_guards_of  # noqa: PLC0415 - found only now
    from hil.lab.processes.reaper import (  # noqa: PLC0415 - found only now
        AWAITED_SIGNALS,
        ENDED_BY,
        GRACE_S,
        PARENT_GONE,
        adopt_orphans,
        end_descendants,
        exec_command,
        supervise_child,
    )

    leader, group, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[4:]
    for descriptor in sys.argv[3].split(","):
        os.set_inheritable(int(descriptor), False)
    of_the_terminal = {signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED_SIGNALS | of_the_terminal)
    adopt_orphans()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(PARENT_GONE))
    child = 0
    if os.getppid() == leader:
        try:
            child = os.fork()
        except OSError as error:
            sys.stderr.write(f"hil: {command[0]} cannot be started: {error.strerror}\n")
            os._exit(_CANNOT_RUN)
        if not child:
            exec_command(command, before, group, at_parents_end=signal.SIGKILL)
        take_name(LEASE_END_NAME, f"{LEASE_END_NAME} of pid {leader}")
    status = supervise_child(child, ends_with_parent=True) if child else ENDED_BY + signal.SIGTERM
    continue_guards_of(leader)  # a stopped guard would leave the DUT on
    end_descendants(GRACE_S)
    continue_guards_of(leader)
    os._exit(status)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[3]))
    main()
