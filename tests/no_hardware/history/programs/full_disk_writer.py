import resource
import signal
import sys
from pathlib import Path

from hil.errors import HistoryError
from hil.evidence.records import RunRecord
from hil.history.models import Attempt, AttemptOutcome
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
            history.add("run", [Attempt(f"test_{number}", AttemptOutcome.PASSED, message="x" * 200)])
            written += 1
except HistoryError as error:
    print(written, error.what)
