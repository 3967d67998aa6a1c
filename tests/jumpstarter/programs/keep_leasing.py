"""Lease any exporter of a lab again and again: `CLIENT_FILE FOLDER`, until `FOLDER/stop` is there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hil.jumpstarter.client.leased import OwnLeaseConnection
from hil.jumpstarter.client.target import SelectorTarget

client, folder = sys.argv[1], Path(sys.argv[2])
while not (folder / "stop").exists():
    connection = OwnLeaseConnection(SelectorTarget("board=dutlink", client), 200.0, print)
    print("leased", flush=True)
    time.sleep(0.5)  # as a short test would
    connection.close()
