"""Parse the values of `--hil-boards` that begin with `jumpstarter`.

jumpstarter:SELECTOR                    any exporter with these labels, leased from a controller
jumpstarter+direct://HOST:PORT          one exporter, without a controller
    ?ca=FILE                            PEM file of the certificate that signed the exporter's own
    &passphrase=FILE                    file with the exporter's passphrase (or JMP_GRPC_PASSPHRASE)
    &plain                              connect without TLS: for tests on loopback only
jumpstarter                             the exporter that `jmp shell` has leased

Only the controller of a parallel run writes this one, for its workers:

jumpstarter+lease:NAME                  the exporter of a lease that the controller holds
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
    """Any exporter with certain labels.

    Attributes:
        selector: Labels, as Kubernetes writes them: `board=dutlink,site=lab`.
        client: Alias or file of the client's configuration; empty: the one that `jmp` would use.
    """

    selector: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class LeaseTarget:
    """The exporter of a lease that another process of this run holds and renews.

    Attributes:
        lease: Name of the lease.
        client: Alias or file of the client's configuration, as in `SelectorTarget`.
    """

    lease: str
    client: str = ""

    @property
    def text(self) -> str:
        """The target as text that `parse_target` parses."""
        return _LEASE + self.lease


@dataclass(frozen=True, slots=True)
class DirectTarget:
    """One exporter, without a controller.

    Attributes:
        address: `host:port`.
        ca: PEM file of the certificate that signed the exporter's own; None: one of the system's.
        passphrase: The exporter's passphrase; empty: none.
        plain: Whether to connect without TLS.
    """

    address: str
    ca: Path | None = None
    passphrase: str = field(default="", repr=False)
    plain: bool = False

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str]) -> Self:
        """Parse `HOST:PORT?...`.

        Raises:
            UsageError: The text has another form, or a file that it names cannot be read.
        """
        parts = urlsplit(f"//{text}")
        query = parse_qs(parts.query, keep_blank_values=True)
        try:
            port = parts.port
        except ValueError:
            port = None
        if not parts.hostname or not port or parts.path or not query.keys() <= {"ca", "passphrase", "plain"}:
            raise _syntax_error(_DIRECT + text)
        passphrase = environ.get("JMP_GRPC_PASSPHRASE", "")
        if "passphrase" in query:
            passphrase = _read(Path(query["passphrase"][0])).strip()
        ca = Path(query["ca"][0]) if "ca" in query else None
        if ca is not None:
            _read(ca)
        return cls(f"{parts.hostname}:{port}", ca, passphrase, "plain" in query)


@dataclass(frozen=True, slots=True)
class ShellTarget:
    """The exporter that `jmp shell` has leased and describes in the environment.

    Attributes:
        host: A socket of `jmp shell`, or the exporter's address.
        exporter: Name of the exporter.
    """

    host: str
    exporter: str


def parse_target(
    text: str, client: str = "", environ: Mapping[str, str] = os.environ
) -> SelectorTarget | LeaseTarget | DirectTarget | ShellTarget:
    """Parse a value of `--hil-boards` that begins with `jumpstarter`.

    Args:
        text: The value.
        client: The value of `--hil-client`.
        environ: The environment.

    Raises:
        UsageError: The value is not understood, or this process does not run in `jmp shell`.
    """
    if text.startswith(_DIRECT):
        return DirectTarget.parse(text.removeprefix(_DIRECT), environ)
    if text.startswith(_LEASE):
        return LeaseTarget(text.removeprefix(_LEASE), client)
    selector = text.removeprefix(_SELECTOR).strip()
    if text.startswith(_SELECTOR) and selector:
        return SelectorTarget(selector, client)
    if text != "jumpstarter":
        raise _syntax_error(text)
    if not environ.get("JUMPSTARTER_HOST"):
        raise UsageError(
            "this run is not inside a jmp shell",
            why="JUMPSTARTER_HOST is not set",
            remedy="jmp shell --selector ..., and pytest inside it; or --hil-boards jumpstarter:SELECTOR",
        )
    return ShellTarget(environ["JUMPSTARTER_HOST"], environ.get("JMP_EXPORTER", ""))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} cannot be read", why=str(error), remedy="name a text file that this user may read"
        ) from error


def _syntax_error(text: str) -> UsageError:
    return UsageError(
        f"--hil-boards {text!r} is not understood",
        why="it is jumpstarter:SELECTOR, jumpstarter+direct://HOST:PORT[?ca=FILE&passphrase=FILE], "
        "or jumpstarter inside jmp shell",
        remedy="--hil-boards jumpstarter:board=dutlink",
    )
