"""Make plain what a worker sends, so that xdist can send it whatever a test, a file or a board is called.

xdist ends a worker at a message with text that is not UTF-8, such as a path from the file system with lone
surrogates, and at a value that is not plain data, such as a `Path` that a test records as a property.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlainMessages", "as_plain"]

LEAST_INT = -(1 << 31)
"""The least number that execnet sends, which takes any greater one."""


def as_plain(value: object) -> Any:  # noqa: ANN401 - as what a message may hold
    r"""Return a value as plain data: a byte that is not UTF-8 becomes `\udcff`, any other object its text."""
    if isinstance(value, dict):
        return {as_plain(key): as_plain(one) for key, one in value.items()}
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(map(as_plain, value))
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and value >= LEAST_INT:
        return int(value)
    return str(value).encode(errors="backslashreplace").decode()


class PlainMessages:
    """A plugin of workers: node ids are plain, and so are messages that xdist cannot send as they are."""

    def pytest_configure(self, config: pytest.Config) -> None:
        """Get between xdist and its channel to the controller."""
        for plugin in config.pluginmanager.get_plugins():
            if hasattr(plugin, "sendevent"):  # xdist's, whose class cannot be imported
                plugin.channel.send = _plain_sender(plugin.channel.send)

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Make a node id plain, by which the controller and this worker name the test."""
        if not item.nodeid.isascii():
            item._nodeid = as_plain(item.nodeid)  # type: ignore[attr-defined]  # noqa: SLF001 - as xdist does


def _plain_sender(send: Callable[[object], None]) -> Callable[[object], None]:
    from execnet import DumpError  # noqa: PLC0415 - only with xdist

    def send_plain(message: object) -> None:
        try:
            send(message)
        except (DumpError, struct.error):  # nothing was sent
            send(as_plain(message))

    return send_plain
