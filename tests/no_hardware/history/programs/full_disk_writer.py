import resource
import signal
import sys
from pathlib import Path

from hil.errors import HistoryError
from hil.evidence.records import RecordedAttempt, RecordedTest, RunRecord
from hil.history.store import History

limit = int(sys.argv[2])
if limit:  # no file may grow beyond: writes fail as on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
written = 0
try:
    with History(Path(sys.argv[1])) as history:
        history.begin_run(RunRecord("run", 1.0))
        for number in range(100_000):
            attempt = RecordedAttempt(outcome="passed", message="x" * 200)
            history.add("run", [RecordedTest(f"test_{number}", attempts=[attempt])])
            written += 1
except HistoryError as error:
    print(written, error.what)
