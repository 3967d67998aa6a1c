# ruff: noqa: F821 - `time_limit_head.py` stands before it
import signal

from hil.dutlink.timing import outer_limit


def test_1(dutlink):
    signal.setitimer(signal.ITIMER_REAL, 1.5, 60)  # after the limit, then in a minute
    try:
        hang()
    finally:
        cut_s = outer_limit.cut(100)
        with outer_limit.suspended():
            pass
        left_s, _ = signal.getitimer(signal.ITIMER_REAL)
        print(f"left: {cut_s > 10} {left_s > 10}")
