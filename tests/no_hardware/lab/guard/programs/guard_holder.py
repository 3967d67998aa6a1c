import os
import signal
import sys
import time  # noqa: F401 - for the lines that a test sends

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is deaf to both
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pathlib import Path

from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

folder = Path(sys.argv[1])
board = folder / "board"
arguments = {"board": str(board)}
safety = Safety("tests.support.fake_board:switch_off", arguments, limit_s=1.5, absent_s=0.1, linger_s=20)
drivers, mark = os.pipe()
lease = under_guard(acquire("5a1c0e01", test="theirs.py::test_long", folder=folder), safety, drivers=drivers)
board.write_text("on")
print(lease.guard.wait_until_ready(), flush=True)
for line in sys.stdin:
    exec(line)  # noqa: S102 - lines of the test that started this
    print("done", flush=True)
