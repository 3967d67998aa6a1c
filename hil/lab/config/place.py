"""What a lab file may say of a place, and what each value must look like."""

import re
import termios
import warnings
from typing import Annotated, NamedTuple

from hil.dutlink.dut.account import Login, Secret
from hil.dutlink.wiring import UP_TIMEOUT_S
from hil.errors import SequenceError
from hil.lab.config.tables import Key, schema_of
from hil.nearest import nearest

__all__ = ["NAME", "LabContent", "LoginEntry", "Place", "place_name", "schema"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}")
_SERIAL = re.compile(r"[0-9a-f]{8}")
_WORD = re.compile(r"[^\s,]+")
_DEVICE = {"pattern": "^/.*[^/]$"}
_LONGEST_UP_S = 86_400
_LITERALLY = "put \\ before a literal . * + ? [ ] ( )"


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
    from hil.dutlink.patterns.search import compile_user_pattern  # noqa: PLC0415 - only for places with patterns

    if not text or compile_user_pattern(text).search(b""):
        raise ValueError("it matches an empty line, so it would fail every test")
    return text


def _baud_rate(number: int) -> int:
    rates = [int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9][0-9]+", name)]
    if number not in rates:
        nearest = min(sorted(rates), key=lambda rate: abs(rate - number))
        raise ValueError(f"Linux has no such rate; the nearest is {nearest}; did you mean {nearest}?")
    return number


def _seconds(number: float) -> float:
    if not 0 < number <= _LONGEST_UP_S:
        raise ValueError(f"it is a number of seconds, more than 0 and at most {_LONGEST_UP_S}")
    return float(number)


def _pace(number: float) -> float:
    if not 0 <= number <= 1:
        raise ValueError("it is a number of seconds, from 0 to 1")
    return float(number)


def _safe(text: str) -> str:
    from hil.dutlink.power.sequence import PowerSequence  # noqa: PLC0415 - only for places with sequences
    from hil.lab.safe_state.policy import FORCE_OFF, LEAVE, OFF  # noqa: PLC0415 - only for places with a policy

    policies = (FORCE_OFF, OFF, LEAVE)
    if text in policies:
        return text
    near = nearest(text, policies, likeness=0.6)
    question = f"; did you mean {near}?" if near else ""
    allowed = f"it is {', '.join(policies)}, or a power sequence such as aL,w10{question}"
    try:
        orders = PowerSequence.parse(text).steps
    except SequenceError as error:
        raise ValueError(allowed if near else f"{allowed}: {error.what}") from None
    if not orders:
        raise ValueError(f"it is empty; {allowed}")
    return text


def _pattern(text: str) -> str:
    from hil.dutlink.patterns.search import compile_user_pattern  # noqa: PLC0415 - only for places with patterns

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # syntax that Python will change
        try:
            found = compile_user_pattern(text, re.DOTALL).search(b"")
        except Warning as error:
            raise ValueError(f"it is no regular expression: {error}; {_LITERALLY}") from None
        except ValueError as error:
            raise ValueError(f"{error}; {_LITERALLY}") from None
    if found:
        raise ValueError("this pattern matches before the DUT has printed anything; write what it prints")
    return text


def _sequence(text: str) -> str:
    from hil.dutlink.power.sequence import PowerSequence  # noqa: PLC0415 - only for places with sequences

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


def place_name(text: str) -> str:
    """Return a valid name of a place; raises ValueError for another text."""
    if not NAME.fullmatch(text):
        raise ValueError("a place's name is letters, digits, dot, dash and underscore, 31 characters at most")
    return text


class LoginEntry(NamedTuple):
    """How to log in to the DUT; `console.login()` uses it."""

    user: Annotated[str, Key("The user's name on the DUT.", _user, {"minLength": 1}, ("root",))]
    password: Annotated[
        str | Secret,
        Key("Sent if the DUT asks for it. Every user who may read this file can read it.", _password),
    ] = ""
    prompt: Annotated[
        str | None,
        Key(
            "The shell's prompt, a regular expression. Default: `# ` or `$ `.",
            _pattern,
            examples=("pi@rack:.*[$] ",),
        ),
    ] = None

    def as_login(self) -> Login:
        """Return the account, as the driver uses it."""
        return Login(self.user, Secret(self.password), self.prompt)


class Place(NamedTuple):
    """A place: a board, and what the board cannot know about its surroundings."""

    serial: Annotated[
        str,
        Key(
            "Serial number of the place's DUTLink board, as `hil boards` prints it.",
            _serial,
            {"pattern": f"^{_SERIAL.pattern}$"},
            ("0df10035",),
        ),
    ]
    tags: Annotated[
        tuple[str, ...],
        Key(
            "Words by which tests choose boards, besides those stored on the board.",
            _tag,
            {"pattern": f"^{_WORD.pattern}$"},
        ),
    ] = ()
    kind: Annotated[
        str,
        Key(
            "What kind of DUT is there: `--hil-each kind` runs each test on one board of each kind.",
            _kind,
            {"pattern": f"^({NAME.pattern})?$"},
            ("orin-nano",),
        ),
    ] = ""
    stick: Annotated[
        str | None,
        Key(
            "Device node of the storage stick on the host. Default: the disk that follows the mux.",
            _device,
            _DEVICE,
        ),
    ] = None
    console: Annotated[
        str | None, Key("Tty of the DUT's console, if it is not the board's own.", _device, _DEVICE)
    ] = None
    baud_rate: Annotated[
        int | None,
        Key(
            "Baud rate of `console`; the board's own console always has 115200.", _baud_rate, {"minimum": 50}
        ),
    ] = None
    pace_s: Annotated[
        float,
        Key(
            "Seconds between two characters that hil sends, for a DUT that loses characters.",
            _pace,
            {"minimum": 0, "maximum": 1},
            (0.01,),
        ),
    ] = 0.0
    watch: Annotated[
        tuple[str, ...],
        Key(
            "Regular expressions. A line of the DUT's console that matches one fails the test, "
            "as a kernel panic does.",
            _expression,
            examples=(["EXT4-fs error", "(?i)over-?temperature"],),
        ),
    ] = ()
    login: Annotated[
        LoginEntry | None,
        Key("How to log in to the DUT.", examples=({"user": "root", "password": "secret"},)),
    ] = None
    up: Annotated[
        str | None,
        Key(
            "What the console shows when the DUT is up, a regular expression. Default: a login prompt.",
            _pattern,
            examples=("Reached target Multi-User",),
        ),
    ] = None
    up_timeout_s: Annotated[
        float,
        Key(
            "How long the DUT may take to come up, in seconds.",
            _seconds,
            {"exclusiveMinimum": 0, "maximum": _LONGEST_UP_S},
        ),
    ] = UP_TIMEOUT_S
    image: Annotated[
        str | None,
        Key(
            "The image that tests on this place run with, unless --hil-image gives another: a file, "
            "from this file's folder, or an address that ends in #sha256= and the digest.",
            _image,
            examples=("images/rack-v2.1.img.xz",),
        ),
    ] = None
    power_on: Annotated[
        str | None,
        Key(
            "The power_on sequence that the board should store; `hil settings apply` writes it.",
            _sequence,
            examples=("p1,aL,w5,aZ",),
        ),
    ] = None
    power_off: Annotated[str | None, Key("The same for power_off.", _sequence)] = None
    power_rescue: Annotated[str | None, Key("The same for power_rescue.", _sequence)] = None
    safe: Annotated[
        str | None,
        Key(
            "What to do when a run ends in any way: force-off; off (the board's power-off sequence, then "
            "force-off); leave (nothing: the DUT stays as it is); or a power sequence of your own, followed "
            "by force-off.",
            _safe,
            {"default": "force-off"},
            ("force-off", "off", "leave", "aL,w10"),
        ),
    ] = None


class LabContent(NamedTuple):
    """A lab file: what boards cannot know about their surroundings."""

    place: Annotated[
        dict[str, Place],
        Key("The places by name: [place.NAME].", place_name, {"pattern": f"^{NAME.pattern}$"}),
    ] = {}  # noqa: RUF012 - never changed


def schema() -> dict[str, object]:
    """Return the JSON Schema of a lab file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema_of(LabContent),
        "title": "hil lab file",
    }
