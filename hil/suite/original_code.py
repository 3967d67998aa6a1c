"""Tell whether the code that a probe runs is the original: a mock of it proves nothing about a board.

A test may replace any function, and may never put it back: a mock that is not stopped. So the functions and
classes on the way of a probe are noted when their module is loaded, and compared before a verdict may skip a
test. Those are pyusb and how it loads libusb, what hil finds boards with, and how Python reads files.
"""

from __future__ import annotations

import builtins
import importlib
import io
import itertools
import operator
import os
import pathlib
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from hil.errors import ReplacedCodeError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["is_original", "is_watched", "note_originals", "note_test", "raise_if_replaced"]

_WATCHED: Final = (
    "usb",
    "ctypes",
    "hil.boards",
    "hil.dutlink.candidate",
    "hil.dutlink.discovery",
    "hil.dutlink.timing",
    "hil.dutlink.usb",
    "hil.sim.backend",
)
"""Modules on the way of a probe, with those below them."""

_STANDARD: Final = (
    (builtins, ("open",)),
    (importlib, ("import_module",)),
    (io, ("open",)),
    (os, ("access", "listdir", "lstat", "open", "read", "readlink", "scandir", "stat")),
    (os.path, ("exists", "isdir", "isfile", "realpath")),
    (pathlib.Path, tuple(vars(pathlib.Path))),
    (time, ("monotonic",)),
)

_modules: dict[str, ModuleType] = {}
_originals: dict[Any, dict[str, object]] = {
    owner: {name: vars(owner)[name] for name in names if name in vars(owner)} for owner, names in _STANDARD
}
"""The functions and classes of each module or class that is watched, by their names."""

_left_by: dict[str, str] = {}
"""The first test that ended while a function was replaced, by the name of the function."""


def is_watched(name: str) -> bool:
    """Return True if a module is on the way of a probe."""
    return name in _WATCHED or name.startswith(tuple(f"{one}." for one in _WATCHED))


def note_originals(module: ModuleType) -> None:
    """Note the functions and classes of a module that was just loaded."""
    if sys.modules.get(module.__name__) is not module:
        return  # a test made it
    _modules[module.__name__] = module
    own = [
        one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__
    ]
    for owner in (module, *own):
        _originals[owner] = {name: value for name, value in vars(owner).items() if _is_code(value)}


def note_test(nodeid: str) -> None:
    """Note that a test has ended: what is replaced now was left so by it, or by an earlier one."""
    left = {name: _left_by.get(name, nodeid) for name in _replaced()}
    _left_by.clear()
    _left_by.update(left)


def is_original() -> bool:
    """Return True if no code that a probe runs is replaced."""
    return not _replaced()


def raise_if_replaced() -> None:
    """Raise if a probe would run code that a test replaced.

    Raises:
        ReplacedCodeError: It would; the error names the code, and the test that left it so if that is known.
    """
    replaced = _replaced()
    if not replaced:
        return
    tests = list(dict.fromkeys(_left_by[name] for name in replaced if name in _left_by))
    by = ", ".join(tests) or "this test, one of its fixtures or a conftest.py"
    more = f" and {len(replaced) - 3} more" if len(replaced) > 3 else ""  # noqa: PLR2004 - as many as are named
    raise ReplacedCodeError(
        f"{', '.join(replaced[:3])}{more} {'are' if len(replaced) > 1 else 'is'} replaced, by {by}",
        why="a probe through such a patch proves nothing about the board, so it skips no test",
        remedy="end each patch and mock in the test that started it (monkeypatch does so)",
    )


def _replaced() -> list[str]:
    """Return the names of watched modules, functions and classes that are not the original ones."""
    changed = [name for name, module in _modules.items() if sys.modules.get(name) is not module]
    for owner, originals in _originals.items():  # without a step of Python for each: every test ends here
        are_others = map(operator.is_not, map(vars(owner).get, originals), originals.values())
        changed += [f"{_name_of(owner)}.{name}" for name in itertools.compress(originals, are_others)]
    return changed + _replaced_in_backends()


def _replaced_in_backends() -> list[str]:
    """Return the methods that were replaced in a backend object itself."""
    backends = sys.modules.get("hil.dutlink.usb.backend")
    return [
        f"{type(backend).__module__}.{type(backend).__name__}().{name}"
        for _, backend in (backends.loaded() if backends is not None else ())
        for name, value in vars(backend).items()
        if callable(getattr(type(backend), name, None)) and not _is_of_usb_block(value)
    ]


def _is_of_usb_block(value: object) -> bool:
    named: dict[str, object] = getattr(value, "__globals__", {})
    return named.get("__name__") == "hil.suite.outcome.usb_block"


def _is_code(value: object) -> bool:
    return callable(value) or hasattr(type(value), "__get__")


def _name_of(owner: Any) -> str:  # noqa: ANN401 - a module or a class
    return f"{owner.__module__}.{owner.__qualname__}" if isinstance(owner, type) else str(owner.__name__)
