"""What a lab file may say of a place's DUT: login, patterns of its console, power sequences."""

from __future__ import annotations

import warnings
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hil.dutlink.dut.secret import Secret
from hil.dutlink.patterns.incremental_match import compile_pattern
from hil.dutlink.power.sequence import PowerSequence
from hil.errors import SequenceError

__all__ = ["LoginEntry", "PatternText", "SequenceText"]

_LITERALLY = "put \\ before . * + ? [ ] ( ) that mean themselves"


def _pattern(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what Python will read otherwise one day
        try:
            found = compile_pattern(text).search(b"")
        except Warning as error:
            raise ValueError(f"it is no regular expression: {error}; {_LITERALLY}") from None
        except ValueError as error:
            raise ValueError(f"{error}; {_LITERALLY}") from None
    if found:
        raise ValueError("this pattern is there before the DUT has said a word; write what it says")
    return text


def _sequence(text: str) -> str:
    try:
        PowerSequence.parse(text)
    except SequenceError as error:
        meant = f"; did you mean {error.remedy}?" if error.remedy.startswith("'") else ""
        raise ValueError(
            f"{error.why}; it is a power sequence such as p1,aL,w5,aZ, or empty{meant}"
        ) from None
    return text


def _user(text: str) -> str:
    if not text or not text.isprintable() or text.isspace():
        raise ValueError("a user is a name on one line")
    return text


def _password(text: str) -> Secret:
    if not all(letter.isprintable() for letter in text):
        raise ValueError("a password is one line, without control characters")
    return Secret(text)


PatternText = Annotated[str, AfterValidator(_pattern)]
SequenceText = Annotated[str, AfterValidator(_sequence)]


class LoginEntry(BaseModel):
    """How one logs in to the DUT; `console.login()` uses it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    user: Annotated[str, AfterValidator(_user)] = Field(
        description="The user's name on the DUT.", examples=["root"], json_schema_extra={"minLength": 1}
    )
    password: Annotated[str, AfterValidator(_password)] = Field(
        default="", description="Sent if the DUT asks for it. Whoever reads this file can read it."
    )
    prompt: PatternText | None = Field(
        default=None,
        description="The shell's prompt, a regular expression. Default: `# ` or `$ `.",
        examples=["pi@rack:.*[$] "],
    )
