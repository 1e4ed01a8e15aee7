"""Opening an age v1 binary file with X25519 identities or a passphrase."""

import base64
import hmac
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

VERSION_LINE = b"age-encryption.org/v1"
MAX_STANZAS = 64
MAX_LOG_N = 20
CHUNK = 65_536
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


class AgeError(Exception):
    """Not an age file, not a key, or over a limit."""


class NoMatch(AgeError):
    """An age file, but nothing that was given opens it."""


@dataclass(frozen=True)
class Stanza:
    """One recipient stanza."""

    kind: str
    arguments: list[str]
    body: bytes


def _hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def _base64(text: str) -> bytes:
    """Unpadded and canonical, as age demands."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise AgeError("bad base64") from error
    if base64.b64encode(data).decode().rstrip("=") != text:
        raise AgeError("base64 is not canonical")
    return data


def _bech32_checksum(hrp: str, values: list[int]) -> int:
    check = 1
    for value in [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp] + values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, mask in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= mask if top >> bit & 1 else 0
    return check


def parse_identity(text: str) -> X25519PrivateKey:
    """An `AGE-SECRET-KEY-1...` string."""
    if text not in (text.upper(), text.lower()):
        raise AgeError("mixed case")
    hrp, _, data = text.lower().rpartition("1")
    if hrp != "age-secret-key-" or any(c not in BECH32 for c in data):
        raise AgeError("not an X25519 identity")
    values = [BECH32.index(c) for c in data]
    if _bech32_checksum(hrp, values) != 1:
        raise AgeError("bad checksum of the identity")
    bits = "".join(f"{value:05b}" for value in values[:-6])
    if len(bits) != 260 or bits[256:] != "0000":
        raise AgeError("bad length of the identity")
    return X25519PrivateKey.from_private_bytes(int(bits[:256], 2).to_bytes(32, "big"))


def parse_identities(text: str) -> list[X25519PrivateKey]:
    """An identity file: one a line, `#` starts a comment line."""
    lines = [line.strip() for line in text.split("\n")]
    identities = [parse_identity(line) for line in lines if line and not line.startswith("#")]
    if not identities:
        raise AgeError("no identity in it")
    return identities


def count_stanzas(data: bytes) -> int:
    """How many stanzas an age file has, before anything of it is parsed."""
    return data.count(b"\n-> ")


def _parse(data: bytes) -> tuple[list[Stanza], bytes, bytes, bytes]:
    """Stanzas, the bytes under the header MAC, the header MAC, the rest."""
    at = 0

    def line() -> bytes:
        nonlocal at
        end = data.find(b"\n", at)
        if end < 0:
            raise AgeError("the header ends early")
        found, at = data[at:end], end + 1
        return found

    if line() != VERSION_LINE:
        raise AgeError("not an age v1 file")
    stanzas = []
    while True:
        start = at
        words = line().decode("latin-1").split(" ")
        if words[0] == "---":
            if len(words) != 2 or not stanzas:
                raise AgeError("bad end of the header")
            if len(stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in stanzas):
                raise AgeError("a scrypt stanza stands alone")
            return stanzas, data[: start + 3], _base64(words[1]), data[at:]
        if words[0] != "->" or len(words) < 2 or not all(re.fullmatch("[!-~]+", word) for word in words):
            raise AgeError("bad stanza")
        if len(stanzas) == MAX_STANZAS:
            raise AgeError("too many stanzas")
        body = ""
        while True:
            piece = line().decode("latin-1")
            if len(piece) > 64:
                raise AgeError("long body line")
            body += piece
            if len(piece) < 64:
                break
        stanzas.append(Stanza(words[1], words[2:], _base64(body)))


def _argument(text: str) -> bytes:
    try:
        return _base64(text)
    except AgeError as error:
        raise NoMatch("bad argument of a stanza") from error


def _unwrap(key: bytes, body: bytes) -> bytes | None:
    """The file key, or None where this key is not the one."""
    if len(body) != 32:
        raise NoMatch("bad length of a wrapped key")
    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
    except InvalidTag:
        return None


def _unwrap_x25519(stanza: Stanza, identity: X25519PrivateKey) -> bytes | None:
    if len(stanza.arguments) != 1:
        raise NoMatch("bad X25519 stanza")
    share = _argument(stanza.arguments[0])
    if len(share) != 32:
        raise NoMatch("bad X25519 share")
    try:
        secret = identity.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError as error:
        raise NoMatch("bad X25519 share") from error
    salt = share + identity.public_key().public_bytes_raw()
    return _unwrap(_hkdf(secret, salt, b"age-encryption.org/v1/X25519"), stanza.body)


def _unwrap_scrypt(stanza: Stanza, passphrase: bytes) -> bytes | None:
    if len(stanza.arguments) != 2 or not re.fullmatch("[1-9][0-9]?", stanza.arguments[1]):
        raise NoMatch("bad scrypt stanza")
    salt, log_n = _argument(stanza.arguments[0]), int(stanza.arguments[1])
    if len(salt) != 16:
        raise NoMatch("bad scrypt salt")
    if log_n > MAX_LOG_N:
        raise AgeError("scrypt costs too much")
    kdf = Scrypt(b"age-encryption.org/v1/scrypt" + salt, 32, 1 << log_n, 8, 1)
    return _unwrap(kdf.derive(passphrase), stanza.body)


def _file_key(stanzas: list[Stanza], identities, passphrase: bytes | None) -> bytes:
    """The first file key that one of the stanzas yields."""
    if any(stanza.kind == "scrypt" for stanza in stanzas):
        found = None if passphrase is None else _unwrap_scrypt(stanzas[0], passphrase)
        if found is None:
            raise NoMatch("wrong passphrase, or none")
        return found
    for stanza in stanzas:
        for identity in identities if stanza.kind == "X25519" else []:
            found = _unwrap_x25519(stanza, identity)
            if found is not None:
                return found
    raise NoMatch("no stanza for these identities")


def _open_payload(file_key: bytes, rest: bytes) -> bytes:
    if len(rest) < 16 + 16:
        raise NoMatch("the payload ends early")
    cipher = ChaCha20Poly1305(_hkdf(file_key, rest[:16], b"payload"))
    sealed, out = rest[16:], b""
    chunks = -(-len(sealed) // (CHUNK + 16))
    for number in range(chunks):
        last = number == chunks - 1
        chunk = sealed[number * (CHUNK + 16) : (number + 1) * (CHUNK + 16)]
        if last and number and len(chunk) == 16:
            raise NoMatch("empty last chunk")
        try:
            out += cipher.decrypt(number.to_bytes(11, "big") + bytes([last]), chunk, None)
        except InvalidTag as error:
            raise NoMatch("damaged payload") from error
    return out


def open_age(data: bytes, identities=(), passphrase: bytes | None = None) -> bytes:
    """The payload of the file; `NoMatch` where what was given does not open it, `AgeError` where it cannot be tried."""
    stanzas, header, mac, rest = _parse(data)
    file_key = _file_key(stanzas, identities, passphrase)
    if not hmac.compare_digest(hmac.digest(_hkdf(file_key, b"", b"header"), header, "sha256"), mac):
        raise NoMatch("bad MAC of the header")
    return _open_payload(file_key, rest)
