import sys

from hil.boards.address import parse_boards
from hil.boards.sources import source_of
from hil.dutlink.board import open_driver
from hil.errors import HilError

board = open_driver(source_of(parse_boards(sys.argv[1], option="")).host(), console=False)
for _ in sys.stdin:
    try:
        board.power.force_on()
        print("on", flush=True)
    except HilError as error:
        print(type(error).__name__, flush=True)
