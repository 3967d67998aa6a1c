import os
import signal

from hil.dutlink.borrowed_lease import BORROWED

BORROWED.share("5a1c0e01")
os.kill(os.getpid(), signal.SIGSTOP)
