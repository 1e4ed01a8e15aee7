"""Writes `format.json`: known answers of the format, from the independent Python program in `tests/second_reader`.

Run from anywhere: `python tests/vectors/generate.py`. With `--check` it compares with the file instead of writing it.
"""

import json
import math
import struct
import sys
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from second_reader import age_writer, chaotic_stage, geometry, index, layout, writer  # noqa: E402
from second_reader.geometry import Plane, planes_of_caps, row_step  # noqa: E402
from second_reader.layout import AEAD_ONLY, AES_256_GCM, CHACHA20_POLY1305, CHAOS, HARDENED  # noqa: E402
from second_reader.reader import Credentials, open_picture, read  # noqa: E402
from second_reader.records import parse_record  # noqa: E402

NAMES = [(profile, aead) for profile in layout.PROFILES for aead in layout.AEADS]
SMALL_LENGTHS = [0, 1, 255, 256, 257, 1000]
TILE_EDGES = [49_151, 49_152, 49_153, 100_000]
SEGMENT_EDGES = [786_431, 786_432, 786_433, 1_572_864, 1_572_865]
CAPS = "video/x-raw, format=(string)GRAY8, width=(int)16, height=(int)16, framerate=(fraction)30/1"
NEW_CAPS = "video/x-raw, format=(string)GRAY8, width=(int)20, height=(int)15, framerate=(fraction)25/1"


def fixed_bytes(label: str, length: int) -> bytes:
    """Stands for a random value of the writer; it is written into the file as an input."""
    return blake3(f"chaosveil format vectors: {label}".encode()).digest(length=length)


def payload_rule(length: int) -> bytes:
    return bytes((i * 197 + (i >> 8) * 31 + 7) & 255 for i in range(length))


def hash_of(data: bytes) -> str:
    return blake3(data).hexdigest()


class Stream:
    """The fixed inputs of one stream and its keys."""

    def __init__(self, label: str, profile: int, aead: int):
        self.psk, self.salt, self.root = (fixed_bytes(f"{label} {use}", 32) for use in ("psk", "salt", "root"))
        self.stream_id, self.recording_id = (fixed_bytes(f"{label} {use} id", 16) for use in ("stream", "recording"))
        self.group = writer.pre_shared_group(self.psk, self.salt, self.root, self.stream_id)
        self.head = writer.head(profile, aead, self.stream_id, [self.group])
        self.keys = layout.StreamKeys(self.root, self.head)
        self.credentials = Credentials(psk=self.psk)

    def header(
        self, counter: int, caps: str, segment: bytes = b"", epoch: int = 0, camera: Ed25519PrivateKey | None = None
    ) -> tuple[bytes, bytes, bytes]:
        """Stream header packet, TAIL and the plaintext of the description."""
        plain = writer.description(0, 1, self.recording_id, caps, segment)
        tail = writer.tail(self.keys, counter, plain, epoch, camera)
        return self.head + tail, tail, plain

    def inputs(self) -> dict:
        keys = self.keys
        return {
            "profile": keys.profile,
            "aead": keys.aead,
            "profile_name": layout.PROFILES[keys.profile],
            "aead_name": layout.AEADS[keys.aead],
            "psk": self.psk.hex(),
            "salt": self.salt.hex(),
            "root": self.root.hex(),
            "stream_id": self.stream_id.hex(),
            "recording_id": self.recording_id.hex(),
        }


def name_of(profile: int, aead: int) -> str:
    return f"{layout.PROFILES[profile]}/{layout.AEADS[aead]}"


def check_chaotic_stage() -> None:
    """This program's chaotic stage must reproduce every entry of chaotic_stage.json."""
    for entry in json.loads((HERE / "chaotic_stage.json").read_text())["vectors"]:
        key, length = bytes.fromhex(entry["k_frame"]), entry["length"]
        data = payload_rule(length)
        stream, p = chaotic_stage.keystream(key, length), chaotic_stage.permutation(key, length)
        out = chaotic_stage.encrypt(key, data)
        indices = struct.pack(f"<{length}I", *p)
        assert hash_of(stream) == entry["keystream_blake3"] and stream[:32].hex() == entry["keystream_first_32"]
        assert hash_of(indices) == entry["permutation_blake3_u32le"]
        assert hash_of(out) == entry["output_blake3"]
        assert out[:32].hex() == entry["output_first_32"] and out[-32:].hex() == entry["output_last_32"]
        assert chaotic_stage.decrypt(key, out) == data


def key_entries(streams: dict[str, Stream]) -> list[dict]:
    entries = []
    for name, stream in streams.items():
        keys = stream.keys
        packet, tail, plain = stream.header(0, CAPS)
        epochs = [keys.epoch(number) for number in range(3)]
        entries.append(
            {"name": name}
            | stream.inputs()
            | {
                "kek": layout.pre_shared_kek(stream.psk, stream.salt).hex(),
                "key_group": stream.group[1].hex(),
                "head": stream.head.hex(),
                "h": keys.head_hash.hex(),
                "commitment": keys.commitment.hex(),
                "k_hdr": keys.header_key.hex(),
                "k_index": keys.index_key.hex(),
                "epochs": [
                    {
                        "epoch": number,
                        "secret": epoch.secret.hex(),
                        "k_seal": epoch.seal_key.hex(),
                        "k_chaos": epoch.chaos.hex(),
                        "k_mac": epoch.mac.hex(),
                    }
                    for number, epoch in enumerate(epochs)
                ],
                "description_counter": 0,
                "track": 0,
                "tracks": 1,
                "caps": CAPS,
                "description": plain.hex(),
                "tail": tail.hex(),
                "tail_mac": tail[layout.TAIL_MACED : layout.TAIL_FIXED].hex(),
                "stream_header_packet": packet.hex(),
            }
        )
    return entries


def record_inputs(record: writer.Record) -> dict:
    names = "description_counter flags pts dts duration offset offset_end".split()
    return {name: getattr(record, name) for name in names}


def frame_parts(sealed: writer.SealedFrame) -> dict:
    return {
        "frame_header": sealed.header.hex(),
        "frame_header_mac": sealed.header[48:].hex(),
        "authenticator": sealed.authenticator.hex(),
        "sealed_record": sealed.record.hex(),
        "k_frame": sealed.frame_key and sealed.frame_key.hex(),
    }


def frame_entry(name: str, stream: Stream, counter: int, length: int) -> dict:
    record = writer.Record(0, 0x40 if counter == 1 else 0x2000, 33_333_333 * (counter & 0xFF), None, 33_333_333)
    if counter % 2:
        record.dts, record.offset, record.offset_end = record.pts - 1_000, counter - 1, counter
    sealed = writer.frame(stream.keys, counter, payload_rule(length), record.pack())
    packet = sealed.packet()
    opened = read(stream.header(0, CAPS)[0] + packet, stream.credentials).streams[stream.stream_id].frames
    assert [frame.payload for frame in opened] == [payload_rule(length)]
    return (
        {"keys": name, "payload_length": length, "counter": counter}
        | record_inputs(record)
        | {"record": record.pack().hex()}
        | frame_parts(sealed)
        | {
            "before_stage_blake3": hash_of(sealed.before_stage),
            "payload_first_32": sealed.payload[:32].hex(),
            "payload_last_32": sealed.payload[-32:].hex(),
            "packet_length": len(packet),
            "packet_blake3": hash_of(packet),
        }
    )


def frame_entries(streams: dict[str, Stream]) -> list[dict]:
    entries = []
    for name, stream in streams.items():
        tiles = [] if stream.keys.profile == AEAD_ONLY else TILE_EDGES
        lengths = [*SMALL_LENGTHS, *tiles, *SEGMENT_EDGES]
        entries += [frame_entry(name, stream, counter, length) for counter, length in enumerate(lengths, 1)]
        entries.append(frame_entry(name, stream, 0x0000_0102_0304_0506, 33))
    return entries


def text16(text: str) -> bytes:
    return struct.pack("<H", len(text.encode())) + text.encode()


REGION_PARAMETER = "detection, label=(string)person, confidence=(double)0.5;"
CROP = (1, struct.pack("<4I", 2, 3, 12, 10))
REGION = (2, struct.pack("<6I", 1, 2, 5, 6, 7, 0xFFFFFFFF) + text16("face") + text16(REGION_PARAMETER))
TIME_CODE = (3, struct.pack("<8IQ", 30000, 1001, 1, 10, 59, 58, 29, 0, 1_700_000_000_000_000))
REFERENCE = (4, struct.pack("<QQ", 1_700_000_000_123_456_789, layout.ABSENT) + text16("timestamp/x-unix"))
MODEL_DIGEST = bytes(range(32))


def classification(confidence: float, label: str) -> tuple[int, bytes]:
    return 6, struct.pack("<Qd", 41, confidence) + MODEL_DIGEST + text16(label)


CLASSIFICATION = classification(0.8125, "plain")
UNKNOWN = (200, b"skip me")
META_FIELDS = [
    {"meta": "video crop", "type": 1, "body": CROP[1].hex(), "x": 2, "y": 3, "width": 12, "height": 10},
    {"meta": "region of interest", "type": 2, "body": REGION[1].hex(), "x": 1, "y": 2, "width": 5, "height": 6}
    | {"id": 7, "parent": 0xFFFFFFFF, "region_type": "face", "parameters": [REGION_PARAMETER]},
    {"meta": "time code", "type": 3, "body": TIME_CODE[1].hex(), "fps_numerator": 30000, "fps_denominator": 1001}
    | {"flags": 1, "hours": 10, "minutes": 59, "seconds": 58, "frames": 29, "field_count": 0}
    | {"daily_jam_us": 1_700_000_000_000_000},
    {"meta": "reference timestamp", "type": 4, "body": REFERENCE[1].hex(), "timestamp": 1_700_000_000_123_456_789}
    | {"duration": None, "caps": "timestamp/x-unix"},
    {"meta": "classification", "type": 6, "body": CLASSIFICATION[1].hex(), "frame": 41, "confidence": 0.8125}
    | {"model_digest": MODEL_DIGEST.hex(), "label": "plain"},
]
SEGMENT_FIELDS = {
    "format": 3,
    "flags": 0,
    "rate": 1.0,
    "applied_rate": 1.0,
    "base": 0,
    "offset": 0,
    "start": 5_000_000_000,
    "stop": None,
    "time": 5_000_000_000,
    "position": 5_000_000_000,
    "duration": None,
}


def record_entries() -> list[dict]:
    """Records beyond those of the streams: `metas` null where the record must be refused."""
    plain = writer.Record(0, pts=1, metas=[CROP, UNKNOWN, REGION]).pack()
    empty = writer.Record(0).pack()
    cases = [
        ("an unknown meta type between two known ones is skipped", plain, [1, 2]),
        ("every time absent, no metas", empty, []),
        ("version 2", b"\2" + empty[1:], None),
        ("reserved bit set", empty[:1] + b"\x80" + empty[2:], None),
        ("decoded when shown", writer.Record(0, 0, 7, 7).pack(), []),
        ("decoded when shown, and never shown", empty[:1] + b"\x20" + empty[2:], None),
        ("decoded when shown, and at another time", empty[:1] + b"\x23" + empty[2:] + bytes(16), None),
        ("a counter of eight bytes", writer.Record(1 << 32).pack(), []),
        ("a small counter in eight bytes", empty[:1] + b"\x40" + empty[2:] + bytes(4), None),
        ("a time announced and not there", empty[:1] + b"\1" + empty[2:], None),
        ("a time that is told and absent", empty[:1] + b"\1" + empty[2:] + b"\xff" * 8, None),
        ("every time present", writer.Record(0, 0, 1, 2, 3, 4, 5).pack(), []),
        ("shorter than its fixed fields", empty[:-1], None),
        ("a meta that passes the end", plain[:-1], None),
        ("one meta more announced than present", plain[:2] + b"\4" + plain[3:], None),
        ("bytes after the last meta", plain + b"\0", None),
        ("a crop that is too short", writer.Record(0, metas=[(1, bytes(15))]).pack(), None),
        ("a text with a zero byte", writer.Record(0, metas=[(5, text16("taglist, title=a\0b;"))]).pack(), None),
        ("a classification", writer.Record(0, metas=[CLASSIFICATION]).pack(), [6]),
        ("the longest label, surely", writer.Record(0, metas=[classification(1.0, "x" * 255)]).pack(), [6]),
        ("a label that is too long", writer.Record(0, metas=[classification(0.0, "x" * 256)]).pack(), None),
        ("a label that is empty", writer.Record(0, metas=[classification(0.0, "")]).pack(), None),
        ("a confidence above one", writer.Record(0, metas=[classification(1.0000001, "plain")]).pack(), None),
        ("a confidence below zero", writer.Record(0, metas=[classification(-0.1, "plain")]).pack(), None),
        ("a confidence that is no number", writer.Record(0, metas=[classification(math.nan, "plain")]).pack(), None),
        ("a classification with bytes left", writer.Record(0, metas=[(6, CLASSIFICATION[1] + b"x")]).pack(), None),
        ("a classification cut in its digest", writer.Record(0, metas=[(6, CLASSIFICATION[1][:40])]).pack(), None),
    ]
    for _, record, metas in cases:
        try:
            found = [meta["type"] for meta in parse_record(record).metas]
        except layout.FormatError:
            found = None
        names = {1: "video crop", 2: "region of interest", 6: "classification"}
        assert found == (None if metas is None else [names[kind] for kind in metas])
    return [{"case": case, "record": record.hex(), "metas": metas} for case, record, metas in cases]


def small_stream(stream: Stream) -> dict:
    """Header, two frames, new description, frame, end record, with one of each kind of meta."""
    segment = writer.segment_info(*list(SEGMENT_FIELDS.values())[1:])
    frames = {
        1: (256, writer.Record(0, 0x40, 5_000_000_000, 5_000_000_000, 33_333_333, metas=[CROP])),
        2: (257, writer.Record(0, 0x2000, 5_033_333_333, None, 33_333_333, metas=[REGION])),
        4: (300, writer.Record(3, 0x60, 5_066_666_666, None, 40_000_000, 2, 3, [TIME_CODE, REFERENCE])),
    }
    packets = []

    def add(kind: str, packet: bytes, fields: dict) -> None:
        at = sum(entry["length"] for entry in packets)
        placed = {"kind": kind, "position": at, "length": len(packet)}
        packets.append(placed | fields | {"packet": packet.hex()})

    def add_header(counter: int, caps: str, segment_fields: dict | None) -> None:
        packet, tail, plain = stream.header(counter, caps, segment if segment_fields else b"")
        fields = {"description_counter": counter, "track": 0, "tracks": 1, "caps": caps, "segment": segment_fields}
        add("stream header", packet, fields | {"description": plain.hex(), "tail": tail.hex()})

    def add_frame(counter: int) -> None:
        length, record = frames[counter]
        sealed = writer.frame(stream.keys, counter, payload_rule(length), record.pack())
        metas = [{"type": kind, "body": body.hex()} for kind, body in record.metas]
        fields = {"counter": counter, "payload_length": length, "payload_blake3": hash_of(payload_rule(length))}
        fields |= record_inputs(record) | {"metas": metas, "record": record.pack().hex()}
        add("frame", sealed.packet(), fields | frame_parts(sealed))

    add_header(0, CAPS, None)
    add_frame(1)
    add_frame(2)
    add_header(3, NEW_CAPS, SEGMENT_FIELDS)
    add_frame(4)
    end = writer.end_record(stream.keys, 5, 3, 3)
    fields = {"counter": 5, "description_counter": 3, "last_counter": 4, "frames": 3}
    add("end record", end.packet(), fields | frame_parts(end))
    whole = b"".join(bytes.fromhex(entry["packet"]) for entry in packets)
    reading = read(whole, stream.credentials)
    assert reading.intact and [frame.counter for frame in reading.streams[stream.stream_id].frames] == [1, 2, 4]
    return stream.inputs() | {"length": len(whole), "blake3": hash_of(whole), "packets": packets}


def epoch_stream(stream: Stream) -> dict:
    """A signed stream that goes on to the next epoch before frame 3, and twice at once before frame 4."""
    packets, seed = [], fixed_bytes("camera", 32)
    camera = Ed25519PrivateKey.from_private_bytes(seed)

    def add(kind: str, epoch: int, counter: int, packet: bytes) -> None:
        packets.append({"kind": kind, "epoch": epoch, "counter": counter, "packet": packet.hex()})

    counter = 0
    for epoch, lengths in [(0, (10, 300)), (1, (257,)), (3, (0, 49_153))]:
        described = counter
        add("stream header", epoch, counter, stream.header(counter, CAPS, epoch=epoch, camera=camera)[0])
        for length in lengths:
            counter += 1
            record = writer.Record(described, pts=counter)
            sealed = writer.frame(stream.keys, counter, payload_rule(length), record.pack(), epoch=epoch)
            add("frame", epoch, counter, sealed.packet())
            packets[-1] |= {"payload_length": length} | record_inputs(record) | {"record": record.pack().hex()}
        counter += 1
    add("end record", 3, counter, writer.end_record(stream.keys, counter, described, 5, epoch=3).packet())
    packets[-1] |= {"description_counter": described, "last_counter": counter - 1, "frames": 5}
    whole = b"".join(bytes.fromhex(entry["packet"]) for entry in packets)
    reading = read(whole, stream.credentials)
    assert reading.intact and released(reading, stream) == [1, 2, 4, 6, 7]
    public = camera.public_key().public_bytes_raw()
    assert reading.streams[stream.stream_id].description.camera == public
    return stream.inputs() | {"camera_seed": seed.hex(), "camera": public.hex(), "caps": CAPS, "packets": packets}


def index_entries(name: str, stream: Stream, packets: list[dict]) -> list[dict]:
    """Index packets behind the packets of a small stream: one that is right, and contents that must be refused."""
    at = {packet.get("description_counter") if packet["kind"] == "stream header" else packet.get("counter"): packet["position"] for packet in packets}
    told, points = [(0, at[0]), (3, at[3])], [(1, at[1], 0), (4, at[4], 66_666_666)]
    right = index.pack_content(index.Index(106_666_666, told, points))

    def content(told, points, end=None):
        return index.pack_content(index.Index(end, told, points))

    cases = [
        ("right", right, True),
        ("no end, no points", content(told, []), True),
        ("no descriptions", content([], points), False),
        ("descriptions that go back", content(told[::-1], points), False),
        ("points that go back", content(told, points[::-1]), False),
        ("two points at one time", content(told, [points[0], (4, at[4], 0)]), False),
        ("two points at one place", content(told, [points[0], (4, at[1], 1)]), False),
        ("a point before every description", content(told[1:], points), False),
        ("one point more than it says", right + bytes(24), False),
        ("one point fewer than it says", right[:-24], False),
        ("version 2", b"\2" + right[1:], False),
        ("a reserved byte", right[:3] + b"\1" + right[4:], False),
        ("a reserved number", right[:12] + b"\1" + right[13:], False),
        ("nothing", b"", False),
    ]
    entries = []
    for case, packed, good in cases:
        salt = fixed_bytes(f"index {name} {case}", 32)
        packet = index.seal(stream.keys, packed, at[0], salt)
        found = index.find_from_end(bytes(9) + packet)
        assert found == [(9, 9 + len(packet))]
        try:
            opened = index.open_index(packet, stream.keys)
        except layout.FormatError:
            opened = None
        assert (opened is not None) == good, case
        fields = {"end": opened.end, "descriptions": opened.descriptions, "points": opened.points} if opened else None
        entries.append({"stream": name, "case": case, "salt": salt.hex(), "index": fields, "packet": packet.hex()})
    return entries


def released(reading, stream: Stream) -> list[int]:
    found = reading.streams.get(stream.stream_id)
    return [frame.counter for frame in found.frames] if found else []


def truncations(name: str, stream: Stream, packets: list[dict]) -> list[dict]:
    """For every length that a prefix may have: how many frames may leave, and whether the stream is complete."""
    entries, frames = [], 0

    def add(start: int, end: int, complete: bool) -> None:
        entries.append({"stream": name, "from": start, "to": end, "frames": frames, "complete": complete})

    for packet in packets:
        add(packet["position"], packet["position"] + packet["length"] - 1, False)
        frames += packet["kind"] == "frame"
    end = packets[-1]["position"] + packets[-1]["length"]
    add(end, end, True)
    whole = b"".join(bytes.fromhex(packet["packet"]) for packet in packets)
    for entry in entries:
        for length in {entry["from"], entry["from"] + 1, entry["from"] + 64, entry["to"]}:
            reading = read(whole[:length], stream.credentials)
            assert (len(released(reading, stream)), reading.intact) == (entry["frames"], entry["complete"])
    return entries


def header_fields(packet: dict, head_length: int) -> list[tuple[str, int]]:
    """Field and byte position, inside the packet, of one byte of each field of a stream header packet."""
    head = "magic:0 magic:7 version:8 profile:9 aead:10 reserved:11 head_length:12 head_length:15 stream_id:16 "
    head += "stream_id:31 segment_length:34 key_group_count:36 reserved_2:38 key_group_type:40 "
    head += "key_group_reserved:41 key_group_length:42 key_group_salt:44 key_group_sealed_root:80 "
    head += f"key_group_tag:{head_length - 1}"
    tail = "commitment:0 commitment:31 description_counter:32 description_length:40 description_length:43 "
    tail += "epoch:44 epoch:47 signature_length:48 reserved_3:52 reserved_3:55 tail_mac:56 tail_mac:71 "
    tail += "sealed_description:72"
    fields = [field.split(":") for field in head.split()]
    fields += [(name, int(at) + head_length) for name, at in (field.split(":") for field in tail.split())]
    return [(name, int(at)) for name, at in fields] + [("description_tag", packet["length"] - 1)]


def frame_fields(packet: dict, record_length: int) -> list[tuple[str, int]]:
    """The same for a frame packet with one segment."""
    header = "magic:0 magic:5 version:8 kind:9 profile:10 reserved:11 epoch:12 epoch:15 stream_id:16 stream_id:31 "
    header += "counter:32 counter:39 payload_length:40 payload_length:43 record_length:44 record_length:47 mac:48 "
    header += f"mac:63 authenticator:64 authenticator:79 sealed_record:80 record_tag:{80 + record_length} "
    header += f"payload:{96 + record_length}"
    fields = [field.split(":") for field in header.split()]
    return [(name, int(at)) for name, at in fields] + [("payload", packet["length"] - 1)]


def damage(stream: Stream, packets: list[dict]) -> list[dict]:
    """Single bit flips. Every bit is authenticated, so a flip costs its packet, and nothing but that:

    frames need a stream header before them, and the description that their record names.
    """
    whole = b"".join(bytes.fromhex(packet["packet"]) for packet in packets)
    counters = [packet["counter"] for packet in packets if packet["kind"] == "frame"]
    first_frames, last_frames = counters[:2], counters[2:]
    kept = [last_frames, counters[1:], counters[:1] + last_frames, first_frames, first_frames, counters]
    undescribed = [[], [], [], last_frames, [], []]
    entries = []
    for number, packet in enumerate(packets):
        if packet["kind"] == "stream header":
            places = header_fields(packet, len(stream.head))
        else:
            places = frame_fields(packet, len(bytes.fromhex(packet["sealed_record"])) - layout.TAG)
        if number in (3, 4):
            places = places[::2]
        for turn, (name, at) in enumerate(places):
            position, bit = packet["position"] + at, (3 * turn + number) % 8
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            reading = read(bytes(flipped), stream.credentials)
            assert released(reading, stream) == kept[number] and not reading.intact, (number, name)
            assert not reading.streams or reading.streams[stream.stream_id].undescribed == undescribed[number]
            entry = {"packet": number, "field": name, "byte": position, "bit": bit, "released": kept[number]}
            entries.append(entry | {"undescribed": undescribed[number]})
    return entries


def key_group_stream() -> dict:
    """A stream of one frame whose HEAD has a group of every type, one of an unknown type, and one with another root."""
    name = "key groups"
    base = Stream(name, HARDENED, CHACHA20_POLY1305)
    identity, ephemeral, other, other_ephemeral = (
        X25519PrivateKey.from_private_bytes(fixed_bytes(f"{name} {use}", 32))
        for use in ("identity", "ephemeral", "other identity", "other ephemeral")
    )
    file_keys = [fixed_bytes(f"{name} file key {number}", 16) for number in range(2)]
    nonces = [fixed_bytes(f"{name} nonce {number}", 16) for number in range(2)]
    passphrase, scrypt_salt = "correct horse battery staple", fixed_bytes(f"{name} scrypt salt", 16)
    recipients = [
        age_writer.x25519_stanza(other.public_key(), other_ephemeral, file_keys[0]),
        age_writer.x25519_stanza(identity.public_key(), ephemeral, file_keys[0]),
    ]
    scrypt = [age_writer.scrypt_stanza(passphrase.encode(), scrypt_salt, 10, file_keys[1])]
    wrong_root = writer.pre_shared_group(base.psk, fixed_bytes("wrong salt", 32), bytes(32), base.stream_id)
    groups = [
        (77, b"a type of the future"),
        (layout.RECIPIENTS, age_writer.age_file(recipients, file_keys[0], nonces[0], base.root)),
        (layout.PASSPHRASE, age_writer.age_file(scrypt, file_keys[1], nonces[1], base.root)),
        base.group,
    ]
    base.head = writer.head(base.keys.profile, base.keys.aead, base.stream_id, groups)
    base.keys = layout.StreamKeys(base.root, base.head)
    header, tail, _ = base.header(0, CAPS)
    frame = writer.frame(base.keys, 1, payload_rule(100), writer.Record(0, pts=0).pack()).packet()
    whole = header + frame + writer.end_record(base.keys, 2, 0, 1).packet()
    wrong_head = writer.head(base.keys.profile, base.keys.aead, base.stream_id, [wrong_root])
    for credentials in (
        Credentials(identities=[identity]),
        Credentials(identities=[other]),
        Credentials(passphrase=passphrase.encode()),
        base.credentials,
    ):
        assert read(whole, credentials).intact
        assert read(wrong_head + tail, credentials).locked == 1
    return base.inputs() | {
        "identities": [age_writer.identity_text(key) for key in (identity, other)],
        "recipients": [age_writer.recipient_text(key) for key in (identity, other)],
        "wrong_identity": age_writer.identity_text(ephemeral),
        "passphrase": passphrase,
        "groups": [{"type": kind, "bytes": body.hex()} for kind, body in groups],
        "head": base.head.hex(),
        "payload_length": 100,
        "stream": whole.hex(),
        "wrong_root_stream_header": (wrong_head + tail).hex(),
    }


# Of larger cipher pictures only the extra rows are told.
WHOLE_PICTURE = 5_000
PICTURES = [
    ("GRAY8 16x16", HARDENED, AES_256_GCM),
    ("I420 17x13", HARDENED, CHACHA20_POLY1305),
    ("NV12 18x13", CHAOS, AES_256_GCM),
    ("RGB 5x7", CHAOS, CHACHA20_POLY1305),
    ("YUY2 16x9", AEAD_ONLY, AES_256_GCM),
    ("v210 7x5", AEAD_ONLY, CHACHA20_POLY1305),
    ("I420 17x14 interlaced", HARDENED, AES_256_GCM),
    ("P010_10LE 8x14 interlaced", CHAOS, AES_256_GCM),
    ("YUV9 19x10 interlaced", AEAD_ONLY, CHACHA20_POLY1305),
    ("I420 16x25 alternate", HARDENED, CHACHA20_POLY1305),
    ("GRAY8 1024x769", HARDENED, CHACHA20_POLY1305),
]
LAYOUT_SIZES = [(1, 1, False), (17, 13, False), (18, 14, True), (720, 486, True), (1920, 1080, False)]


def layout_entries() -> list[dict]:
    """Row bytes and rows of every plane at a few sizes, with the formats that have them; others are opaque bytes."""
    entries = []
    for width, height, interlaced in LAYOUT_SIZES:
        formats = {}
        for name in [*geometry.SHAPES, *geometry.OPAQUE]:
            planes = geometry.planes_of(name, width, height, interlaced)
            text = " ".join(f"{plane.row_bytes}x{plane.rows}" for plane in planes) if planes else "opaque"
            formats.setdefault(text, []).append(name)
        size = {"width": width, "height": height, "interlaced": interlaced}
        entries.append(size | {"formats": {text: " ".join(names) for text, names in formats.items()}})
    return entries


def last_rows_of(plane: Plane, packed: bytes, number: int) -> list[str]:
    """The last `number` rows of plane 0 of a packed picture, in hex."""
    end = plane.row_bytes * plane.rows
    starts = range(end - plane.row_bytes * number, end, plane.row_bytes)
    return [packed[start : start + plane.row_bytes].hex() for start in starts]


def picture_caps(name: str, height: int | None = None) -> str:
    """Caps for a name such as `I420 17x14 interlaced`; with another height those of the cipher picture."""
    format_name, size, *modes = name.split()
    width, own_height = size.split("x")
    media = "video/x-raw(format:Interlaced)" if "alternate" in modes else "video/x-raw"
    caps = f"{media}, format=(string){format_name}, width=(int){width}, height=(int){height or own_height}"
    for mode in modes:
        caps += f", interlace-mode=(string){'interleaved' if mode == 'interlaced' else mode}"
    return caps + ", framerate=(fraction)25/1"


def picture(name: str, profile: int, aead: int) -> dict:
    """A cipher picture with the fewest extra rows that hold what must stand there."""
    caps = picture_caps(name)
    planes, interlaced = planes_of_caps(caps)
    stream = Stream(f"picture {name}", profile, aead)
    header, tail, plain = stream.header(0, caps)
    payload = payload_rule(sum(plane.row_bytes * plane.rows for plane in planes))
    record = writer.Record(0, 0x40, 2_000_000_000, None, 40_000_000)
    sealed = writer.frame(stream.keys, 1, payload, record.pack())
    needed = len(header) + len(sealed.packet()) - len(payload) + layout.TRAILER
    step = row_step(planes, interlaced)
    extra_rows = -(-needed // (planes[0].row_bytes * step)) * step
    fields_per_frame = 2 if name.endswith(" alternate") else 1
    height = int(name.split()[1].split("x")[1]) + fields_per_frame * extra_rows
    taller, _ = planes_of_caps(picture_caps(name, height))
    packed = b"".join(writer.cipher_picture(planes, extra_rows, header, sealed))
    assert open_picture(taller, packed, stream.credentials, interlaced)[2].payload == payload
    fields = {"name": name} | stream.inputs() | {"head": stream.head.hex(), "caps": caps}
    fields |= {"taller_caps": picture_caps(name, height), "interlaced": interlaced, "description_counter": 0}
    fields |= {"tail": tail.hex(), "counter": 1, "payload_length": len(payload), "payload_blake3": hash_of(payload)}
    fields |= record_inputs(record) | {"record": record.pack().hex()} | frame_parts(sealed)
    fields |= {"planes": [vars(p) for p in planes], "extra_rows": extra_rows}
    fields |= {"taller_planes": [vars(p) for p in taller]}
    fields |= {"picture_length": len(packed), "picture_blake3": hash_of(packed)}
    told_rows = taller[0].rows if len(packed) <= WHOLE_PICTURE else extra_rows
    fields["plane_0_rows"] = last_rows_of(taller[0], packed, told_rows)
    return fields


def main() -> None:
    check_chaotic_stage()
    streams = {name_of(*pair): Stream(name_of(*pair), *pair) for pair in NAMES}
    small = {name: Stream(f"small {name}", *pair) for name, pair in zip(streams, NAMES)}
    small_streams = [{"name": name} | small_stream(stream) for name, stream in small.items()]
    first = next(iter(small.values()))
    cuts = [truncations(name, small[name], entry["packets"]) for name, entry in zip(small, small_streams)]
    document = {
        "what": "known answers of format version 1, made by the independent program in tests/second_reader; "
        "bytes are hex, null is an absent value, counters are one sequence for each stream",
        "payload_rule": "byte i = (i * 197 + (i >> 8) * 31 + 7) & 255",
        "keys": key_entries(streams),
        "frames": frame_entries(streams),
        "metas": META_FIELDS,
        "records": record_entries(),
        "streams": small_streams,
        "epochs": [
            {"name": name} | epoch_stream(Stream(f"epochs {name}", *pair)) for name, pair in zip(streams, NAMES)
        ],
        "truncations": [entry for entries in cuts for entry in entries],
        "damage": damage(first, small_streams[0]["packets"]),
        "indexes": [entry for name, told in zip(small, small_streams) for entry in index_entries(name, small[name], told["packets"])],
        "key_groups": key_group_stream(),
        "pictures": [picture(*arguments) for arguments in PICTURES],
        "layouts": layout_entries(),
    }
    text = json.dumps(document, indent=1) + "\n"
    path = HERE / "format.json"
    if "--check" in sys.argv[1:]:
        sys.exit(0 if path.read_text() == text else "format.json differs from what this program writes")
    path.write_text(text)


if __name__ == "__main__":
    main()
