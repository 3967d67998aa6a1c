"""Broken lab files, as people break them: each with the line of the mistake and words that must be said.

A file is GOOD with one key's line replaced (or added), or a text of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BROKEN", "GOOD", "Broken"]

GOOD = """\
# our bench
[place.jetson-1]
serial = "0df10035"
tags = ["jetson", "nvme"]
stick = "/dev/disk/by-id/usb-A"
console = "/dev/serial/by-id/usb-B"
baud_rate = 921600
login = { user = "root", password = "secret" }
up = "Reached target"
up_timeout_s = 90
power_on = "p1,aL,w5,aZ"
power_off = "aL,w50,aZ,p0"
power_rescue = "bL,p1"
safe = "aL,w10"
watch = ["EXT4-fs error"]

[place.pi]
serial = "5a1c0e01"
"""
LINES = {line.split(" ")[0]: at for at, line in enumerate(GOOD.splitlines(), start=1) if 2 < at < 16}


@dataclass(frozen=True)
class Broken:
    """A broken file.

    Attributes:
        text: The file.
        line: Where its mistake is.
        said: Words that the error must have, in what, why or remedy.
    """

    text: str
    line: int
    said: tuple[str, ...]


def key(name: str, line: str, *said: str) -> Broken:
    """GOOD, with the line of one key of its first place replaced."""
    lines = GOOD.splitlines()
    lines[LINES[name] - 1] = line
    return Broken("\n".join(lines) + "\n", LINES[name], said)


def added(line: str, *said: str) -> Broken:
    """GOOD, with one line more at its end."""
    return Broken(f"{GOOD}{line}\n", len(GOOD.splitlines()) + 1, said)


def file(text: str, line: int, *said: str) -> Broken:
    """A text of its own."""
    return Broken(text, line, said)


_STRINGS = ("serial", "stick", "console", "up", "power_on", "power_off", "power_rescue", "safe")
_NOT_STRINGS = ("7", "1.5", "true", "2026-11-25", '["a", "b"]', '{ a = "b" }')

WRONG_TYPES = [
    *(key(name, f"{name} = {value}", f"{name} = ", "string") for name in _STRINGS for value in _NOT_STRINGS),
    *(key("tags", f"tags = {value}", "list") for value in ("7", "1.5", "true", "2026-11-25", "{ a = 1 }")),
    key("tags", 'tags = "jetson"', "list", 'tags = ["jetson"]'),
    key("tags", 'tags = "jetson, nvme"', "list", 'tags = ["jetson", "nvme"]'),
    key("tags", 'tags = ["jetson", 8]', "tags[1]", "string", 'tags = ["jetson", "8"]'),
    key("tags", "tags = [true]", "tags[0]", "string"),
    key("tags", 'tags = [["jetson"]]', "tags[0]", "string"),
    *(key("watch", f"watch = {value}", "list") for value in ("7", "1.5", "true", "{ a = 1 }", '"panic"')),
    key("watch", "watch = [1]", "watch[0]", "string"),
    *(key("baud_rate", f"baud_rate = {value}", "integer") for value in ("9600.5", "true", "[9600]", "{ }")),
    key("baud_rate", 'baud_rate = "9600"', "integer", "baud_rate = 9600"),
    key("baud_rate", "baud_rate = 2026-11-25", "integer"),
    *(
        key("up_timeout_s", f"up_timeout_s = {value}", "number")
        for value in ("true", "[60]", "{ }", '"soon"')
    ),
    key("up_timeout_s", 'up_timeout_s = "60"', "number", "up_timeout_s = 60"),
    key("up_timeout_s", "up_timeout_s = 00:01:00", "number"),
    *(key("login", f"login = {value}", "login", "table") for value in ("7", "1.5", "true", '["root"]')),
    key("login", 'login = "root"', "table", 'login = { user = "root" }'),
    *(
        key("login", f"login = {{ user = {value} }}", "user", "string")
        for value in ("7", "true", "[]", "{ }")
    ),
    *(
        key("login", f'login = {{ user = "root", {name} = {value} }}', name, "string")
        for name in ("password", "prompt")
        for value in ("7", "true", "[]", "{ }")
    ),
]

WRONG_VALUES = [
    key("serial", 'serial = "0DF10035"', "eight characters", "did you mean 0df10035"),
    key("serial", 'serial = " 0df10035"', "eight characters", "did you mean 0df10035"),
    key("serial", 'serial = "0df1003"', "eight characters"),
    key("serial", 'serial = "0df100355"', "eight characters"),
    key("serial", 'serial = "0dg10035"', "eight characters"),
    key("serial", 'serial = "0x0df100"', "eight characters"),
    key("serial", 'serial = ""', "eight characters"),
    key("serial", "serial = 12345678", "string", 'serial = "12345678"'),
    key("serial", "serial = 5e100012", "string", 'serial = "5e100012"'),
    key("tags", 'tags = ["two words"]', "one word", 'did you mean "two", "words"'),
    key("tags", 'tags = ["a,b"]', "one word", 'did you mean "a", "b"'),
    key("tags", 'tags = ["a", ""]', "one word", "tags[1]"),
    key("tags", 'tags = [" "]', "one word"),
    key("tags", 'tags = ["a\\tb"]', "one word"),
    key("stick", 'stick = "sda"', "full path", "did you mean /dev/sda"),
    key("stick", 'stick = "dev/sda"', "full path"),
    key("stick", 'stick = "/dev/disk/"', "full path"),
    key("stick", 'stick = ""', "full path"),
    key("stick", 'stick = "usb-SanDisk_Ultra-0:0"', "full path"),
    key("stick", 'stick = "/dev/a\\u0000b"', "full path"),
    key("stick", 'stick = "~/stick"', "full path"),
    key("console", 'console = "ttyUSB0"', "full path", "did you mean /dev/ttyUSB0"),
    key("console", 'console = "COM3"', "full path"),
    key("console", 'console = ""', "full path"),
    key("console", 'console = "./tty"', "full path"),
    key("console", 'console = "/"', "full path"),
    key("baud_rate", "baud_rate = 115201", "no such rate", "did you mean 115200"),
    key("baud_rate", "baud_rate = 9601", "did you mean 9600"),
    key("baud_rate", "baud_rate = 0", "no such rate", "did you mean 50"),
    key("baud_rate", "baud_rate = -9600", "no such rate"),
    key("baud_rate", "baud_rate = 1000000000", "did you mean 4000000"),
    key("baud_rate", "baud_rate = 921_601", "did you mean 921600"),
    key("login", 'login = { user = "" }', "a name on one line"),
    key("login", 'login = { user = "  " }', "a name on one line"),
    key("login", 'login = { user = "a\\nb" }', "a name on one line"),
    key("login", 'login = { user = "a", password = "b\\n" }', "password", "one line"),
    key("login", 'login = { user = "a", password = "\\u0003" }', "password", "one line"),
    key("login", 'login = { user = "a", prompt = "[" }', "prompt", "regular expression"),
    key("login", 'login = { user = "a", prompt = "" }', "prompt", "before the DUT has printed anything"),
    key("login", 'login = { user = "a", prompt = "$" }', "prompt", "before the DUT has printed anything"),
    *(added(f"pace_s = {value}", "pace_s =", "econds") for value in ("-1", "nan", "inf", "true", '"0.01"')),
    added("pace = 0.01", "unknown key pace", "did you mean pace_s?"),
    key("up", 'up = ""', "before the DUT has printed anything"),
    key("up", 'up = ".*"', "before the DUT has printed anything"),
    key("up", 'up = "(ready)?"', "before the DUT has printed anything"),
    key("up", 'up = "["', "regular expression", "position 0"),
    key("up", 'up = "(ready"', "regular expression", "position 0"),
    key("up", 'up = "ready)"', "regular expression", "position 5"),
    key("up", 'up = "*ready"', "regular expression", "position 0"),
    key("up", 'up = "a{3,1}"', "regular expression", "position"),
    key("up", "up = 'ready\\'", "regular expression", "escape"),
    key("up", 'up = "(?P<x>a)(?P<x>b)"', "regular expression", "position"),
    key("up", 'up = "[[a]b"', "regular expression", "position"),
    key("up_timeout_s", "up_timeout_s = 0", "more than 0"),
    key("up_timeout_s", "pace_s = 1.5", "from 0 to 1"),
    key("up_timeout_s", "pace_s = -0.1", "from 0 to 1"),
    key("up_timeout_s", 'pace_s = "fast"', "number"),
    key("up_timeout_s", "up_timeout_s = -5", "more than 0"),
    key("up_timeout_s", "up_timeout_s = 86401", "at most 86400"),
    key("up_timeout_s", "up_timeout_s = nan", "number of seconds"),
    key("up_timeout_s", "up_timeout_s = inf", "number of seconds"),
    key("power_on", 'power_on = "on"', "power sequence such as"),
    key("power_on", 'power_on = "p1 w5"', "skips ' '", "did you mean 'p1w5'"),
    key("power_on", 'power_on = "p1;w5"', "skips ';'", "did you mean 'p1w5'"),
    key("power_on", 'power_on = "p2"', "p needs 1 or 0"),
    key("power_on", 'power_on = "p"', "p needs 1 or 0"),
    key("power_on", 'power_on = "a,p1"', "needs a level"),
    key("power_on", 'power_on = "eH"', "skips 'e'"),
    key("power_on", 'power_on = "w"', "w needs digits"),
    key("power_on", 'power_on = "w0.5"', "skips '.'"),
    key("power_on", 'power_on = "w1302"', "1301"),
    key("power_on", 'power_on = "p1,ä"', "ASCII"),
    key("power_off", 'power_off = "aL,w10,bH,w10,cL,w10,dH,w10,rL,p0"', "keeps 32"),
    key("power_off", 'power_off = "off"', "power sequence such as"),
    key("power_rescue", 'power_rescue = "rescue"', "needs a level"),
    key("power_rescue", 'power_rescue = "rL wait5"', "skips ' '"),
    key("watch", 'watch = ["a("]', "regular expression"),
    key("watch", 'watch = ["a*"]', "empty line"),
    key("safe", 'safe = "leav"', "force-off, off, leave", "did you mean leave"),
    key("safe", 'safe = "force_off"', "force-off, off, leave", "did you mean force-off"),
    key("safe", 'safe = "forceoff"', "did you mean force-off"),
    key("safe", 'safe = "OFF"', "force-off, off, leave"),
    key("safe", 'safe = "aX"', "power sequence"),
    key("safe", 'safe = ""', "empty"),
    key("safe", 'safe = "w9999"', "power sequence"),
    key("safe", 'safe = "none"', "force-off, off, leave"),
    added('serial = "0df10035"', "twice"),
    file('[place.a]\nserial = "0df10035"\n[place.b]\nserial = "0df10035"\n', 4, "in place a already"),
]

WRONG_KEYS = [
    *(
        added(f"{wrong} = 1", f"unknown key {wrong}", "known keys are serial, tags", f"did you mean {right}?")
        for wrong, right in (
            ("serail", "serial"),
            ("Serial", "serial"),
            ("serial_no", "serial"),
            ("board", "serial"),
            ("tgas", "tags"),
            ("tag", "tags"),
            ("labels", "tags"),
            ("stik", "stick"),
            ("disk", "stick"),
            ("storage", "stick"),
            ("consol", "console"),
            ("tty", "console"),
            ("uart", "console"),
            ("baudrate", "baud_rate"),
            ("baud-rate", "baud_rate"),
            ("baud", "baud_rate"),
            ("speed", "baud_rate"),
            ("logn", "login"),
            ("credentials", "login"),
            ("user", "login"),
            ("booted", "up"),
            ("ready", "up"),
            ("up_timeout", "up_timeout_s"),
            ("timeout", "up_timeout_s"),
            ("poweron", "power_on"),
            ("power-on", "power_on"),
            ("POWER_OFF", "power_off"),
            ("power_of", "power_off"),
            ("rescue", "power_rescue"),
            ("wacth", "watch"),
            ("save", "safe"),
            ("safe_state", "safe"),
        )
    ),
    added('name = "x"', "unknown key name", "[place.NAME]"),
    added("xyzzy = 1", "unknown key xyzzy", "docs/lab-file.md"),
    added('"" = 1', "unknown key"),
    *(
        key(
            "login",
            f'login = {{ user = "root", {wrong} = "x" }}',
            f"unknown key {wrong}",
            "known keys are user",
            meant,
        )
        for wrong, meant in (
            ("passwd", "did you mean password?"),
            ("pass", "did you mean password?"),
            ("Password", "did you mean password?"),
            ("secret", "did you mean password?"),
            ("promt", "did you mean prompt?"),
            ("shell", "did you mean prompt?"),
            ("serial", "put serial into the place"),
            ("up", "put up into the place"),
            ("zzz", "docs/lab-file.md"),
        )
    ),
    key("login", 'login = { username = "root" }', "unknown key username", "did you mean user?"),
    key("login", "login = { }", "user is missing", 'user = "root"'),
    key("login", 'login = { password = "x" }', "user is missing"),
    added('prompt = "# "', "unknown key prompt", "login = {"),
    file('serial = "0df10035"', 1, "unknown key serial", "[place.NAME]"),
    file('tty = "/dev/ttyUSB0"', 1, "unknown key tty", "[place.NAME]"),
    file("[places.a]", 1, "unknown key places", "did you mean place?"),
    file('[Place.a]\nserial = "0df10035"', 1, "unknown key Place", "did you mean place?"),
    file('[boards.a]\nserial = "0df10035"', 1, "unknown key boards", "did you mean place?"),
    file('[jetson-1]\nserial = "0df10035"', 1, "unknown key jetson-1", "[place.jetson-1]"),
    file("[place.a]", 1, "serial is missing", 'serial = "0df10035"'),
    file('[place.a]\ntags = ["b"]', 1, "serial is missing"),
    file('[place.a]\nserial = "0df10035"\n[place.b]\n', 3, "serial is missing in place b"),
]

WRONG_FRAMES = [
    file('[place."two words"]\nserial = "0df10035"', 1, "letters, digits"),
    file('[place.""]\nserial = "0df10035"', 1, "letters, digits"),
    file('[place."-a"]\nserial = "0df10035"', 1, "letters, digits"),
    file('[place."a/b"]\nserial = "0df10035"', 1, "letters, digits"),
    file('[place."ä"]\nserial = "0df10035"', 1, "letters, digits"),
    file(f'[place.{"a" * 32}]\nserial = "0df10035"', 1, "31 characters"),
    file("place = 3", 1, "a table", "[place.NAME]"),
    file("place = []", 1, "a table", "[place.NAME]"),
    file('place = "a"', 1, "a table", "[place.NAME]"),
    file('[[place]]\nserial = "0df10035"', 1, "a table", "[place.NAME]"),
    file('[place]\nserial = "0df10035"', 2, "a table", "[place.NAME]"),
    file("\n\n[place]\na = 5", 4, "a = 5", "a table"),
    file("\n# why\n[place.a]\n\n# this\nserial = 3", 6, "string"),
    file('[place.a]\nserial = "0df10035"\ntags = [\n  "a",\n  "b c",\n]', 3, "one word"),
    file('place.a.serial = "0df1003"', 1, "eight characters"),
    file('place = { a = { serial = "0df1003" } }', 1, "eight characters"),
]

NOT_TOML = [
    key("safe", "safe = off", "not TOML", 'safe = "off"'),
    key("safe", 'safe = "off', "not TOML", 'safe = "off"'),
    key("safe", "safe =", "not TOML"),
    key("safe", "safe", "not TOML"),
    key("safe", "safe: off", "not TOML", 'safe = "off"'),
    key("safe", "safe = leave # always", "not TOML", 'safe = "leave"'),
    key("serial", "serial = 0df10035", "not TOML", 'serial = "0df10035"'),
    key("serial", "serial = 00000001", "not TOML", 'serial = "00000001"'),
    key("serial", "serial = “0df10035”", "not TOML"),
    key("tags", "tags = jetson", "not TOML", 'tags = ["jetson"]'),
    key("tags", "tags = [jetson, nvme]", "not TOML", 'tags = ["jetson", "nvme"]'),
    key("tags", 'tags = ["jetson" "nvme"]', "not TOML", 'tags = ["jetson", "nvme"]'),
    key("tags", 'tags: ["jetson"]', "not TOML", 'tags = ["jetson"]'),
    key("stick", "stick = /dev/sda", "not TOML", 'stick = "/dev/sda"'),
    key("console", "console = ttyUSB0", "not TOML", 'console = "/dev/ttyUSB0"'),
    key("baud_rate", "baud_rate = 9600baud", "not TOML"),
    key("baud_rate", "baud_rate = 09600", "not TOML"),
    key("login", "login = root", "not TOML", 'login = { user = "root" }'),
    key("login", 'login = { user: "root" }', "not TOML"),
    key("login", 'login = { user = "root" password = "x" }', "not TOML"),
    key("up", 'up = "\\d"', "not TOML"),
    key("up", "up = login: ", "not TOML", 'up = "login:"'),
    key("power_on", "power_on = p1,w5", "not TOML", 'power_on = "p1,w5"'),
    key("safe", "<<<<<<< HEAD", "not TOML", "docs/lab-file.md"),
    added('serial = "5a1c0e02"', "not TOML", "serial, or its table, is defined twice"),
    added("[place.pi]", "not TOML", "this table is defined twice"),
    file("[place.a", 1, "not TOML", "[place.a]"),
    file("[place a]", 1, "not TOML", "[place.a]"),
    file('[place.two words]\nserial = "0df10035"', 1, "not TOML", '[place."two words"]'),
    file("place:\n  a:\n    serial: 0df10035\n", 1, "not TOML"),
    file('{"place": {"a": {"serial": "0df10035"}}}', 1, "not TOML"),
    file("\x00", 1, "not TOML"),
    file('[place.a]\ntags = ["a"', 2, "not TOML"),
    file('[place.a]\nup = """never ends\n', 2, "not TOML"),
]

BROKEN = [*WRONG_TYPES, *WRONG_VALUES, *WRONG_KEYS, *WRONG_FRAMES, *NOT_TOML]
