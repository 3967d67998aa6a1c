"""Tables of TOML become NamedTuples, or all their mistakes are told."""

from typing import Annotated, NamedTuple

import pytest

from hil.lab.config.tables import Key, Mistake, WrongTableError, read_table, schema_of


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("it is even")
    return number


def _short(text: str) -> str:
    if len(text) > 3:
        raise ValueError("it is short")
    return text.upper()


class Wheel(NamedTuple):
    """A wheel."""

    bolts: Annotated[int, Key("How many bolts.", _even)]
    width: Annotated[float | None, Key("Its width.")] = None


class Cart(NamedTuple):
    """A cart."""

    wheel: Annotated[dict[str, Wheel], Key("Wheels by name.", _short)] = {}  # noqa: RUF012 - never changed
    spare: Annotated[Wheel | None, Key("The spare wheel.")] = None
    words: Annotated[tuple[str, ...], Key("Words.", _short, {"maxLength": 3})] = ()


def mistakes(content: object) -> list[Mistake]:
    with pytest.raises(WrongTableError) as raised:
        read_table(Cart, content)
    return raised.value.mistakes


def test_read_table_keeps_what_checks_return() -> None:
    read = read_table(Cart, {"wheel": {"a": {"bolts": 4, "width": 1}}, "words": ["x", "yz"]})

    assert read == Cart({"A": Wheel(4, 1)}, None, ("X", "YZ"))


def test_read_table_takes_defaults_of_absent_keys() -> None:
    assert read_table(Cart, {}) == Cart()


def test_read_table_tells_all_mistakes_with_their_paths() -> None:
    content = {
        "wheel": {"long": {"bolts": 3}, "b": {}},
        "spare": {"bolts": True},
        "words": ["long", 1],
        "x": 1,
    }

    assert mistakes(content) == [
        Mistake(("wheel", "long"), "long", "value", "it is short"),
        Mistake(("wheel", "long", "bolts"), 3, "value", "it is even"),
        Mistake(("wheel", "b", "bolts"), {}, "missing"),
        Mistake(("spare", "bolts"), True, "type", "an integer: a whole number without quotes"),
        Mistake(("words", 0), "long", "value", "it is short"),
        Mistake(("words", 1), 1, "type", "a string: text in quotes"),
        Mistake(("x",), 1, "unknown"),
    ]


@pytest.mark.parametrize(
    ("content", "path", "must_be"),
    [
        ([], (), "a table"),
        ({"wheel": 1}, ("wheel",), "a table"),
        ({"spare": []}, ("spare",), "a table"),
        ({"words": "x"}, ("words",), "a list of strings"),
        ({"spare": {"bolts": 2.0}}, ("spare", "bolts"), "an integer: a whole number without quotes"),
        ({"spare": {"bolts": 2, "width": "1"}}, ("spare", "width"), "a number without quotes"),
    ],
)
def test_read_table_refuses_another_type(content: object, path: tuple[str, ...], must_be: str) -> None:
    assert [(one.path, one.kind, one.why) for one in mistakes(content)] == [(path, "type", must_be)]


def test_schema_of_a_table_has_its_keys_types_and_rules() -> None:
    wheel = {
        "type": "object",
        "description": "A wheel.",
        "properties": {
            "bolts": {"description": "How many bolts.", "type": "integer"},
            "width": {"description": "Its width.", "type": "number"},
        },
        "required": ["bolts"],
        "additionalProperties": False,
    }

    assert schema_of(Cart)["properties"] == {
        "wheel": {
            "description": "Wheels by name.",
            "type": "object",
            "additionalProperties": wheel,
            "propertyNames": {},
        },
        "spare": {**wheel, "description": "The spare wheel."},
        "words": {"description": "Words.", "type": "array", "items": {"type": "string", "maxLength": 3}},
    }
