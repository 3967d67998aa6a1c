import sys
from pathlib import Path

from hil.dutlink.host import Host
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import BoardRecord, BoardState, write_record

folder, root = Path(sys.argv[1]), Path(sys.argv[2])
write_record(folder, "5a1c0e01", BoardRecord(BoardState.SAFE))  # so that nothing is done before it is held
lease = acquire("5a1c0e01", folder=folder, host=Host(dev=root / "dev", sys=root / "sys"))
safety = Safety(action="slow_action:wait_for_file", arguments={"path": str(folder / "go")})
if len(sys.argv) > 3:
    found = {"call": "slow_action:host", "arguments": {"root": str(root)}}
    safety = Safety(arguments={"host": found}, limit_s=0.0)
guarded = under_guard(lease, safety)
print(guarded.guard.wait_until_ready(), flush=True)
for line in sys.stdin:
    guarded.follow_board() if line.strip() == "follow" else guarded.set_test(line.strip())
    print(guarded.guard.wait_until_ready(), flush=True)
