"""Tell a folder of reports from another folder with files of the same names, which hil must not replace."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hil.errors import UsageError
from hil.evidence.run_folder import EvidenceFolder
from hil.regular_file import open_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PAGE_MARK", "refuse_foreign_report"]

PAGE_MARK: Final = b'<nav aria-label="Pages"><b>hil</b>'
"""What every page of hil has near its beginning, after its style."""

_HEAD_BYTES: Final = 1024 * 1024
_FILES: Final = ("run.json", "index.html", "boards.html", "numbers.html", "wall.html", "summary.md")
_FOLDERS: Final = ("tests", "boards", "console", "power")
_ALSO_OTHERS: Final = ("junit.xml",)
"""pytest writes this file without hil, too: it says nothing about whose the folder is."""


def refuse_foreign_report(folder: Path) -> None:
    """Refuse to write a report into a folder whose files hil would replace, and did not write.

    Raises:
        UsageError: The folder has files with names of a report, and none of them is hil's; or one is a link.
        OSError: The folder cannot be read.
    """
    if not folder.is_dir():
        return
    for name in (*_FILES, *_FOLDERS, *_ALSO_OTHERS):
        if (folder / name).is_symlink():
            raise _refusal(folder, f"{name} there is a link, and hil follows none in a report")
    found = [name for name in _FILES if (folder / name).exists()]
    found += [f"{name}/" for name in _FOLDERS if _has_content(folder / name)]
    if found and not _is_of_hil(folder):
        raise _refusal(folder, f"it has {', '.join(found)}, and no run or page of hil")


def _has_content(path: Path) -> bool:
    """Return True for a file, and for a folder that is not empty: a full disk leaves empty ones of hil."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def _is_of_hil(folder: Path) -> bool:
    evidence = EvidenceFolder(folder)
    return evidence.run() is not None or _is_page(folder / "index.html") or bool(evidence.tests(""))


def _is_page(path: Path) -> bool:
    with suppress(OSError), open_regular(path) as file:
        return PAGE_MARK in file.read(_HEAD_BYTES)
    return False


def _refusal(folder: Path, why: str) -> UsageError:
    return UsageError(
        f"{folder} is not a folder of reports",
        why=f"{why}: hil would replace files that it did not write",
        remedy="name a new folder, or remove those",
    )
