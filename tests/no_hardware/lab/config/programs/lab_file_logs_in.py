import shutil

import pytest


@pytest.mark.hardware
def test_logs_in(dutlink, power, storage, console):
    storage.host()
    shutil.copyfile("image", storage.wait_for_node(20))
    storage.dut()
    power.on()
    assert b"image: lab" in dutlink.wait_until_up().group()
    console.login()
    assert console.run("echo in").output == "in"
