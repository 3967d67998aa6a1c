import os
import signal
import sys
import time

from hil.cli.board_context import find_host
from hil.dutlink.board import open_driver
from hil.sim.management.client import ManagementClient

control, serial = ManagementClient(int(os.environ["HIL_BOARDS"].partition("@")[2])), os.environ["HIL_BOARD"]
board = open_driver(find_host(os.environ["HIL_BOARDS"]), serial, console=False)


def undo(*_):
    while control.state(serial)["mux"] != "off":
        time.sleep(0.01)
    while True:
        board.pins.high("a")
        board.power.force_on()
        board.storage.dut()


signal.signal(signal.SIGTERM, undo if sys.argv[1] == "undo" else signal.SIG_IGN)
board.storage.dut()
print(os.getpid(), flush=True)
while True:
    time.sleep(0.1)
