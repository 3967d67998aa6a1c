"""Which words of a requirement are mistakes, by what boards and lab file are known to say."""

from __future__ import annotations

import pytest

from hil.boards.requirements import BoardInfo, BoardRequirement, KnownWords
from hil.nearest import meant

CARDS = [
    BoardInfo("03f306a2", "alice", frozenset({"jetson", "nvme"})),
    BoardInfo("5a1c0e01", "", frozenset({"pi"})),
    BoardInfo("7b2d1f02", "rack-1", frozenset()),
    BoardInfo("7b2d1f13", "rack-2", frozenset()),
]
KNOWN = KnownWords.of(CARDS)


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        (BoardRequirement(frozenset({"jetsn"})), "did you mean jetson?"),
        (BoardRequirement(frozenset({"nvme", "pie"})), "did you mean pi?"),
        (BoardRequirement(board="03O306a2"), "did you mean 03f306a2?"),
        (BoardRequirement(board="03f306a3"), "did you mean 03f306a2?"),
        (BoardRequirement(board="Alice"), "did you mean alice?"),
        (BoardRequirement(board="rack-9"), "correct the board"),
        (BoardRequirement(board="somewhere"), "put it into the lab file"),
    ],
)
def test_mistake_names_the_nearest_word(requirement: BoardRequirement, told: str) -> None:
    mistake = KNOWN.mistake(requirement)

    assert mistake is not None
    assert told in mistake.remedy


@pytest.mark.parametrize(
    "requirement",
    [
        BoardRequirement(),
        BoardRequirement(frozenset({"jetson", "pi"})),
        BoardRequirement(board="alice"),
        BoardRequirement(board="5a1c0e01"),
        BoardRequirement(board="e7708d9b"),
    ],
)
def test_mistake_is_none_for_known_words_and_for_a_board_that_may_be_unplugged(
    requirement: BoardRequirement,
) -> None:
    assert KNOWN.mistake(requirement) is None


@pytest.mark.parametrize("known", [KnownWords(), KnownWords.of(CARDS, certain=False)])
def test_mistake_is_none_where_too_little_is_known(known: KnownWords) -> None:
    assert known.mistake(BoardRequirement(frozenset({"jetsn"}))) is None


def test_known_words_keep_what_a_board_told_earlier() -> None:
    later = KNOWN.and_now(KnownWords.of(CARDS[:1]))

    assert later.mistake(BoardRequirement(frozenset({"pi"}))) is None


def test_known_words_survive_as_data() -> None:
    assert KnownWords.from_data(KNOWN.as_data()) == KNOWN


def test_meant_is_empty_if_no_word_is_near() -> None:
    assert not meant("xyz", ["tags", "observes_only"])
