"""What a reader and a writer share: codes, limits, key derivation, nonces, the steps of a frame (sections 1 to 5)."""

import hmac
import struct
from dataclasses import dataclass

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

HEADER_MAGIC = b"CVEILHDR"
FRAME_MAGIC = b"CVEILFRM"
PICTURE_MAGIC = b"CVEILPIC"
INDEX_MAGIC = b"CVEILIDX"
INDEX_END = b"CVEILEND"
VERSION = 1
HARDENED, CHAOS, AEAD_ONLY = 1, 2, 3
PROFILES = {HARDENED: "hardened", CHAOS: "chaos", AEAD_ONLY: "aead"}
AES_256_GCM, CHACHA20_POLY1305 = 1, 2
AEADS = {AES_256_GCM: "aes-256-gcm", CHACHA20_POLY1305: "chacha20-poly1305"}
CIPHERS = {AES_256_GCM: AESGCM, CHACHA20_POLY1305: ChaCha20Poly1305}
FRAME, END = 0, 1
RECIPIENTS, PASSPHRASE, PRE_SHARED_KEY = 1, 2, 3
HEAD_FIXED = 40
TAIL_FIXED = 72
TAIL_MACED = 56
FRAME_HEADER = 64
RECORD_FIXED = 12
SEGMENT_INFO = 84
TRAILER = 24
INDEX_HEADER = 88
INDEX_TRAILER = 16
INDEX_FIXED = 24
INDEX_DESCRIPTION = 16
INDEX_POINT = 24
TAG = 16
SEGMENT = 786_432
RECORD_INDEX = 0xFFFFFFFF
DESCRIPTION_INDEX = 0xFFFFFFFE
ABSENT = 0xFFFFFFFFFFFFFFFF
MAX_STREAM_HEADER = 65_536
MAX_KEY_GROUPS = 64
MAX_AGE_STANZAS = 64
MAX_PAYLOAD = 536_870_912
MAX_RECORD = 65_535
MAX_STREAMS = 256
MAX_EPOCH = 1 << 20
SIGNATURE = 32 + 64
MAX_INDEX_DESCRIPTIONS = 4096
MAX_INDEX_POINTS = 65_536
MAX_INDEX_BYTES = 33_554_432
REPLAY_WINDOW = 1024


class FormatError(Exception):
    """The bytes are not what the format says they must be."""


class WrongKey(FormatError):
    """A well-formed stream header that no given key opens."""


class Truncated(FormatError):
    """The bytes end before the packet does."""


@dataclass(frozen=True)
class EpochKeys:
    """The secret of one epoch and the three keys made of it, with what they do."""

    stream: "StreamKeys"
    number: int
    secret: bytes
    seal_key: bytes
    chaos: bytes
    mac: bytes

    def digest(self, frame_header: bytes, payload: bytes) -> bytes:
        """The authenticator of profile `chaos`."""
        return blake3(struct.pack("<I", FRAME_HEADER) + frame_header + payload, key=self.mac).digest()

    def frame_key(self, counter: int, segments: int, authenticator: bytes) -> bytes:
        """The key of the chaotic stage for one frame."""
        m = 0 if self.stream.profile == CHAOS else segments
        material = self.stream.stream_id + struct.pack("<IQI", self.number, counter, m) + authenticator
        return blake3(material, key=self.chaos).digest()

    def seal(self, counter: int, index: int, plain: bytes, aad: bytes) -> bytes:
        return CIPHERS[self.stream.aead](self.seal_key).encrypt(nonce(counter, index), plain, aad)

    def open(self, counter: int, index: int, sealed: bytes, aad: bytes) -> bytes:
        """Raises `cryptography.exceptions.InvalidTag` on anything that was not sealed so."""
        return CIPHERS[self.stream.aead](self.seal_key).decrypt(nonce(counter, index), sealed, aad)


class StreamKeys:
    """Everything derived from the root and the HEAD of a stream (sections 2 and 4)."""

    def __init__(self, root: bytes, head: bytes):
        self.profile, self.aead = head[9], head[10]
        self.stream_id = head[16:32]
        self.head_hash = blake3(head).digest()
        self.commitment = self._derive("commitment", root)
        self.header_key = self._derive("header", root)
        self.index_key = self._derive("index", root)
        self._root = root

    def _derive(self, use: str, secret: bytes) -> bytes:
        context = f"chaosveil v1 {use} {AEADS[self.aead]} {PROFILES[self.profile]}"
        return blake3(secret + self.head_hash, derive_key_context=context).digest()

    def epoch(self, number: int) -> EpochKeys:
        secret = self._root
        for _ in range(number):
            secret = self._derive("ratchet", secret)
        return EpochKeys(self, number, secret, *(self._derive(use, secret) for use in ("seal", "chaos", "mac")))

    def header_mac(self, label: bytes, data: bytes) -> bytes:
        return blake3(label + data, key=self.header_key).digest()[:TAG]

    def tail_mac(self, tail: bytes) -> bytes:
        return self.header_mac(b"tail", self.head_hash + tail[:TAIL_MACED])

    def frame_mac(self, frame_header: bytes) -> bytes:
        return self.header_mac(b"frame", frame_header[:48])

    def index_mac(self, index_header: bytes) -> bytes:
        return self.header_mac(b"index", index_header[:72])

    def index_cipher(self, salt: bytes):
        """The cipher of one index packet, whose nonce is zero."""
        context = f"chaosveil v1 index packet {AEADS[self.aead]} {PROFILES[self.profile]}"
        return CIPHERS[self.aead](blake3(self.index_key + salt, derive_key_context=context).digest())

    def description_aad(self, tail: bytes) -> bytes:
        return b"description" + self.head_hash + tail[:TAIL_MACED]

    def signed_by_camera(self, tail: bytes, description: bytes) -> bytes:
        """What a camera's signature covers."""
        return b"chaosveil v1 camera" + self.head_hash + tail[:TAIL_MACED] + description


def nonce(counter: int, index: int) -> bytes:
    return struct.pack("<QI", counter, index)


def segment_count(payload_length: int) -> int:
    return max(1, -(-payload_length // SEGMENT))


def segment_aad(frame_header: bytes, index: int, segments: int) -> bytes:
    return frame_header + struct.pack("<II", index, segments)


def authenticator_length(profile: int, segments: int) -> int:
    return 32 if profile == CHAOS else TAG * segments


def pre_shared_kek(psk: bytes, salt: bytes) -> bytes:
    return blake3(psk + salt, derive_key_context="chaosveil v1 psk").digest()


def same(a: bytes, b: bytes) -> bool:
    return hmac.compare_digest(a, b)


def absent_as_none(value: int) -> int | None:
    return None if value == ABSENT else value


def none_as_absent(value: int | None) -> int:
    return ABSENT if value is None else value
