"""Parser for the simulated DUT's shell: words, quotes, `;`, `$?` and `$(...)` as in POSIX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hil.sim.dut.script import Steps

__all__ = ["IncompleteCommandError", "ShellSyntaxError", "Word", "expand_words", "parse_commands"]

_BLANKS: Final = " \t"
_ENDS: Final = ";\n"
_ESCAPED_IN_DOUBLE_QUOTES: Final = '$`"\\'


class ShellSyntaxError(ValueError):
    """The text is no shell command."""


class IncompleteCommandError(ShellSyntaxError):
    """The command is not complete; another line must follow."""


class _Status:
    """`$?`: the exit status of the previous command."""


@dataclass(slots=True)
class _Substitution:
    commands: list[list[Word]]


@dataclass(slots=True)
class Word:
    """A word of a command: text, and parts that are expanded when the command runs."""

    parts: list[str | _Status | _Substitution] = field(default_factory=list)


RunAll: TypeAlias = Callable[[list[list[Word]]], Steps[int]]


def parse_commands(text: str) -> list[list[Word]]:
    """Parse a text into commands, each a list of words.

    Raises:
        IncompleteCommandError: A quote is open, or the last line ends with a backslash.
    """
    return _Reader(text).commands(until="")


def expand_words(words: list[Word], status: int, run: RunAll) -> Steps[list[str]]:
    """Return a command's words as texts, with all parts expanded.

    Args:
        words: The words.
        status: Exit status of the previous command.
        run: Function that runs the commands of a substitution.
    """
    texts: list[str] = []
    for word in words:
        text = ""
        for part in word.parts:
            if isinstance(part, _Substitution):
                text += (yield from _captured(run(part.commands))).replace("\r\n", "\n").rstrip("\n")
            else:
                text += part if isinstance(part, str) else str(status)
        texts.append(text)
    return texts


def _captured(steps: Steps[int]) -> Steps[str]:
    output = ""
    for step in steps:
        if isinstance(step, str):
            output += step
        else:
            yield step
    return output


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def commands(self, until: str) -> list[list[Word]]:
        found: list[list[Word]] = [[]]
        word: Word | None = None
        while True:
            letter = self._next(until)
            if letter == until:
                break
            if letter in _BLANKS or letter in _ENDS:
                word = None
                if letter in _ENDS:
                    found.append([])
                continue
            if letter == "\\" and self._peek() == "\n":
                self._at += 1
                continue
            if word is None:
                word = Word()
                found[-1].append(word)
            self._take(letter, word)
        return [command for command in found if command]

    def _take(self, letter: str, word: Word) -> None:
        if letter == "'":
            word.parts.append(self._until_quote())
        elif letter == '"':
            self._double_quoted(word)
        elif letter == "\\":
            word.parts.append(self._next(None))
        elif letter == "$":
            self._dollar(word)
        else:
            word.parts.append(letter)

    def _double_quoted(self, word: Word) -> None:
        word.parts.append("")
        while (letter := self._next(None)) != '"':
            if letter == "$":
                self._dollar(word)
            elif letter == "\\" and self._peek() in _ESCAPED_IN_DOUBLE_QUOTES:
                word.parts.append(self._next(None))
            else:
                word.parts.append(letter)

    def _dollar(self, word: Word) -> None:
        following = self._peek()
        if following == "?":
            self._at += 1
            word.parts.append(_Status())
        elif following == "(":
            self._at += 1
            word.parts.append(_Substitution(self.commands(until=")")))
        else:
            word.parts.append("$")

    def _until_quote(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise IncompleteCommandError
        text, self._at = self._text[self._at : end], end + 1
        return text

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self, at_end: str | None) -> str:
        """Return the next letter. At the end return `at_end` if it is empty, else raise an error."""
        letter = self._peek()
        self._at += 1
        if letter:
            return letter
        if at_end == "":
            return at_end
        raise IncompleteCommandError
