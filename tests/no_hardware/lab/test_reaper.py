"""A process above a command, as an init is."""

from __future__ import annotations

import subprocess
import sys

THREADED = """
import os, signal, threading
from hil.lab.processes.reaper import AWAITED_SIGNALS, supervise_child

threading.Thread(target=threading.Event().wait, daemon=True).start()  # it does not block SIGCHLD
signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED_SIGNALS)
child = os.fork()
if not child:
    os._exit(7)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # its SIGCHLD has come, and is lost
print(supervise_child(child))
"""


def test_supervise_child_notices_an_end_whose_signal_another_thread_got() -> None:
    command = [sys.executable, "-c", THREADED]

    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout == "7\n"
