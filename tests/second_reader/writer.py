"""The writing side with nothing random in it: every value that a writer draws is an argument here."""

import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from . import chaotic_stage
from .layout import (
    AEAD_ONLY,
    CHAOS,
    DESCRIPTION_INDEX,
    END,
    FRAME,
    FRAME_MAGIC,
    HEAD_FIXED,
    HEADER_MAGIC,
    PICTURE_MAGIC,
    PRE_SHARED_KEY,
    RECORD_INDEX,
    SEGMENT,
    SIGNATURE,
    TAG,
    TRAILER,
    VERSION,
    StreamKeys,
    none_as_absent,
    pre_shared_kek,
    segment_aad,
    segment_count,
)


def pre_shared_group(psk: bytes, salt: bytes, root: bytes, stream_id: bytes) -> tuple[int, bytes]:
    """Type and bytes of a pre-shared-key group."""
    sealed = ChaCha20Poly1305(pre_shared_kek(psk, salt)).encrypt(bytes(12), root, stream_id)
    return PRE_SHARED_KEY, salt + sealed


def head(profile: int, aead: int, stream_id: bytes, groups: list[tuple[int, bytes]]) -> bytes:
    packed = b"".join(struct.pack("<BBH", kind, 0, len(body)) + body for kind, body in groups)
    fixed = HEADER_MAGIC + struct.pack("<BBBBI", VERSION, profile, aead, 0, HEAD_FIXED + len(packed))
    return fixed + stream_id + struct.pack("<IHH", SEGMENT, len(groups), 0) + packed


def description(track: int, tracks: int, recording_id: bytes, caps: str, segment: bytes = b"") -> bytes:
    text = caps.encode()
    fixed = struct.pack("<BBHHH", VERSION, 0, track, tracks, 0) + recording_id
    return fixed + struct.pack("<I", len(text)) + text + segment


def segment_info(flags, rate, applied_rate, base, offset, start, stop, time, position, duration) -> bytes:
    """The 84 bytes of a time segment; None is an absent time."""
    times = [none_as_absent(value) for value in (base, offset, start, stop, time, position, duration)]
    return struct.pack("<IIdd7QI", 3, flags, rate, applied_rate, *times, 0)


def tail(
    keys: StreamKeys, counter: int, plain: bytes, epoch: int = 0, camera: Ed25519PrivateKey | None = None
) -> bytes:
    signature_length = SIGNATURE if camera else 0
    fixed = keys.commitment + struct.pack("<QIIII", counter, len(plain) + signature_length, epoch, signature_length, 0)
    if camera:
        plain += camera.public_key().public_bytes_raw() + camera.sign(keys.signed_by_camera(fixed, plain))
    sealed = keys.epoch(epoch).seal(counter, DESCRIPTION_INDEX, plain, keys.description_aad(fixed))
    return fixed + keys.tail_mac(fixed) + sealed


@dataclass
class Record:
    """What travels sealed beside a frame; `metas` are (type, body) pairs."""

    description_counter: int
    flags: int = 0
    pts: int | None = None
    dts: int | None = None
    duration: int | None = None
    offset: int | None = None
    offset_end: int | None = None
    metas: list[tuple[int, bytes]] = field(default_factory=list)

    def pack(self) -> bytes:
        together = self.pts is not None and self.dts == self.pts
        times = (self.pts, None if together else self.dts, self.duration, self.offset, self.offset_end)
        present = sum(1 << bit for bit, time in enumerate(times) if time is not None)
        large = self.description_counter >> 32 != 0
        present |= together << 5 | large << 6
        packed = struct.pack("<BBHI", VERSION, present, len(self.metas), self.flags)
        packed += struct.pack("<Q" if large else "<I", self.description_counter)
        packed += b"".join(struct.pack("<Q", time) for time in times if time is not None)
        return packed + b"".join(struct.pack("<BBH", kind, 0, len(body)) + body for kind, body in self.metas)


@dataclass(frozen=True)
class SealedFrame:
    """A frame packet in its parts, and two values on the way to it."""

    header: bytes
    authenticator: bytes
    record: bytes
    payload: bytes
    before_stage: bytes
    frame_key: bytes | None

    def packet(self) -> bytes:
        return self.header + self.authenticator + self.record + self.payload


def frame(
    keys: StreamKeys, counter: int, payload: bytes, record: bytes, kind: int = FRAME, epoch: int = 0
) -> SealedFrame:
    now = keys.epoch(epoch)
    fixed = FRAME_MAGIC + struct.pack("<BBBBI", VERSION, kind, keys.profile, 0, epoch) + keys.stream_id
    fixed += struct.pack("<QII", counter, len(payload), len(record))
    header = fixed + keys.frame_mac(fixed)
    segments = segment_count(len(payload))
    sealed_record = now.seal(counter, RECORD_INDEX, record, segment_aad(header, RECORD_INDEX, segments))
    if keys.profile == CHAOS:
        authenticator, before_stage = now.digest(header, payload), payload
    else:
        sealed = [
            now.seal(counter, i, payload[SEGMENT * i : SEGMENT * (i + 1)], segment_aad(header, i, segments))
            for i in range(segments)
        ]
        authenticator = b"".join(part[-TAG:] for part in sealed)
        before_stage = b"".join(part[:-TAG] for part in sealed)
    if keys.profile == AEAD_ONLY:
        return SealedFrame(header, authenticator, sealed_record, before_stage, before_stage, None)
    frame_key = now.frame_key(counter, segments, authenticator)
    staged = chaotic_stage.encrypt(frame_key, before_stage)
    return SealedFrame(header, authenticator, sealed_record, staged, before_stage, frame_key)


def end_record(
    keys: StreamKeys, counter: int, description_counter: int, frames: int, epoch: int = 0
) -> SealedFrame:
    """The end of a stream whose last frame or description has the counter just before this one."""
    payload = struct.pack("<QQ", counter - 1, frames)
    return frame(keys, counter, payload, Record(description_counter).pack(), END, epoch)


def cipher_picture(planes, extra_rows: int, stream_header: bytes, sealed: SealedFrame) -> list[bytes]:
    """Planes of the taller picture; `planes` is the geometry of the picture itself."""
    taller, at = [], 0
    for plane in planes:
        size = plane.row_bytes * plane.rows
        extra = plane.row_bytes * (extra_rows // plane.vertical_subsampling)
        taller.append(sealed.payload[at : at + size] + bytes(extra))
        at += size
    parts = sealed.header + sealed.authenticator + sealed.record
    trailer = PICTURE_MAGIC + struct.pack("<B3xIII", VERSION, len(stream_header), len(parts), extra_rows)
    visible = planes[0].row_bytes * extra_rows
    content = stream_header + parts
    if len(content) + TRAILER > visible:
        raise ValueError("too few extra rows")
    padding = bytes(visible - len(content) - TRAILER)
    taller[0] = taller[0][: len(taller[0]) - visible] + content + padding + trailer
    return taller
