# ruff: noqa: F821 - `BEGINNING` of the test stands before it
def test_a(dutlink, dutlinks):
    assert ask(dutlinks[0]) == [dutlink.serial]


@two
def test_b(dutlinks):
    assert len(set(ask(*dutlinks.values()))) == 2


@roles
def test_c(dutlinks):
    assert len(set(ask(dutlinks["server"], dutlinks["client"]))) == 2


@pytest.mark.hardware(tags="wifi")
def test_d(dutlink):
    ask(dutlink)


@pytest.mark.hardware(tags="ethernet")
def test_e(dutlink):
    ask(dutlink)


@roles
def test_f(dutlinks):
    assert len(set(ask(dutlinks["server"], dutlinks["client"]))) == 2
