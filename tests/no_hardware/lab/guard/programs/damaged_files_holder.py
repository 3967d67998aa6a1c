import sys
from pathlib import Path

from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety

held = []
for folder in map(Path, sys.argv[1:]):
    board = folder / "board"
    safety = Safety("tests.support.fake_board:switch_off", {"board": str(board)}, limit_s=1, absent_s=0.1)
    held.append(under_guard(acquire("5a1c0e01", folder=folder / "locks"), safety))
    board.write_text("on")
print("ready", flush=True)
sys.stdin.read()
