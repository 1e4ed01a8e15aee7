"""Opens a sequence of packets (section 6) and cipher pictures (section 7)."""

import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from . import chaotic_stage
from .age_file import AgeError, NoMatch, count_stanzas, open_age
from .geometry import Plane, planes_of_caps, row_step
from .index import Index, open_index, packet_length
from .layout import (
    AEAD_ONLY,
    AEADS,
    CHAOS,
    DESCRIPTION_INDEX,
    END,
    FRAME,
    FRAME_HEADER,
    FRAME_MAGIC,
    HEAD_FIXED,
    HEADER_MAGIC,
    INDEX_MAGIC,
    MAX_AGE_STANZAS,
    MAX_EPOCH,
    MAX_KEY_GROUPS,
    MAX_PAYLOAD,
    MAX_RECORD,
    MAX_STREAM_HEADER,
    MAX_STREAMS,
    PASSPHRASE,
    PICTURE_MAGIC,
    PRE_SHARED_KEY,
    PROFILES,
    RECIPIENTS,
    RECORD_INDEX,
    SEGMENT,
    SIGNATURE,
    TAG,
    TAIL_FIXED,
    TAIL_MACED,
    TRAILER,
    VERSION,
    FormatError,
    StreamKeys,
    Truncated,
    WrongKey,
    authenticator_length,
    pre_shared_kek,
    same,
    segment_aad,
    segment_count,
)
from .records import Description, End, Record, parse_description, parse_end, parse_record


@dataclass(frozen=True)
class Credentials:
    """What the reader holds to unwrap roots with; any part may be missing."""

    identities: list[X25519PrivateKey] = field(default_factory=list)
    passphrase: bytes | None = None
    psk: bytes | None = None


@dataclass(frozen=True)
class Frame:
    """A verified frame."""

    counter: int
    epoch: int
    record: Record
    payload: bytes


@dataclass
class Stream:
    """A stream whose header opened, and all that was released of it."""

    head: bytes
    keys: StreamKeys
    descriptions: dict[int, Description] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    end: End | None = None
    index: Index | None = None
    undescribed: list[int] = field(default_factory=list)
    replayed: int = 0
    reordered: int = 0

    @property
    def description(self) -> Description:
        """The newest description."""
        return self.descriptions[max(self.descriptions)]

    @property
    def complete(self) -> bool:
        """The end record is there and every frame that it counts."""
        return self.end is not None and len(self.frames) == self.end.frames

    def take_end(self, end: End) -> None:
        """The newest end record holds."""
        if self.end is None or end.last_counter > self.end.last_counter:
            self.end = end

    def release(self, frame: Frame) -> None:
        """Take a verified frame into the output, once and in the order of the counters."""
        description = self.descriptions.get(frame.record.description_counter)
        if description is None or description.epoch != frame.epoch:
            self.undescribed.append(frame.counter)
            raise FormatError("a frame whose description was not seen")
        if self.frames and frame.counter <= self.frames[-1].counter:
            if any(frame.counter == other.counter for other in self.frames):
                self.replayed += 1
                raise FormatError("replayed")
            self.reordered += 1
            raise FormatError("older than the last released frame")
        self.frames.append(frame)


@dataclass
class Reading:
    """What a whole sequence of packets held."""

    streams: dict[bytes, Stream] = field(default_factory=dict)
    rejected: int = 0
    truncated: int = 0
    locked: int = 0
    skipped_bytes: int = 0
    bad_index_bytes: int = 0

    @property
    def missing_tracks(self) -> list[int]:
        found = [stream.description for stream in self.streams.values()]
        return sorted(set(range(max((d.tracks for d in found), default=0))) - {d.track for d in found})

    @property
    def intact(self) -> bool:
        complete = all(stream.complete for stream in self.streams.values())
        return bool(self.streams) and complete and not self.skipped_bytes and not self.missing_tracks


def parse_head(data: bytes, at: int) -> bytes:
    """The HEAD at this place, with magic, version and length checked."""
    fixed = data[at : at + HEAD_FIXED]
    if not fixed.startswith(HEADER_MAGIC):
        raise FormatError("no stream header")
    if len(fixed) < HEAD_FIXED:
        raise Truncated("stream header")
    version, length = fixed[8], struct.unpack_from("<I", fixed, 12)[0]
    if version != VERSION:
        raise FormatError("stream header: version")
    if not HEAD_FIXED <= length <= MAX_STREAM_HEADER - TAIL_FIXED - TAG:
        raise FormatError("stream header: length")
    if at + length > len(data):
        raise Truncated("stream header")
    return data[at : at + length]


def parse_key_groups(head: bytes) -> list[tuple[int, bytes]]:
    """Type and bytes of each key group."""
    groups, at = [], HEAD_FIXED
    count = struct.unpack_from("<H", head, 36)[0]
    if not 1 <= count <= MAX_KEY_GROUPS:
        raise FormatError("stream header: number of key groups")
    for _ in range(count):
        if at + 4 > len(head):
            raise FormatError("key groups pass the head length")
        kind, zero, length = struct.unpack_from("<BBH", head, at)
        if zero or at + 4 + length > len(head):
            raise FormatError("key group: reserved byte or length")
        groups.append((kind, head[at + 4 : at + 4 + length]))
        at += 4 + length
    if at != len(head):
        raise FormatError("key groups do not end at the head length")
    return groups


def check_key_groups(groups: list[tuple[int, bytes]]) -> None:
    """What a header may hold, whoever reads it."""
    if sum(kind == PASSPHRASE for kind, _ in groups) > 1:
        raise FormatError("more than one passphrase group")
    if sum(count_stanzas(body) for kind, body in groups if kind in (RECIPIENTS, PASSPHRASE)) > MAX_AGE_STANZAS:
        raise FormatError("too many age stanzas")


def unwrap_group(kind: int, body: bytes, stream_id: bytes, credentials: Credentials) -> bytes | None:
    """The root that this group yields, or None; `AgeError` where it cannot even be tried."""
    try:
        if kind == RECIPIENTS and credentials.identities:
            root = open_age(body, credentials.identities)
        elif kind == PASSPHRASE and credentials.passphrase is not None:
            root = open_age(body, passphrase=credentials.passphrase)
        elif kind == PRE_SHARED_KEY and credentials.psk is not None and len(body) == 80:
            kek = pre_shared_kek(credentials.psk, body[:32])
            root = ChaCha20Poly1305(kek).decrypt(bytes(12), body[32:], stream_id)
        else:
            return None
    except (NoMatch, InvalidTag):
        return None
    return root if len(root) == 32 else None


def unwrap(head: bytes, commitment: bytes, credentials: Credentials) -> StreamKeys:
    """The keys of the stream, from the first key group whose root has this commitment."""
    groups = parse_key_groups(head)
    check_key_groups(groups)
    reason = WrongKey("no key group opens")
    for kind, body in groups:
        try:
            root = unwrap_group(kind, body, head[16:32], credentials)
        except AgeError as error:
            reason = FormatError(f"key group: {error}")
            continue
        if root is None:
            continue
        if head[9] not in PROFILES or head[10] not in AEADS:
            raise FormatError("stream header: profile or AEAD")
        keys = StreamKeys(root, head)
        if same(keys.commitment, commitment):
            check_rest_of_head(head)
            return keys
    raise reason


def check_rest_of_head(head: bytes) -> None:
    segment, _, zeros = struct.unpack_from("<IHH", head, 32)
    if head[11] or zeros or segment != SEGMENT:
        raise FormatError("stream header: reserved bytes or segment length")


def open_stream_header(
    data: bytes, at: int, credentials: Credentials, known: dict[bytes, Stream]
) -> tuple[bytes, StreamKeys, Description, int]:
    """HEAD, keys, description and length of the stream header packet at this place."""
    head = parse_head(data, at)
    tail = data[at + len(head) : at + len(head) + TAIL_FIXED]
    if len(tail) < TAIL_FIXED:
        raise Truncated("stream header")
    counter, length, epoch, signature_length, zeros = struct.unpack_from("<QIIII", tail, 32)
    total = len(head) + TAIL_FIXED + length + TAG
    if total > MAX_STREAM_HEADER:
        raise FormatError("stream header: length")
    sealed = data[at + len(head) + TAIL_FIXED : at + total]
    stream = known.get(head[16:32])
    if stream is not None and stream.head == head:
        keys = stream.keys
        if not same(keys.commitment, tail[:32]):
            raise FormatError("stream header: commitment")
    else:
        keys = unwrap(head, tail[:32], credentials)
    if not same(keys.tail_mac(tail), tail[TAIL_MACED:]):
        raise FormatError("stream header: MAC of the tail")
    if zeros:
        raise FormatError("stream header: reserved bytes of the tail")
    if epoch > MAX_EPOCH:
        raise FormatError("stream header: epoch")
    if len(sealed) < length + TAG:
        raise Truncated("stream header")
    try:
        plain = keys.epoch(epoch).open(counter, DESCRIPTION_INDEX, sealed, keys.description_aad(tail))
    except InvalidTag as error:
        raise FormatError("stream header: description") from error
    if signature_length not in (0, SIGNATURE) or signature_length > len(plain):
        raise FormatError("stream header: length of the signature")
    text, signature = plain[: len(plain) - signature_length], plain[len(plain) - signature_length :]
    if signature:
        try:
            camera = Ed25519PublicKey.from_public_bytes(signature[:32])
            camera.verify(signature[32:], keys.signed_by_camera(tail, text))
        except InvalidSignature as error:
            raise FormatError("stream header: signature") from error
    return head, keys, parse_description(counter, epoch, signature[:32] or None, text), total


@dataclass(frozen=True)
class FrameHeader:
    """A frame header whose MAC holds."""

    packed: bytes
    kind: int
    epoch: int
    counter: int
    payload_length: int
    record_length: int
    segments: int
    authenticator_length: int

    @property
    def length_before_payload(self) -> int:
        return FRAME_HEADER + self.authenticator_length + self.record_length + TAG


def parse_frame_header(packed: bytes, keys: StreamKeys) -> FrameHeader:
    if not same(keys.frame_mac(packed), packed[48:]):
        raise FormatError("frame header: MAC")
    version, kind, profile, zero, epoch = struct.unpack_from("<BBBBI", packed, 8)
    counter, payload_length, record_length = struct.unpack_from("<QII", packed, 32)
    if version != VERSION or kind not in (FRAME, END) or profile != keys.profile or zero:
        raise FormatError("frame header: version, kind, profile or reserved byte")
    if epoch > MAX_EPOCH:
        raise FormatError("frame header: epoch")
    if payload_length > MAX_PAYLOAD or record_length > MAX_RECORD:
        raise FormatError("frame header: length")
    segments = segment_count(payload_length)
    tags = authenticator_length(profile, segments)
    return FrameHeader(packed, kind, epoch, counter, payload_length, record_length, segments, tags)


def open_frame(keys: StreamKeys, header: FrameHeader, parts: bytes, staged: bytes) -> Frame:
    """Open authenticator and sealed record (`parts`) and the payload after seal and stage."""
    authenticator, sealed_record = parts[: header.authenticator_length], parts[header.authenticator_length :]
    sealed, now = staged, keys.epoch(header.epoch)
    if keys.profile != AEAD_ONLY:
        sealed = chaotic_stage.decrypt(now.frame_key(header.counter, header.segments, authenticator), staged)
    try:
        if keys.profile == CHAOS:
            payload = sealed
            if not same(now.digest(header.packed, payload), authenticator):
                raise FormatError("frame: digest")
        else:
            payload = b"".join(
                now.open(
                    header.counter,
                    i,
                    sealed[SEGMENT * i : SEGMENT * (i + 1)] + authenticator[TAG * i : TAG * (i + 1)],
                    segment_aad(header.packed, i, header.segments),
                )
                for i in range(header.segments)
            )
        aad = segment_aad(header.packed, RECORD_INDEX, header.segments)
        record = now.open(header.counter, RECORD_INDEX, sealed_record, aad)
    except InvalidTag as error:
        raise FormatError("frame: a segment or the record does not verify") from error
    return Frame(header.counter, header.epoch, parse_record(record), payload)


def _read_stream_header(reading: Reading, data: bytes, at: int, credentials: Credentials) -> int:
    head, keys, description, length = open_stream_header(data, at, credentials, reading.streams)
    stream = reading.streams.get(keys.stream_id)
    if stream is None:
        others = [other.description for other in reading.streams.values()]
        if len(others) == MAX_STREAMS:
            raise FormatError("too many streams")
        if any(o.recording_id != description.recording_id or o.track == description.track for o in others):
            raise FormatError("a stream of another recording, or a second one of the same track")
        stream = reading.streams[keys.stream_id] = Stream(head, keys)
    elif stream.head != head:
        raise FormatError("another HEAD under a known stream id")
    elif stream.descriptions.get(description.counter, description) != description:
        raise FormatError("another description under a known counter")
    elif stream.description.place != description.place or stream.description.camera != description.camera:
        raise FormatError("the stream changed its place in its recording, or its camera")
    stream.descriptions[description.counter] = description
    return length


def _read_frame(reading: Reading, data: bytes, at: int) -> int:
    packed = data[at : at + FRAME_HEADER]
    if len(packed) < FRAME_HEADER:
        raise Truncated("frame header")
    stream = reading.streams.get(packed[16:32])
    if stream is None:
        raise FormatError("a frame of no open stream")
    header = parse_frame_header(packed, stream.keys)
    payload_at = at + header.length_before_payload
    end = payload_at + header.payload_length
    if end > len(data):
        raise Truncated("frame")
    frame = open_frame(stream.keys, header, data[at + FRAME_HEADER : payload_at], data[payload_at:end])
    if header.kind == FRAME:
        stream.release(frame)
    else:
        stream.take_end(parse_end(header.counter, frame.record, frame.payload))
    return end - at


def _read_index(reading: Reading, data: bytes, at: int) -> int:
    stream = reading.streams.get(data[at + 16 : at + 32])
    if stream is None:
        raise FormatError("an index of no open stream")
    length = packet_length(data, at, stream.keys)
    if at + length > len(data):
        raise Truncated("index")
    # Only all of it tells where it ends: its header may have been copied to where frames stand.
    stream.index = open_index(data[at : at + length], stream.keys)
    return length


def _next_magic(data: bytes, at: int) -> int:
    places = [place for magic in (HEADER_MAGIC, FRAME_MAGIC, INDEX_MAGIC) if (place := data.find(magic, at)) >= 0]
    return min(places, default=len(data))


def read(data: bytes, credentials: Credentials) -> Reading:
    """Open everything that verifies; after a failure go on one byte after the magic that failed."""
    reading, at, in_index = Reading(), 0, False
    while at < len(data):
        place = _next_magic(data, at)
        if in_index:
            reading.bad_index_bytes += place - at
        else:
            reading.skipped_bytes += place - at
        at = place
        if at == len(data):
            break
        try:
            if data.startswith(HEADER_MAGIC, at):
                at += _read_stream_header(reading, data, at, credentials)
            elif data.startswith(INDEX_MAGIC, at):
                at += _read_index(reading, data, at)
            else:
                at += _read_frame(reading, data, at)
            in_index = False
            continue
        except WrongKey:
            # What somebody else has sealed is no part of a bad index: it may be another recording.
            reading.locked, in_index = reading.locked + 1, False
        except Truncated:
            reading.truncated += 1
        except FormatError:
            reading.rejected += not data.startswith(INDEX_MAGIC, at)
        in_index = in_index or data.startswith(INDEX_MAGIC, at)
        if in_index:
            reading.bad_index_bytes += 1
        else:
            reading.skipped_bytes += 1
        at += 1
    return reading


def open_picture(
    planes: list[Plane], packed: bytes, credentials: Credentials, interlaced: bool = False
) -> tuple[StreamKeys, Description, Frame]:
    """Open a cipher picture, given as its visible rows plane after plane, and the taller geometry."""
    if len(packed) != sum(plane.row_bytes * plane.rows for plane in planes):
        raise FormatError("picture: the size is not that of the geometry")
    rows = []
    for plane in planes:
        rows.append(packed[: plane.row_bytes * plane.rows])
        packed = packed[len(rows[-1]) :]
    trailer = rows[0][-TRAILER:]
    if len(trailer) < TRAILER or not trailer.startswith(PICTURE_MAGIC):
        raise FormatError("picture: no trailer")
    version, zeros, header_length, frame_length, extra_rows = struct.unpack_from("<B3sIII", trailer, 8)
    if version != VERSION or any(zeros):
        raise FormatError("picture: version or reserved bytes")
    if not 1 <= extra_rows < planes[0].rows or extra_rows % row_step(planes, interlaced):
        raise FormatError("picture: an impossible number of extra rows")
    inner = [
        Plane(p.row_bytes, p.rows - extra_rows // p.vertical_subsampling, p.vertical_subsampling) for p in planes
    ]
    payload, extra = b"", []
    for plane, data in zip(inner, rows):
        split = plane.row_bytes * plane.rows
        payload += data[:split]
        extra.append(data[split:])
    content, used = extra[0][:-TRAILER], header_length + frame_length
    if used > len(content) or any(content[used:]) or any(any(rest) for rest in extra[1:]):
        raise FormatError("picture: lengths or padding")
    stream_header, parts = content[:header_length], content[header_length:used]
    _, keys, description, length = open_stream_header(stream_header, 0, credentials, {})
    if length != header_length or len(parts) < FRAME_HEADER or not parts.startswith(FRAME_MAGIC):
        raise FormatError("picture: length of the stream header, or no frame header")
    if parts[16:32] != keys.stream_id:
        raise FormatError("picture: a frame of another stream")
    header = parse_frame_header(parts[:FRAME_HEADER], keys)
    if header.kind != FRAME or header.length_before_payload != frame_length or header.payload_length != len(payload):
        raise FormatError("picture: kind or lengths of the frame")
    frame = open_frame(keys, header, parts[FRAME_HEADER:], payload)
    if (frame.record.description_counter, frame.epoch) != (description.counter, description.epoch):
        raise FormatError("picture: a frame of another description")
    if planes_of_caps(description.caps) != (inner, interlaced):
        raise FormatError("picture: format or size is not that of the sealed caps")
    return keys, description, frame
