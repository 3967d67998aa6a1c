"""What a lab file may say of a place, and what each value must look like."""

from __future__ import annotations

import re
import termios
import warnings
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from hil.dutlink.dut.account import Login, Secret
from hil.dutlink.patterns.incremental_match import compile_pattern
from hil.dutlink.patterns.search import compile_user_pattern
from hil.dutlink.power.sequence import PowerSequence
from hil.dutlink.wiring import UP_TIMEOUT_S
from hil.errors import SequenceError
from hil.lab.safe_state.policy import FORCE_OFF, LEAVE, OFF
from hil.nearest import nearest

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["NAME", "LabContent", "LoginEntry", "Place", "schema"]

_POLICIES = (FORCE_OFF, OFF, LEAVE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}")
_SERIAL = re.compile(r"[0-9a-f]{8}")
_WORD = re.compile(r"[^\s,]+")
_LONGEST_UP_S = 86_400
_LITERALLY = "put \\ before a literal . * + ? [ ] ( )"
_BAUD_RATES = sorted(
    int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9][0-9]+", name) and int(name[1:]) > 0
)


def _in_schema(**rules: JsonValue) -> FieldInfo:
    """Return a field whose JSON Schema has a part of what its validator checks, for editors."""
    rule: FieldInfo = Field(json_schema_extra=rules)
    return rule


def _serial(text: str) -> str:
    if not _SERIAL.fullmatch(text):
        meant = text.strip().lower()
        near = f"; did you mean {meant}?" if _SERIAL.fullmatch(meant) else ""
        raise ValueError(f"a serial number is eight characters of 0-9 and a-f, as hil boards prints it{near}")
    return text


def _tag(text: str) -> str:
    if not _WORD.fullmatch(text):
        words = ", ".join(f'"{word}"' for word in re.split(r"[\s,]+", text.strip()))
        near = f"; did you mean {words}?" if text.strip() else ""
        raise ValueError(f"a tag is one word, without white space and commas{near}")
    return text


def _kind(text: str) -> str:
    if text and not NAME.fullmatch(text):
        raise ValueError("a kind is letters, digits, dot, dash and underscore, 31 characters at most")
    return text


def _device(text: str) -> str:
    if not text.startswith("/") or "\0" in text or text.endswith("/"):
        near = f"; did you mean /dev/{text}?" if re.fullmatch(r"[a-z]+[A-Z]*[0-9]*", text) else ""
        raise ValueError(f"it is a device's full path, such as /dev/serial/by-id/usb-...{near}")
    return text


def _expression(text: str) -> str:
    if not text or compile_user_pattern(text).search(b""):
        raise ValueError("it matches an empty line, so it would fail every test")
    return text


def _baud_rate(number: int) -> int:
    if number not in _BAUD_RATES:
        nearest = min(_BAUD_RATES, key=lambda rate: abs(rate - number))
        raise ValueError(f"Linux has no such rate; the nearest is {nearest}; did you mean {nearest}?")
    return number


def _seconds(number: float) -> float:
    if not 0 < number <= _LONGEST_UP_S:
        raise ValueError(f"it is a number of seconds, more than 0 and at most {_LONGEST_UP_S}")
    return number


def _pace(number: float) -> float:
    if not 0 <= number <= 1:
        raise ValueError("it is a number of seconds, from 0 to 1")
    return number


def _policy(text: str) -> str:
    if text in _POLICIES:
        return text
    near = nearest(text, _POLICIES, likeness=0.6)
    question = f"; did you mean {near}?" if near else ""
    allowed = f"it is {', '.join(_POLICIES)}, or a power sequence such as aL,w10{question}"
    try:
        orders = PowerSequence.parse(text).steps
    except SequenceError as error:
        raise ValueError(allowed if near else f"{allowed}: {error.what}") from None
    if not orders:
        raise ValueError(f"it is empty; {allowed}")
    return text


def _pattern(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # syntax that Python will change
        try:
            found = compile_pattern(text).search(b"")
        except Warning as error:
            raise ValueError(f"it is no regular expression: {error}; {_LITERALLY}") from None
        except ValueError as error:
            raise ValueError(f"{error}; {_LITERALLY}") from None
    if found:
        raise ValueError("this pattern matches before the DUT has printed anything; write what it prints")
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


def _image(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("an image is the path of a file, or an address, on one line")
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
    """How to log in to the DUT; `console.login()` uses it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    user: Annotated[str, AfterValidator(_user)] = Field(
        description="The user's name on the DUT.", examples=["root"], json_schema_extra={"minLength": 1}
    )
    password: Annotated[str, AfterValidator(_password)] = Field(
        default="", description="Sent if the DUT asks for it. Every user who may read this file can read it."
    )
    prompt: PatternText | None = Field(
        default=None,
        description="The shell's prompt, a regular expression. Default: `# ` or `$ `.",
        examples=["pi@rack:.*[$] "],
    )

    def as_login(self) -> Login:
        """Return the account, as the driver uses it."""
        return Login(self.user, Secret(self.password), self.prompt)


class Place(BaseModel):
    """A place: a board, and what the board cannot know about its surroundings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    serial: Annotated[str, AfterValidator(_serial), _in_schema(pattern=f"^{_SERIAL.pattern}$")] = Field(
        description="Serial number of the place's DUTLink board, as `hil boards` prints it.",
        examples=["0df10035"],
    )
    tags: list[Annotated[str, AfterValidator(_tag), _in_schema(pattern=f"^{_WORD.pattern}$")]] = Field(
        default=[], description="Words by which tests choose boards, besides those stored on the board."
    )
    kind: Annotated[str, AfterValidator(_kind), _in_schema(pattern=f"^({NAME.pattern})?$")] = Field(
        default="",
        description="What kind of DUT is there: `--hil-each kind` runs each test on one board of each kind.",
        examples=["orin-nano"],
    )
    stick: Annotated[str, AfterValidator(_device), _in_schema(pattern="^/.*[^/]$")] | None = Field(
        default=None,
        description="Device node of the storage stick on the host. Default: the disk that follows the mux.",
    )
    console: Annotated[str, AfterValidator(_device), _in_schema(pattern="^/.*[^/]$")] | None = Field(
        default=None, description="Tty of the DUT's console, if it is not the board's own."
    )
    baud_rate: Annotated[int, AfterValidator(_baud_rate), _in_schema(minimum=50)] | None = Field(
        default=None, description="Baud rate of `console`; the board's own console always has 115200."
    )
    pace_s: Annotated[float, AfterValidator(_pace), _in_schema(minimum=0, maximum=1)] = Field(
        default=0.0,
        description="Seconds between two characters that hil sends, for a DUT that loses characters.",
        examples=[0.01],
    )
    watch: list[Annotated[str, AfterValidator(_expression)]] = Field(
        default=[],
        description="Regular expressions. A line of the DUT's console that matches one fails the test, "
        "as a kernel panic does.",
        examples=[["EXT4-fs error", "(?i)over-?temperature"]],
    )
    login: LoginEntry | None = Field(
        default=None,
        description="How to log in to the DUT.",
        examples=[{"user": "root", "password": "secret"}],
    )
    up: PatternText | None = Field(
        default=None,
        description="What the console shows when the DUT is up, a regular expression. Default: a login "
        "prompt.",
        examples=["Reached target Multi-User"],
    )
    up_timeout_s: Annotated[float, AfterValidator(_seconds)] = Field(
        default=UP_TIMEOUT_S,
        description="How long the DUT may take to come up, in seconds.",
        json_schema_extra={"exclusiveMinimum": 0, "maximum": _LONGEST_UP_S},
    )
    image: Annotated[str, AfterValidator(_image)] | None = Field(
        default=None,
        description="The image that tests on this place run with, unless --hil-image gives another: a file, "
        "from this file's folder, or an address that ends in #sha256= and the digest.",
        examples=["images/rack-v2.1.img.xz"],
    )
    power_on: SequenceText | None = Field(
        default=None,
        description="The power_on sequence that the board should store; `hil settings apply` writes it.",
        examples=["p1,aL,w5,aZ"],
    )
    power_off: SequenceText | None = Field(default=None, description="The same for power_off.")
    power_rescue: SequenceText | None = Field(default=None, description="The same for power_rescue.")
    safe: Annotated[str, AfterValidator(_policy)] = Field(
        default=FORCE_OFF,
        description="What to do when a run ends in any way: force-off; off (the board's power-off "
        "sequence, then force-off); leave (nothing: the DUT stays as it is); or a power sequence of your "
        "own, followed by force-off.",
        examples=["force-off", "off", "leave", "aL,w10"],
    )


def _place_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("a place's name is letters, digits, dot, dash and underscore, 31 characters at most")
    return text


class LabContent(BaseModel):
    """A lab file: what boards cannot know about their surroundings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    place: dict[Annotated[str, AfterValidator(_place_name)], Place] = Field(
        default={},
        description="The places by name: [place.NAME].",
        json_schema_extra={"propertyNames": {"pattern": f"^{NAME.pattern}$"}},
    )


def schema() -> dict[str, object]:
    """Return the JSON Schema of a lab file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **LabContent.model_json_schema(),
        "title": "hil lab file",
    }
