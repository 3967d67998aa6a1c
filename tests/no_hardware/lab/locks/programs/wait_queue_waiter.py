import os
import sys
import time

sys.path.insert(0, sys.argv[1])
from pathlib import Path

from hil.lab.locks.acquire import acquire

if int(sys.argv[5]):
    import ctypes
    from importlib import import_module

    import_module("hil.lab.locks.inotify")
    import_module("hil.lab.locks.wait_status")  # while this process may read the interpreter's modules
    os.setuid(int(sys.argv[5]))
    ctypes.CDLL(None).prctl(4, 1)  # a process of that user from its start could read its own /proc entries
lease = acquire(*sys.argv[4].split(","), wait_s=60, folder=Path(sys.argv[2]), test=sys.argv[3])
print(lease.serial, time.monotonic(), flush=True)
sys.stdin.readline()
lease.release()
