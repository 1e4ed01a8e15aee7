"""Tests of the second reader: `python -m unittest discover -s tests/second_reader -t tests`."""

import contextlib
import io
import json
import random
import tempfile
import unittest
from pathlib import Path

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from . import __main__ as program
from . import age_file, age_writer, chaotic_stage, layout, writer
from .reader import Credentials, Plane, open_picture, read

VECTORS = json.loads((Path(__file__).resolve().parents[1] / "vectors" / "format.json").read_text())


def payload_rule(length: int) -> bytes:
    return bytes((i * 197 + (i >> 8) * 31 + 7) & 255 for i in range(length))


def whole(stream: dict) -> bytes:
    return b"".join(bytes.fromhex(packet["packet"]) for packet in stream["packets"])


def psk_of(entry: dict) -> Credentials:
    return Credentials(psk=bytes.fromhex(entry["psk"]))


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
        for meta, expected in zip(found, VECTORS["metas"], strict=True):
            kind = {"type": expected["meta"]}
            rest = {name: value for name, value in expected.items() if name not in ("meta", "type", "body")}
            self.assertEqual(meta, kind | rest)
        self.assertEqual(stream.description.segment, self.entry["packets"][3]["segment"])

    def test_every_truncation(self):
        for cut in VECTORS["truncations"]:
            for length in range(cut["from"], cut["to"] + 1, 7):
                reading = read(self.data[:length], self.credentials)
                self.assertEqual(len(self.counters(self.data[:length])), cut["frames"])
                self.assertEqual(reading.intact, cut["complete"])

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

    def test_mistyped_identity(self):
        with self.assertRaises(age_file.AgeError):
            age_file.parse_identity(self.PUBLISHED_IDENTITY[:-1] + "7")


class Pictures(unittest.TestCase):
    def make(self, entry: dict) -> tuple[list[Plane], list[Plane], bytes]:
        """Geometry, taller geometry, and the picture, put together again from a fresh seal."""
        head = bytes.fromhex(entry["head"])
        keys = layout.StreamKeys(bytes.fromhex(entry["root"]), head)
        planes, taller = ([Plane(**plane) for plane in entry[name]] for name in ("planes", "taller_planes"))
        payload = payload_rule(entry["payload_length"])
        sealed = writer.frame(keys, entry["counter"], payload, bytes.fromhex(entry["record"]))
        header = head + bytes.fromhex(entry["tail"])
        return planes, taller, b"".join(writer.cipher_picture(planes, entry["extra_rows"], header, sealed))

    def test_pictures_open(self):
        for entry in VECTORS["pictures"]:
            _, taller, packed = self.make(entry)
            self.assertEqual(blake3(packed).hexdigest(), entry["picture_blake3"])
            rows = bytes.fromhex("".join(entry["plane_0_rows"]))
            self.assertEqual(packed[: len(rows)], rows)
            keys, description, frame = open_picture(taller, packed, psk_of(entry))
            self.assertEqual(frame.payload, payload_rule(entry["payload_length"]))
            self.assertEqual(description.caps, entry["caps"])

    def test_damaged_pictures_are_refused(self):
        for entry in VECTORS["pictures"]:
            _, taller, packed = self.make(entry)
            for byte in range(0, len(packed), 3):
                flipped = bytearray(packed)
                flipped[byte] ^= 1 << byte % 8
                with self.assertRaises(layout.FormatError):
                    open_picture(taller, bytes(flipped), psk_of(entry))


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

    def test_psk_file_must_hold_one_key(self):
        for text in ("", "CHAOSVEIL-PSK-1:00", "CHAOSVEIL-PSK-1:" + 64 * "A", 2 * ("CHAOSVEIL-PSK-1:" + 64 * "0\n")):
            with self.assertRaises(ValueError):
                program.parse_psk(text)


if __name__ == "__main__":
    unittest.main()
