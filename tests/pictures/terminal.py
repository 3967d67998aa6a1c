"""What a terminal shows of real commands, as a page: a shell on a pty, and a terminal emulator."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pexpect
import pyte

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["terminal_page"]

COLUMNS, MOST_ROWS = 108, 120
LIMIT_S = 120
PROMPT = "\x1b[1m$\x1b[0m "
READY = re.compile(rb"\x1b\[1m\$\x1b\[0m ")
COLOURS = {"red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "cyan": "#76e3ea", "blue": "#79c0ff"}
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>hil in a terminal</title><style>
body {{ margin: 0; background: #0d1117; color: #e6edf3 }}
pre {{ margin: 0; padding: 18px 22px; font: 14px/1.45 "DejaVu Sans Mono", monospace }}
b {{ color: #fff }}</style><pre id="terminal">{}</pre></html>
"""


def terminal_page(path: Path, folder: Path, commands: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Type commands into a shell in `folder`, one after the other, and write what then is on the screen."""
    screen = pyte.Screen(COLUMNS, MOST_ROWS)
    stream = pyte.ByteStream(screen)
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        cwd=folder,
        env={**environment, "PS1": PROMPT, "TERM": "xterm-256color"},
        dimensions=(MOST_ROWS, COLUMNS),
        timeout=LIMIT_S,
    )
    try:
        for command in (*commands, ""):
            shell.expect(READY)
            stream.feed(shell.before + (shell.after if command else b""))
            shell.sendline(command)
    finally:
        shell.close(force=True)
    path.write_text(PAGE.format("\n".join(_rows(screen)).rstrip()), encoding="utf-8")
    return path


def _rows(screen: pyte.Screen) -> Iterator[str]:
    for row in range(MOST_ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        yield "".join(_cell(cell) for cell in cells).rstrip()


def _cell(cell: pyte.screens.Char) -> str:
    text = html.escape(cell.data)
    if cell.fg in COLOURS:
        text = f'<span style="color: {COLOURS[cell.fg]}">{text}</span>'
    return f"<b>{text}</b>" if cell.bold and cell.data.strip() else text
