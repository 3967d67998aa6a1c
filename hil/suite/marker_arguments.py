"""Check the markers of a test: their arguments, and misspelt names of markers and fixtures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hil.errors import UsageError
from hil.nearest import meant, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    import pytest

__all__ = [
    "are_tags",
    "check_arguments",
    "check_fixtures",
    "check_names",
    "check_words",
    "observes_only",
]

TAGS, BOARDS, EACH, IMAGE, OBSERVES_ONLY = "tags", "boards", "each", "image", "observes_only"
_LIKE_OURS = 0.85  # `hardwear` is, `fixed` is not like `mixed`
_MAYBE_OURS = 0.7  # `pwoer`
_TAKES = {
    "hardware": (TAGS, BOARDS, EACH, IMAGE, OBSERVES_ONLY),
    "mixed": (TAGS, IMAGE, OBSERVES_ONLY),
    "no_hardware": (),
}
_EACH = ("board", "kind", "any")


def check_arguments(test: str, marks: Iterable[pytest.Mark]) -> None:
    """Check the arguments of the markers hardware, mixed and no_hardware.

    Args:
        test: The node id of the test.
        marks: These markers.

    Raises:
        UsageError: An argument is unknown, or its value has a wrong type.
    """
    marks = list(marks)
    said = {bool(one.kwargs[OBSERVES_ONLY]) for one in marks if OBSERVES_ONLY in one.kwargs}
    for mark in marks:
        known = _TAKES[mark.name]
        taken = " and ".join(f"{name}=" for name in known) or "no argument"
        if mark.args:
            raise _mistake(test, mark, repr(mark.args[0]), why=f"it takes {taken}, by name")
        if len(said) > 1:
            raise _mistake(
                test, mark, "observes_only=True and observes_only=False", why="they contradict each other"
            )
        for name, value in mark.kwargs.items():
            if name not in known:
                raise _mistake(test, mark, f"{name}=", why=f"it takes {taken}", remedy=meant(name, known))
            is_right, kind = _RULES[name]
            if not is_right(value):
                raise _mistake(test, mark, f"{name}={value!r}", why=f"{name} is {kind}")
    each = [mark for mark in marks if mark.kwargs.get(EACH, "any") != "any"]
    boards = [(mark, mark.kwargs[BOARDS]) for mark in marks if BOARDS in mark.kwargs]
    if boards and each:
        why = "a test that uses several boards at once runs once"
        raise _mistake(test, each[0], f"{EACH}= and {BOARDS}=", why=why, remedy=f"keep {BOARDS}=")
    for mark, value in boards[1:]:
        if value != boards[0][1]:
            raise _mistake(
                test,
                mark,
                f"{BOARDS}={boards[0][1]!r} and {BOARDS}={value!r}",
                why="they contradict each other",
            )


def check_names(item: pytest.Item, ours: Collection[str]) -> None:
    """Check that no marker of a test is a misspelt one of hil: only `--strict-markers` would refuse it.

    Args:
        item: The test.
        ours: The markers of hil.

    Raises:
        UsageError: A marker that is not registered is much like one of hil.
    """
    for mark in item.iter_markers():
        if mark.name not in ours and (near := nearest(mark.name, ours, _LIKE_OURS)):
            registered = {re.split(r"[:(]", line)[0].strip() for line in item.config.getini("markers")}
            if mark.name not in registered:
                raise UsageError(
                    f"{item.nodeid}: there is no marker {mark.name}",
                    why="nothing has registered it, and a test without its marker is taken for another kind",
                    remedy=f"did you mean {near}? A marker of your own: register it (pytest.ini, markers)",
                )


def check_fixtures(item: pytest.Item, ours: Collection[str]) -> None:
    """Check that all fixtures of a test exist: by a misspelt one a test is taken for one without a board.

    Args:
        item: The test.
        ours: The fixtures of hil.

    Raises:
        UsageError: A fixture does not exist.
    """
    asked = getattr(item, "_fixtureinfo", None)  # an item of another plugin may have none
    if asked is None:
        return
    for name in asked.names_closure:
        if name not in asked.name2fixturedefs and name != "request" and not _is_given(item, name):
            raise UsageError(
                f"{item.nodeid}: fixture '{name}' not found",
                why="no fixture that this test can request has that name",
                remedy=f"did you mean {near}?"
                if (near := nearest(name, ours, _MAYBE_OURS))
                else f"pytest --fixtures {item.nodeid.partition('::')[0]} lists them",
            )


def _is_given(item: pytest.Item, name: str) -> bool:
    """Return True if a test has an argument from its parameters, or from a plugin."""
    params = getattr(getattr(item, "callspec", None), "params", ())
    return name in params or name in getattr(item, "funcargs", ())


def check_words(test: str, marks: Iterable[pytest.Mark]) -> None:
    """Check the arguments of the markers that name expected console trouble.

    Args:
        test: The node id of the test.
        marks: These markers.

    Raises:
        UsageError: An argument is not a word, or not a regular expression.
    """
    for mark in marks:
        bad = [*(f"{name}=" for name in mark.kwargs), *(repr(one) for one in mark.args if not _is_word(one))]
        if bad:
            raise UsageError(
                f"{test}: the marker {mark.name} does not know {bad[0]}",
                why="it takes words, or nothing for any trouble",
                remedy=f'@pytest.mark.{mark.name}("kernel panic")',
            )
        from hil.dutlink.console.allowlist import compile_error_patterns  # noqa: PLC0415 - few tests have this marker

        compile_error_patterns(mark.args, f"{test}: the marker {mark.name}")


def _is_word(value: Any) -> bool:  # noqa: ANN401 - whatever a test's author wrote
    return isinstance(value, str) and bool(value.strip())


def observes_only(item: pytest.Item) -> bool:
    """Return True if a marker of a test says that it only observes its board."""
    marks = (mark for kind in _TAKES for mark in item.iter_markers(kind))
    return any(mark.kwargs.get(OBSERVES_ONLY, False) for mark in marks)


def are_tags(value: Any) -> bool:  # noqa: ANN401 - whatever a test's author wrote
    """Return True if a value is what `tags=` takes."""
    return isinstance(value, str) or (
        isinstance(value, list | tuple | set | frozenset) and all(isinstance(one, str) for one in value)
    )


def _is_role(value: Any) -> bool:  # noqa: ANN401 - whatever a test's author wrote
    return isinstance(value, str) and re.fullmatch(r"[\w.-]+", value) is not None


def _are_boards(value: Any) -> bool:  # noqa: ANN401 - whatever a test's author wrote
    if isinstance(value, dict):
        return bool(value) and all(_is_role(role) and are_tags(tags) for role, tags in value.items())
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    TAGS: (are_tags, "words or a list of words"),
    BOARDS: (
        _are_boards,
        'a number from 1, or tags by role, such as {"server": "ethernet", "client": "wifi"}',
    ),
    EACH: (lambda value: value in _EACH, f"one of {', '.join(_EACH)}"),
    IMAGE: (lambda value: isinstance(value, str) and bool(value.strip()), "a file or an address"),
    OBSERVES_ONLY: (lambda value: isinstance(value, bool), "True or False"),
}


def _mistake(test: str, mark: pytest.Mark, given: str, *, why: str, remedy: str = "") -> UsageError:
    right = f"@pytest.mark.{mark.name}" + ('(tags="...")' if TAGS in _TAKES[mark.name] else "")
    return UsageError(
        f"{test}: the marker {mark.name} does not know {given}", why=why, remedy=remedy or right
    )
