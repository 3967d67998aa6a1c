# ruff: noqa: F821, TRY301 - `BEGIN` of the test stands before it
EVIL = b"\x1b]0;evil\x07\x1b[2Jsaid \x00 \xe2\x80\xae\r\n"


def test_prints(console):
    say(console, EVIL)
    print(console.transcript.text)
    assert not console


def test_raises(console):
    say(console, EVIL)
    raise RuntimeError(console.transcript.text)


def test_fails_in_a_chain(console):
    say(console, EVIL)
    try:
        raise KeyError(1)
    except KeyError as error:
        raise OSError(console.transcript.text) from error


def test_fails_with_its_words(console):
    say(console, EVIL)
    pytest.fail(console.transcript.text)


def test_skips_with_its_words(console):
    say(console, EVIL)
    pytest.skip(console.transcript.text)
