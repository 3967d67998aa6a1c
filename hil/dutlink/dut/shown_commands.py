r"""Show the commands of `console.run` as the user wrote them, in place of the lines that were typed for them.

`MarkedRun` and `run_by_prompt` note each line that they type by a `COMMAND` mark. The bytes from that note to
the shell's first mark are the line's echo, which each line editor draws in its own way. The transcript and
the raw files keep all of them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.dutlink.dut.shell_escapes import KERNEL_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hil.dutlink.console.transcript import Event

__all__ = ["CommandFilter", "shown_events"]

_HELD_BYTES: Final = 256 * 1024
"""The longest echo that is waited for; a line editor may draw a long command many times."""

_WORD: Final = rb"[0-9a-f]{8}"
_BEGINS: Final = re.compile(
    rb"hil-(?P<word>%b)-s.{0,2000}?hil-(?P=word)-t"  # the command's output follows
    rb"|hil-%b-p[0-9]{1,10}-\r*\n?"  # a shell without `printf`: the command is typed again
    rb"|hil%b: Event not found\.?\r*\n" % (_WORD, _WORD, _WORD),  # csh: so it is there
    re.DOTALL,
)
_MARK: Final = rb"hil(?:x23)?-%b-[efgh](?:x24status|[0-9]{1,3})\."
_ANSWERS: Final = re.compile(
    rb"(?:%b)+\r*\n|hil-%ba[0-9]{1,10}-hil-%bb[0-9]{1,10}-\r*\n" % (_MARK % _WORD, _WORD, _WORD)
)
_UNFINISHED_MARK: Final = re.compile(rb"(?:h|hi|hil[^\n]{0,160})\Z")
_UNFINISHED_BYTES: Final = 163
_KERNEL: Final = re.compile(KERNEL_TIME + rb"[^\n]*\n")
_TYPED: Final = re.compile(rb" : '!hil%b'.*?;echo" % _WORD, re.DOTALL)


class CommandFilter:
    """Replaces echoes of typed lines by their commands, and removes marks, in events that come one by one."""

    def __init__(self) -> None:
        self._typed: Mark | None = None
        self._held: list[Event] = []
        self._end: re.Pattern[bytes] | None = None
        self._rest: Chunk | None = None
        self._line_begins = True

    def feed(self, event: Event) -> list[Event]:
        """Return the events to show so far; an echo is held until its command starts."""
        if isinstance(event, Mark) and event.kind is MarkKind.COMMAND:
            before = self.finish()
            self._typed = event
            return before
        if self._typed is not None:
            self._held.append(event)
            return self._replaced(self._typed) if isinstance(event, Chunk) else []
        if self._end is None:
            return [event]
        return self._output(event, self._end) if isinstance(event, Chunk) else [*self._flush_rest(), event]

    def finish(self) -> list[Event]:
        """Return what was held back, with the command in place of its echo where that is plain."""
        typed, self._typed = self._typed, None
        held, self._held = self._held, []
        rest, self._end = self._flush_rest(), None
        if typed is None or not held:
            return rest
        chunks = [event for event in held if isinstance(event, Chunk)]
        data = _TYPED.sub(lambda _: _command(typed), b"".join(chunk.data for chunk in chunks))
        marks = [event for event in held if isinstance(event, Mark)]
        return [*rest, *(replace(chunk, data=data) for chunk in chunks[:1]), *marks]

    def _replaced(self, typed: Mark) -> list[Event]:
        """Return the command and what follows its echo, or nothing while its first mark has not come."""
        chunks = [event for event in self._held if isinstance(event, Chunk)]
        said = b"".join(chunk.data for chunk in chunks)
        found = (_BEGINS if typed.text else _ANSWERS).search(said)
        if found is None:
            return self.finish() if len(said) > _HELD_BYTES else []
        word = found.groupdict().get("word")
        shown = _command(typed) if word else b""
        first = replace(chunks[0], data=shown + b"\r\n" + b"".join(_KERNEL.findall(said[: found.end()])))
        marks = [event for event in self._held if isinstance(event, Mark)]
        last, after = chunks[-1], said[found.end() :]
        self._typed, self._held, self._line_begins = None, [], True
        self._end = re.compile(rb"(?:%b)+\r*\n" % (_MARK % word)) if word else None
        more = replace(last, data=after, position=last.end - len(after))
        return [first, *marks, *(self.feed(more) if after else [])]

    def _output(self, chunk: Chunk, end: re.Pattern[bytes]) -> list[Event]:
        """Return a command's output without the marks at its end."""
        if self._rest is not None:
            chunk, self._rest = replace(self._rest, data=self._rest.data + chunk.data), None
        ended = end.search(chunk.data)
        if ended is not None:
            self._end = None
            begins = (
                chunk.data[ended.start() - 1 : ended.start()] == b"\n" if ended.start() else self._line_begins
            )
            before = chunk.data[: ended.start()] + (b"" if begins else b"\r\n")
            after = chunk.data[ended.end() :]
            parts = [
                replace(chunk, data=before),
                replace(chunk, data=after, position=chunk.position + ended.end()),
            ]
            return [part for part in parts if part.data]
        cut = _UNFINISHED_MARK.search(chunk.data, max(0, len(chunk.data) - _UNFINISHED_BYTES))
        at = cut.start() if cut else len(chunk.data)
        if cut:
            self._rest = replace(chunk, data=chunk.data[at:], position=chunk.position + at)
        if not at:
            return []
        self._line_begins = chunk.data[:at].endswith(b"\n")
        return [replace(chunk, data=chunk.data[:at])]

    def _flush_rest(self) -> list[Event]:
        rest, self._rest = self._rest, None
        return [rest] if rest is not None else []


def shown_events(events: Iterable[Event]) -> list[Event]:
    """Return these events with the commands as the user wrote them."""
    commands = CommandFilter()
    return [one for event in events for one in commands.feed(event)] + commands.finish()


def _command(typed: Mark) -> bytes:
    return typed.text.replace("\n", "\r\n> ").encode()
