import os
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.argv[:] = ["hil", "boards"]
from hil.cli import main


def instead():
    Path(sys.orig_argv[3]).write_text(str(os.getpid()))
    if not os.fork():
        os.fork()  # an orphan: the first process must reap it
        os._exit(0)
    os.waitpid(-1, 0)

    def zombies():
        for process in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended since
                if process.read_text().rpartition(")")[2].split()[0] == "Z":
                    yield process

    while list(zombies()):
        time.sleep(0.02)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[4:]])  # noqa: S606 - it is what `hil init` does


main.run = instead
main.main()
