"""The chaotic stage: keystream and permutation of one frame (section 9 of the format)."""

import ctypes
import functools
import random
import struct
from array import array

from blake3 import blake3

BLOCK = 256
ROWS_PER_TILE = 192
TILE = ROWS_PER_TILE * BLOCK
LANES = 32
WARM_UP_STEPS = 8
NETWORKS = 4
BLOCK_ORDERS = 8

H = float.fromhex("0x1.2c40a2a705846p-5")
HS = float.fromhex("0x1.7750cb50c6e58p-2")
ONE_MINUS_HS = float.fromhex("0x1.44579a579c8d4p-1")
ONE_MINUS_H = float.fromhex("0x1.ed3bf5d58fa7cp-1")
ONE_MINUS_H_BETA = float.fromhex("0x1.cdf53a397f14ap-1")
T_MAX = float.fromhex("0x1.fffffffffffffp-1")
SINE = [
    float.fromhex(text)
    for text in (
        "0x1.921fb54442d18p+1 0x1.921fb54442d60p+1 0x1.1d8f9b8798c13p+0 0x1.a37b40755b5e8p-3 "
        "0x1.7996a2d51e6bap-6 0x1.cbc0e1854470dp-10 0x1.93d7c8fdfcc64p-14 0x1.1559283f92706p-18"
    ).split()
]


def exact_fma(a: float, b: float, c: float) -> float:
    """`a * b + c` with one rounding: exact integers, then one correctly rounded division."""
    a_top, a_bottom = a.as_integer_ratio()
    b_top, b_bottom = b.as_integer_ratio()
    c_top, c_bottom = c.as_integer_ratio()
    bottom = a_bottom * b_bottom
    return (a_top * b_top * c_bottom + c_top * bottom) / (bottom * c_bottom)


def fma_agrees(candidate, samples: int = 200) -> bool:
    """Compare an fma with the exact one on random values, half of them with heavy cancellation."""
    draw = random.Random(1)
    for number in range(samples):
        a, b = draw.uniform(-53, 53), draw.uniform(-53, 53)
        c = -a * b if number % 2 else draw.uniform(-53, 53)
        if candidate(a, b, c) != exact_fma(a, b, c):
            return False
    return True


def _find_fma():
    """The C library's fma where there is one that agrees with the exact one, else the exact one."""
    try:
        libm_fma = ctypes.CDLL("libm.so.6").fma
    except (OSError, AttributeError):
        return exact_fma
    libm_fma.argtypes = [ctypes.c_double] * 3
    libm_fma.restype = ctypes.c_double
    return libm_fma if fma_agrees(libm_fma) else exact_fma


fast_fma = _find_fma()


def lane_words(seed: bytes, words: int, fma=fast_fma) -> list[int]:
    """The first `words` 64-bit words of the lane with this 40-byte seed."""
    r = [((b >> 12) + 0.5) * 2.0**-52 for b in struct.unpack("<5Q", seed)]
    u, t = 4.0 * r[0], r[1]
    v = (4.0 - u) * 0.25
    x, y, z = 30.0 * r[2] - 15.0, 30.0 * r[3] - 15.0, 30.0 * r[4] + 10.0

    def logistic_sine(t):
        w = fma(-t, t, t)
        p = SINE[7]
        for c in SINE[6::-1]:
            p = fma(p, w, c)
        m = w * fma(v, p, u)
        return m if m < T_MAX else T_MAX

    def lorenz(x, y, z):
        x = fma(HS, y, x * ONE_MINUS_HS)
        hx = H * x
        y = fma(hx, 28.0 - z, y * ONE_MINUS_H)
        z = fma(hx, y, z * ONE_MINUS_H_BETA)
        return x, y, z

    for _ in range(WARM_UP_STEPS):
        t = logistic_sine(t)
        x, y, z = lorenz(x, y, z)
    out = []
    while len(out) < words:
        x, y, z = lorenz(x, y, z)
        for s in (x, y, z):
            t = logistic_sine(t)
            t_bits, s_bits = struct.unpack("<QQ", struct.pack("<dd", t, s))
            lo, hi = t_bits & 0xFFFFFFFF, s_bits & 0xFFFFFFFF
            a = (lo & 0x0F0F0F0F) | (hi & 0xF0F0F0F0)
            b = ((lo >> 4) & 0x0F0F0F0F) | ((hi << 4) & 0xF0F0F0F0)
            out.append(a | b << 32)
    return out[:words]


def keystream(frame_key: bytes, length: int, fma=fast_fma) -> bytes:
    """`length` bytes of keystream; rows and lanes that no byte needs are not computed."""
    groups = -(-length // TILE)
    seeds = blake3(b"lanes", key=frame_key).digest(length=64 * LANES * groups)
    out = bytearray(groups * TILE)
    for group in range(groups):
        rows = min(ROWS_PER_TILE, -(-(length - group * TILE) // BLOCK))
        for lane in range(LANES):
            at = 64 * (LANES * group + lane)
            words = lane_words(seeds[at : at + 40], rows, fma)
            for row, word in enumerate(words):
                struct.pack_into("<Q", out, TILE * group + BLOCK * row + 8 * lane, word)
    return bytes(out[:length])


class _Draws:
    """Successive bytes of an extendable output, drawn in pieces."""

    def __init__(self, output):
        self._output, self._at = output, 0

    def take(self, length: int) -> bytes:
        taken = self._output.digest(length=length, seek=self._at)
        self._at += length
        return taken

    def permutation(self, items: int) -> list[int]:
        p = list(range(items))
        numbers = struct.unpack(f"<{max(items - 1, 0)}I", self.take(4 * max(items - 1, 0)))
        for i, number in zip(range(items - 1, 0, -1), numbers):
            j = (number * (i + 1)) >> 32
            p[i], p[j] = p[j], p[i]
        return p


def _network_sources(layers: list[list[list[int]]]) -> list[int]:
    """For each byte of a block after the network, which byte of the block before it stands there."""
    block = list(range(BLOCK))
    for number, rows in enumerate(layers):
        block = [block[16 * r + rows[r][c]] for r in range(16) for c in range(16)]
        if number < 2:
            block = [block[16 * c + r] for r in range(16) for c in range(16)]
    return block


def permutation(frame_key: bytes, length: int) -> array:
    """The source index of every output byte: `dst[i] = src[p[i]]`."""
    tiles, rest = divmod(length, TILE)
    partial_blocks, tail = divmod(rest, BLOCK)
    draws = _Draws(blake3(b"perm", key=frame_key))
    networks = [
        _network_sources([[draws.permutation(16) for _ in range(16)] for _ in range(3)])
        for _ in range(NETWORKS)
    ]
    block_orders = [draws.permutation(ROWS_PER_TILE) for _ in range(BLOCK_ORDERS)]
    tile_order = draws.permutation(tiles)
    partial_order = draws.permutation(partial_blocks)
    tail_order = draws.permutation(tail)
    order_choice = [byte % BLOCK_ORDERS for byte in draws.take(tiles)]
    network_choice = [byte % NETWORKS for byte in draws.take(ROWS_PER_TILE * tiles + partial_blocks)]

    source_blocks = [
        ROWS_PER_TILE * tile_order[t] + block for t in range(tiles) for block in block_orders[order_choice[t]]
    ]
    source_blocks += [ROWS_PER_TILE * tiles + block for block in partial_order]
    p = array("I")
    for block, choice in zip(source_blocks, network_choice):
        p.extend([BLOCK * block + source for source in networks[choice]])
    p.extend([length - tail + source for source in tail_order])
    return p


@functools.lru_cache(maxsize=8)
def _stage(frame_key: bytes, length: int) -> tuple[bytes, array]:
    return keystream(frame_key, length), permutation(frame_key, length)


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def encrypt(frame_key: bytes, data: bytes) -> bytes:
    """Permute, then XOR with the keystream."""
    stream, p = _stage(frame_key, len(data))
    return _xor(bytes(map(data.__getitem__, p)), stream)


def decrypt(frame_key: bytes, data: bytes) -> bytes:
    """XOR with the keystream, then undo the permutation."""
    stream, p = _stage(frame_key, len(data))
    out = bytearray(len(data))
    for source, byte in zip(p, _xor(data, stream)):
        out[source] = byte
    return bytes(out)
