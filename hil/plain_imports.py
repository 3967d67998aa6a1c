"""Import the modules of hil as any others in a pytest run.

pytest takes the whole package of a plugin for test code: it would read and hash the source of each module,
and rewrite its assertions, of which hil has none.
"""

from __future__ import annotations

from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["PlainImports"]


class PlainImports:
    """A finder for `sys.meta_path`, to be asked before that of pytest."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of hil; not the plugin itself, which pytest asks to be rewritten by its name."""
        ours = name.startswith("hil.") and name != "hil.plugin"
        return PathFinder.find_spec(name, path, target) if ours else None
