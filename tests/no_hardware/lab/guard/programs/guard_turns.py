import gc
import json
import os
import sys
import threading
from pathlib import Path

board = Path(sys.argv[1])

from hil.dutlink.timing import until
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

safety = Safety("tests.support.fake_board:switch_off", {"board": str(board)}, limit_s=1, absent_s=0.1)
for number in (100, 500):
    for _ in range(number):
        under_guard(acquire("0df10035", folder=board.parent), safety).release()
    assert until(lambda: threading.active_count() == 1, 60)  # of a guard that takes longer to end than others
    gc.collect()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    descriptors = list(Path("/proc/self/fd").iterdir())
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    left = [len(children), len(descriptors), threading.active_count()]
    print(json.dumps({"left open": left, "KiB": int(status["RssAnon"].split()[0])}), flush=True)
