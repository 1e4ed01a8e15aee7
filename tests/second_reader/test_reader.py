"""Tests of the second reader: `python -m unittest discover -s tests/second_reader -t tests`."""

import contextlib
import io
import json
import random
import re
import struct
import tempfile
import unittest
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import __main__ as program
from . import age_file, age_writer, chaotic_stage, geometry, key_files, layout, writer
from .geometry import Plane
from .reader import Credentials, open_picture, read
from .records import parse_description, parse_record

REPOSITORY = Path(__file__).resolve().parents[2]
FORMAT = REPOSITORY / "src" / "seal" / "FORMAT.md"
VECTORS = json.loads((REPOSITORY / "tests" / "vectors" / "format.json").read_text())


def payload_rule(length: int) -> bytes:
    return bytes((i * 197 + (i >> 8) * 31 + 7) & 255 for i in range(length))


def whole(stream: dict) -> bytes:
    return b"".join(bytes.fromhex(packet["packet"]) for packet in stream["packets"])


def psk_of(entry: dict) -> Credentials:
    return Credentials(psk=bytes.fromhex(entry["psk"]))


class Vectors(unittest.TestCase):
    def test_none_is_missing(self):
        counts = {name: len(value) for name, value in VECTORS.items() if isinstance(value, list)}
        expected = {"keys": 6, "frames": 88, "metas": 5, "records": 27, "streams": 6, "epochs": 6, "truncations": 42}
        self.assertEqual(counts, expected | {"damage": 134, "indexes": 84, "pictures": 11, "layouts": 5})
        self.assertEqual([len(stream["packets"]) for stream in VECTORS["streams"]], 6 * [6])

    def test_every_stream_has_the_edges_of_segments(self):
        for keys in VECTORS["keys"]:
            lengths = {frame["payload_length"] for frame in VECTORS["frames"] if frame["keys"] == keys["name"]}
            self.assertLessEqual({786_431, 786_432, 786_433, 1_572_864, 1_572_865}, lengths, keys["name"])


class Indexes(unittest.TestCase):
    def test_what_stands_behind_a_stream_is_opened_or_told_as_bad(self):
        streams = {stream["name"]: stream for stream in VECTORS["streams"]}
        for entry in VECTORS["indexes"]:
            stream, packet = streams[entry["stream"]], bytes.fromhex(entry["packet"])
            reading = read(whole(stream) + packet, psk_of(stream))
            self.assertTrue(reading.intact, entry["case"])
            found, told = reading.streams[bytes.fromhex(stream["stream_id"])].index, entry["index"]
            self.assertEqual(found is None, told is None, entry["case"])
            self.assertEqual(reading.bad_index_bytes, 0 if told else len(packet), entry["case"])
            if told:
                self.assertEqual([list(row) for row in found.points], told["points"])

    def test_damage_to_an_index_is_none_to_its_file(self):
        stream, packet = VECTORS["streams"][0], bytes.fromhex(VECTORS["indexes"][0]["packet"])
        for at in range(0, len(packet), 7):
            flipped = bytearray(whole(stream) + packet)
            flipped[at - len(packet)] ^= 1
            reading = read(bytes(flipped), psk_of(stream))
            self.assertEqual(len(next(iter(reading.streams.values())).frames), 3)
            self.assertIsNone(next(iter(reading.streams.values())).index)


class ChaoticStage(unittest.TestCase):
    def test_the_fast_fma_is_exactly_rounded(self):
        self.assertTrue(chaotic_stage.fma_agrees(chaotic_stage.fast_fma, 20_000))

    def test_a_lane_is_the_same_with_the_exact_fma(self):
        seed = random.Random(2).randbytes(40)
        exact = chaotic_stage.lane_words(seed, 192, chaotic_stage.exact_fma)
        self.assertEqual(chaotic_stage.lane_words(seed, 192), exact)

    def test_exact_fma_rounds_once(self):
        tiny = 2.0**-30
        self.assertEqual((1 + tiny) * (1 + tiny) - (1 + 2 * tiny), 0.0)
        self.assertEqual(chaotic_stage.exact_fma(1 + tiny, 1 + tiny, -(1 + 2 * tiny)), 2.0**-60)

    def test_permutation_is_one(self):
        for length in (0, 1, 255, 256, 513, 49_152 + 700):
            found = chaotic_stage.permutation(bytes(32), length)
            self.assertEqual(sorted(found), list(range(length)))


class SmallStreams(unittest.TestCase):
    def setUp(self):
        self.entry = VECTORS["streams"][0]
        self.data, self.credentials = whole(self.entry), psk_of(self.entry)

    def counters(self, data: bytes) -> list[int]:
        streams = read(data, self.credentials).streams
        return [frame.counter for stream in streams.values() for frame in stream.frames]

    def test_all_profiles_and_ciphers_open(self):
        for entry in VECTORS["streams"]:
            reading = read(whole(entry), psk_of(entry))
            (stream,) = reading.streams.values()
            self.assertTrue(reading.intact)
            expected = [packet for packet in entry["packets"] if packet["kind"] == "frame"]
            for frame, packet in zip(stream.frames, expected, strict=True):
                self.assertEqual(frame.payload, payload_rule(packet["payload_length"]))
                for name in "description_counter flags pts dts duration offset offset_end".split():
                    self.assertEqual(getattr(frame.record, name), packet[name])

    def test_metas_and_segment(self):
        (stream,) = read(self.data, self.credentials).streams.values()
        found = [meta for frame in stream.frames for meta in frame.record.metas]
        # None of the streams has a classification.
        body = bytes.fromhex(VECTORS["metas"][4]["body"])
        found += parse_record(writer.Record(0, metas=[(6, body)]).pack()).metas
        for meta, expected in zip(found, VECTORS["metas"], strict=True):
            kind = {"type": expected["meta"]}
            rest = {name: value for name, value in expected.items() if name not in ("meta", "type", "body")}
            self.assertEqual(meta, kind | rest)
        self.assertEqual(stream.description.segment, self.entry["packets"][3]["segment"])

    def test_every_truncation(self):
        streams = {entry["name"]: entry for entry in VECTORS["streams"]}
        for cut in VECTORS["truncations"]:
            entry = streams[cut["stream"]]
            for length in range(cut["from"], cut["to"] + 1, 7):
                reading = read(whole(entry)[:length], psk_of(entry))
                frames = [frame for stream in reading.streams.values() for frame in stream.frames]
                self.assertEqual((len(frames), reading.intact), (cut["frames"], cut["complete"]))

    def test_bit_flips_of_the_vectors(self):
        for flip in VECTORS["damage"]:
            data = bytearray(self.data)
            data[flip["byte"]] ^= 1 << flip["bit"]
            self.assertEqual(self.counters(bytes(data)), flip["released"], flip["field"])
            self.assertFalse(read(bytes(data), self.credentials).intact)

    def test_other_bit_flips_cost_one_packet(self):
        start, end = (self.entry["packets"][n]["position"] for n in (1, 2))
        for byte in range(start, end, 5):
            data = bytearray(self.data)
            data[byte] ^= 1 << byte % 8
            self.assertEqual(self.counters(bytes(data)), [2, 4])

    def test_wrong_key(self):
        reading = read(self.data, Credentials(psk=bytes(32)))
        self.assertFalse(reading.streams)
        self.assertEqual(reading.locked, 2)

    def test_garbage_between_packets_is_damage_but_costs_no_frame(self):
        at = self.entry["packets"][2]["position"]
        data = self.data[:at] + b"CVEILFRM noise CVEILHDR" + self.data[at:]
        self.assertEqual(self.counters(data), [1, 2, 4])
        self.assertFalse(read(data, self.credentials).intact)

    def test_replayed_and_reordered_frames(self):
        parts = [bytes.fromhex(packet["packet"]) for packet in self.entry["packets"]]
        (stream,) = read(b"".join([*parts[:3], parts[1], *parts[3:]]), self.credentials).streams.values()
        self.assertEqual((len(stream.frames), stream.replayed, stream.reordered), (3, 1, 0))
        (stream,) = read(b"".join([parts[0], parts[2], parts[1]]), self.credentials).streams.values()
        self.assertEqual((len(stream.frames), stream.replayed, stream.reordered), (1, 0, 1))

    def test_a_stream_that_goes_on_ends_with_a_newer_end_record(self):
        packets = self.entry["packets"]
        head_length = len(packets[0]["packet"]) // 2 - len(packets[0]["tail"]) // 2
        keys = layout.StreamKeys(bytes.fromhex(self.entry["root"]), self.data[:head_length])
        frame = writer.frame(keys, 6, b"more", writer.Record(3).pack()).packet()
        end = writer.end_record(keys, 7, 3, 4).packet()
        self.assertFalse(read(self.data + frame, self.credentials).intact)
        self.assertTrue(read(self.data + frame + end, self.credentials).intact)
        self.assertFalse(read(self.data[: packets[-1]["position"]] + end, self.credentials).intact)

    def test_repeated_header_is_no_damage(self):
        parts = [bytes.fromhex(packet["packet"]) for packet in self.entry["packets"]]
        self.assertTrue(read(b"".join([*parts[:2], parts[0], *parts[2:]]), self.credentials).intact)


class SeveralStreams(unittest.TestCase):
    def make(self, track: int, recording: bytes = bytes(16)) -> list[bytes]:
        stream_id = bytes([track + 1]) * 16
        root = bytes([track + 7]) * 32
        head = writer.head(2 - track, 1, stream_id, [writer.pre_shared_group(b"k" * 32, b"s" * 32, root, stream_id)])
        keys = layout.StreamKeys(root, head)
        packets = [head + writer.tail(keys, 0, writer.description(track, 2, recording, "audio/x-raw"))]
        for counter in (1, 2):
            record = writer.Record(0).pack()
            packets.append(writer.frame(keys, counter, bytes([track, counter]) * 50, record).packet())
        return [*packets, writer.end_record(keys, 3, 0, 2).packet()]

    def test_interleaved_tracks(self):
        pairs = zip(self.make(0), self.make(1))
        reading = read(b"".join(packet for pair in pairs for packet in pair), Credentials(psk=b"k" * 32))
        self.assertTrue(reading.intact)
        tracks = [[frame.payload for frame in stream.frames] for stream in reading.streams.values()]
        self.assertEqual(tracks, [[bytes([track, n]) * 50 for n in (1, 2)] for track in (0, 1)])

    def test_a_missing_track_is_not_intact(self):
        reading = read(b"".join(self.make(0)), Credentials(psk=b"k" * 32))
        self.assertEqual((reading.missing_tracks, reading.intact), ([1], False))

    def test_a_stream_of_another_recording_is_refused(self):
        data = b"".join(self.make(0) + self.make(1, b"another recordin"))
        self.assertEqual(len(read(data, Credentials(psk=b"k" * 32)).streams), 1)


class KeyGroups(unittest.TestCase):
    def setUp(self):
        self.entry = VECTORS["key_groups"]
        self.data = bytes.fromhex(self.entry["stream"])

    def test_each_group_opens_the_stream(self):
        found = [Credentials(identities=[age_file.parse_identity(text)]) for text in self.entry["identities"]]
        for credentials in [*found, Credentials(passphrase=self.entry["passphrase"].encode()), psk_of(self.entry)]:
            self.assertTrue(read(self.data, credentials).intact)

    def test_wrong_keys(self):
        wrong = age_file.parse_identity(self.entry["wrong_identity"])
        for credentials in (Credentials(identities=[wrong]), Credentials(passphrase=b"no"), Credentials()):
            self.assertEqual(read(self.data, credentials).locked, 1)

    def test_a_root_with_another_commitment_is_a_wrong_key(self):
        header = bytes.fromhex(self.entry["wrong_root_stream_header"])
        self.assertEqual(read(header, psk_of(self.entry)).locked, 1)


class ManyKeyGroups(unittest.TestCase):
    """Headers that nobody should write, around a pre-shared-key group that would open the stream."""

    CREDENTIALS = Credentials([X25519PrivateKey.from_private_bytes(b"i" * 32)], b"pass", b"k" * 32)

    def setUp(self):
        ephemeral = X25519PrivateKey.from_private_bytes(b"e" * 32)
        other = X25519PrivateKey.from_private_bytes(b"o" * 32)
        self.stanza = age_writer.x25519_stanza(other.public_key(), ephemeral, b"f" * 16)

    def group(self, kind: int, stanzas: list[str]) -> tuple[int, bytes]:
        return kind, age_writer.age_file(stanzas, b"f" * 16, bytes(16), b"r" * 32)

    def read(self, groups: list[tuple[int, bytes]], psk: bytes = b"k" * 32):
        stream_id, root = b"i" * 16, b"r" * 32
        head = writer.head(3, 1, stream_id, [*groups, writer.pre_shared_group(psk, b"s" * 32, root, stream_id)])
        keys = layout.StreamKeys(root, head)
        packet = head + writer.tail(keys, 0, writer.description(0, 1, bytes(16), "audio/x-raw"))
        return read(packet + writer.end_record(keys, 1, 0, 0).packet(), self.CREDENTIALS)

    def test_at_most_one_passphrase_group(self):
        scrypt = self.group(2, [age_writer.scrypt_stanza(b"other", bytes(16), 4, b"f" * 16)])
        self.assertTrue(self.read([scrypt]).intact)
        reading = self.read([scrypt, scrypt])
        self.assertEqual((len(reading.streams), reading.rejected), (0, 2))

    def test_at_most_64_stanzas_in_all_groups_together(self):
        groups = [self.group(1, [self.stanza] * count) for count in (40, 24, 1)]
        self.assertTrue(self.read(groups[:2]).intact)
        reading = self.read(groups)
        self.assertEqual((len(reading.streams), reading.rejected), (0, 2))

    def test_a_bad_group_is_the_reason_where_no_other_opens(self):
        heavy = age_writer.scrypt_stanza(b"pass", bytes(16), 4, b"f" * 16).replace(" 4\n", " 21\n")
        for bad in (1, b"no age file"), self.group(2, [heavy]):
            self.assertTrue(self.read([bad]).intact)
            self.assertEqual(self.read([bad], b"another pre-shared key, 32 bytes").locked, 0)
        self.assertEqual(self.read([(77, b""), self.group(1, [self.stanza])], bytes(32)).locked, 1)


class Texts(unittest.TestCase):
    def test_a_zero_byte_is_refused(self):
        for text, good in (("audio/x-raw", True), ("audio/x-raw\0", False), ("\0", False)):
            length = struct.pack("<H", len(text))
            plains = [
                (parse_record, writer.Record(0, metas=[(2, bytes(24) + length + text.encode())]).pack()),
                (parse_record, writer.Record(0, metas=[(5, length + text.encode())]).pack()),
                (lambda plain: parse_description(0, 0, None, plain), writer.description(0, 1, bytes(16), text)),
            ]
            for parse, plain in plains:
                if good:
                    parse(plain)
                else:
                    with self.assertRaises(layout.FormatError):
                        parse(plain)


class AgeFiles(unittest.TestCase):
    PUBLISHED_IDENTITY = "AGE-SECRET-KEY-1XMWWC06LY3EE5RYTXM9MFLAZ2U56JJJ36S0MYPDRWSVLUL66MV4QX3S7F6"
    PUBLISHED_STANZA = (
        "-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\nEmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U\n"
    )
    PUBLISHED_MAC = b"--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0\n"
    FILE_KEY = b"YELLOW SUBMARINE"

    def test_published_x25519_stanza(self):
        made = age_writer.age_file([self.PUBLISHED_STANZA], self.FILE_KEY, bytes(16), b"age")
        self.assertIn(self.PUBLISHED_MAC, made)
        identity = age_file.parse_identity(self.PUBLISHED_IDENTITY)
        self.assertEqual(age_writer.identity_text(identity), self.PUBLISHED_IDENTITY)
        self.assertEqual(age_file.open_age(made, [identity]), b"age")

    def test_payload_lengths(self):
        identity = X25519PrivateKey.from_private_bytes(b"i" * 32)
        stanza = age_writer.x25519_stanza(
            identity.public_key(), X25519PrivateKey.from_private_bytes(b"e" * 32), self.FILE_KEY
        )
        for length in (0, 1, 32, 65_535, 65_536, 65_537, 131_072):
            made = age_writer.age_file([stanza], self.FILE_KEY, bytes(16), payload_rule(length))
            self.assertEqual(age_file.open_age(made, [identity]), payload_rule(length))

    def test_passphrase(self):
        stanza = age_writer.scrypt_stanza(b"pass", bytes(16), 6, self.FILE_KEY)
        made = age_writer.age_file([stanza], self.FILE_KEY, bytes(16), b"root")
        self.assertEqual(age_file.open_age(made, passphrase=b"pass"), b"root")
        with self.assertRaises(age_file.NoMatch):
            age_file.open_age(made, passphrase=b"Pass")

    def test_refusals(self):
        identity = age_file.parse_identity(self.PUBLISHED_IDENTITY)
        scrypt = age_writer.scrypt_stanza(b"pass", bytes(16), 6, self.FILE_KEY)
        heavy = scrypt.replace(" 6\n", " 21\n")
        bad = [
            [self.PUBLISHED_STANZA, scrypt],
            [heavy],
            [self.PUBLISHED_STANZA] * 65,
            [self.PUBLISHED_STANZA.replace("OCc\n", "OCd\n")],
        ]
        for stanzas in bad:
            made = age_writer.age_file(stanzas, self.FILE_KEY, bytes(16), b"x")
            with self.assertRaises(age_file.AgeError):
                age_file.open_age(made, [identity], b"pass")

    def test_bit_flips(self):
        identity = age_file.parse_identity(self.PUBLISHED_IDENTITY)
        made = age_writer.age_file([self.PUBLISHED_STANZA], self.FILE_KEY, bytes(16), b"age")
        for byte in range(len(made)):
            flipped = bytearray(made)
            flipped[byte] ^= 1
            with self.assertRaises(age_file.AgeError):
                age_file.open_age(bytes(flipped), [identity])

    def test_an_identity_file_holds_at_least_one(self):
        (identity,) = age_file.parse_identities(f"# comment\r\n\n  {self.PUBLISHED_IDENTITY}\r\n")
        self.assertEqual(age_writer.identity_text(identity), self.PUBLISHED_IDENTITY)
        with self.assertRaises(age_file.AgeError):
            age_file.parse_identities("# comment\n")

    def test_mistyped_identity(self):
        with self.assertRaises(age_file.AgeError):
            age_file.parse_identity(self.PUBLISHED_IDENTITY[:-1] + "7")


class Layouts(unittest.TestCase):
    def test_sizes_of_planes(self):
        for entry in VECTORS["layouts"]:
            names = []
            for text, formats in entry["formats"].items():
                for name in formats.split():
                    planes = geometry.planes_of(name, entry["width"], entry["height"], entry["interlaced"])
                    found = " ".join(f"{plane.row_bytes}x{plane.rows}" for plane in planes) if planes else "opaque"
                    self.assertEqual(found, text, name)
                    names.append(name)
            self.assertEqual((len(names), len(set(names))), (114, 114))

    def test_the_tables_of_the_page(self):
        page = FORMAT.read_text()
        section = page[page.index("## 10. Payloads") :]
        found = {}
        for line in section.splitlines():
            planes, *columns = [cell.strip() for cell in line.strip("|").split("|")]
            if not re.match(r"[b\d]+/\d", planes):
                continue
            for sample_bytes, names in enumerate(columns, 1):
                shapes = []
                for plane in planes.replace("b", str(sample_bytes)).split(", "):
                    group_bytes, group_pixels, *v = plane.removesuffix(" pairs").split("/")
                    numbers = (int(number) for number in (group_bytes, group_pixels, *(v or "1")))
                    shapes.append(geometry.Shape(*numbers, plane.endswith(" pairs")))
                found |= {name: shapes for name in names.split(",")[0].split()}
        self.assertEqual(found, geometry.SHAPES)
        self.assertIn("\nOpaque: " + ", ".join(geometry.OPAQUE) + ".\n", section)

    def test_caps(self):
        caps = "video/x-raw, format=(string)I420, width=(int)4, height=(int)6, framerate=(fraction)25/1"
        self.assertEqual(geometry.planes_of_caps(caps), ([Plane(4, 6, 1), Plane(2, 3, 2), Plane(2, 3, 2)], False))
        interlaced, _ = geometry.planes_of_caps(caps + ", interlace-mode=(string)mixed")
        self.assertEqual([plane.rows for plane in interlaced], [6, 4, 4])
        fields, _ = geometry.planes_of_caps(caps + ", interlace-mode=(string)alternate")
        self.assertEqual([plane.rows for plane in fields], [3, 2, 2])
        for other in ("video/x-h264, width=(int)4, height=(int)6", caps.replace("I420", "NV12_4L4"), ""):
            self.assertIsNone(geometry.planes_of_caps(other)[0])


class Pictures(unittest.TestCase):
    def make(self, entry: dict) -> tuple[list[Plane], bytes]:
        """Taller geometry, and the picture, put together again from a fresh seal."""
        head = bytes.fromhex(entry["head"])
        keys = layout.StreamKeys(bytes.fromhex(entry["root"]), head)
        planes, taller = ([Plane(**plane) for plane in entry[name]] for name in ("planes", "taller_planes"))
        payload = payload_rule(entry["payload_length"])
        sealed = writer.frame(keys, entry["counter"], payload, bytes.fromhex(entry["record"]))
        header = head + bytes.fromhex(entry["tail"])
        return taller, b"".join(writer.cipher_picture(planes, entry["extra_rows"], header, sealed))

    def make_any(self, caps: str, planes: list[Plane], extra_rows: int) -> tuple[list[Plane], bytes]:
        """A cipher picture that need not make sense."""
        root, stream_id = b"r" * 32, b"i" * 16
        head = writer.head(3, 1, stream_id, [writer.pre_shared_group(b"k" * 32, b"s" * 32, root, stream_id)])
        keys = layout.StreamKeys(root, head)
        header = head + writer.tail(keys, 0, writer.description(0, 1, bytes(16), caps))
        payload = payload_rule(sum(plane.row_bytes * plane.rows for plane in planes))
        sealed = writer.frame(keys, 1, payload, writer.Record(0).pack())
        added = [extra_rows // plane.vertical_subsampling for plane in planes]
        taller = [Plane(p.row_bytes, p.rows + rows, p.vertical_subsampling) for p, rows in zip(planes, added)]
        return taller, b"".join(writer.cipher_picture(planes, extra_rows, header, sealed))

    def open_any(self, made: tuple[list[Plane], bytes], interlaced: bool = False):
        return open_picture(*made, Credentials(psk=b"k" * 32), interlaced)

    def test_pictures_open(self):
        for entry in VECTORS["pictures"]:
            taller, packed = self.make(entry)
            self.assertEqual(blake3(packed).hexdigest(), entry["picture_blake3"])
            rows = bytes.fromhex("".join(entry["plane_0_rows"]))
            self.assertTrue(packed[: taller[0].row_bytes * taller[0].rows].endswith(rows))
            self.assertEqual(geometry.planes_of_caps(entry["taller_caps"]), (taller, entry["interlaced"]))
            keys, description, frame = open_picture(taller, packed, psk_of(entry), entry["interlaced"])
            self.assertEqual(frame.payload, payload_rule(entry["payload_length"]))
            self.assertEqual(description.caps, entry["caps"])

    def test_damaged_pictures_are_refused(self):
        for entry in VECTORS["pictures"]:
            taller, packed = self.make(entry)
            for byte in range(0, len(packed), 3 if len(packed) < 5_000 else 100_003):
                flipped = bytearray(packed)
                flipped[byte] ^= 1 << byte % 8
                with self.assertRaises(layout.FormatError):
                    open_picture(taller, bytes(flipped), psk_of(entry), entry["interlaced"])

    def test_the_number_of_extra_rows(self):
        caps = "video/x-raw, format=(string)I420, width=(int)400, height=(int){}"
        planes = geometry.planes_of("I420", 400, 8)
        self.assertEqual(len(self.open_any(self.make_any(caps.format(8), planes, 2))[2].payload), 4_800)
        taller, packed = self.make_any(caps.format(8), planes, 2)
        trailer = taller[0].row_bytes * taller[0].rows - layout.TRAILER
        for extra_rows in (0, 1, 10, 11, 12):
            told = packed[: trailer + 20] + struct.pack("<I", extra_rows) + packed[trailer + 24 :]
            with self.assertRaisesRegex(layout.FormatError, "extra rows"):
                self.open_any((taller, told))
        nothing = [Plane(400, 0, 1), Plane(200, 0, 2), Plane(200, 0, 2)]
        with self.assertRaisesRegex(layout.FormatError, "extra rows"):
            self.open_any(self.make_any(caps.format(0), nothing, 2))
        with self.assertRaisesRegex(layout.FormatError, "extra rows"):
            self.open_any(self.make_any(caps.format(8) + ", interlace-mode=(string)mixed", planes, 2), True)
        self.open_any(self.make_any(caps.format(8) + ", interlace-mode=(string)mixed", planes, 4), True)

    def test_format_and_size_are_those_of_the_sealed_caps(self):
        caps = "video/x-raw, format=(string){}, width=(int){}, height=(int){}"
        planes = geometry.planes_of("GRAY8", 200, 8)
        self.open_any(self.make_any(caps.format("GRAY8", 200, 8), planes, 4))
        for other in (("GRAY8", 100, 16), ("GRAY16_LE", 100, 16), ("GRAY8", 200, 9), ("RGB", 200, 8)):
            with self.assertRaisesRegex(layout.FormatError, "sealed caps"):
                self.open_any(self.make_any(caps.format(*other), planes, 4))


class Program(unittest.TestCase):
    def run_on(self, data: bytes, key: str) -> tuple[int, dict, list[bytes]]:
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            (here / "key").write_text(key)
            (here / "file.cveil").write_bytes(data)
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                arguments = ["--psk", str(here / "key"), "--json", "--extract", str(here / "out")]
                code = program.main([*arguments, str(here / "file.cveil")])
            extracted = [path.read_bytes() for path in sorted((here / "out").iterdir())]
            return code, json.loads(out.getvalue()), extracted

    def test_exit_codes(self):
        entry = VECTORS["streams"][0]
        data = whole(entry)
        key = f"# for tests\n\nCHAOSVEIL-PSK-1:{entry['psk']}\n"
        code, summary, extracted = self.run_on(data, key)
        self.assertEqual((code, summary["streams"][0]["frames"]), (0, 3))
        self.assertEqual(extracted, [payload_rule(length) for length in (256, 257, 300)])
        self.assertEqual(self.run_on(data, "CHAOSVEIL-PSK-1:" + 64 * "0")[0], 3)
        self.assertEqual(self.run_on(data[:-1], key)[0], 4)
        self.assertEqual(self.run_on(b"", key)[0], 4)
        self.assertEqual(self.run_on(b"not ours", key)[0], 4)


class KeyFiles(unittest.TestCase):
    PSK = "CHAOSVEIL-PSK-1:" + 32 * "0a"

    def test_pre_shared_key(self):
        for text in (self.PSK, f"# comment\n\n{self.PSK}\n", f"\r\n  {self.PSK} \r\n  # comment"):
            self.assertEqual(key_files.parse_pre_shared_key(text), 32 * b"\n")

    def test_a_pre_shared_key_file_holds_one_key(self):
        digits = "CHAOSVEIL-PSK-1:"
        bad = ["", digits + "00", digits + 64 * "A", digits + 65 * "0", digits + "+f" + 62 * "0", 2 * (self.PSK + "\n")]
        for text in [*bad, self.PSK.lower(), digits + " " + 64 * "0", f"{self.PSK} # comment"]:
            with self.assertRaises(ValueError):
                key_files.parse_pre_shared_key(text)

    def test_passphrase(self):
        for text, expected in (
            ("one\ntwo\n", "one"),
            ("one\r\n", "one"),
            (" o n e \n", " o n e "),
            ("# one", "# one"),
            ("one\r", "one\r"),
            ("\u00e9\n", "\u00e9"),
        ):
            self.assertEqual(key_files.parse_passphrase(text), expected.encode())
        for text in ("", "\n", "\r\nsecond"):
            with self.assertRaises(ValueError):
                key_files.parse_passphrase(text)

    def test_files_must_be_short_texts(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "key"
            for data in (b"\xff\n", b"#" * (1 << 20) + b"\n" + self.PSK.encode()):
                path.write_bytes(data)
                for read_file in (key_files.read_pre_shared_key, key_files.read_passphrase, key_files.read_identities):
                    with self.assertRaises(ValueError):
                        read_file(path)


if __name__ == "__main__":
    unittest.main()
