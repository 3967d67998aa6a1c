import os
import sys
from pathlib import Path

from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

folder = Path(__file__).parent
safety = Safety("tests.support.fake_board:switch_off", {"board": str(folder / "board")}, limit_s=300)
lease = under_guard(acquire("5a1c0e01", folder=folder), safety)
(folder / "guard").write_text(str(lease.guard.wait_until_ready()))
(folder / "board").write_text(sys.argv[1])
os.kill(os.getpid(), 9)
