"""Rows of raw pictures (section 10): planes by format and size, and what of it raw video caps say."""

import re
from dataclasses import dataclass

MAX_SIDE = 65_535


@dataclass(frozen=True)
class Plane:
    """Geometry of one plane: visible bytes a row, rows, rows of plane 0 for each row of this one."""

    row_bytes: int
    rows: int
    vertical_subsampling: int = 1


@dataclass(frozen=True)
class Shape:
    """A plane at any size: rows of groups of bytes, each over some pixels; one row for `v` rows of the picture."""

    group_bytes: int
    group_pixels: int = 1
    v: int = 1
    paired: bool = False

    def plane(self, width: int, rows: int, interlaced: bool) -> Plane:
        own_rows = -(-rows // self.v)
        if interlaced and self.paired:
            own_rows += own_rows % 2
        return Plane(-(-width // self.group_pixels) * self.group_bytes, own_rows, self.v)


def _planar(sample_bytes: int) -> dict[str, list[Shape]]:
    """Planar shapes by chroma; a trailing A is a plane of alpha."""
    full = Shape(sample_bytes)
    chroma = {
        "420": Shape(sample_bytes, 2, 2, True),
        "422": Shape(sample_bytes, 2),
        "411": Shape(sample_bytes, 4),
        "410": Shape(sample_bytes, 4, 4, True),
        "444": full,
    }
    shapes = {name: [full, shape, shape] for name, shape in chroma.items()}
    return shapes | {name + "A": [*planes, full] for name, planes in shapes.items()}


_P8, _P16 = _planar(1), _planar(2)
_FAMILIES = [
    ("GRAY8", [Shape(1)]),
    ("GRAY16_BE GRAY16_LE RGB15 BGR15 RGB16 BGR16 GRAYA8", [Shape(2)]),
    ("RGB BGR v308 IYU2", [Shape(3)]),
    ("RGBx BGRx xRGB xBGR RGBA BGRA ARGB ABGR AYUV VUYA r210 Y410 BGR10A2_LE RGB10A2_LE GRAYA16_BE", [Shape(4)]),
    ("RGB48_BE", [Shape(6)]),
    ("ARGB64 ARGB64_LE ARGB64_BE RGBA64_LE RGBA64_BE BGRA64_LE BGRA64_BE ABGR64_LE ABGR64_BE", [Shape(8)]),
    ("AYUV64 Y412_BE Y412_LE", [Shape(8)]),
    ("YUY2 UYVY YVYU VYUY", [Shape(4, 2)]),
    ("v216 Y210 Y212_BE Y212_LE", [Shape(8, 2)]),
    ("IYU1", [Shape(6, 4)]),
    ("UYVP", [Shape(5, 2)]),
    ("v210", [Shape(16, 6)]),
    ("GRAY10_LE32", [Shape(4, 3)]),
    ("I420 YV12", _P8["420"]),
    ("A420", _P8["420A"]),
    ("Y42B", _P8["422"]),
    ("Y41B", _P8["411"]),
    ("YUV9 YVU9", _P8["410"]),
    ("Y444 GBR RGBP BGRP", _P8["444"]),
    ("GBRA", _P8["444A"]),
    ("I420_10BE I420_10LE I420_12BE I420_12LE", _P16["420"]),
    ("A420_10BE A420_10LE", _P16["420A"]),
    ("I422_10BE I422_10LE I422_12BE I422_12LE", _P16["422"]),
    ("A422_10BE A422_10LE", _P16["422A"]),
    ("Y444_10BE Y444_10LE Y444_12BE Y444_12LE Y444_16BE Y444_16LE", _P16["444"]),
    ("GBR_10BE GBR_10LE GBR_12BE GBR_12LE", _P16["444"]),
    ("A444_10BE A444_10LE GBRA_10BE GBRA_10LE GBRA_12BE GBRA_12LE", _P16["444A"]),
    ("NV12 NV21", [Shape(1), Shape(2, 2, 2, True)]),
    ("AV12", [Shape(1), Shape(2, 2, 2), Shape(1)]),
    ("NV16 NV61", [Shape(1), Shape(2, 2)]),
    ("NV24", [Shape(1), Shape(2)]),
    ("P010_10BE P010_10LE P012_BE P012_LE P016_BE P016_LE", [Shape(2), Shape(4, 2, 2)]),
    ("NV12_10LE32", [Shape(4, 3), Shape(4, 3, 2, True)]),
    ("NV16_10LE32", [Shape(4, 3), Shape(4, 3)]),
    ("NV12_10LE40", [Shape(5, 4), Shape(5, 4, 2, True)]),
]
SHAPES = {name: shapes for names, shapes in _FAMILIES for name in names.split()}
OPAQUE = "RGB8P NV12_4L4 NV12_32L32 NV12_16L32S NV12_64Z32 NV12_8L128 NV12_10BE_8L128".split()


def planes_of(name: str, width: int, rows: int, interlaced: bool = False) -> list[Plane] | None:
    """The planes of a buffer with `rows` rows; None where it has no rows that both sides agree on: opaque bytes."""
    if name not in SHAPES or not (1 <= width <= MAX_SIDE and 1 <= rows <= MAX_SIDE):
        return None
    if name == "UYVP" and width % 2:
        return None
    return [shape.plane(width, rows, interlaced) for shape in SHAPES[name]]


def row_step(planes: list[Plane], interlaced: bool) -> int:
    """The number of rows that extra rows are multiples of."""
    return max(plane.vertical_subsampling for plane in planes) * (2 if interlaced else 1)


def planes_of_caps(caps: str) -> tuple[list[Plane] | None, bool]:
    """Planes of a buffer with these raw video caps, and whether it is interlaced."""
    fields = dict(re.findall(r"([a-z-]+)=\([a-z]+\)([^,; ]+)", caps))
    mode = fields.get("interlace-mode", "progressive")
    if not re.match(r"video/x-raw\b", caps) or not {"format", "width", "height"} <= fields.keys():
        return None, False
    rows = int(fields["height"])
    if mode == "alternate":
        rows = (rows + 1) // 2
    return planes_of(fields["format"], int(fields["width"]), rows, mode != "progressive"), mode != "progressive"
