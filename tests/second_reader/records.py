"""The plaintexts inside a stream: description, record of a frame, metas, end record (sections 2 and 5)."""

import struct
from dataclasses import dataclass

from .layout import RECORD_FIXED, SEGMENT_INFO, VERSION, FormatError, absent_as_none

TIME_FORMAT = 3
MOST_LABEL = 255


class Cursor:
    """Takes fields off the front of some bytes; running out of bytes is a `FormatError`."""

    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def bytes(self, length: int) -> bytes:
        if length > self.left():
            raise FormatError("a field ends early")
        self._at += length
        return self._data[self._at - length : self._at]

    def fields(self, layout: str) -> tuple:
        return struct.unpack("<" + layout, self.bytes(struct.calcsize("<" + layout)))

    def text(self, length: int) -> str:
        try:
            found = self.bytes(length).decode()
        except UnicodeDecodeError as error:
            raise FormatError("text is not UTF-8") from error
        if "\0" in found:
            raise FormatError("text with a zero byte")
        return found

    def left(self) -> int:
        return len(self._data) - self._at

    def finish(self) -> None:
        if self.left():
            raise FormatError("bytes after the last field")


@dataclass(frozen=True)
class Description:
    """What a stream carries from one counter on."""

    counter: int
    epoch: int
    camera: bytes | None
    track: int
    tracks: int
    recording_id: bytes
    caps: str
    segment: dict | None

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Which track of which recording: the same in all descriptions of a stream."""
        return self.track, self.tracks, self.recording_id


@dataclass(frozen=True)
class Record:
    """Timing, flags and metas of a frame."""

    description_counter: int
    flags: int
    pts: int | None
    dts: int | None
    duration: int | None
    offset: int | None
    offset_end: int | None
    metas: list[dict]


def parse_description(counter: int, epoch: int, camera: bytes | None, plain: bytes) -> Description:
    cursor = Cursor(plain)
    version, zero, track, tracks, zeros = cursor.fields("BBHHH")
    if version != VERSION or zero or zeros:
        raise FormatError("description: version or reserved bytes")
    if track >= tracks:
        raise FormatError("description: track number")
    recording_id = cursor.bytes(16)
    caps = cursor.text(*cursor.fields("I"))
    segment = _parse_segment(cursor) if cursor.left() else None
    cursor.finish()
    return Description(counter, epoch, camera, track, tracks, recording_id, caps, segment)


def _parse_segment(cursor: Cursor) -> dict:
    if cursor.left() != SEGMENT_INFO:
        raise FormatError("description: length of the segment")
    names = "base offset start stop time position duration".split()
    kind, flags, rate, applied_rate, *times, zero = cursor.fields("IIdd7QI")
    if zero or kind != TIME_FORMAT:
        raise FormatError("description: reserved bytes or format of the segment")
    fixed = {"format": kind, "flags": flags, "rate": rate, "applied_rate": applied_rate}
    return fixed | {name: absent_as_none(value) for name, value in zip(names, times)}


def parse_record(plain: bytes) -> Record:
    if len(plain) < RECORD_FIXED:
        raise FormatError("record: too short")
    cursor = Cursor(plain)
    version, present, count, flags = cursor.fields("BBHI")
    if version != VERSION or present >> 7:
        raise FormatError("record: version or reserved bits")
    together, large = present >> 5 & 1, present >> 6 & 1
    if together and present & 3 != 1:
        raise FormatError("record: a decoding time that equals nothing, or is told twice")
    (description_counter,) = cursor.fields("Q" if large else "I")
    if large and description_counter >> 32 == 0:
        raise FormatError("record: a small counter in eight bytes")
    times = [cursor.fields("Q")[0] if present >> bit & 1 else None for bit in range(5)]
    if any(time is not None and absent_as_none(time) is None for time in times):
        raise FormatError("record: a time that is told and absent")
    if together:
        times[1] = times[0]
    metas = []
    for _ in range(count):
        kind, zero, length = cursor.fields("BBH")
        if zero:
            raise FormatError("record: reserved byte of a meta")
        body = Cursor(cursor.bytes(length))
        if kind in _META_PARSERS:
            metas.append(_META_PARSERS[kind](body))
            body.finish()
    cursor.finish()
    return Record(description_counter, flags, *times, metas)


def _parse_crop(body: Cursor) -> dict:
    return {"type": "video crop"} | dict(zip(("x", "y", "width", "height"), body.fields("4I")))


def _parse_region(body: Cursor) -> dict:
    numbers = dict(zip(("x", "y", "width", "height", "id", "parent"), body.fields("6I")))
    region = {"type": "region of interest"} | numbers | {"region_type": body.text(*body.fields("H"))}
    parameters = []
    while body.left():
        parameters.append(body.text(*body.fields("H")))
    return region | {"parameters": parameters}


def _parse_time_code(body: Cursor) -> dict:
    names = "fps_numerator fps_denominator flags hours minutes seconds frames field_count".split()
    code = {"type": "time code"} | dict(zip(names, body.fields("8I")))
    return code | {"daily_jam_us": absent_as_none(*body.fields("Q"))}


def _parse_reference_timestamp(body: Cursor) -> dict:
    timestamp, duration = body.fields("QQ")
    caps = body.text(*body.fields("H"))
    times = {"timestamp": absent_as_none(timestamp), "duration": absent_as_none(duration)}
    return {"type": "reference timestamp"} | times | {"caps": caps}


def _parse_tags(body: Cursor) -> dict:
    return {"type": "tags", "tags": body.text(*body.fields("H"))}


def _parse_classification(body: Cursor) -> dict:
    frame, confidence = body.fields("Qd")
    digest = body.bytes(32).hex()
    (length,) = body.fields("H")
    if not 0.0 <= confidence <= 1.0 or not 1 <= length <= MOST_LABEL:
        raise FormatError("record: confidence or label of a classification")
    label = body.text(length)
    return {"type": "classification", "frame": frame, "confidence": confidence, "model_digest": digest, "label": label}


_META_PARSERS = {
    1: _parse_crop,
    2: _parse_region,
    3: _parse_time_code,
    4: _parse_reference_timestamp,
    5: _parse_tags,
    6: _parse_classification,
}


@dataclass(frozen=True)
class End:
    """The end record of a stream."""

    last_counter: int
    frames: int


def parse_end(counter: int, record: Record, payload: bytes) -> End:
    if record != Record(record.description_counter, 0, None, None, None, None, None, []) or len(payload) != 16:
        raise FormatError("end record: times, flags, metas or length")
    end = End(*struct.unpack("<QQ", payload))
    if end.last_counter != counter - 1:
        raise FormatError("end record: counter")
    return end
