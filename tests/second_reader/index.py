"""Index packets (section 6): reads and writes them."""

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from .layout import (
    INDEX_DESCRIPTION,
    INDEX_END,
    INDEX_FIXED,
    INDEX_HEADER,
    INDEX_MAGIC,
    INDEX_POINT,
    INDEX_TRAILER,
    MAX_INDEX_BYTES,
    MAX_INDEX_DESCRIPTIONS,
    MAX_INDEX_POINTS,
    MAX_STREAMS,
    TAG,
    VERSION,
    FormatError,
    StreamKeys,
    Truncated,
    absent_as_none,
    none_as_absent,
    same,
)

MAX_CONTENT = INDEX_FIXED + INDEX_DESCRIPTION * MAX_INDEX_DESCRIPTIONS + INDEX_POINT * MAX_INDEX_POINTS


@dataclass(frozen=True)
class Index:
    """Where a stream can be entered: (counter, offset) pairs, and (counter, offset, running time) of the points."""

    end: int | None
    descriptions: list[tuple[int, int]]
    points: list[tuple[int, int, int]]


def pack_content(index: Index) -> bytes:
    fixed = struct.pack("<B3xIIIQ", VERSION, len(index.descriptions), len(index.points), 0, none_as_absent(index.end))
    lists = [struct.pack("<QQ", *told) for told in index.descriptions]
    return fixed + b"".join(lists + [struct.pack("<QQQ", *point) for point in index.points])


def seal(keys: StreamKeys, content: bytes, header_offset: int, salt: bytes) -> bytes:
    """The index packet; the salt is what a writer draws."""
    fixed = INDEX_MAGIC + struct.pack("<B3xI", VERSION, len(content)) + keys.stream_id
    fixed += struct.pack("<Q", header_offset) + salt
    header = fixed + keys.index_mac(fixed)
    sealed = keys.index_cipher(salt).encrypt(bytes(12), content, header)
    return header + sealed + struct.pack("<Q", len(header) + len(sealed) + INDEX_TRAILER) + INDEX_END


def packet_length(data: bytes, at: int, keys: StreamKeys) -> int:
    """Length of the index packet at this place, whose MAC holds."""
    header = data[at : at + INDEX_HEADER]
    if len(header) < INDEX_HEADER:
        raise Truncated("index header")
    if not same(keys.index_mac(header), header[72:]):
        raise FormatError("index: MAC")
    version, zeros, length = header[8], header[9:12], struct.unpack_from("<I", header, 12)[0]
    if version != VERSION or any(zeros) or length > MAX_CONTENT:
        raise FormatError("index: version, reserved bytes or length")
    return INDEX_HEADER + length + TAG + INDEX_TRAILER


def open_index(packet: bytes, keys: StreamKeys) -> Index:
    length = packet_length(packet, 0, keys)
    if len(packet) != length or packet[-INDEX_TRAILER:] != struct.pack("<Q", length) + INDEX_END:
        raise FormatError("index: its end")
    header, sealed = packet[:INDEX_HEADER], packet[INDEX_HEADER:-INDEX_TRAILER]
    try:
        content = keys.index_cipher(header[40:72]).decrypt(bytes(12), sealed, header)
    except InvalidTag as error:
        raise FormatError("index: content") from error
    return parse_content(content)


def parse_content(content: bytes) -> Index:
    if len(content) < INDEX_FIXED:
        raise FormatError("index: length")
    version, zeros, told, points, zero, end = struct.unpack_from("<B3sIIIQ", content)
    if version != VERSION or any(zeros) or zero:
        raise FormatError("index: version or reserved bytes")
    if not 1 <= told <= MAX_INDEX_DESCRIPTIONS or points > MAX_INDEX_POINTS:
        raise FormatError("index: numbers")
    if len(content) != INDEX_FIXED + INDEX_DESCRIPTION * told + INDEX_POINT * points:
        raise FormatError("index: length")
    lists_at = INDEX_FIXED + INDEX_DESCRIPTION * told
    index = Index(
        absent_as_none(end),
        list(struct.iter_unpack("<QQ", content[INDEX_FIXED:lists_at])),
        list(struct.iter_unpack("<QQQ", content[lists_at:])),
    )
    for rows in (index.descriptions, index.points, index.descriptions[:1] + [point[:2] for point in index.points[:1]]):
        if any(a >= b for earlier, later in zip(rows, rows[1:]) for a, b in zip(earlier, later)):
            raise FormatError("index: order")
    return index


def find_from_end(data: bytes) -> list[tuple[int, int]]:
    """Start and end of the index packets that a file ends with, as they claim, the last one first."""
    places, end = [], len(data)
    while len(places) < MAX_STREAMS and data[max(end - 8, 0) : end] == INDEX_END and end >= INDEX_TRAILER:
        length = struct.unpack_from("<Q", data, end - INDEX_TRAILER)[0]
        start = end - length
        if start < 0 or length > MAX_CONTENT + INDEX_HEADER + TAG + INDEX_TRAILER or len(data) - start > MAX_INDEX_BYTES:
            break
        if data[start : start + 8] != INDEX_MAGIC:
            break
        places.append((start, end))
        end = start
    return places
