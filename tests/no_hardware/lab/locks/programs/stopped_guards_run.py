import sys
from pathlib import Path

from hil.lab.guard import child

child.LOOK_EVERY_S = 600
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

board = Path(sys.argv[1]) / "board"
safety = Safety("tests.support.fake_board:switch_off", {"board": str(board)}, limit_s=1.5, absent_s=0.1)
lease = under_guard(acquire("5a1c0e01", folder=board.parent), safety)
board.write_text("on")
print(lease.guard.wait_until_ready(), flush=True)
sys.stdin.read()
