import os
import sys
import time
from pathlib import Path

from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

folder = Path(sys.argv[1])
(Path(sys.argv[2]) / "cgroup.procs").write_text(str(os.getpid()))
safety = Safety("tests.support.fake_board:switch_off", {"board": str(folder / "board")})
lease = under_guard(acquire("5a1c0e01", folder=folder), safety)
(folder / "board").write_text("on")
print("on", flush=True)
time.sleep(60)
