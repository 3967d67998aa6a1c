# ruff: noqa: F821 - `HEAD` of the test stands before it
@pytest.fixture(autouse=True)
def comes_back():
    yield
    fault(None)


@pytest.mark.xfail(raises=AssertionError, reason="known")
def test_it(power):
    ATTEMPTS.append(1)
    if len(ATTEMPTS) == 1:
        fault("hang")
        power.read()
    assert False
