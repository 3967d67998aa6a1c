import os
import sys
import time
from pathlib import Path

from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

folder = Path(sys.argv[1])
safety = Safety("tests.support.fake_board:switch_off", {"board": str(folder / "board")})
lease = under_guard(acquire("5a1c0e01", folder=folder), safety, controller=os.getppid())
lease.guard.wait_until_ready()
(folder / "board").write_text("on")
print(os.getpid(), flush=True)
for _ in range(600):  # a signal between a look for it and one long sleep would be found at its end
    time.sleep(0.1)
