"""Which keys a lab file knows at each level, and which one was probably meant by another word."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from hil.lab.config.dut_values import LoginEntry
from hil.lab.config.place import LabContent, Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["field_of", "hint", "known_keys"]

_MODELS: dict[int, type[BaseModel]] = {1: LabContent, 3: Place, 4: LoginEntry}
"""By the number of words in a key's path: `place`; place, its name, key; place, its name, login, key."""

_OTHER_WORDS = {
    "baud": "baud_rate",
    "speed": "baud_rate",
    "rate": "baud_rate",
    "tty": "console",
    "port": "console",
    "uart": "console",
    "device": "console",
    "disk": "stick",
    "storage": "stick",
    "usb": "stick",
    "sd": "stick",
    "labels": "tags",
    "id": "serial",
    "board": "serial",
    "dutlink": "serial",
    "serial_number": "serial",
    "ready": "up",
    "booted": "up",
    "boot": "up",
    "timeout": "up_timeout_s",
    "boot_timeout": "up_timeout_s",
    "safe_state": "safe",
    "on": "power_on",
    "off": "power_off",
    "rescue": "power_rescue",
    "user": "login",
    "username": "user",
    "password": "login",
    "credentials": "login",
    "secret": "password",
    "shell": "prompt",
    "boards": "place",
    "dut": "place",
    "slot": "place",
}
"""What other tools, and people, call these things."""


def known_keys(path: Sequence[str]) -> list[str]:
    """Return the keys that are allowed where `path` ends."""
    model = _MODELS.get(len(path))
    return list(model.model_fields) if model is not None else []


def field_of(path: Sequence[str]) -> FieldInfo | None:
    """Return the field at `path`; None where there is none."""
    model = _MODELS.get(len(path))
    return model.model_fields.get(path[-1]) if model is not None else None


def hint(path: Sequence[str]) -> str:
    """Say what was probably meant by the unknown key at the end of `path`; empty where nothing is near."""
    key, known = path[-1], known_keys(path)
    folded = key.lower().replace("-", "_")
    near = difflib.get_close_matches(folded, known, n=1, cutoff=0.7)
    meant = next(iter(near), None) or _OTHER_WORDS.get(folded)
    if meant in known:
        return f"did you mean {meant}?"
    if len(path) == 1 and (folded in Place.model_fields or _OTHER_WORDS.get(folded) in Place.model_fields):
        return "put it under a [place.NAME]"
    if folded in LoginEntry.model_fields:
        return f'login = {{ {folded} = "..." }}'
    if folded in Place.model_fields:
        return f"put {folded} into the place, outside of its login"
    if folded == "name":
        return "a place's name stands in its heading: [place.NAME]"
    near = difflib.get_close_matches(folded, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""
