"""What `--hil-boards jumpstarter...` means.

jumpstarter:SELECTOR                    any exporter with these labels, leased from a controller
jumpstarter+direct://HOST:PORT          one exporter, without a controller
    ?ca=FILE                            whose certificate was signed by this one (PEM)
    &passphrase=FILE                    and which wants a passphrase (or JMP_GRPC_PASSPHRASE)
    &plain                              or speaks no TLS: for tests on loopback only
jumpstarter                             what `jmp shell` has leased already

The first process of a parallel run says to its workers, and nobody else writes:

jumpstarter+lease:NAME                  the exporter of a lease that this process has
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DirectTarget", "LeaseTarget", "SelectorTarget", "ShellTarget", "parse_target"]

_DIRECT = "jumpstarter+direct://"
_SELECTOR = "jumpstarter:"
_LEASE = "jumpstarter+lease:"


@dataclass(frozen=True, slots=True)
class SelectorTarget:
    """Any exporter with these labels.

    Attributes:
        selector: Labels, as Kubernetes writes them: `board=dutlink,site=lab`.
        client: Alias or file of the client's configuration; empty: what Jumpstarter's `jmp` would use.
    """

    selector: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class LeaseTarget:
    """The exporter of a lease that another process of this run has, and keeps.

    Attributes:
        lease: Its name.
        client: As `SelectorTarget` has it.
    """

    lease: str
    client: str = ""

    @property
    def text(self) -> str:
        """As `parse_target` reads it."""
        return _LEASE + self.lease


@dataclass(frozen=True, slots=True)
class DirectTarget:
    """One exporter, without a controller.

    Attributes:
        address: `host:port`.
        ca: File of the certificate that signed its own; None: one of the system's.
        passphrase: What it wants to hear; empty: nothing.
        plain: It speaks no TLS.
    """

    address: str
    ca: Path | None = None
    passphrase: str = field(default="", repr=False)
    plain: bool = False

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str]) -> Self:
        """Read `HOST:PORT?...`.

        Raises:
            UsageError: It is not like that, or a file of it cannot be read.
        """
        parts = urlsplit(f"//{text}")
        asked = parse_qs(parts.query, keep_blank_values=True)
        try:
            port = parts.port
        except ValueError:
            port = None
        if not parts.hostname or not port or parts.path or not asked.keys() <= {"ca", "passphrase", "plain"}:
            raise _unclear(_DIRECT + text)
        passphrase = environ.get("JMP_GRPC_PASSPHRASE", "")
        if "passphrase" in asked:
            passphrase = _content(Path(asked["passphrase"][0])).strip()
        ca = Path(asked["ca"][0]) if "ca" in asked else None
        if ca is not None:
            _content(ca)
        return cls(f"{parts.hostname}:{port}", ca, passphrase, "plain" in asked)


@dataclass(frozen=True, slots=True)
class ShellTarget:
    """What `jmp shell` has leased: it left the way there in the environment.

    Attributes:
        host: Its socket, or the exporter's address.
        exporter: Its name.
    """

    host: str
    exporter: str


def parse_target(
    text: str, client: str = "", environ: Mapping[str, str] = os.environ
) -> SelectorTarget | LeaseTarget | DirectTarget | ShellTarget:
    """Read a value of `--hil-boards` that begins with `jumpstarter`.

    Args:
        text: The value.
        client: The value of `--hil-client`.
        environ: The environment.

    Raises:
        UsageError: It is none, or there is no `jmp shell` around this process.
    """
    if text.startswith(_DIRECT):
        return DirectTarget.parse(text.removeprefix(_DIRECT), environ)
    if text.startswith(_LEASE):
        return LeaseTarget(text.removeprefix(_LEASE), client)
    selector = text.removeprefix(_SELECTOR).strip()
    if text.startswith(_SELECTOR) and selector:
        return SelectorTarget(selector, client)
    if text != "jumpstarter":
        raise _unclear(text)
    if not environ.get("JUMPSTARTER_HOST"):
        raise UsageError(
            "there is no Jumpstarter shell around this run",
            why="JUMPSTARTER_HOST is not set",
            remedy="jmp shell --selector ..., and pytest inside it; or --hil-boards jumpstarter:SELECTOR",
        )
    return ShellTarget(environ["JUMPSTARTER_HOST"], environ.get("JMP_EXPORTER", ""))


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} cannot be read", why=str(error), remedy="name a text file that this user may read"
        ) from error


def _unclear(text: str) -> UsageError:
    return UsageError(
        f"--hil-boards {text!r} is not understood",
        why="it is jumpstarter:SELECTOR, jumpstarter+direct://HOST:PORT[?ca=FILE&passphrase=FILE], "
        "or jumpstarter inside jmp shell",
        remedy="--hil-boards jumpstarter:board=dutlink",
    )
