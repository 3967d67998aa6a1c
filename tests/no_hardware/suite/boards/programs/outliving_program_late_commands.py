# ruff: noqa: F821 - the test fills in what stands in braces
import atexit
import subprocess
import sys
import threading

HIL = [sys.executable, "-m", "hil.cli.main", "power", "on", "--boards", {boards}]
go = threading.Event()


def drive():
    go.wait()
    open({told}, "w").write(subprocess.run(HIL, capture_output=True, text=True).stderr)


thread = threading.Thread(target=drive, daemon=True)


def test_leaves_a_thread(power):
    power.on()
    thread.start()


@atexit.register  # after pytest has ended
def end():
    go.set()
    thread.join()
