"""Wiring of a DUT as plain data, as an exporter sends it: login, boot time, typing pace."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hil.dutlink.wiring import Login

if TYPE_CHECKING:
    from hil.dutlink.wiring import Wiring

__all__ = ["apply_wiring", "encode_wiring"]


def encode_wiring(wiring: Wiring) -> dict[str, Any]:
    """Return the fields that mean the same on every host: all but the paths of device nodes."""
    return {
        "login": asdict(wiring.login) if wiring.login is not None else None,
        "up": wiring.up,
        "up_timeout_s": wiring.up_timeout_s,
        "pace_s": wiring.pace_s,
    }


def apply_wiring(wiring: Wiring, encoded: dict[str, Any]) -> Wiring:
    """Return the wiring with the fields that `encode_wiring` returned on the exporter."""
    login = Login(**encoded["login"]) if encoded["login"] is not None else None
    return replace(
        wiring, login=login, up=encoded["up"], up_timeout_s=encoded["up_timeout_s"], pace_s=encoded["pace_s"]
    )
