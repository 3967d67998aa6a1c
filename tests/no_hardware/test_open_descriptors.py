"""A descriptor that other code closed is neither used nor closed, though its number is another file's now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hil.open_descriptors import CheckedDescriptor

if TYPE_CHECKING:
    from pathlib import Path


def test_checked_descriptor_that_other_code_closed_has_no_number(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    another = os.open(tmp_path, os.O_RDONLY)
    checked = CheckedDescriptor(os.open(tmp_path / "a", os.O_RDONLY))
    number = checked.number
    os.close(number)

    assert (checked.was_closed_by_others, checked.number) == (True, -1)

    os.dup2(another, number)
    assert (checked.was_closed_by_others, checked.number) == (True, -1)

    checked.close()
    os.fstat(number)  # the other file is open
    os.close(number)
    os.close(another)


def test_checked_descriptor_that_was_closed_by_itself_is_not_lost(tmp_path: Path) -> None:
    checked = CheckedDescriptor(os.open(tmp_path, os.O_RDONLY))

    checked.close()
    checked.close()

    assert (checked.was_closed_by_others, checked.number) == (False, -1)
