"""The id of a test that runs on each board: `test_usb[jetson-1-fast]` is `test_usb[fast]` on jetson-1."""

from __future__ import annotations

__all__ = ["without_column"]


def without_column(nodeid: str, column: str) -> str:
    """Return the node id that a test has on all boards, or the node id itself if it has no such column.

    Args:
        nodeid: The node id.
        column: The name of the board or kind in it.
    """
    file, parts, test = nodeid.partition("::")
    name, bracket, parameters = test.partition(f"[{column}")
    if not column or not bracket:
        return nodeid
    if parameters == "]":
        return f"{file}{parts}{name}"
    return f"{file}{parts}{name}[{parameters[1:]}" if parameters.startswith("-") else nodeid
