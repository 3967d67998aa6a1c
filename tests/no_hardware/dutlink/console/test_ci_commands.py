"""No word of a DUT or a test is a command to the CI service that reads it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hil.dutlink.console.ci_commands import CiCommandFilter, without_ci_commands

PIECES = st.lists(
    st.sampled_from([":", "::", "#", "##", "[", "[[", "error", "vso", "ATTACHMENT|", "\n", " ", "\t", "x"]),
    max_size=12,
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("::error::boom", r"\x3a:error::boom"),
        ("ok\n \t::stop-commands::x", "ok\n \t\\x3a:stop-commands::x"),
        ("a ##[group]x", r"a \x23#[group]x"),
        ("a ##vso[task.complete]", r"a \x23#vso[task.complete]"),
        ("##teamcity[x]", r"\x23#teamcity[x]"),
        ("[[ATTACHMENT|/etc/passwd]]", r"\x5b[ATTACHMENT|/etc/passwd]]"),
    ],
)
def test_ci_commands_are_shown_with_a_code_for_their_first_character(said: str, shown: str) -> None:
    assert without_ci_commands(said) == shown


@pytest.mark.parametrize("said", ["a::b", "std::vector", "# title", "## title", "a [[ x ]]", "10:30 ::1"])
def test_ci_commands_are_not_seen_in_ordinary_text(said: str) -> None:
    assert without_ci_commands(said) == said


@given(PIECES)
@example(["##", "["])
@example(["x", "[", "[ATTACHMENT|"])
def test_ci_command_filter_is_the_same_however_text_is_split(pieces: list[str]) -> None:
    commands = CiCommandFilter()

    shown = "".join(map(commands.feed, pieces)) + commands.finish()

    assert shown == without_ci_commands("".join(pieces))


@given(PIECES)
def test_ci_commands_are_gone_after_one_pass(pieces: list[str]) -> None:
    once = without_ci_commands("".join(pieces))

    assert without_ci_commands(once) == once
