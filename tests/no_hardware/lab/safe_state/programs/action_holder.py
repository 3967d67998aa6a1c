import json
import os
import sys
from pathlib import Path

from hil.dutlink.board import open_driver
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
from tests.support import fake_board

folder, ready = Path(sys.argv[1]), json.loads(sys.argv[2])
serial = ready["boards"][0]["serial"]
host = {"call": "tests.support.fake_board:simulated", "arguments": {"ready": ready}}
safety = Safety(arguments={"host": host})
under_guard(acquire(serial, folder=folder), safety)
board = open_driver(fake_board.simulated(ready), serial)
board.power.force_on()
board.storage.dut()
board.pins.low("a")
exec(sys.argv[3])  # noqa: S102 - lines of the test that started this
os.kill(os.getpid(), 9)
