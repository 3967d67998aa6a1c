"""Leases of one simulated board: its own log of requests shows that no two processes used it at once."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

import hil
from hil.sim.process import SimulatorProcess
from tests.support.programs import program

PROCESSES = 8
TURNS = 250
SET_PIN, PIN_A, LOW, FLOATING = 5, 1, "00", "02"
MOST_KIB = 1024  # what the allocator of a process may have grown by
WAIT_S = 800
SPEAKER = program(__file__, "lease_witness_speaker")


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_lease_is_exclusive_by_the_boards_own_record(tmp_path: Path) -> None:
    with SimulatorProcess(boards=1) as simulator:
        (serial,) = simulator.serials()
        words = [json.dumps(simulator.ready), *map(str, (tmp_path, TURNS, PROCESSES, WAIT_S))]
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
        requests, _ = simulator.management.log(serial)

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
    assert [outcome["after"][:2] for outcome in outcomes] == [outcome["before"][:2] for outcome in outcomes]
    assert max(outcome["after"][2] - outcome["before"][2] for outcome in outcomes) < MOST_KIB
