"""Forges streams, one fault a file, with nothing of the product: `python3 tests/kit/forge.py` writes the kit anew.

With `--check` it compares with what is there instead, and reads every file with the second reader. Every value that a
writer would draw at random is fixed, so that the kit comes out byte for byte.
"""

import json
import struct
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from second_reader import age_writer, index, layout, writer  # noqa: E402
from second_reader.key_files import read_identities, read_passphrase, read_pre_shared_key  # noqa: E402
from second_reader.layout import AEAD_ONLY, AES_256_GCM, CHACHA20_POLY1305, HARDENED  # noqa: E402
from second_reader.reader import Credentials, Reading, read  # noqa: E402

SUCCESS, NO_KEY, HEADER, FRAME, TRUNCATED, REPLAYED = (
    "success", "no key", "header failure", "frame failure", "truncated", "replayed"
)
CAPS = "video/x-h264, stream-format=(string)byte-stream, alignment=(string)au"
PASSPHRASE = "correct horse battery staple"
PRE_SHARED, IDENTITY, PASSPHRASE_FILE = "preshared.key", "identity.key", "passphrase.txt"


def fixed(label: str, length: int = 32) -> bytes:
    """Stands for a random value of the writer."""
    return blake3(f"chaosveil kit: {label}".encode()).digest(length=length)


PSK, ROOT, STREAM_ID, RECORDING = fixed("psk"), fixed("root"), fixed("stream id", 16), fixed("recording", 16)
FILE_KEY = fixed("file key", 16)
CAMERA = Ed25519PrivateKey.from_private_bytes(fixed("camera"))
READER = X25519PrivateKey.from_private_bytes(fixed("identity"))
STRANGER = X25519PrivateKey.from_private_bytes(fixed("a stranger's identity"))


@dataclass(frozen=True)
class Case:
    """A file: what is wrong with it, what a reader must make of it."""

    name: str
    fault: str
    expected: str
    data: bytes
    released: list[tuple[int, bytes]]
    key: str = PRE_SHARED


# -- parts of a stream ------------------------------------------------------------------------------------------------


def own_group(psk: bytes = PSK, root: bytes = ROOT, stream_id: bytes = STREAM_ID) -> tuple[int, bytes]:
    return writer.pre_shared_group(psk, fixed("salt"), root, stream_id)


def age_group(stanzas: list[str], kind: int = layout.RECIPIENTS, root: bytes = ROOT) -> tuple[int, bytes]:
    return kind, age_writer.age_file(stanzas, FILE_KEY, fixed("age nonce", 16), root)


def stanza_for(identity: X25519PrivateKey, label: str = "") -> str:
    ephemeral = X25519PrivateKey.from_private_bytes(fixed(f"ephemeral {label}"))
    return age_writer.x25519_stanza(identity.public_key(), ephemeral, FILE_KEY)


def passphrase_group(passphrase: str = PASSPHRASE, log_n: int = 8, told_log_n: int | None = None) -> tuple[int, bytes]:
    stanza = age_writer.scrypt_stanza(passphrase.encode(), fixed("scrypt salt", 16), log_n, FILE_KEY)
    if told_log_n is not None:
        stanza = stanza.replace(f" {log_n}\n", f" {told_log_n}\n")
    return age_group([stanza], layout.PASSPHRASE)


def description(caps: str = CAPS, track: int = 0, tracks: int = 1, recording: bytes = RECORDING, more: bytes = b""):
    return writer.description(track, tracks, recording, caps, more)


class Stream:
    """A writer whose every step can be done wrong."""

    def __init__(self, profile=AEAD_ONLY, aead=AES_256_GCM, groups=None, stream_id=STREAM_ID, root=ROOT, head=None):
        self.head = head or writer.head(profile, aead, stream_id, groups or [own_group(stream_id=stream_id)])
        self.keys = layout.StreamKeys(root, self.head)

    def header(self, counter: int = 0, plain: bytes | None = None, epoch: int = 0, camera=None) -> bytes:
        plain = description() if plain is None else plain
        return self.head + writer.tail(self.keys, counter, plain, epoch, camera)

    def signed_header(self, signed: bytes, flipped: bool = False) -> bytes:
        """The first header, with a signature of the camera that is good for `signed`, perhaps but for its last bit."""
        plain = description()
        fixed = self.keys.commitment + struct.pack("<QIIII", 0, len(plain) + layout.SIGNATURE, 0, layout.SIGNATURE, 0)
        signature = CAMERA.sign(self.keys.signed_by_camera(fixed, signed))
        plain += CAMERA.public_key().public_bytes_raw() + (flip(signature, -1) if flipped else signature)
        sealed = self.keys.epoch(0).seal(0, layout.DESCRIPTION_INDEX, plain, self.keys.description_aad(fixed))
        return self.head + fixed + self.keys.tail_mac(fixed) + sealed

    def frame(self, counter: int, record: bytes | None = None, described: int = 0, epoch: int = 0) -> writer.SealedFrame:
        return writer.frame(self.keys, counter, payload(counter), record or writer.Record(described).pack(), epoch=epoch)

    def packet(self, counter: int, **how) -> bytes:
        return self.frame(counter, **how).packet()

    def end(self, counter: int, frames: int, described: int = 0, epoch: int = 0) -> bytes:
        return writer.end_record(self.keys, counter, described, frames, epoch).packet()

    def claimed(self, packet: bytes, at: int, value: bytes) -> bytes:
        """The packet with a field of its header changed, under a MAC that holds."""
        header = put(packet[:48], at, value)
        return header + self.keys.frame_mac(header) + packet[64:]

    def retold(self, header: bytes, at: int, value: bytes) -> bytes:
        """The stream header with a field of its TAIL changed, under a MAC that holds."""
        start = len(self.head)
        tail = put(header[start : start + layout.TAIL_MACED], at, value)
        return header[:start] + tail + self.keys.tail_mac(tail) + header[start + layout.TAIL_FIXED :]


def payload(counter: int) -> bytes:
    """Frames of 300, 5, 0, 300, ... bytes."""
    return bytes((i * 7 + counter) & 255 for i in range((0, 300, 5)[counter % 3]))


def put(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def flip(data: bytes, at: int) -> bytes:
    at %= len(data)
    return put(data, at, bytes([data[at] ^ 1]))


def frames(*counters: int) -> list[tuple[int, bytes]]:
    return [(counter, payload(counter)) for counter in counters]


ALL = frames(1, 2, 3)
GOOD = Stream()
HEADER_PACKET, ONE, TWO, THREE, END = GOOD.header(), *(GOOD.packet(n) for n in (1, 2, 3)), GOOD.end(4, 3)


def whole(stream: Stream, plain: bytes | None = None) -> bytes:
    return stream.header(plain=plain) + b"".join(stream.packet(n) for n in (1, 2, 3)) + stream.end(4, 3)


# -- the cases --------------------------------------------------------------------------------------------------------


def sound():
    for profile, aead in ((HARDENED, 1), (HARDENED, 2), (AEAD_ONLY, 1), (AEAD_ONLY, 2)):
        name = f"sound-{layout.PROFILES[profile]}-{layout.AEADS[aead]}"
        yield Case(name, "none", SUCCESS, whole(Stream(profile, aead)), ALL)
    recipient = Stream(groups=[age_group([stanza_for(STRANGER, "a"), stanza_for(READER, "b")])])
    yield Case("sound-recipients", "none: the second of two recipients", SUCCESS, whole(recipient), ALL, IDENTITY)
    passphrase = Stream(groups=[passphrase_group()])
    yield Case("sound-passphrase", "none", SUCCESS, whole(passphrase), ALL, PASSPHRASE_FILE)
    groups = [(77, b"a type of the future"), own_group(psk=fixed("another psk")), own_group()]
    yield Case("sound-third-group", "none: the third key group opens it", SUCCESS, whole(Stream(groups=groups)), ALL)
    groups = [own_group(root=fixed("another root")), own_group()]
    fault = "none: the first key group unwraps another root, whose commitment does not fit"
    yield Case("sound-root-of-another", fault, SUCCESS, whole(Stream(groups=groups)), ALL)
    yield Case("sound-repeated-header", "none", SUCCESS, HEADER_PACKET + ONE + HEADER_PACKET + TWO + THREE + END, ALL)
    later = GOOD.header(2, description("audio/x-opus"))
    data = HEADER_PACKET + ONE + later + GOOD.packet(3, described=2) + GOOD.end(4, 2, 2)
    yield Case("sound-new-description", "none", SUCCESS, data, frames(1, 3))
    for name, fault, camera in (("sound-epochs", "none: two later epochs", None), ("sound-signed", "none: signed", CAMERA)):
        data = GOOD.header(camera=camera) + ONE + GOOD.header(2, epoch=1, camera=camera)
        data += GOOD.packet(3, described=2, epoch=1) + GOOD.header(4, epoch=1024, camera=camera)
        data += GOOD.packet(5, described=4, epoch=1024) + GOOD.end(6, 3, 4, 1024)
        yield Case(name, fault, SUCCESS, data, frames(1, 3, 5))
    data = HEADER_PACKET + ONE + GOOD.packet(1 << 40) + GOOD.end((1 << 40) + 1, 2)
    yield Case("sound-gap-of-counters", "none: gaps alone are no damage", SUCCESS, data, frames(1, 1 << 40))
    data = HEADER_PACKET + ONE + GOOD.end(2, 1) + THREE + GOOD.end(4, 2)
    yield Case("sound-goes-on-after-end", "none: the newest end record holds", SUCCESS, data, frames(1, 3))
    record = writer.Record(0, metas=[(200, b"of the future")]).pack()
    data = HEADER_PACKET + GOOD.packet(1, record=record) + GOOD.end(2, 1)
    yield Case("sound-unknown-meta", "none: unknown metas are skipped", SUCCESS, data, frames(1))


def locked():
    other = [own_group(psk=fixed("another psk"))]
    yield Case("key-of-another", "a pre-shared key that is not the reader's", NO_KEY, whole(Stream(groups=other)), [])
    group = age_group([stanza_for(STRANGER)])
    yield Case("recipient-is-another", "a recipient that is not the reader", NO_KEY, whole(Stream(groups=[group])), [], IDENTITY)
    other = Stream(groups=[passphrase_group("not this one")])
    yield Case("passphrase-is-another", "another passphrase", NO_KEY, whole(other), [], PASSPHRASE_FILE)
    unknown = Stream(groups=[(77, b"a type of the future")])
    yield Case("group-types-unknown", "no key group of a known type", NO_KEY, whole(unknown), [])
    kind, body = own_group()
    yield Case("group-too-short", "a pre-shared-key group of 79 bytes", NO_KEY, whole(Stream(groups=[(kind, body[:-1])])), [])
    crafted = Stream(groups=[own_group(root=fixed("root of the victim"))])
    yield Case("root-not-committed", "the key group holds another root than is committed to", NO_KEY, whole(crafted), [])
    data = put(whole(GOOD), 16, fixed("another stream id", 16))
    yield Case("stream-id-changed", "another stream id in the HEAD", NO_KEY, data, [])
    data = flip(whole(GOOD), len(GOOD.head))
    yield Case("commitment-flipped", "a bit of the commitment", NO_KEY, data, [])


def headers():
    def case(name: str, fault: str, data: bytes, key: str = PRE_SHARED) -> Case:
        return Case(name, fault, HEADER, data, [], key)

    def of_head(name: str, fault: str, at: int, value: bytes) -> Case:
        """A HEAD that its writer has made so: everything after it is derived from it."""
        return case(name, fault, whole(Stream(head=put(GOOD.head, at, value))))

    sound, tail = whole(GOOD), len(GOOD.head)
    yield case("header-version", "version 2", put(sound, 8, b"\2"))
    yield case("head-length-39", "a head shorter than its fields", put(sound, 12, struct.pack("<I", 39)))
    yield case("head-length-2-32", "a head of 2^32 - 1 bytes", put(sound, 12, b"\xff" * 4))
    yield case("head-length-65537", "a head of 65,537 bytes", put(sound, 12, struct.pack("<I", 65_537)))
    yield case("description-2-32", "a description of 2^32 - 1 bytes", put(sound, tail + 40, b"\xff" * 4))
    yield of_head("no-key-groups", "no key groups are told", 36, b"\0\0")
    yield of_head("65-key-groups", "65 key groups are told", 36, b"\x41\0")
    yield of_head("key-group-too-long", "a key group that passes the end of the HEAD", 42, b"\xff\xff")
    yield of_head("key-group-reserved", "a reserved byte of a key group", 41, b"\1")
    yield of_head("head-reserved", "a reserved byte of the HEAD", 11, b"\1")
    yield of_head("head-reserved-end", "the last reserved bytes of the HEAD", 38, b"\1\0")
    yield of_head("segment-length", "another segment length", 32, struct.pack("<I", 65_536))
    yield case("profile-unknown", "profile 9", put(sound, 9, b"\x09"))
    yield case("aead-unknown", "AEAD 9", put(sound, 10, b"\x09"))
    yield case("tail-counter", "the counter of the description", flip(sound, tail + 32))
    yield case("tail-mac", "the MAC of the tail", flip(sound, tail + layout.TAIL_FIXED - 1))
    sealed = flip(HEADER_PACKET, tail + layout.TAIL_FIXED)
    yield case("description-flipped", "a bit of the sealed description", sealed + ONE + TWO + THREE + END)
    tagged = flip(HEADER_PACKET, -1)
    yield case("description-tag", "a bit of the description's tag", tagged + ONE + TWO + THREE + END)
    for name, fault, at, value in (
        ("signature-length", "a signature of 64 bytes is told", 48, struct.pack("<I", 64)),
        ("signature-absent", "a signature is told and is none", 48, struct.pack("<I", layout.SIGNATURE)),
        ("tail-reserved", "a reserved byte of the TAIL", 52, b"\1"),
        ("header-epoch", "an epoch beyond the last one", 44, struct.pack("<I", layout.MAX_EPOCH + 1)),
        ("header-other-epoch", "another epoch than the description was sealed in", 44, b"\1"),
    ):
        retold = GOOD.retold(HEADER_PACKET, at, value)
        yield case(name, fault + ", under a MAC that holds", retold + ONE + TWO + THREE + END)
    for name, fault, plain in (
        ("signature-of-other-text", "a camera's signature of another description", description(track=1, tracks=2)),
        ("signature-flipped", "a camera's signature with a bit flipped", None),
    ):
        signed = GOOD.signed_header(plain or description(), flipped=plain is None)
        yield case(name, fault, signed + ONE + TWO + THREE + END)
    for name, fault, plain in (
        ("description-version", "a description of version 2", put(description(), 0, b"\2")),
        ("description-reserved", "a reserved byte of the description", put(description(), 1, b"\1")),
        ("track-beyond", "track 1 of 1", description(track=1)),
        ("tracks-none", "track 0 of 0", description(tracks=0)),
        ("caps-not-utf8", "caps that are not UTF-8", description().replace(b"video", b"vide\xff")),
        ("caps-zero-byte", "caps with a zero byte", description("video/x-h264\0")),
        ("caps-too-long", "caps that pass the end of the description", put(description(), 24, b"\xff\0\0\0")),
        ("description-bytes-left", "bytes after the last field", description(more=bytes(83))),
        ("segment-of-bytes", "a segment that is not in time", description(more=struct.pack("<I", 2) + bytes(80))),
        ("description-empty", "a description without bytes", b""),
    ):
        yield case(name, fault, whole(GOOD, plain))
    yield case("two-passphrases", "two passphrase groups", whole(Stream(groups=[own_group(), passphrase_group(), passphrase_group()])))
    stanzas = [stanza_for(READER if number == 0 else STRANGER, str(number)) for number in range(65)]
    yield case("65-recipients", "65 stanzas, the first one for the reader", whole(Stream(groups=[age_group(stanzas)])), IDENTITY)
    for told in (21, 63):
        dear = Stream(groups=[passphrase_group(told_log_n=told)])
        yield case(f"scrypt-{told}", f"scrypt with log N {told}", whole(dear), PASSPHRASE_FILE)
    strange = Stream(groups=[(layout.RECIPIENTS, b"no age file")])
    yield case("group-no-age-file", "a key group of recipients that is no age file", whole(strange), IDENTITY)
    yield case("no-header", "the stream header is missing", ONE + TWO + THREE + END)
    yield case("nothing-of-ours", "no packet at all", b"CVEIL is how it begins, and no more")
    yield case("header-cut", "the file ends within the stream header", HEADER_PACKET[:-1])


def packets():
    def case(name: str, fault: str, second: bytes, released=frames(1, 3)) -> Case:
        return Case(name, fault, FRAME, HEADER_PACKET + ONE + second + THREE + END, released)

    sealed = GOOD.frame(2)
    yield case("frame-mac", "the MAC of a frame header", flip(TWO, 63))
    yield case("frame-version", "a frame of version 2, under a MAC that holds", GOOD.claimed(TWO, 8, b"\2"))
    yield case("frame-kind", "a frame of kind 9, under a MAC that holds", GOOD.claimed(TWO, 9, b"\x09"))
    yield case("frame-profile", "a frame of another profile, under a MAC that holds", GOOD.claimed(TWO, 10, bytes([HARDENED])))
    yield case("frame-reserved", "a reserved byte of the frame header, under a MAC that holds", GOOD.claimed(TWO, 11, b"\1"))
    yield case("frame-epoch", "a frame that tells another epoch than it was sealed in", GOOD.claimed(TWO, 12, b"\1\0\0\0"))
    yield case("frame-epoch-of-no-description", "a frame of another epoch than its description", GOOD.packet(2, epoch=1))
    beyond = struct.pack("<I", layout.MAX_EPOCH + 1)
    yield case("frame-epoch-beyond", "a frame of an epoch beyond the last one, under a MAC that holds", GOOD.claimed(TWO, 12, beyond))
    yield case("frame-counter", "a frame under another counter than it was sealed with", GOOD.claimed(TWO, 32, b"\x63"))
    yield case("frame-2-32", "a payload of 2^32 - 1 bytes is told", GOOD.claimed(TWO, 40, b"\xff" * 4))
    yield case("frame-512-mib", "a payload of 512 MiB is told, which is allowed, and does not come", GOOD.claimed(TWO, 40, b"\0\0\0\x20"))
    yield case("record-65536", "a record of 65,536 bytes is told", GOOD.claimed(TWO, 44, b"\0\0\1\0"))
    yield case("payload-shorter", "a payload one byte shorter than it was sealed", GOOD.claimed(TWO, 40, b"\4\0\0\0")[:-1])
    yield case("end-as-frame", "an end record that tells it is a frame", GOOD.claimed(GOOD.end(2, 1), 9, b"\0"))
    yield case("tag-flipped", "a bit of a segment's tag", flip(TWO, 64))
    yield case("record-flipped", "a bit of the sealed record", flip(TWO, 80))
    yield case("record-tag", "a bit of the record's tag", flip(TWO, len(TWO) - len(sealed.payload) - 1))
    yield case("payload-flipped", "a bit of the payload", flip(TWO, -1))
    yield case("record-of-another", "the record of another frame", replace(sealed, record=GOOD.frame(3).record).packet())
    yield case("body-of-another", "the body of another stream's frame", TWO[:64] + Stream(aead=CHACHA20_POLY1305).packet(2)[64:])
    record = writer.Record(0).pack()
    absent = b"\1\1\0\0" + bytes(4) + bytes(4) + b"\xff" * 8
    label = struct.pack("<Qd", 0, 2.0) + bytes(32) + b"\1\0a"
    for name, fault, plain in (
        ("record-version", "a record of version 2", put(record, 0, b"\2")),
        ("record-reserved", "a reserved bit of the record", put(record, 1, b"\x80")),
        ("record-time-missing", "a time is announced and not there", put(record, 1, b"\1")),
        ("record-time-absent", "a time that is told and absent", absent),
        ("record-meta-missing", "a meta is announced and not there", put(record, 2, b"\1\0")),
        ("record-bytes-left", "bytes after the last meta", record + b"\0"),
        ("record-meta-too-long", "a meta that passes the end of the record", put(record, 2, b"\1\0") + b"\1\0\xff\xff"),
        ("record-small-counter", "a small counter in eight bytes", put(record, 1, b"\x40") + bytes(4)),
        ("record-confidence", "a classification with confidence 2", writer.Record(0, metas=[(6, label)]).pack()),
        ("record-description", "the description that the record names never came", writer.Record(9).pack()),
    ):
        yield case(name, fault, GOOD.packet(2, record=plain))
    other = Stream(stream_id=fixed("another stream", 16), root=fixed("root of another stream"))
    yield case("frame-of-another-stream", "a frame of another stream in the place of one", other.packet(2))
    yield case("header-of-another-stream", "a second stream of the same track, in the place of a frame", other.header())
    recording = other.header(plain=description(recording=fixed("another recording", 16)))
    yield case("header-of-another-recording", "a stream of another recording, in the place of a frame", recording)
    yield case("garbage", "bytes that belong to no packet, between two", TWO + b"CVEILFRM noise CVEILHDR", ALL)
    yield case("torn", "a frame that is cut, with others after it", TWO[:-1])
    again = GOOD.header(plain=description("audio/x-opus"))
    yield case("description-changed", "another description under a known counter", TWO + again, ALL)
    moved = GOOD.header(2, description(tracks=2))
    yield case("place-changed", "a stream that changes its place in its recording", moved)
    repeated = flip(HEADER_PACKET, -1)
    yield case("repeated-header-flipped", "a bit of a repeated stream header", TWO + repeated, ALL)




def ends():
    def case(name: str, fault: str, data: bytes, released) -> Case:
        return Case(name, fault, TRUNCATED, data, released)

    start = HEADER_PACKET + ONE + TWO
    yield case("cut-after-header", "nothing after the stream header", HEADER_PACKET, [])
    yield case("cut-between-frames", "no end record", start, frames(1, 2))
    yield case("cut-in-frame", "the file ends within a frame", start + GOOD.packet(4)[:-1], frames(1, 2))
    yield case("cut-in-frame-header", "the file ends within a frame header", start + THREE[:63], frames(1, 2))
    yield case("cut-in-end-record", "the file ends within the end record", start + THREE + END[:-1], ALL)
    yield case("end-flipped", "a bit of the end record", start + THREE + flip(END, -1), ALL)
    yield case("end-counter", "an end record that contradicts its own counter", start + THREE + wrong_end(4, 9, 3), ALL)
    yield case("end-short", "an end record of 15 bytes", start + THREE + odd_end(b"\3" + bytes(14)), ALL)
    timed = writer.Record(0, pts=0).pack()
    yield case("end-with-time", "an end record with a time", start + THREE + odd_end(struct.pack("<QQ", 3, 3), timed), ALL)
    yield case("frame-missing", "a frame is missing", HEADER_PACKET + ONE + THREE + END, frames(1, 3))
    yield case("first-frame-missing", "the first frame is missing", HEADER_PACKET + TWO + THREE + END, frames(2, 3))
    yield case("end-counts-more", "the end record counts a frame more", start + THREE + GOOD.end(4, 4), ALL)
    data = whole(GOOD, description(tracks=2))
    yield case("track-missing", "the second track of a recording is missing", data, ALL)


def wrong_end(counter: int, told: int, count: int) -> bytes:
    body = struct.pack("<QQ", told, count)
    return writer.frame(GOOD.keys, counter, body, writer.Record(0).pack(), layout.END).packet()


def odd_end(body: bytes, record: bytes | None = None) -> bytes:
    return writer.frame(GOOD.keys, 4, body, record or writer.Record(0).pack(), layout.END).packet()


def replays():
    def case(name: str, fault: str, data: bytes, released) -> Case:
        return Case(name, fault, REPLAYED, data, released)

    yield case("frame-twice", "a frame comes twice", HEADER_PACKET + ONE + TWO + TWO + THREE + END, ALL)
    yield case("frame-again-later", "the first frame comes again", HEADER_PACKET + ONE + TWO + ONE + THREE + END, ALL)
    yield case("frames-swapped", "two frames have changed places", HEADER_PACKET + TWO + ONE + THREE + END, frames(2, 3))
    many = b"".join(GOOD.packet(n) for n in range(2, 6))
    data = HEADER_PACKET + ONE + many + many + GOOD.end(6, 5)
    yield case("part-twice", "four frames come twice", data, frames(1, 2, 3, 4, 5))
    hardened = Stream(HARDENED)
    parts = [hardened.packet(n) for n in (1, 2, 3)]
    data = hardened.header() + b"".join([*parts, parts[1]]) + hardened.end(4, 3)
    yield case("frame-again-hardened", "a frame comes again, profile hardened", data, ALL)


def indexes():
    """An index is a hint: one that does not verify is no damage where every frame is there, and hides none."""

    def case(name: str, fault: str, data: bytes, expected: str = SUCCESS) -> Case:
        return Case(name, fault, expected, data, ALL)

    at = [len(HEADER_PACKET), len(HEADER_PACKET + ONE + TWO)]
    told = index.Index(None, [(0, 0)], [(1, at[0], 0), (3, at[1], 2_000_000_000)])
    salt, content = fixed("index"), index.pack_content(told)
    sealed = index.seal(GOOD.keys, content, 0, salt)
    yield case("sound-index", "none: an index at the end", whole(GOOD) + sealed)
    yield case("sound-index-in-the-middle", "none: an index between frames", HEADER_PACKET + ONE + sealed + TWO + THREE + END)
    yield case("index-flipped", "a bit of the index", whole(GOOD) + flip(sealed, layout.INDEX_HEADER))
    yield case("index-cut", "the file ends within the index", whole(GOOD) + sealed[:-1])
    fixed_part = put(sealed[: layout.INDEX_HEADER - 16], 12, b"\xff" * 4)
    claimed = fixed_part + GOOD.keys.index_mac(fixed_part) + sealed[layout.INDEX_HEADER :]
    yield case("index-2-32", "an index of 2^32 - 1 bytes", whole(GOOD) + claimed)
    header = sealed[: layout.INDEX_HEADER]
    data = HEADER_PACKET + ONE + header + TWO + THREE + END
    yield case("index-header-in-the-middle", "the header of an index between frames", data)
    data = HEADER_PACKET + ONE + header + flip(TWO, 20) + TWO + THREE + END
    yield case("index-before-a-forged-frame", "the header of an index, and a frame whose header does not verify", data)
    other = index.seal(Stream(stream_id=fixed("another stream id", 16)).keys, content, 0, salt)
    yield case("index-of-another", "an index of another stream", whole(GOOD) + other)
    disordered = index.pack_content(index.Index(None, [(0, 0)], [(3, at[1], 2_000_000_000), (1, at[0], 0)]))
    yield case("index-out-of-order", "an index whose points are out of order", whole(GOOD) + index.seal(GOOD.keys, disordered, 0, salt))
    yield case("index-without-end", "no end record before the index", HEADER_PACKET + ONE + TWO + THREE + sealed, TRUNCATED)


def all_cases() -> list[Case]:
    made = [case for make in (sound, locked, headers, packets, ends, replays, indexes) for case in make()]
    assert len({case.name for case in made}) == len(made)
    return made


# -- the kit ----------------------------------------------------------------------------------------------------------


def digest(released: list[tuple[int, bytes]]) -> str:
    """BLAKE3 over `u64 counter | u32 length | bytes` of each frame, in order."""
    return blake3(b"".join(struct.pack("<QI", n, len(data)) + data for n, data in released)).hexdigest()


def kit() -> dict[str, bytes]:
    """Every file of the kit by its name."""
    made = {
        PRE_SHARED: f"CHAOSVEIL-PSK-1:{PSK.hex()}\n".encode(),
        IDENTITY: f"{age_writer.identity_text(READER)}\n".encode(),
        PASSPHRASE_FILE: f"{PASSPHRASE}\n".encode(),
    }
    entries = []
    for case in all_cases():
        name = f"{case.name}.cveil"
        made[name] = case.data
        entry = {"file": name, "fault": case.fault, "key": case.key, "expected": case.expected}
        entries.append(entry | {"frames": len(case.released), "released": digest(case.released)})
    told = {"format": 1, "released": "BLAKE3 of `u64 counter | u32 length | bytes` of each frame, in order"}
    made["kit.json"] = (json.dumps(told | {"files": entries}, indent=1) + "\n").encode()
    return made


def class_of(reading: Reading) -> str:
    """README.md says in which order the faults count."""
    streams = list(reading.streams.values())
    if not streams:
        return NO_KEY if reading.locked else HEADER
    (stream,) = streams
    if stream.end is None:
        return TRUNCATED
    if stream.replayed or stream.reordered:
        return REPLAYED
    if reading.skipped_bytes:
        return FRAME
    return SUCCESS if reading.intact else TRUNCATED


def check_with_second_reader() -> list[str]:
    """What the second reader makes of the kit otherwise than is told."""
    keys = {
        PRE_SHARED: Credentials(psk=read_pre_shared_key(HERE / PRE_SHARED)),
        IDENTITY: Credentials(identities=read_identities(HERE / IDENTITY)),
        PASSPHRASE_FILE: Credentials(passphrase=read_passphrase(HERE / PASSPHRASE_FILE)),
    }
    wrong = []
    for entry in json.loads((HERE / "kit.json").read_text())["files"]:
        reading = read((HERE / entry["file"]).read_bytes(), keys[entry["key"]])
        released = [(f.counter, f.payload) for stream in reading.streams.values() for f in stream.frames]
        found = class_of(reading), digest(released)
        if found != (entry["expected"], entry["released"]):
            wrong.append(f"{entry['file']}: {found[0]}, frames {[counter for counter, _ in released]}")
    return wrong


def main() -> int:
    made = kit()
    if "--check" not in sys.argv[1:]:
        for old in HERE.glob("*.cveil"):
            old.unlink()
        for name, data in made.items():
            (HERE / name).write_bytes(data)
    there = {path.name for path in HERE.iterdir() if path.is_file()} - {"forge.py", "README.md"}
    wrong = [f"{name}: not as it is forged" for name, data in made.items() if name not in there or (HERE / name).read_bytes() != data]
    wrong += [f"{name}: not of the kit" for name in sorted(there - made.keys())]
    wrong = wrong or check_with_second_reader()
    print("\n".join(wrong) or f"{len(made) - 4} streams, {sum(map(len, made.values()))} bytes: as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
