# ruff: noqa: F821 - `BEGIN` of the test stands before it
def test_panics(console):
    say(console, PANIC)


def test_comes_behind_it(console):
    say(console, b"all is well\n")


def test_fails_by_itself(console):
    say(console, PANIC)
    assert 0, "of its own"


@pytest.mark.xfail(strict=True)
def test_panics_as_is_known(console):
    say(console, PANIC)


@pytest.mark.xfail(strict=True)
def test_fails_and_panics_as_is_known(console):
    say(console, PANIC)
    assert 0


@pytest.mark.expects_on_console("PANIC")
def test_says_by_marker(console):
    say(console, PANIC)


@pytest.mark.expects_on_console("oops")
def test_says_another_word(console):
    say(console, PANIC)


def test_says_by_waiting_for_it(console):
    say(console, b"# " + PANIC)
    console.expect("Kernel panic", timeout_s=5)


def test_waits_for_what_comes_later(console):
    say(console, PANIC + b"login: ")
    console.expect(".*login: ", timeout_s=5)


def test_says_by_a_block(console):
    with console.allow_errors("panic"):
        say(console, PANIC)


def test_panics_behind_its_block(console):
    with console.allow_errors("panic"):
        pass
    say(console, PANIC)


def test_split_and_coloured(console):
    for piece in (b"Kernel \x1b[3", b"1mpa\r", b"nic"):
        say(console, piece)


@pytest.fixture
def panics_at_the_end(console):
    yield
    say(console, PANIC)


def test_fine_until_its_tear_down(panics_at_the_end):
    pass


@pytest.fixture
def panics_at_the_begin(console):
    say(console, PANIC)


def test_panicked_in_its_set_up(panics_at_the_begin):
    pass


def test_uses_no_board():
    pass
