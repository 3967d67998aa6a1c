import pytest

EVALUATED = []


def note():
    EVALUATED.append(1)
    return True


class TestOfAClass:
    pytestmark = pytest.mark.skipif("True", reason="as text, of a class")

    def test_skipped_by_class(self, dutlink): ...


@pytest.mark.skip(reason="later")
def test_skipped(dutlink): ...


@pytest.mark.skipif(True, reason="as a value")
def test_skipped_by_value(dutlink): ...


@pytest.mark.skipif(condition="note()", reason="as text")
def test_skipped_by_text(dutlink): ...


def test_skipped_by_hook(dutlink): ...


def test_conditions_are_evaluated_once():
    assert EVALUATED == [1]
