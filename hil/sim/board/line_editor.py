"""The shell's line editor: echo, cursor keys, history and completion.

Source: ushell 0.3.6, shell.rs, history.rs and autocomplete.rs.

The editor takes bytes and returns their echo. It ignores line feeds and control characters that are not named
here, without an echo, and drops the byte after ESC.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LINE_BYTES", "LineEditor", "LineHistory"]

LINE_BYTES: Final = 512
_HISTORY_LINES: Final = 10

_BELL: Final = b"\x07"
_BACKSPACE: Final = 0x08
_TAB: Final = 0x09
_RETURN: Final = 0x0D
_ESCAPE: Final = 0x1B
_FIRST_PRINTABLE: Final = 0x20
_DELETE: Final = 0x7F
_BRACKET: Final = ord("[")
_UP, _DOWN, _RIGHT, _LEFT = b"ABCD"

_STEP_LEFT: Final = b"\x1b[D"
_STEP_RIGHT: Final = b"\x1b[C"
_SAVE_AND_CLEAR: Final = b"\x1b[s\x1b[K"
_RESTORE: Final = b"\x1b[u"
_CLEAR_TO_END: Final = b"\x1b[K"
_RUB_OUT: Final = b"\x08 \x08"


class LineHistory:
    """The last ten different lines, the latest first. A line that is typed again moves to the front."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._cursor = 0

    def push(self, line: bytes) -> None:
        """Store a line unless it is empty, and move the cursor in front of the latest line."""
        if line in self._lines:
            self._lines.remove(line)
        if line:
            self._lines.insert(0, line)
            del self._lines[_HISTORY_LINES:]
        self._cursor = 0

    def back(self) -> bytes | None:
        """Return the previous line, or None if there is none."""
        if self._cursor == len(self._lines):
            return None
        self._cursor += 1
        return self._lines[self._cursor - 1]

    def forward(self) -> bytes | None:
        """Return the next line, or None at the front. After one `back` it is the same line again."""
        if self._cursor == 0 or not self._lines:
            return None
        self._cursor -= 1
        return self._lines[self._cursor]


class LineEditor:
    """One line of at most 512 bytes.

    Args:
        words: Words that a tab completes; the first that fits wins.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = [word.encode() for word in words]
        self._history = LineHistory()
        self._line = bytearray()
        self._cursor = 0
        self._in_control = False
        self._in_escape = False

    def feed(self, byte: int) -> tuple[bytes, str | None]:
        """Take one byte; return its echo, and the line if the byte ended one.

        A line that is not UTF-8 cannot be ended: the return key does nothing (ushell: shell.rs).
        """
        if byte == _RETURN and not self._in_escape and not self._in_control:
            return b"", self._finish()
        return self._echo_of(byte), None

    def clear(self) -> None:
        """Drop the line."""
        self._line.clear()
        self._cursor = 0

    def _finish(self) -> str | None:
        line = bytes(self._line)
        if not _is_text(line):
            return None
        self._history.push(line)
        self.clear()
        return line.decode()

    def _echo_of(self, byte: int) -> bytes:
        if byte == _BRACKET and self._in_escape:
            self._in_control = True
            return b""
        if byte == _ESCAPE:
            self._in_escape = True
            return b""
        if self._in_control or self._in_escape:
            moves = self._in_control
            self._in_control = self._in_escape = False
            return self._cursor_key(byte) if moves else b""
        if byte == _TAB:
            return self._complete()
        if byte in {_DELETE, _BACKSPACE}:
            return self._delete()
        return self._insert(byte) if byte >= _FIRST_PRINTABLE else b""

    def _cursor_key(self, key: int) -> bytes:
        at_end = self._cursor == len(self._line)
        if key == _LEFT and self._cursor > 0:
            return self._move(-1, _STEP_LEFT)
        if key == _RIGHT and not at_end:
            return self._move(1, _STEP_RIGHT)
        if key == _UP and at_end:
            return self._recall(self._history.back())
        if key == _DOWN and at_end:
            return self._recall(self._history.forward())
        return _BELL if key in {_LEFT, _RIGHT, _UP, _DOWN} else b""

    def _move(self, columns: int, echo: bytes) -> bytes:
        self._cursor += columns
        return echo

    def _recall(self, line: bytes | None) -> bytes:
        if line is None:
            return _BELL
        home = f"\x1b[{self._cursor}D".encode() if self._cursor else b""
        self._line[:] = line
        self._cursor = len(line)
        return home + _CLEAR_TO_END + line

    def _complete(self) -> bytes:
        """Complete the text before the cursor. The text after the cursor is lost."""
        prefix = bytes(self._line[: self._cursor])
        if not _is_text(prefix):
            return b""
        word = next((word for word in self._words if prefix and word.startswith(prefix)), None)
        if word is None:
            return _BELL
        self._line[:] = word
        self._cursor = len(word)
        return _CLEAR_TO_END + word[len(prefix) :]

    def _delete(self) -> bytes:
        if self._cursor == 0:
            return _BELL
        self._cursor -= 1
        del self._line[self._cursor]
        rest = bytes(self._line[self._cursor :])
        return _STEP_LEFT + _SAVE_AND_CLEAR + rest + _RESTORE if rest else _RUB_OUT

    def _insert(self, byte: int) -> bytes:
        """Insert a byte. In a full line overwrite one; at the end of a full line ring the bell."""
        if self._cursor == LINE_BYTES:
            return _BELL
        echo = bytes((byte,))
        rest = bytes(self._line[self._cursor :])
        if rest and len(self._line) == LINE_BYTES:
            self._line[self._cursor] = byte
            rest = b""
        else:
            self._line.insert(self._cursor, byte)
        self._cursor += 1
        return echo + _SAVE_AND_CLEAR + rest + _RESTORE if rest else echo


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
