"""The folder of a run's evidence: one file for the run, one for each test.

A file is replaced in one step, so a reader finds the old or the new one complete, while the run goes on or
after it was killed. Damaged files, and files of another run in the same folder, are skipped. The pages of its
report are in the same folder; `refuse_foreign_report` tells it from one whose files hil must not replace.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hil.errors import UsageError
from hil.evidence.records import RecordedTest, RunRecord, file_stem
from hil.lab.files.atomic_file import write_below
from hil.regular_file import open_regular, read_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import TypeAdapter

__all__ = ["EvidenceFolder", "refuse_foreign_report"]

_RUN = "run.json"
_TESTS = "tests"
Record = TypeVar("Record", RecordedTest, RunRecord)


class EvidenceFolder:
    """The evidence folder of one run; it is created with its first file.

    Args:
        path: Path of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_run(self, run: RunRecord) -> None:
        """Write the run's record.

        Raises:
            OSError: The file cannot be written.
        """
        self._write(_RUN, run)

    def write_test(self, test: RecordedTest) -> None:
        """Write a test's record; raises as `write_run`."""
        self._write(f"{_TESTS}/{file_stem(test.nodeid)}.json", test)

    def run(self) -> RunRecord | None:
        """Return the run's record, or None if there is no readable one."""
        return _read(self.path / _RUN, RunRecord)

    def test(self, nodeid: str, run: str) -> RecordedTest | None:
        """Return the record of a test of a run, or None if there is no readable one."""
        found = _read(self.path / _TESTS / f"{file_stem(nodeid)}.json", RecordedTest)
        return found if found is not None and found.run == run else None

    def tests(self, run: str) -> list[RecordedTest]:
        """Return the records of a run's tests in the order of their start; an empty key selects every run."""
        read = (_read(path, RecordedTest) for path in self.path.glob(f"{_TESTS}/*.json"))
        kept = [one for one in read if one is not None and (not run or one.run == run)]
        return sorted(kept, key=lambda one: (one.began_s, one.nodeid))

    def _write(self, name: str, record: RecordedTest | RunRecord) -> None:
        text = json.dumps(asdict(record), ensure_ascii=False).encode(errors="replace").decode()
        self.path.mkdir(parents=True, exist_ok=True)
        write_below(self.path, name, text, mode=None)


def _read(path: Path, kind: type[Record]) -> Record | None:
    adapter: TypeAdapter[Record] = _adapters()[kind]
    with suppress(OSError, ValueError, RecursionError):
        return adapter.validate_json(read_regular(path))
    return None


@cache
def _adapters() -> dict[type, TypeAdapter[Any]]:
    from pydantic import TypeAdapter  # noqa: PLC0415 - a run writes its evidence and seldom reads it

    return {kind: TypeAdapter(kind) for kind in (RecordedTest, RunRecord)}


_PAGE_MARK: Final = b'<nav aria-label="Pages"><b>hil</b>'
"""What every page of hil has near its beginning, after its style."""

_HEAD_BYTES: Final = 1024 * 1024
_FILES: Final = ("run.json", "index.html", "boards.html", "numbers.html", "wall.html", "summary.md")
_FOLDERS: Final = ("tests", "boards", "console", "power")
_ALSO_OTHERS: Final = ("junit.xml",)
"""pytest writes this file without hil, too: it says nothing about whose the folder is."""

_MOST_NAMED: Final = 3


def refuse_foreign_report(folder: Path) -> None:
    """Refuse to write a report into a folder that has other files, unless hil has written a report there.

    Results of pytest (`*.xml`) and hidden files, such as `.gitignore`, do not count.

    Raises:
        UsageError: The folder has such files, or files with names of a report that hil did not write; or one
            of these is a link.
        OSError: The folder cannot be read.
    """
    if not folder.is_dir():
        return
    for name in (*_FILES, *_FOLDERS, *_ALSO_OTHERS):
        if (folder / name).is_symlink():
            raise _refusal(folder, f"{name} there is a link, and hil follows none in a report")
    found = [name for name in _FILES if (folder / name).exists()]
    found += [f"{name}/" for name in _FOLDERS if _has_content(folder / name)]
    others = [] if found else sorted(_others(folder))
    if (found or others) and not _is_of_hil(folder):
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        named = f"{', '.join((*found, *others[:_MOST_NAMED]))}{more}"
        raise _refusal(folder, f"it has {named}, and no run or page of hil")


def _others(folder: Path) -> Iterator[str]:
    """Yield the names in a folder that say that it is no folder of reports."""
    for path in folder.iterdir():
        if path.name not in _FOLDERS and path.suffix != ".xml" and not path.name.startswith("."):
            yield path.name


def _has_content(path: Path) -> bool:
    """Return True for a file, and for a folder that is not empty: a full disk leaves empty ones of hil."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def _is_of_hil(folder: Path) -> bool:
    evidence = EvidenceFolder(folder)
    return evidence.run() is not None or _is_page(folder / "index.html") or bool(evidence.tests(""))


def _is_page(path: Path) -> bool:
    with suppress(OSError), open_regular(path) as file:
        return _PAGE_MARK in file.read(_HEAD_BYTES)
    return False


def _refusal(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"{folder} is not a folder of reports",
        why=f"{why}: hil would mix its files with others, or replace them",
        remedy=f"name a new folder, such as {folder / 'report'}",
    )
