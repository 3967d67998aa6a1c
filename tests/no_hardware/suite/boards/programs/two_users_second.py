# ruff: noqa: F821 - `HEAD` of the test stands before it
@pytest.mark.hardware(tags="right")
def test_right(power):
    power.on()
    (FOLDER / "the-second-holds").write_text("")
    meet("the-first-has-waited")


@pytest.mark.hardware(tags="left")
def test_left(power):
    power.on()


@pytest.mark.hardware(tags="right")
def test_right_again(power):
    power.on()
