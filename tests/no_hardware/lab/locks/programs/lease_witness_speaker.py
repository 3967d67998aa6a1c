import json
import os
import sys
from pathlib import Path

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire
from hil.lab.locks.tickets import waiting_tickets
from hil.sim.backend.backend import simulated_host

ready, folder, turns = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
others, wait_s = int(sys.argv[4]) - 1, int(sys.argv[5])
simulated = simulated_host(ready)
host = Host(simulated.label, backend=simulated.backend, dev=simulated.dev, sys=simulated.sys)
serial = ready["boards"][0]["serial"]


def state():
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    kib = int(status["RssAnon"].split()[0])
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), kib


def contended():
    return bool(waiting_tickets(folder)) or len(list(folder.glob("done-*"))) == others


def turn(board):
    with acquire(serial, wait_s=wait_s, folder=folder):
        board.pins.low("A")
        board.pins.floating("A")
        assert until(contended, wait_s, 0.001)


with open_driver(host, serial) as board:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(turns // 2):  # what is imported, and kept within bounds, is there after these
        turn(board)
    before = state()
    for _ in range(turns - turns // 2):
        turn(board)
    (folder / f"done-{os.getpid()}").touch()
    print(json.dumps({"pid": os.getpid(), "before": before, "after": state()}))
