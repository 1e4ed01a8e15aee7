"""Makes age v1 files with nothing random in them, to test readers with."""

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA-256 with 32 bytes of output: extract, then one round of expand."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\1", "sha256")


def base64_line(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def bech32(prefix: str, data: bytes) -> str:
    """Bech32 of 32 bytes, as age writes its keys."""
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    values = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = 1
    for value in expanded + values + [0] * 6:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit in range(5):
            if top >> bit & 1:
                check ^= GENERATOR[bit]
    check ^= 1
    values += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(BECH32[value] for value in values)


def identity_text(identity: X25519PrivateKey) -> str:
    return bech32("age-secret-key-", identity.private_bytes_raw()).upper()


def recipient_text(identity: X25519PrivateKey) -> str:
    return bech32("age", identity.public_key().public_bytes_raw())


def x25519_stanza(recipient: X25519PublicKey, ephemeral: X25519PrivateKey, file_key: bytes) -> str:
    share = ephemeral.public_key().public_bytes_raw()
    salt = share + recipient.public_bytes_raw()
    key = hkdf(ephemeral.exchange(recipient), salt, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    return f"-> X25519 {base64_line(share)}\n{base64_line(body)}\n"


def scrypt_stanza(passphrase: bytes, salt: bytes, log_n: int, file_key: bytes) -> str:
    label = b"age-encryption.org/v1/scrypt" + salt
    key = hashlib.scrypt(passphrase, salt=label, n=1 << log_n, r=8, p=1, maxmem=1 << 28, dklen=32)
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)
    return f"-> scrypt {base64_line(salt)} {log_n}\n{base64_line(body)}\n"


def age_file(stanzas: list[str], file_key: bytes, nonce: bytes, payload: bytes) -> bytes:
    """The whole file, in binary."""
    header = "".join(["age-encryption.org/v1\n", *stanzas, "---"]).encode()
    mac = hmac.digest(hkdf(file_key, b"", b"header"), header, "sha256")
    out = header + b" " + base64_line(mac).encode() + b"\n" + nonce
    cipher = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
    chunks = [payload[i : i + 65_536] for i in range(0, len(payload), 65_536)] or [b""]
    for number, chunk in enumerate(chunks):
        out += cipher.encrypt(number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]), chunk, None)
    return out
