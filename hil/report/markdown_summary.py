"""A short summary of a run as Markdown, for GitHub's step summary and for mail: failures first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.dutlink.console.sanitize import sanitize_text
from hil.report.filters import messages, moment, seconds
from hil.text_table import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hil.evidence.records import RecordedTest
    from hil.report.run_view import RunView

__all__ = ["summary"]

_MOST = 30
_LONGEST = 300


def summary(run: RunView) -> str:
    """Return the summary; foreign text is in code spans, in which Markdown and HTML have no meaning."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: RunView) -> Iterator[str]:
    record = run.record
    took = f", {seconds(record.ended_s - record.began_s)}" if record.ended_s else ""
    yield f"## hil: {run.headline}"
    yield ""
    yield f"{moment(record.began_s)}{took}" + (
        f", commit {_code(record.commit[:12])}" if record.commit else ""
    )
    yield ""
    if record.loud:
        yield f"> **{_words(record.loud)}**\n"
    if run.counts:
        yield "| " + " | ".join(run.counts) + " |"
        yield "| " + " | ".join("---:" for _ in run.counts) + " |"
        yield "| " + " | ".join(map(str, run.counts.values())) + " |\n"
    yield from _list("What failures follow", _followed(run))
    yield from _tests("Look at these first", run.bad_apart)
    yield from _tests("Passed only when repeated", run.flaky)
    yield from _tests("Never asked their board for anything", run.unasked)
    yield from _list("Hardware that could not be used", _unused(run))
    yield from _list("Trouble", map(_code, record.trouble))
    yield from _boards(run)


def _followed(run: RunView) -> Iterator[str]:
    """Yield what failures follow, or may follow, in a run on each board or with each image."""
    if run.by_boards is not None:
        for one in run.by_boards.suspicions[:_MOST]:
            first = next(iter(run.everywhere.get(one.value, [])), None)
            yield f"{_code(one.value)}: {_words(str(one))}" + (_said(first) if first else "")
        if len(run.by_boards.suspicions) > _MOST:
            yield f"and {len(run.by_boards.suspicions) - _MOST} more"
        for test, words in run.by_boards.hints[:_MOST]:
            yield f"{_code(test)}: {_words(words)}"


def _tests(title: str, tests: list[RecordedTest]) -> Iterator[str]:
    yield from _list(title, map(_test, tests[:_MOST]))
    if len(tests) > _MOST:
        yield f"and {len(tests) - _MOST} more\n"


def _test(test: RecordedTest) -> str:
    board = f" on board {' and '.join(_code(one.label) for one in test.boards)}" if test.board else ""
    return f"**{test.outcome}** {_code(test.nodeid)}{board}{_said(test)}"


def _said(test: RecordedTest) -> str:
    said = "; ".join(f"{word}{_code(text)}" for word, text in messages(test))
    return f": {said}" if said else ""


def _unused(run: RunView) -> Iterator[str]:
    return (f"{counted(len(tests), 'test')}: {_code(reason)}" for reason, tests in run.unused.items())


def _boards(run: RunView) -> Iterator[str]:
    if run.boards:
        yield "| board | tests | need a look | used | at the end |"
        yield "| --- | ---: | ---: | ---: | --- |"
    for board in run.boards:
        health = board.health
        name = f"{_code(board.label)}{' simulated' if health.simulated else ''}"
        used = seconds(board.used_s)
        yield f"| {name} | {len(board.tests)} | {len(board.bad)} | {used} | {_words(health.state or '-')} |"


def _list(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = list(lines)
    if shown:
        yield f"### {title}\n"
        yield from (f"- {line}" for line in shown)
        yield ""


def _code(text: str) -> str:
    """Return text as a code span in one line, with a fence longer than its backticks, and without pipes."""
    line = " ".join(sanitize_text(text).split()).replace("|", "\u2502")
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _words(text: str) -> str:
    """Return text with all of Markdown's special characters escaped."""
    line = " ".join(sanitize_text(text).split())
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&-])", r"\\\1", line)
