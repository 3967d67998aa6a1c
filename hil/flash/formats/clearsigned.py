"""The text in an OpenPGP clearsigned message (RFC 9580, section 7); its signature is not checked."""

from __future__ import annotations

import re

__all__ = ["is_clearsigned", "signed_text"]

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_BLANK_LINE = re.compile(rb"^[ \t]*\r?\n", re.MULTILINE)
_SIGNATURE = re.compile(rb"^-----BEGIN PGP SIGNATURE-----", re.MULTILINE)


def is_clearsigned(data: bytes) -> bool:
    """Return True if the bytes of a file are an OpenPGP clearsigned message."""
    return data.startswith(_BEGIN)


def signed_text(data: bytes) -> bytes:
    """Return the text that was signed, with the line end that precedes the signature.

    Raises:
        ValueError: The message is cut short.
    """
    blank, signature = _BLANK_LINE.search(data), _SIGNATURE.search(data)
    if blank is None or signature is None or signature.start() < blank.end():
        raise ValueError("it is a signed message that is cut short")
    text = data[blank.end() - 1 : signature.start()]  # with a line end before the first line
    return text.replace(b"\n- ", b"\n")[1:]
