import pytest

from hil.errors import ExpectError


def test_1_leaves_bytes(dutlink):
    dutlink.power.on()
    dutlink.console.expect("boot> ")
    dutlink.console.sendline("left behind")
    dutlink.console.expect("boot> ", timeout_s=5)
    dutlink.power.force_off()


def test_2_sees_none_of_them(dutlink):
    with pytest.raises(ExpectError):
        dutlink.console.expect(".+", timeout_s=0.3)
