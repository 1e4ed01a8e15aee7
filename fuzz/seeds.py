#!/usr/bin/env python3
"""First inputs for every target, from `tests/vectors/format.json`: `python3 fuzz/seeds.py FOLDER`.

What the bytes of an input mean says the target in `src/fuzzing`.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

VECTORS = json.loads((Path(__file__).parents[1] / "tests" / "vectors" / "format.json").read_text())
STREAMS = VECTORS["streams"]
EVEN, ODD = b"\0", b"\1"


def counted(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def stream_header():
    for stream in STREAMS:
        yield EVEN + bytes.fromhex(stream["packets"][0]["packet"])
    yield EVEN + bytes.fromhex(VECTORS["key_groups"]["stream"])
    yield EVEN + bytes.fromhex(VECTORS["key_groups"]["wrong_root_stream_header"])
    description = bytes.fromhex(STREAMS[0]["packets"][3]["description"])
    camera_and_numbers = [bytes([how, epoch]) for how in (0, 1, 5) for epoch in (0, 3, 5)]
    camera_and_numbers.append(bytes([3, 1]) + struct.pack("<III", 1, 96, 0))
    yield from (ODD + b"\0" + numbers + description for numbers in camera_and_numbers)
    groups = [bytes([group["type"]]) + counted(bytes.fromhex(group["bytes"])[:255]) for group in groups_of_all_types()]
    yield ODD + bytes([len(groups)]) + b"".join(groups) + camera_and_numbers[0] + description


def groups_of_all_types():
    return VECTORS["key_groups"]["groups"]


def frame_header():
    for number, stream in enumerate(STREAMS):
        for packet in stream["packets"]:
            if "frame_header" in packet:
                yield bytes([number]) + bytes.fromhex(packet["frame_header"])[:48]


def index():
    names = [stream["name"] for stream in STREAMS]
    for entry in VECTORS["indexes"]:
        number = 2 * names.index(entry["stream"])
        packet = bytes.fromhex(entry["packet"])
        yield bytes([number]) + packet
        if entry["index"]:
            described, points = entry["index"]["descriptions"], entry["index"]["points"]
            end = entry["index"]["end"]
            content = struct.pack("<IIIIQ", 1, len(described), len(points), 0, (1 << 64) - 1 if end is None else end)
            content += b"".join(struct.pack("<QQ", *told) for told in described)
            yield bytes([number + 1]) + content + b"".join(struct.pack("<QQQ", *point) for point in points)


def resynchronisation():
    for number, _ in enumerate(STREAMS + VECTORS["epochs"]):
        yield bytes([number, 0, 0, 2])
        yield bytes([number, 50, 0, 2, 5, 0x90, 1, 3])
    packets = b"".join(bytes([0, number]) for number in range(6))
    yield b"\0\1\0" + packets
    yield b"\0\0\0" + packets[:6] + b"\6\40\0" + packets[6:]
    yield b"\0\0\0" + packets + b"\7\1\7\2" + b"\10\0\0\377\0"
    yield b"\0\0\0\0\0\4" + counted(b"CVEILFRM noise CVEILHDR") + packets
    # Lengths that only somebody with the key can claim.
    for field, value in ((32, 7), (35, 1), (36, 4), (1, 1), (4, 1), (0, 2)):
        yield b"\0\0\0\0\0\11\1" + bytes([field, value]) + packets


def cipher_picture():
    for number in range(6):
        yield EVEN + bytes([number])
        yield EVEN + bytes([number]) + b"\100\0\0\3"
        yield EVEN + bytes([number]) + b"\20\3\3\4\1\2\3\4"
    formats = {"GRAY8": 0, "RGB": 1, "I420": 2}
    for picture in VECTORS["pictures"][:10]:
        rows = b"".join(map(bytes.fromhex, picture["plane_0_rows"]))
        geometry = picture["taller_planes"][0]
        for code in formats.values():
            size = bytes([code, (geometry["row_bytes"] - 1) & 255, (geometry["rows"] - 1) & 255, 0])
            yield ODD + size + rows


def record():
    for entry in VECTORS["records"]:
        yield EVEN + bytes.fromhex(entry["record"])
    for packet in STREAMS[0]["packets"]:
        if "record" in packet:
            yield EVEN + bytes.fromhex(packet["record"])
        if "description" in packet:
            yield ODD + bytes.fromhex(packet["description"])


def sealed_texts():
    for stream in STREAMS[:1]:
        for packet in stream["packets"]:
            if "caps" in packet:
                yield b"\0" + packet["caps"].encode()
            if "record" in packet:
                yield b"\3" + bytes.fromhex(packet["record"])
    for entry in VECTORS["records"]:
        if entry["metas"]:
            yield b"\3" + bytes.fromhex(entry["record"])
    for picture in VECTORS["pictures"]:
        yield b"\0" + picture["caps"].encode()
    yield b'\0video/x-h264, streamheader=(buffer)< 0102, 0304 >, codec_data=(buffer)01, framerate=(fraction)30/1'
    yield b'\0video/x-raw(memory:DMABuf), width=(int)[ 1, 100, 2 ], format=(string){ I420, NV12 }; audio/x-raw'
    yield b'\1detection, label=(string)person, confidence=(double)0.5;'
    yield b'\1a, b=(GstStructure)"c\\,\\ d\\=\\(int\\)1\\;", e=(datetime)2020-01-01T10:00:00Z, f=(bitmask)0x1, g=(flagset)1:2;'
    yield b'\2taglist, title=(string)"a clip", image-orientation=(string)rotate-90, nobodys-tag=(int)1;'
    yield b'\2taglist, datetime=(datetime)2020-01-01, bitrate=(uint)5, geo-location-latitude=(double)1.5;'


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def containers():
    cluster = bytes.fromhex("1f43b67586") + b"\xe7\x81\0\xa3\x81\0"
    for size in (b"\x8b", bytes.fromhex("01ffffffffffffff")):
        yield EVEN + bytes.fromhex("1a45dfa380") + bytes.fromhex("18538067") + size + cluster

    for handler in (b"vide", b"text"):
        media = box(b"mdia", box(b"hdlr", bytes(8) + handler + bytes(12)))
        chapters = box(b"tref", box(b"chap", bytes([0, 0, 0, 2])))
        track = box(b"trak", box(b"tkhd", bytes(12) + bytes([0, 0, 0, 1]) + bytes(68)) + chapters + media)
        yield ODD + box(b"mvhd", bytes(100)) + track + track
    yield ODD + b"\0\0\0\1trak" + (24).to_bytes(8, "big") + bytes(8)


def track_counts():
    entries = b"".join(b"\xae\x86\xd7\x81\1\x83\x81" + kind for kind in (b"\1", b"\2", b"\x11", b"\x21"))
    tracks = bytes.fromhex("1654ae6b") + bytes([0x80 | len(entries)]) + entries
    void = b"\xec\x84" + bytes(4)
    yield b"\7" + bytes.fromhex("1a45dfa380") + bytes.fromhex("1853806701ffffffffffffff") + void + tracks
    track = box(b"trak", box(b"tkhd", bytes(84)) + box(b"mdia", box(b"hdlr", bytes(8) + b"vide" + bytes(12))))
    yield b"\x20" + box(b"ftyp", bytes(12)) + box(b"mdat", bytes(40)) + box(b"moov", track + track)
    yield b"\0RIFF" + bytes(4) + b"AVI LIST" + bytes(4) + b"hdrlavih" + bytes(28) + (2).to_bytes(4, "little")


def key_files():
    groups = VECTORS["key_groups"]
    preshared = b"# a comment\r\nCHAOSVEIL-PSK-1:" + groups["psk"].encode() + b"\n"
    yield b"\0# identity\n" + groups["identities"][0].encode() + b"\n"
    yield b"\0-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----\n"
    yield b"\1" + preshared
    yield b"\2" + groups["passphrase"].encode() + b"\r\nmore"
    yield b"\3" + "\n".join(groups["recipients"]).encode()
    yield b"\3ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0iTxzvnJtfIM6jMkQz0mOtTFMrvEyLXcm9dCNkKTqc someone\n"
    yield b"\4" + preshared
    yield b"\5" + preshared.replace(b"PSK", b"CAMERA")


TARGETS = (
    cipher_picture, containers, frame_header, index, key_files, record, resynchronisation, sealed_texts, stream_header,
    track_counts,
)


def main(folder: Path) -> None:
    for target in TARGETS:
        (folder / target.__name__).mkdir(parents=True, exist_ok=True)
        for seed in target():
            (folder / target.__name__ / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
