from __future__ import annotations

import inspect
import pickle
import re

import pytest

from hil import errors
from hil.errors import HilError, UnavailableError, Verdict

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, HilError) and value.__module__ == errors.__name__
]
FACTS = {"why": "it was unplugged", "remedy": "plug it in", "errno": 19, "serial": "5a1c0e01"}

DRAWN = re.compile(r"^ {4}(?P<branch>[| `-]*)(?P<name>\w+Error)\b *(?P<words>.*)$", re.MULTILINE)
ALSO = re.compile(r"also an? (\w+)")

every_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def _drawn_tree() -> dict[str, str | None]:
    """Each class in the module's drawing, and the one it hangs from."""
    path: list[str] = []
    parents: dict[str, str | None] = {}
    for line in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(line["branch"]) // 4
        parents[line["name"]] = path[depth - 1] if depth else None
        path[depth:] = [line["name"]]
    return parents


def _real_tree() -> dict[str, str | None]:
    names = {cls: cls.__name__ for cls in CLASSES}
    return {cls.__name__: names.get(cls.__bases__[0]) for cls in CLASSES}


def _drawn_relatives() -> dict[str, str]:
    """What the drawing says that a class also is."""
    return {
        line["name"]: also[1]
        for line in DRAWN.finditer(errors.__doc__ or "")
        if (also := ALSO.search(line["words"]))
    }


@every_class
def test_every_error_survives_pickling_with_all_its_facts(cls: type[HilError]) -> None:
    error = cls("the board is gone", **FACTS)

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, as xdist sends them

    assert type(again) is cls
    assert again.parts == error.parts


@every_class
def test_every_errors_parts_are_what_it_was_told(cls: type[HilError]) -> None:
    error = cls("the board is gone", **FACTS)

    assert error.parts == {"error": cls.__name__, "what": "the board is gone", **FACTS}


@every_class
def test_every_error_says_what_why_and_what_to_do(cls: type[HilError]) -> None:
    error = cls("the board is gone", **FACTS)

    assert str(error) == "the board is gone: it was unplugged\n  try: plug it in"


@every_class
def test_every_error_knows_its_errno_and_board(cls: type[HilError]) -> None:
    error = cls("the board is gone", **FACTS)

    assert (error.errno, error.serial) == (19, "5a1c0e01")


@every_class
def test_every_error_may_know_only_what_happened(cls: type[HilError]) -> None:
    assert str(cls("the board is gone")) == "the board is gone"


@every_class
def test_every_errors_name_and_docstring_say_that_it_is_one(cls: type[HilError]) -> None:
    assert cls.__name__.endswith("Error")
    assert cls.__doc__


def test_the_drawn_tree_is_the_real_one() -> None:
    assert _drawn_tree() == _real_tree()


def test_the_relatives_that_the_drawing_names_are_real() -> None:
    bases = {
        cls.__name__: base.__name__
        for cls in CLASSES
        for base in cls.__bases__
        if base.__module__ == "builtins"
    }

    drawn = _drawn_relatives()

    assert drawn.items() <= bases.items()


def test_all_is_complete() -> None:
    functions = {"name_boards", "tell_user", "with_names"}
    assert set(errors.__all__) == {cls.__name__ for cls in CLASSES} | {"Verdict"} | functions


def test_all_is_sorted() -> None:
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.BoardAbsentError, FileNotFoundError),
        (errors.BoardInBootLoaderError, FileNotFoundError),
        (errors.BoardDeniedError, PermissionError),
        (errors.BoardTimeoutError, TimeoutError),
        (errors.SettingError, ValueError),
        (errors.SequenceError, ValueError),
        (errors.ConsoleMissingError, FileNotFoundError),
        (errors.ConsoleDeniedError, PermissionError),
    ],
)
def test_who_catches_pythons_own_error_catches_ours(cls: type[HilError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise cls("the board is gone")


@pytest.mark.parametrize(
    ("cls", "verdict"),
    [
        (errors.NoUsbBackendError, Verdict.NO_BACKEND),
        (errors.BoardAbsentError, Verdict.ABSENT),
        (errors.BoardInBootLoaderError, Verdict.ABSENT),
        (errors.BoardDeniedError, Verdict.DENIED),
        (errors.BoardBusyError, Verdict.BUSY),
        (errors.BoardLostError, Verdict.LOST),
    ],
)
def test_what_makes_hardware_unavailable_carries_its_verdict(
    cls: type[UnavailableError], verdict: Verdict
) -> None:
    assert cls.verdict is verdict


def test_every_way_of_being_unavailable_has_a_verdict() -> None:
    kinds = [cls for cls in CLASSES if issubclass(cls, UnavailableError) and cls is not UnavailableError]

    assert {cls.verdict for cls in kinds} == set(Verdict) - {Verdict.PRESENT, Verdict.FAULTY}


def test_message_names_a_board_that_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "_names", {})
    errors.name_boards({"sim-1": "5a1c0e01"})
    errors.name_boards({"rack-3": "5a1c0e02"}, of_places=True)
    errors.name_boards({"sim-2": "5a1c0e02"})

    error = HilError("board 5a1c0e01 is in use", why="Board 5a1c0e02", remedy="hil safe --board 5a1c0e01")

    assert str(error) == (
        "board sim-1 (5a1c0e01) is in use: Board rack-3 (5a1c0e02)\n  try: hil safe --board 5a1c0e01"
    )
    assert error.what == "board 5a1c0e01 is in use"
