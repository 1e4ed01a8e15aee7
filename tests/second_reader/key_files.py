"""Key files as section 3 describes them: a pre-shared key, a passphrase, age identities."""

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from .age_file import parse_identities

MAX_KEY_FILE = 1 << 20
PRE_SHARED_LINE = re.compile("CHAOSVEIL-PSK-1:([0-9a-f]{64})")


class KeyFileError(ValueError):
    """Not a key file of the kind that was asked for."""


def parse_pre_shared_key(text: str) -> bytes:
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    found = PRE_SHARED_LINE.fullmatch(lines[0]) if len(lines) == 1 else None
    if found is None:
        raise KeyFileError("not a pre-shared key file")
    return bytes.fromhex(found[1])


def parse_passphrase(text: str) -> bytes:
    """The first line without its line ending, and nothing else taken off it."""
    line, ending, _ = text.partition("\n")
    if ending:
        line = line.removesuffix("\r")
    if not line:
        raise KeyFileError("its first line, the passphrase, is empty")
    return line.encode()


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > MAX_KEY_FILE:
        raise KeyFileError("larger than any key file")
    return data.decode()


def read_pre_shared_key(path: Path) -> bytes:
    return parse_pre_shared_key(_read_text(path))


def read_passphrase(path: Path) -> bytes:
    return parse_passphrase(_read_text(path))


def read_identities(path: Path) -> list[X25519PrivateKey]:
    return parse_identities(_read_text(path))
