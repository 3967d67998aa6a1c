"""Check that the packages of the extra `jumpstarter` are installed."""

from __future__ import annotations

from importlib.util import find_spec

from hil.errors import UsageError

__all__ = ["require_extra"]

_NEEDED = ("jumpstarter", "jumpstarter_protocol", "grpc", "anyio")


def require_extra() -> None:
    """Check that Jumpstarter's packages are installed, without importing them.

    Raises:
        UsageError: A package is missing.
    """
    missing = next((name for name in _NEEDED if find_spec(name) is None), None)
    if missing is not None:
        raise UsageError(
            "boards of a Jumpstarter lab cannot be used",
            why=f"the package {missing} is not installed: Jumpstarter is an extra of hil",
            remedy="in a checkout of hil: pip install -e '.[jumpstarter]'",
        )
