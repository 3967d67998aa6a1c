"""Hold the board, do what the arguments say, and kill this process.

A request that the lease allows switches the board on, as a test does.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

from hil.errors import HilError
from hil.lab.guard import child, guard
from hil.lab.guard.under_guard import under_guard
from hil.lab.locks.acquire import acquire
from hil.lab.safe_state.policy import Safety
from hil.lab.safe_state.record import read_record

SERIAL = "5a1c0e01"
FOLDER = Path(sys.argv[1])
BOARD = FOLDER / "board"
LEAKED = []
_, HARD = resource.getrlimit(resource.RLIMIT_NOFILE)

switch = Safety(
    "tests.support.fake_board:switch_off", {"board": str(BOARD)}, limit_s=0.2, absent_s=0.1, linger_s=20
)
lease = under_guard(acquire(SERIAL, folder=FOLDER), switch)
READ, WRITE = os.open(BOARD, os.O_RDONLY), os.open(BOARD, os.O_WRONLY)  # as a board that is open
FIRST = lease.guard.wait_until_ready()


def tell(word):
    os.write(1, f"{word}\n".encode())


def content():
    return os.pread(READ, 100, 0).decode()


def on():
    os.ftruncate(WRITE, 0)
    os.pwrite(WRITE, b"on", 0)


def request():
    try:
        lease.raise_if_unguarded()
    except HilError:
        return tell("refused")
    on()
    return tell("sent")


def look():
    time.sleep(1.5 * child.LOOK_EVERY_S)  # until the watcher has looked at the guard
    pid = lease.guard.wait_until_ready()
    tell("same" if pid == FIRST else "other" if pid else "none")


def kill_guard():
    if pid := lease.guard.wait_until_ready():
        os.kill(pid, signal.SIGKILL)
        while lease.guard.wait_until_ready(0) == pid:
            time.sleep(0.001)


def leak():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, HARD))
    try:
        while True:
            LEAKED.append(os.dup(0))
    except OSError:
        return


def free():
    resource.setrlimit(resource.RLIMIT_NOFILE, (HARD, HARD))
    while LEAKED:
        os.close(LEAKED.pop())


def fail(*_arguments, **_options):
    raise MemoryError


def await_file(word):
    while content() != word:
        time.sleep(0.01)


def spoil_path():
    sys.path.append(None)


def spoil_executable():
    sys.executable = "/bin/false"


def spoil_start():
    guard.GuardChild = fail


def spoil_listen():
    child.is_stopped = fail
    child.GuardChild.end = fail


def limit_0():
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, HARD))


def hard_limit_0():
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def trouble():
    BOARD.write_text("stuck")


def await_try():
    while not read_record(FOLDER, SERIAL).events:
        time.sleep(0.01)


def mend():
    on()


def await_off():
    await_file("off")
    tell("off")


on()
for act in sys.argv[2:]:
    globals()[act]()
while not lease.guard.wait_until_ready(0.05) and content() != "off":
    pass  # a guard that dies in the same moment as its holder does nothing
os.kill(os.getpid(), signal.SIGKILL)
