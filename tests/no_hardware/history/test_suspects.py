"""What failures follow, by counts of boards and images."""

from __future__ import annotations

from hil.history.suspects import Counts, suspect


def test_suspicion_text_has_counts_and_what_to_look_at() -> None:
    suspicion = suspect({"board": {"0df10035": Counts(9, 10), "0df10036": Counts(0, 41)}})

    assert str(suspicion).startswith("fails on 0df10035 only: 9 of 10 there, 0 of 41 elsewhere, p = ")
    assert str(suspicion).endswith("look at the board")


def test_suspect_is_none_for_failures_everywhere() -> None:
    assert (
        suspect({"board": {"a": Counts(9, 20), "b": Counts(8, 20)}, "image": {"x": Counts(17, 40)}}) is None
    )


def test_suspect_is_none_without_runs() -> None:
    assert suspect({"board": {}}) is None
