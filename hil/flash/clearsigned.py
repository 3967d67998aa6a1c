"""The text in an OpenPGP clearsigned message (RFC 9580, section 7); its signature is not checked."""

from __future__ import annotations

__all__ = ["is_clearsigned", "signed_text"]

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"


def is_clearsigned(data: bytes) -> bool:
    """Return True if the bytes of a file are an OpenPGP clearsigned message."""
    return data.startswith(_BEGIN)


def signed_text(data: bytes) -> bytes:
    """Return the text that was signed, with the line end that precedes the signature.

    Raises:
        ValueError: The message is cut short.
    """
    lines = data.splitlines(keepends=True)
    blank = next((number for number, line in enumerate(lines) if not line.strip()), len(lines))
    end = next((number for number, line in enumerate(lines) if line.startswith(_SIGNATURE)), len(lines))
    if not blank < end < len(lines):
        raise ValueError("it is a signed message that is cut short")
    return b"".join(line.removeprefix(b"- ") for line in lines[blank + 1 : end])
