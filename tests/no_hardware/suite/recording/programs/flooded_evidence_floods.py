from pathlib import Path

import pytest

from hil.dutlink.timing import until
from hil.evidence import console_file

console_file.RUN_BYTES, console_file.TEST_BYTES = 48 << 20, 16 << 20


@pytest.mark.parametrize("number", range(3))
def test_floods(console, number):
    begin = console.transcript.position
    assert until(lambda: console.transcript.position - begin > 40 << 20, 60)
    status = Path("/proc/self/status").read_text()
    Path("most").write_text(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line))
