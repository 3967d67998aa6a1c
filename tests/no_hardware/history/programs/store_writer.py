import sys
from pathlib import Path

from hil.evidence.records import RecordedAttempt, RecordedTest, RunRecord
from hil.history.store import History

with History(Path(sys.argv[1])) as history:
    history.begin_run(RunRecord(sys.argv[2], 1.0))
    for number in range(100_000):
        attempts = [RecordedAttempt(outcome="passed")]
        history.add(sys.argv[2], [RecordedTest(f"test_{number}", attempts=attempts)])
        print(number, flush=True)
