import time

import pytest

from hil.suite.xdist.plugin import worker_channel


@pytest.mark.hardware
@pytest.mark.parametrize("number", range(16))
def test_hardware(number, request):
    channel = worker_channel(request.config)
    if channel.board(request.node.nodeid) == "a":
        channel.lost("a")
    time.sleep(0.03)
