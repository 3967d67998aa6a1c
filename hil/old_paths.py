"""Old import paths that pages of these docs, or a copied `conftest.py`, contain; they go in version 0.2."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.abc import Loader
    from types import ModuleType

__all__ = ["OldPaths", "from_module"]

_MOVED: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "hil.dutlink.tty": ("hil.dutlink.console.tty", {}),
    "hil.evidence.run_consoles": ("hil.evidence.console_slices", {}),
    "hil.history.recording": ("hil.history.pytest_recorder", {"measured_s": "measured_durations_s"}),
    "hil.jumpstarter.clients": ("hil.jumpstarter.exporter.j_clients", {}),
    "hil.jumpstarter.driver": ("hil.jumpstarter.exporter.driver", {}),
    "hil.lab.board_record": ("hil.lab.safe_state.record", {}),
    "hil.lab.guarded": ("hil.lab.guard.under_guard", {}),
    "hil.lab.lease": ("hil.lab.locks.acquire", {"hold": "acquire"}),
    "hil.lab.safety": ("hil.lab.safe_state.policy", {}),
    "hil.lab.shared_folder": ("hil.lab.locks.lock_dir", {}),
    "hil.report.building": ("hil.report.pytest_hook", {}),
    "hil.sim.control_client": ("hil.sim.management.client", {"ControlClient": "ManagementClient"}),
    "hil.sim.image": ("hil.sim.dut.image", {}),
    "hil.suite.early_exit": ("hil.suite.outcome.early_exit", {}),
    "hil.suite.hosts": ("hil.boards.sources", {}),
    "hil.suite.scheduled": ("hil.suite.xdist.registration", {}),
    "hil.suite.selection": ("hil.suite.markers", {}),
    "hil.suite.session": ("hil.suite.plugin", {}),
}
"""Old module: the module that has its contents now, and the names in it that changed."""


class OldPaths:
    """A finder for `sys.meta_path`, to be asked last: it finds modules that have moved."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that hands on what has moved, or None if no such module was known."""
        return ModuleSpec(name, cast("Loader", _Loader())) if name in _MOVED else None


class _Loader:
    """Fill a module with a `__getattr__` that looks in the new one."""

    @staticmethod
    def create_module(_spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Warn once for each old module, and hand on the contents of the new one."""
        new, renamed = _MOVED[module.__name__]
        warnings.warn(
            f"{module.__name__} is {new} now; the old name goes in hil 0.2", DeprecationWarning, stacklevel=2
        )
        vars(module)["__getattr__"] = from_module(new, renamed)


def from_module(new: str, renamed: Mapping[str, str] = {}) -> Callable[[str], object]:
    """Return a module's `__getattr__` that takes each attribute from the module `new`.

    Args:
        new: Its dotted name.
        renamed: Old names of attributes, and what they are called now.
    """

    def get(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(new), renamed.get(name, name))

    return get
