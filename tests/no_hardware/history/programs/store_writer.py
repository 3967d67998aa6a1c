import sys
from pathlib import Path

from hil.evidence.records import RunRecord
from hil.history.models import Attempt, AttemptOutcome
from hil.history.store import History

with History(Path(sys.argv[1])) as history:
    history.begin_run(RunRecord(sys.argv[2], 1.0))
    for number in range(100_000):
        history.add(sys.argv[2], [Attempt(f"test_{number}", AttemptOutcome.PASSED) for _ in range(1)])
        print(number, flush=True)
