"""Block the system's USB and the simulated boards of the run for tests that are marked no_hardware.

In other tests the errors of calls that hil did not make are noted: tests may use pyusb, and catch them.
Their requests to turn the mux are noted, too, because the stick may hold another image afterwards.
The modules of pyusb's backends are wrapped when they are imported, so a run that does not import them pays
nothing; `original_code` notes the code of these and others at that moment. A backend of the test's own, such
as that of a simulator that it started, is not blocked.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from hil.dutlink.usb.protocol import VENDOR_OUT, Request
from hil.errors import UsbBlockedError
from hil.suite.original_code import is_watched, note_originals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, ModuleType

__all__ = ["UsbBlock"]

_SIMULATED = "hil.sim.backend.backend"
_WAYS_IN = ("enumerate_devices", "open_device", "ctrl_transfer")
_TURN = (VENDOR_OUT, Request.STORAGE)


class UsbBlock:
    """Refuses USB while `active`; one for a process.

    It is a finder on `sys.meta_path` that wraps the modules of pyusb's backends.

    Attributes:
        active: Whether a no_hardware test runs.
        ports: USB/IP ports of the simulators that the run uses.
        note: Called with an error of a call that hil did not make.
    """

    installed: ClassVar[UsbBlock | None] = None

    def __init__(self) -> None:
        self.active = False
        self.ports: set[int] = set()
        self.note: Callable[[Exception], None] = lambda _error: None
        self._lifted = 0

    @classmethod
    def install(cls) -> UsbBlock:
        """Return the block of this process; the first call installs it."""
        if cls.installed is None:
            cls.installed = cls()
            sys.meta_path.insert(0, cls.installed)
            for name in filter(is_watched, list(sys.modules)):
                cls.installed.wrap(sys.modules[name])
        return cls.installed

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Wrap the loader of a module on the way of a probe; return None for other modules."""
        if not is_watched(name):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _WrappingLoader(spec.loader, self)
        return spec

    def wrap(self, module: ModuleType) -> None:
        """Guard the ways into a backend's module; note the code of any module on the way of a probe."""
        if module.__name__ == _SIMULATED:
            self._guard_simulated(module.SimulatedBackend)
        elif module.__name__.startswith("usb.backend."):
            self._guard_backends_of(module)
        note_originals(module)

    def _guard_backends_of(self, module: ModuleType) -> None:
        """Guard a backend module's `get_backend`, and the backends that it returns."""
        get_backend = module.get_backend

        @functools.wraps(get_backend)
        def guarded(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever pyusb passes
            self.check(f"{module.__name__}.get_backend()")
            backend = get_backend(*arguments, **named)
            return backend if backend is None else self._guard_ways_in(backend)

        module.get_backend = guarded  # type: ignore[attr-defined]  # every backend module has one

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Allow USB in a `with` block, such as the tear-down of a board's fixture, whichever test runs."""
        self._lifted += 1
        try:
            yield
        finally:
            self._lifted -= 1

    def check(self, what: str) -> None:
        """Refuse a call of USB in a no_hardware test.

        Raises:
            UsbBlockedError: A no_hardware test runs.
        """
        if self.active and not self._lifted:
            raise UsbBlockedError(
                f"{what} was called by a test that is marked no_hardware",
                why="such a test must pass, and pass alike, on every machine",
                remedy="mark it hardware or mixed, or have it start simulated boards of its own",
            )

    @contextmanager
    def _noting(self, setup: tuple[Any, ...]) -> Iterator[None]:
        """Note what a call in the `with` block does without hil.

        Args:
            setup: `bmRequestType` and `bRequest`, if the call is a control transfer.
        """
        if setup == _TURN and not _is_called_by_hil():
            from hil.dutlink.storage.stick_mux import note_raw_turn  # noqa: PLC0415 - the driver is for runs with boards

            note_raw_turn()
        try:
            yield
        except Exception as error:
            if not _is_called_by_hil():
                self.note(error)
            raise

    def _guard_ways_in(self, backend: Any) -> Any:  # noqa: ANN401 - pyusb ships no types
        for name in _WAYS_IN:
            if name not in vars(backend):  # pyusb gives the same backend again
                setattr(backend, name, self._guarded_method(name, getattr(backend, name)))
        return backend

    def _guard_simulated(self, kind: Any) -> None:  # noqa: ANN401 - the class of a module that may not be loaded
        for name in _WAYS_IN:
            setattr(kind, name, self._guarded_where_own(name, getattr(kind, name)))

    def _guarded_where_own(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(backend: Any, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever pyusb passes
            if backend.port not in self.ports:
                return method(backend, *arguments, **named)
            self.check(f"{name}() of this run's simulated boards")
            with self._noting(arguments[1:3]):
                return method(backend, *arguments, **named)

        return guarded

    def _guarded_method(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever pyusb passes
            self.check(f"libusb's {name}()")
            with self._noting(arguments[1:3]):
                return method(*arguments, **named)

        return guarded


def _is_called_by_hil() -> bool:
    """Return True if hil made the call of pyusb that goes on now."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented, and the cheapest way
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module != __name__ and module.partition(".")[0] not in {"usb", "contextlib"}:
            return module.partition(".")[0] == "hil"
        frame = frame.f_back
    return False


class _WrappingLoader(importlib.abc.Loader):
    """A loader that calls the module's own loader, then wraps the module."""

    def __init__(self, loader: importlib.abc.Loader, block: UsbBlock) -> None:
        self._loader = loader
        self._block = block

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Call the module's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then guard its backends and note its code."""
        self._loader.exec_module(module)
        self._block.wrap(module)
