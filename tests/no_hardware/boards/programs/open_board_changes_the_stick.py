"""Change a byte of the stick that no sample of it shows, then leave the storage off."""

import hil

with hil.open_board(console=False) as board:
    board.storage.host()
    with board.storage.wait_for_node().open("r+b") as stick:
        stick.seek(3 << 19)
        stick.write(b"changed")
    board.storage.off()
