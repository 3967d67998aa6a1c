import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
from importlib import import_module
from pathlib import Path

from hil.lab.locks.acquire import acquire

for module in ("ctypes", "hil.lab.locks.inotify", "hil.lab.locks.wait_status"):
    import_module(module)  # else the first wait loads them, perhaps after the memory was measured
folder, turns = Path(sys.argv[2]), int(sys.argv[3])
log = []


def turn(kept=True):
    with acquire("5a1c0e01", wait_s=800, folder=folder):
        began = time.monotonic()
        inside = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)
        os.close(inside)
        os.unlink(folder / "inside")
        if kept:
            log.append((began, time.monotonic()))


def state():
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    kib = int(status["RssAnon"].split()[0])
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), kib


for _ in range(20):
    turn(kept=False)
before = state()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(turns):
    turn()
print(json.dumps({"before": before, "after": state(), "turns": len(log)}), flush=True)
