"""Waiting for words on the console, with pexpect's matching."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pexpect.exceptions import EOF, TIMEOUT
from pexpect.spawnbase import SpawnBase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.dutlink.byte_stream import ByteStream

    BytesSpawn: TypeAlias = SpawnBase[bytes]
else:
    BytesSpawn = SpawnBase  # generic in its stubs only

__all__ = ["Expected", "Expecter", "Pattern"]

Pattern: TypeAlias = str | bytes | re.Pattern[str] | re.Pattern[bytes]

_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Expected:
    """What was waited for.

    Attributes:
        index: Which of the patterns came; 0 where there was only one.
        match: The match, in bytes.
        before: What came between the last match and this one.
    """

    index: int
    match: re.Match[bytes]
    before: bytes

    def group(self, number: int | str = 0) -> bytes:
        """One group of the match, or all of it; empty for a group that took no part."""
        return self.match.group(number) or b""

    def text(self, number: int | str = 0) -> str:
        """The same as text; what is no UTF-8 becomes U+FFFD."""
        return self.group(number).decode(errors="replace")


class Expecter(BytesSpawn):
    """pexpect over a stream of bytes. What was matched is consumed; what came behind it is kept."""

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(timeout=None, maxread=_READ_BYTES)
        self.delayafterread = None
        self._stream = stream

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> bytes:
        """Hand pexpect what came; `size` is a wish that a stream need not follow."""
        del size
        try:
            data = self._stream.take(timeout)
        except EOFError:
            raise EOF("the console went away") from None
        if not data:
            raise TIMEOUT("nothing came in time")
        return data

    def wait_for(self, pattern: Pattern | Sequence[Pattern], timeout_s: float) -> Expected | bytes:
        """Wait until a pattern comes.

        Returns:
            The match; or, when the time is over or the console went away, what came since the last one.
        """
        patterns = [pattern] if isinstance(pattern, str | bytes | re.Pattern) else list(pattern)
        try:
            index = self.expect_list([_compiled(each) for each in patterns], max(0.0, timeout_s))
        except (TIMEOUT, EOF):
            return self.before or b""
        before = self.before or b""
        return Expected(index, self.match, before) if isinstance(self.match, re.Match) else before

    def forget(self) -> None:
        """Drop all that came and was not matched yet."""
        with contextlib.suppress(EOFError):  # the next wait will say so
            self._stream.take(0)
        self.buffer = b""
        self._before = io.BytesIO()


def _compiled(pattern: Pattern) -> re.Pattern[bytes]:
    """Compile for bytes; unlike pexpect's own way this keeps a compiled pattern's flags."""
    if not isinstance(pattern, re.Pattern):
        return re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.DOTALL)
    if isinstance(pattern.pattern, bytes):
        return re.compile(pattern.pattern, pattern.flags)
    return re.compile(pattern.pattern.encode(), pattern.flags & ~re.UNICODE)
