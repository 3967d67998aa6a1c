# ruff: noqa: F821 - `time_limit_head.py` stands before it
import fcntl
import threading


@pytest.fixture
def waits(dutlink):
    dutlink.storage.off()  # ends its own turn
    held = os.open(dutlink.storage._dev, os.O_RDONLY)  # another open file: another process to the kernel
    fcntl.flock(held, fcntl.LOCK_EX)
    threading.Timer(12.0, os.close, (held,)).start()
    dutlink.storage.host()
    return dutlink


def test_1(waits):
    pass


def test_2(waits):
    hang()


@pytest.mark.timeout(60)
def test_3(dutlink):
    dutlink.power.read()
