"""The names under which evidence of a test is kept, for each of its boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.suite.markers import requirement_of

if TYPE_CHECKING:
    import pytest

__all__ = ["evidence_names"]


def evidence_names(item: pytest.Item) -> list[str]:
    """Return the names, the first board's first: it has the node id, and each partner its role, too."""
    from hil.evidence.records import part_name  # noqa: PLC0415 - runs that keep no evidence do not pay

    requirement = requirement_of(item, "")
    partners = requirement.roles[1:] if requirement is not None else ()
    return [item.nodeid, *(part_name(item.nodeid, role) for role in partners)]
