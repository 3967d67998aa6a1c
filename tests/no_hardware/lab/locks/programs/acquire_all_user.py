import json
import os
import random
import sys

sys.path.insert(0, sys.argv[1])
from contextlib import ExitStack
from pathlib import Path

from hil.lab.locks.acquire import acquire_all

folder, turns, wishes = Path(sys.argv[2]), int(sys.argv[3]), random.Random(int(sys.argv[4]))  # noqa: S311 - no secret
boards = json.loads(sys.argv[5])
served = []
sys.stdin.readline()
for _ in range(turns):
    needs = wishes.randint(1, 3)
    some = wishes.sample(boards, needs)
    choices = [[one] for one in some] if wishes.random() < 0.7 else [wishes.sample(boards, 3)] * needs
    with ExitStack() as held:
        leases = acquire_all(choices, wait_s=300, folder=folder)
        for lease in leases:
            held.enter_context(lease)
            os.close(os.open(folder / f"in-{lease.serial}", os.O_CREAT | os.O_EXCL))
        for lease in leases:
            os.unlink(folder / f"in-{lease.serial}")
    served.append(len(leases))
print(json.dumps(served), flush=True)
