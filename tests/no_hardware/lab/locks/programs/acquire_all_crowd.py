"""Users of boards that come, go, are killed and stopped at random moments; prints what became of them."""

import json
import os
import random
import signal
import sys
import time
import traceback

sys.path.insert(0, sys.argv[1])
from contextlib import suppress
from pathlib import Path

from hil.errors import BoardBusyError
from hil.lab.locks import acquire, first_in_line

folder, boards, chance = Path(sys.argv[2]), sys.argv[3].split(","), random.Random(sys.argv[4])  # noqa: S311 - no secret
first_in_line.SKIP_AFTER_S = 0.5
log = os.open(folder / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
ended, stopped = {"ended": 0, "failed": 0, "killed": 0, "stopped": 0}, {}


def note(what, pid, serials=()):
    os.write(log, json.dumps([what, pid, *serials]).encode() + b"\n")


def use(seed):
    mine = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(8):
        needs = mine.randint(1, len(boards))
        choices = [boards] * needs if mine.random() < 0.5 else [[one] for one in mine.sample(boards, needs)]
        wait_s = mine.choice([0.05, 200, 200])
        with suppress(*([BoardBusyError] if wait_s < 1 else [])):
            leases = acquire.acquire_all(choices, wait_s=wait_s, folder=folder)
            serials = [lease.serial for lease in leases]
            note("got", os.getpid(), serials)
            time.sleep(mine.random() / 50)
            note("left", os.getpid(), serials)
            for lease in leases:
                lease.release()


def come():
    seed = chance.random()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        use(seed)
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def disturb(pid):
    if chance.random() < 0.3:
        note("killed", pid)  # before: the next holder may be faster than this process
        os.kill(pid, signal.SIGKILL)
    elif pid not in stopped:
        os.kill(pid, signal.SIGSTOP)
        ended["stopped"] += 1
        stopped[pid] = time.monotonic() + chance.random() * 2


users = {come() for _ in range(6)}
left = 10
while users:
    while (gone := os.waitpid(-1, os.WNOHANG))[0]:
        users.remove(gone[0])
        stopped.pop(gone[0], None)
        ended["killed" if os.WIFSIGNALED(gone[1]) else "failed" if gone[1] else "ended"] += 1
        if left:
            left -= 1
            users.add(come())
        if not users:
            break
    for pid in [one for one, until in stopped.items() if until < time.monotonic()]:
        del stopped[pid]
        os.kill(pid, signal.SIGCONT)
    if users and chance.random() < 0.2:
        disturb(chance.choice(sorted(users)))
    time.sleep(0.02)
print(json.dumps(ended), flush=True)
