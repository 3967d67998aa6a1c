"""What an exporter's lab file says of a DUT, told to the run that has its board: how to log in, and so on."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hil.dutlink.wiring import Login

if TYPE_CHECKING:
    from hil.dutlink.wiring import Wiring

__all__ = ["apply_wiring", "encode_wiring"]


def encode_wiring(wiring: Wiring) -> dict[str, Any]:
    """Return what is no path of this host, as plain data."""
    return {
        "login": asdict(wiring.login) if wiring.login is not None else None,
        "up": wiring.up,
        "up_timeout_s": wiring.up_timeout_s,
        "pace_s": wiring.pace_s,
    }


def apply_wiring(wiring: Wiring, words: dict[str, Any]) -> Wiring:
    """Return the wiring with what `encode_wiring` told."""
    login = Login(**words["login"]) if words["login"] is not None else None
    return replace(
        wiring, login=login, up=words["up"], up_timeout_s=words["up_timeout_s"], pace_s=words["pace_s"]
    )
