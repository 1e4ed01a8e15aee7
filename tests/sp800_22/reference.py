"""NIST SP 800-22 Rev. 1a once more, from the publication's text, with numpy and scipy.

Reads a file of packed bits, the first bit being the most significant of its byte, and prints the P-values as JSON:
{"test label": value or null}. Nothing here is fast or shared with the library: patterns are counted in strings, linear
complexities with Python's integers, and probabilities come from other formulas.
"""

import itertools
import json
import math
import sys
from fractions import Fraction

import numpy
from scipy.special import erfc, gammaincc
from scipy.stats import norm


def chi_square(counts, probabilities):
    counts, expected = numpy.array(counts), sum(counts) * numpy.array(probabilities, dtype=float)
    return gammaincc((len(counts) - 1) / 2, numpy.sum((counts - expected) ** 2 / expected) / 2)


def frequency(bits):
    return {"": erfc(abs(numpy.sum(2.0 * bits - 1)) / math.sqrt(2 * len(bits)))}


def block_frequency(bits, size=128):
    shares = bits[: len(bits) // size * size].reshape(-1, size).mean(axis=1)
    return {"": gammaincc(len(shares) / 2, 4 * size * numpy.sum((shares - 0.5) ** 2) / 2)}


def runs(bits):
    n, share = len(bits), bits.mean()
    if abs(share - 0.5) >= 2 / math.sqrt(n):
        return {"": 0.0}
    count = len(list(itertools.groupby(bits)))
    spread = share * (1 - share)
    return {"": erfc(abs(count - 2 * n * spread) / (2 * math.sqrt(2 * n) * spread))}


def longest_run(bits):
    n = len(bits)
    size, low, high = (8, 1, 4) if n < 6272 else (128, 4, 9) if n < 750000 else (10000, 10, 16)
    text = "".join(map(str, bits))
    blocks = [text[at : at + size] for at in range(0, n - size + 1, size)]
    longest = [max(map(len, block.split("0"))) for block in blocks]
    counts = [sum(min(max(run, low), high) == k for run in longest) for k in range(low, high + 1)]

    def without_longer(run):
        """Strings of `size` bits: generalised Fibonacci numbers."""
        strings = [2**k for k in range(run + 1)]
        while len(strings) <= size:
            strings.append(sum(strings[-run - 1 :]))
        return Fraction(strings[size], 2**size)

    up_to = [Fraction(0)] + [without_longer(k) for k in range(low, high)] + [Fraction(1)]
    return {"": chi_square(counts, [float(b - a) for a, b in itertools.pairwise(up_to)])}


def rank(bits):
    counts = [0, 0, 0]
    for matrix in bits[: len(bits) // 1024 * 1024].reshape(-1, 32, 32):
        basis = {}
        for row in matrix:
            row = int("".join(map(str, row)), 2)
            while row and row.bit_length() in basis:
                row ^= basis[row.bit_length()]
            if row:
                basis[row.bit_length()] = row
        counts[min(32 - len(basis), 2)] += 1
    full = math.prod(1 - 2.0**-i for i in range(1, 33))
    # From full rank: 2^32 - 1 kernels of dimension one, and so on (von zur Gathen, Gerhard, section 12).
    one_less = full * (1 - 2.0**-32) / (1 - 2.0**-1) ** 2 / 2
    return {"": chi_square(counts, [full, one_less, 1 - full - one_less])}


def spectral(bits):
    n = len(bits)
    peaks = numpy.abs(numpy.fft.rfft(2.0 * bits - 1))[: n // 2]
    low = numpy.count_nonzero(peaks < math.sqrt(math.log(20) * n))
    return {"": erfc(abs(low - 0.95 * n / 2) / math.sqrt(n * 0.95 * 0.05 / 4) / math.sqrt(2))}


def non_overlapping_template(bits, m=9, blocks=8):
    size = len(bits) // blocks
    texts = ["".join(map(str, bits[k * size : (k + 1) * size])) for k in range(blocks)]
    mean, variance = (size - m + 1) / 2**m, size * (1 / 2**m - (2 * m - 1) / 2 ** (2 * m))
    found = {}
    for template in map("".join, itertools.product("01", repeat=m)):
        if not any(template.startswith(template[k:]) for k in range(1, m)):
            counts = numpy.array([text.count(template) for text in texts])
            found[template] = gammaincc(blocks / 2, numpy.sum((counts - mean) ** 2 / variance) / 2)
    return found


def overlapping_template(bits, m=9, size=1032):
    text = "".join(map(str, bits))
    counts = [0] * 6
    for at in range(0, len(text) - size + 1, size):
        ones = map(len, text[at : at + size].split("0"))
        counts[min(sum(max(run - m + 1, 0) for run in ones), 5)] += 1
    # The transfer matrix of ones in a row, whose entries are polynomials in the number of occurrences, up to the fourth.
    step = numpy.zeros((5, m + 1, m + 1))
    step[0, :, 0] = 0.5
    for run in range(m - 1):
        step[0, run, run + 1] = 0.5
    step[1, m - 1, m] = step[1, m, m] = 0.5

    def product(a, b):
        return numpy.array([sum(a[i] @ b[k - i] for i in range(k + 1)) for k in range(5)])

    power = numpy.zeros_like(step)
    power[0] = numpy.eye(m + 1)
    for digit in f"{size:b}":
        power = product(power, power)
        if digit == "1":
            power = product(power, step)
    probabilities = list(power[:, 0, :].sum(axis=1))
    return {"": chi_square(counts, probabilities + [1 - sum(probabilities)])}


def universal(bits):
    size = max(k for k in range(6, 17) if len(bits) >= 1010 * 2**k * k)
    values = bits[: len(bits) // size * size].reshape(-1, size) @ (1 << numpy.arange(size)[::-1])
    first, last, logs = 10 * 2**size, {}, []
    for number, value in enumerate(values):
        if number >= first:
            logs.append(math.log2(number - last.get(value, -1)))
        last[value] = number
    distances = numpy.arange(1, 60 * 2**size)
    weights = 2.0**-size * (1 - 2.0**-size) ** (distances - 1.0)
    mean = numpy.sum(weights * numpy.log2(distances))
    variance = numpy.sum(weights * numpy.log2(distances) ** 2) - mean**2
    tested = len(logs)
    c = 0.7 - 0.8 / size + (4 + 32 / size) * tested ** (-3 / size) / 15
    deviation = c * math.sqrt(variance / tested)
    return {"": erfc(abs(math.fsum(logs) / tested - mean) / math.sqrt(2) / deviation)}


def linear_complexity(bits, size=500):
    def complexity(block):
        """Berlekamp and Massey, polynomials being integers."""
        c, b, length, since = 1, 1, 0, 1
        backwards = 0
        for n, bit in enumerate(block):
            backwards = backwards << 1 | int(bit)
            if (c & backwards).bit_count() % 2:
                c, b_next = c ^ (b << since), c
                if 2 * length <= n:
                    length, b, since = n + 1 - length, b_next, 0
            since += 1
        return length

    sign = (-1) ** size
    mean = size / 2 + (9 - sign) / 36 - (size / 3 + 2 / 9) / 2**size
    counts = [0] * 7
    for at in range(0, len(bits) - size + 1, size):
        t = sign * (complexity(bits[at : at + size]) - mean) + 2 / 9
        counts[sum(t > bound for bound in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))] += 1
    return {"": chi_square(counts, [1 / 96, 1 / 32, 1 / 8, 1 / 2, 1 / 4, 1 / 16, 1 / 48])}


def pattern_counts(bits, m):
    ring = numpy.concatenate([bits, bits[: m - 1]])
    windows = numpy.lib.stride_tricks.sliding_window_view(ring, m) @ (1 << numpy.arange(m))
    return numpy.bincount(windows, minlength=2**m)


def serial(bits, m=16):
    n = len(bits)
    psi = [2**k / n * numpy.sum(pattern_counts(bits, k).astype(float) ** 2) - n for k in (m, m - 1, m - 2)]
    return {
        "first difference": gammaincc(2 ** (m - 2), (psi[0] - psi[1]) / 2),
        "second difference": gammaincc(2 ** (m - 3), (psi[0] - 2 * psi[1] + psi[2]) / 2),
    }


def approximate_entropy(bits, m=10):
    def phi(k):
        shares = pattern_counts(bits, k) / len(bits)
        shares = shares[shares > 0]
        return numpy.sum(shares * numpy.log(shares))

    statistic = 2 * len(bits) * (math.log(2) - (phi(m) - phi(m + 1)))
    return {"": gammaincc(2 ** (m - 1), statistic / 2)}


def cumulative_sums(bits):
    def p_value(steps):
        z, root = numpy.abs(numpy.cumsum(steps)).max(), math.sqrt(len(steps))
        # All terms that are not nothing: the distribution's own series has infinitely many.
        k = numpy.arange(-int(10 * root / z) - 2, int(10 * root / z) + 3)
        within = numpy.sum(norm.cdf((4 * k + 1) * z / root) - norm.cdf((4 * k - 1) * z / root))
        beyond = numpy.sum(norm.cdf((4 * k + 3) * z / root) - norm.cdf((4 * k + 1) * z / root))
        return 1 - within + beyond

    steps = 2 * bits.astype(int) - 1
    return {"forward": p_value(steps), "backward": p_value(steps[::-1])}


def cycles(bits):
    """The walk's places between returns to 0; None where there are too few."""
    places = numpy.cumsum(2 * bits.astype(int) - 1)
    if places[-1] != 0:
        places = numpy.append(places, 0)
    found = numpy.split(places, numpy.flatnonzero(places == 0) + 1)[:-1]
    return found if len(found) >= max(500, 0.005 * math.sqrt(len(bits))) else None


def random_excursions(bits):
    states = [-4, -3, -2, -1, 1, 2, 3, 4]
    found = cycles(bits)
    if found is None:
        return {f"{state:+}": None for state in states}
    p_values = {}
    for state in states:
        visits = [min(numpy.count_nonzero(cycle == state), 5) for cycle in found]
        x = Fraction(1, 2 * abs(state))
        probabilities = [1 - x] + [x * x * (1 - x) ** (k - 1) for k in range(1, 5)] + [x * (1 - x) ** 4]
        p_values[f"{state:+}"] = chi_square(numpy.bincount(visits, minlength=6), probabilities)
    return p_values


def random_excursions_variant(bits):
    states = [state for state in range(-9, 10) if state]
    found = cycles(bits)
    if found is None:
        return {f"{state:+}": None for state in states}
    places, j = numpy.concatenate(found), len(found)
    visits = {state: numpy.count_nonzero(places == state) for state in states}
    return {f"{x:+}": erfc(abs(visits[x] - j) / math.sqrt(2 * j * (4 * abs(x) - 2))) for x in states}


TESTS = [
    (100, frequency), (128, block_frequency), (100, runs), (128, longest_run), (38912, rank), (1000, spectral),
    (100000, non_overlapping_template), (10**6, overlapping_template), (387840, universal),
    (10**6, linear_complexity), (2**19, serial), (2**16, approximate_entropy), (100, cumulative_sums),
    (10**6, random_excursions), (10**6, random_excursions_variant),
]


def main():
    bits = numpy.unpackbits(numpy.fromfile(sys.argv[1], dtype=numpy.uint8))
    found = {}
    for least, test in TESTS:
        if len(bits) >= least:
            name = test.__name__.replace("_", " ").replace("non o", "non-o")
            found |= {f"{name} {label}".strip(): value for label, value in test(bits).items()}
    print(json.dumps({name: None if value is None else float(value) for name, value in found.items()}))


if __name__ == "__main__":
    main()
