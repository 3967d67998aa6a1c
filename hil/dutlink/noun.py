"""The base class of Board, Power, Storage, Console, Pins and BoardSettings."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import ClassVar

__all__ = ["Noun"]


class Noun:
    """An object that refuses to set an attribute which its class neither annotates nor defines.

    Otherwise `board.settings.name = "x"` would do nothing. An attribute that is a `Noun` itself cannot be
    replaced.
    """

    _declared: ClassVar[frozenset[str]] = frozenset()
    _hint: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._declared = cls._declared | frozenset(inspect.get_annotations(cls))

    def __setattr__(self, name: str, value: object) -> None:
        __tracebackhide__ = True  # pytest then shows the line of the test
        if not name.startswith("_") and name not in self._declared and not hasattr(type(self), name):
            hint = f"; {self._hint}" if self._hint else ""
            raise AttributeError(f"{self!r} has no attribute {name!r}{hint}", name=name, obj=self)
        if isinstance(self.__dict__.get(name), Noun) or isinstance(
            getattr(type(self), name, None), cached_property
        ):
            raise AttributeError(  # noqa: TRY004 - Python's error for an attribute that cannot be set
                f"{name} of {self!r} cannot be replaced: the board is made safe through it; "
                f"replace one of its methods instead",
                name=name,
                obj=self,
            )
        super().__setattr__(name, value)
