"""The functions of pyusb except transfers: its backend, the list of devices, closing a device.

pyusb is imported when a host is first asked for devices. No other module imports it to drive a board.
"""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from hil.dutlink.usb.error_mapping import NO_BACKEND_REMEDY, ErrorSource, translate
from hil.dutlink.usb.protocol import UsbId
from hil.errors import NoUsbBackendError

if TYPE_CHECKING:
    from hil.dutlink.host import Host

__all__ = ["PYUSB_ERRORS", "Device", "backend_of", "import_pyusb", "loaded", "release", "usb_devices"]

PYUSB_ERRORS = (OSError, ValueError, NotImplementedError)
"""What pyusb raises: `USBError` is an `OSError`, the others are bare."""

Device: TypeAlias = Any  # pyusb ships no types
Backend: TypeAlias = Any

_backends: dict[tuple[int, int], tuple[Host, Backend]] = {}


def backend_of(host: Host) -> Backend:
    """Return the host's pyusb backend, which each process makes once.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
    """
    key = (os.getpid(), id(host.backend))
    if key not in _backends:
        _backends[key] = (host, _load_backend(host))
    return _backends[key][1]


def loaded() -> list[tuple[Host, Backend]]:
    """Return the hosts whose backend was made, each with its backend."""
    return list(_backends.values())


def import_pyusb() -> None:
    """Import pyusb without loading libusb, for a process that may need it after it was uninstalled.

    Raises:
        ImportError: pyusb is not installed.
    """
    for name in ("usb.core", "usb.util", "usb.backend.libusb1"):
        importlib.import_module(name)


def _load_backend(host: Host) -> Backend:
    try:
        backend = host.backend() if host.backend else _system_libusb() or _packaged_libusb()
    except (ImportError, *PYUSB_ERRORS) as error:
        raise _no_backend(host, str(error)) from error
    if backend is None:
        raise _no_backend(host, "neither the system's libusb nor libusb-package's can be loaded")
    return backend


def _system_libusb() -> Backend:
    return importlib.import_module("usb.backend.libusb1").get_backend()


def _packaged_libusb() -> Backend:
    """Return libusb-package's own library. It is the second choice because it is built without udev."""
    return importlib.import_module("libusb_package").get_libusb1_backend()


def _no_backend(host: Host, why: str) -> NoUsbBackendError:
    return NoUsbBackendError(f"{host.label} has no USB backend", why=why, remedy=NO_BACKEND_REMEDY)


def usb_devices(host: Host) -> list[Device]:
    """Return pyusb's devices with the vendor id of a board or of its chip, without opening them.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
        TransferError: The bus cannot be listed.
    """
    backend = backend_of(host)
    core = importlib.import_module("usb.core")
    wanted = (UsbId.VENDOR, UsbId.CHIP_VENDOR)
    try:
        return list(core.find(find_all=True, backend=backend, custom_match=lambda d: d.idVendor in wanted))
    except PYUSB_ERRORS as error:
        raise translate(error, ErrorSource.USB, f"{host.label}: boards cannot be looked for") from error


def release(device: Device) -> None:
    """Close the handle that pyusb opened for a device; pyusb opens a new one at the next use.

    Errors are ignored: the handle of a device that left the bus is closed already.
    """
    with suppress(*PYUSB_ERRORS):
        importlib.import_module("usb.util").dispose_resources(device)
