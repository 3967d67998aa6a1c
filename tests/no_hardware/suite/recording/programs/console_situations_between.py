# ruff: noqa: F821 - `console_situations_own_tty.py` stands before it
masters = [plug_in()]


@pytest.fixture
def leaves_something(console):
    yield
    os.write(masters[0], b"of one's tear-down\n")
    console.expect("down", timeout_s=10)
    os.write(masters[0], b"unread by one\n")


def test_one(leaves_something):
    pass


def test_two(console):
    os.write(masters[0], b"of two\n")
    assert console.expect("by one|of two", timeout_s=10).text() == "of two"
