import json
import os
import threading

from hil.sim.management.client import ManagementClient


def test_pulled(console, dutlink):
    console.open()
    job = json.load(open(os.environ["HIL_KERNEL_JOB"]))
    with ManagementClient(job["ready"]["control_port"], job["address"], job["ready"]["token"]) as client:
        timer = threading.Timer(0.5, client.fault, (dutlink.serial, "unplug"))
        timer.start()
        try:
            console.expect("never said", 20)
        finally:
            timer.join()
