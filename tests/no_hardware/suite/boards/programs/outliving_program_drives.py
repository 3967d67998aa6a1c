import sys

from hil.boards.address import parse_boards
from hil.boards.sources import source_of
from hil.dutlink.board import open_driver
from hil.errors import HilError

board = open_driver(source_of(parse_boards(sys.argv[1], option="")).host(), console=False)
board.power.force_on()
print("on", flush=True)
try:
    while True:
        board.power.force_on()
except HilError as error:
    open(sys.argv[2], "w").write(type(error).__name__)
