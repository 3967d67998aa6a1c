"""Find the evidence folders of runs by key, and write their pages if missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from hil.evidence.run_folder import EvidenceFolder
from hil.report.run_pages import build_run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["find_run_folders", "link_to"]

_LAYOUTS = ("*/run.json", "*/report/run.json")
"""Paths of run records in a folder of runs; the second is the layout of `hil nightly`."""


def find_run_folders(folders: Iterable[Path], wanted: Iterable[str], trouble: list[str]) -> dict[str, Path]:
    """Return the evidence folder of each wanted run that has one.

    Args:
        folders: Folders of runs, or folders that contain such.
        wanted: Keys of runs.
        trouble: Receives a line for each run whose pages could not be written.
    """
    keys, found = frozenset(wanted), {}
    for folder in folders:
        for kept in _runs_in(folder):
            run = EvidenceFolder(kept).run()
            if run is not None and run.key in keys:
                found[run.key] = kept
                if run.ended_s is None or not (kept / "index.html").is_file():
                    _complete(kept, trouble)
    return found


def link_to(folder: Path, page_folder: Path) -> str:
    """Return the link to a folder from pages in another one."""
    return quote(os.fsencode(os.path.relpath(folder.resolve(), page_folder.resolve())))


def _runs_in(folder: Path) -> list[Path]:
    if (folder / "run.json").is_file():
        return [folder]
    if not folder.is_dir():
        return []
    return sorted(path.parent for pattern in _LAYOUTS for path in folder.glob(pattern))


def _complete(kept: Path, trouble: list[str]) -> None:
    """Write the pages of a run that goes on, or was killed before it wrote them."""
    try:
        build_run(kept)
    except OSError as error:
        trouble.append(f"the pages of {kept} cannot be written: {error}")
