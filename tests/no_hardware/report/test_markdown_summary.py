"""The summary of a run as Markdown: short, failures first, foreign text without effect."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hil.evidence.records import RunRecord
from hil.report.markdown_summary import _code, summary
from hil.report.run_view import RunView
from tests.support.made_up import BEGAN_S, HOSTILE, a_test, attempt

if TYPE_CHECKING:
    from hil.evidence.records import RecordedTest


def of(*tests: RecordedTest, **facts: object) -> str:
    return summary(RunView(RunRecord("k", BEGAN_S, ended_s=BEGAN_S + 5, **facts), list(tests)))  # type: ignore[arg-type]


def test_summary_begins_with_verdict_and_counts() -> None:
    text = of(a_test("t::a"), a_test("t::b", attempt("failed", "one is not two")))

    assert text.startswith("## hil: SIMULATED: 1 of 2 tests needs a look\n")
    assert "| failed | passed |\n| ---: | ---: |\n| 1 | 1 |" in text
    assert "- **failed** `t::b` on board `bench 3 (0df10035)`: `one is not two`" in text


def test_summary_of_a_failed_run_without_failures_shows_the_status() -> None:
    assert of(a_test("t::a"), exit_status=1).startswith("## hil: SIMULATED: no test failed")


def test_summary_keeps_foreign_markup_in_code() -> None:
    text = of(a_test(f"t::{HOSTILE}", attempt("failed", f"`{HOSTILE}`\n# heading | cell")))

    (line,) = [line for line in text.splitlines() if line.startswith("- ")]
    assert "\n# heading" not in text
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert line.count("`` `</script>") == 1


def test_summary_lists_what_failures_follow() -> None:
    tests = [
        replace(a_test(f"t::a[{name}]", attempt("failed"), board=f"0df1003{at}"), column=name)
        for at, name in enumerate(("left", "right"))
    ]

    text = of(*tests)

    assert "### What failures follow\n\n- `t::a`: fails on both boards" in text


@given(st.text(max_size=80))
def test_summary_code_span_holds_any_text_in_one_line(text: str) -> None:
    span = _code(text)
    fence = span[: len(span) - len(span.lstrip("`"))]

    assert "\n" not in span
    assert "|" not in span
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)]


def test_summary_lists_at_most_thirty_failures() -> None:
    text = of(*(a_test(f"t::{number}", attempt("failed", "x" * 5000)) for number in range(1000)))

    assert "and 970 more" in text
    assert len(text) < 30_000


def test_summary_lists_flaky_tests_apart() -> None:
    text = of(a_test("t::a", attempt("failed", "cold"), attempt("passed", number=2)))

    assert "### Passed only when repeated" in text
    assert "`cold`" in text


def test_summary_warns_if_no_hardware_test_ran() -> None:
    assert "> **NO HARDWARE TEST RAN: all skipped**" in of(
        a_test("t::a"), loud="NO HARDWARE TEST RAN: all skipped"
    )
