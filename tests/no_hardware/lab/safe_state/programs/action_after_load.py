import json
import sys

from hil.lab.guard.recovery import load

load()
loaded = set(sys.modules)
from hil.lab.safe_state.action import make_safe

host = {"call": "tests.support.fake_board:simulated", "arguments": {"ready": json.loads(sys.argv[1])}}
for policy in ("force-off", "off", "aL,p0"):
    make_safe(json.loads(sys.argv[1])["boards"][0]["serial"], policy=policy, host=host)

from pathlib import Path

from hil.errors import BoardBusyError
from hil.lab.guard import recovery
from hil.lab.guard.task import GuardTask
from hil.lab.safe_state.policy import Safety

folder, serial = Path(sys.argv[2]), json.loads(sys.argv[1])["boards"][0]["serial"]
acquire, held = recovery.acquire, recovery.acquire(serial, folder=folder)
busy = []


def hold_once_busy(*arguments, **options):
    try:
        return acquire(*arguments, **options)
    except BoardBusyError as error:
        busy.append(error)
        held.release()
        raise


recovery.acquire, recovery.FIRST_PAUSE_S = hold_once_busy, 0.01
safety = Safety(arguments={"host": host}, linger_s=60)
recovery.retry_until_safe(GuardTask(serial, held.lock.path, safety), "")
assert len(busy) == 1
new = set(sys.modules) - loaded
print(*(name for name in new if name.startswith(("hil.dutlink", "hil.flash", "hil.lab"))))
