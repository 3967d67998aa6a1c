# ruff: noqa: F821 - `console_situations_own_tty.py` stands before it
masters = [plug_in()]


def test_one(console):
    os.write(masters[0], b"of one\n")
    console.expect("of one", timeout_s=10)
    os.close(masters.pop())
    masters.append(plug_in())
    console.expect("never", timeout_s=10)


def test_two(console):
    os.write(masters[0], b"of two\n")
    console.expect("of two", timeout_s=10)
