from hil.dutlink.power.model import Sample
from hil.dutlink.power.trace import PowerTrace

TRACE = PowerTrace([Sample(float(at), 0.0, 5.0, 1.0, 5.0) for at in range(9)], began_s=0.0, ended_s=9.0)


def test_mean():
    TRACE.assert_mean_below(1)


def test_off():
    TRACE.assert_off()


def test_own():
    assert TRACE.assert_mean_below
    assert not TRACE
