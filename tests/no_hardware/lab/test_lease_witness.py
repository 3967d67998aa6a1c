"""Turns on one simulated board: its own record of who spoke to it tells that no two ever had it at once."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

import hil
from hil.sim.process import SimulatorProcess

PROCESSES = 8
TURNS = 250
SET_PIN, PIN_A, LOW, FLOATING = 5, 1, "00", "02"
MOST_KIB = 1024  # what the allocator of a process may have grown by
SPEAKER = """
import json, os, sys
from pathlib import Path
from hil.dutlink.board import open_board
from hil.dutlink.host import Host
from hil.lab.locks.acquire import acquire
from hil.sim.backend.backend import simulated_host

ready, folder, turns = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
simulated = simulated_host(ready)
host = Host(simulated.label, backend=simulated.backend, dev=simulated.dev, sys=simulated.sys)
serial = ready["boards"][0]["serial"]

def state():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")), pages * 4

def turn(board):
    with acquire(serial, wait_s=100, folder=folder):
        board.pins.low("A")
        board.pins.floating("A")

with open_board(host, serial) as board:
    for _ in range(20):
        turn(board)
    before = state()
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(turns):
        turn(board)
    print(json.dumps({"pid": os.getpid(), "before": before, "after": state()}))
"""


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_2000_turns_of_8_processes_meet_at_no_board_and_leak_nothing(tmp_path: Path) -> None:
    with SimulatorProcess(boards=1) as simulator:
        (serial,) = simulator.serials()
        words = [json.dumps(simulator.ready), str(tmp_path), str(TURNS)]
        speakers = [
            subprocess.Popen(
                [sys.executable, "-c", SPEAKER, *words],
                cwd=Path(hil.__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]
        for speaker in speakers:  # all begin together: else the first may be done before the last has begun
            assert speaker.stdout is not None
            assert speaker.stdout.readline() == "ready\n"
        for speaker in speakers:
            assert speaker.stdin is not None
            speaker.stdin.write("\n")
            speaker.stdin.flush()
        outcomes = [json.loads(speaker.communicate()[0]) for speaker in speakers]
        requests, _ = simulator.control.log(serial)

    spoken = [
        (request["sender"], request["data"])
        for request in requests
        if (request["bRequest"], request["wValue"]) == (SET_PIN, PIN_A)
    ]
    turns = [spoken[first : first + 2] for first in range(0, len(spoken), 2)]
    assert all(turn == [(turn[0][0], LOW), (turn[0][0], FLOATING)] for turn in turns)
    assert len(turns) >= PROCESSES * TURNS
    assert {sender for sender, _ in spoken} == {f"pid {outcome['pid']}" for outcome in outcomes}
    assert len(list(groupby(sender for sender, _ in spoken))) > len(turns) // 2, "they did not contend"
    assert all(outcome["after"][:2] == outcome["before"][:2] for outcome in outcomes)
    assert all(outcome["after"][2] - outcome["before"][2] < MOST_KIB for outcome in outcomes)
