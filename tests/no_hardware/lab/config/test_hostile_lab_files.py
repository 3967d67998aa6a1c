"""Lab files with any content: they are refused with an error, in limited time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.errors import UsageError
from hil.lab.config.lab_file import read_lab
from hil.lab.config.toml_lines import first_too_deep

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOSTILE = {
    "a key of 50,000 parts": ".".join("a" * 50_000) + " = 1",
    "a table of 50,000 parts": f"[{'.'.join('a' * 50_000)}]",
    "a key of quoted parts": ".".join(["'a'", '"b"'] * 20_000) + " = 1",
    "arrays in arrays": f"a = {'[' * 100_000}{']' * 100_000}",
    "tables in tables": f"a = {'{a = ' * 40_000}1{'}' * 40_000}",
    "20,000 tables": "[[a]]\n" * 20_000,
    "12,000 wrong places": "".join(f"[place.p{number}]\nx=1\n" for number in range(12_000)),
    "20,000 wrong keys": "[place.a]\n" + "".join(f"k{number}=1\n" for number in range(20_000)),
    "a list of 100,000 wrong tags": f"[place.a]\nserial='00000000'\ntags=[{'1,' * 100_000}]",
    "20,000 wrong patterns": f"[place.a]\nserial='00000000'\nwatch=[{(repr('(a') + ',') * 20_000}]",
    "a long line": f"[place.a]\nserial = {' #' * 100_000}",
    "a long number": f"a = {'1' * 200_000}",
    "a string without an end": f"a = '{'x' * 200_000}",
    "quotes": '"""' * 60_000,
    "more than a lab file has": "# comment\n" * 100_000,
}
SLOW = ("20,000 wrong patterns", "20,000 wrong keys", "a list of 100,000 wrong tags")
READ = """
import resource, sys
from pathlib import Path
from hil.errors import UsageError
from hil.lab.config.lab_file import read_lab
try:
    read_lab(Path(sys.argv[1]))
except UsageError as error:
    print(len(str(error)), int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) >> 10)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=[pytest.mark.thorough] if name in SLOW else [])
        for name, text in HOSTILE.items()
    ],
)
def test_lab_file_of_any_content_is_refused_with_little_memory_and_time(text: str, tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(text)
    said = subprocess.run(
        [sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=True, timeout=250
    ).stdout

    characters, mebibytes, seconds = said.split()
    assert int(characters) < 5000
    assert int(mebibytes) < 400
    assert float(seconds) < 30


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["named pipe", "folder"])
def test_lab_file_that_is_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "lab.toml")

    with pytest.raises(UsageError, match=r"cannot be read: it is a (named pipe|folder)"):
        read_lab(tmp_path / "lab.toml")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a.b.c.d.e.f.g.h = 1", None),
        ("a.b.c.d.e.f.g.h.i = 1", 1),
        ("x = 1\n\n[a . b . c . d . e . f . g . h . i]", 3),
        ("up = '''\n\n'''\na.b.c.d.'e'.f.g.h.i = 1", 4),
        ("up = 'a.b.c.d.e.f.g.h.i.j'", None),
        ('up = "a.b.c.d.e.\\"f.g.h.i.j"', None),
        ("# a.b.c.d.e.f.g.h.i.j", None),
        ("up = 1.5", None),
    ],
)
def test_first_too_deep_tells_keys_from_values(text: str, line: int | None) -> None:
    assert first_too_deep(text) == line
