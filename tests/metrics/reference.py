"""Metrics of a plain and a cipher picture, by NumPy, SciPy and scikit-image.

    reference.py PLAIN CIPHER OTHER    prints JSON: {channel: {name: value}}

OTHER is a second cipher picture, for NPCR and UACI. Written from the definitions, without the product's code.
"""

import json
import sys
import zlib

import numpy
import scipy.stats
import skimage.io
import skimage.metrics


def channels(picture):
    if picture.ndim == 2:
        return {"gray": picture}
    return dict(zip("rgb", numpy.moveaxis(picture, 2, 0)))


def metrics(plain, cipher, other):
    counts = numpy.bincount(cipher.ravel(), minlength=256)
    pairs = {
        "horizontal": (cipher[:, :-1], cipher[:, 1:]),
        "vertical": (cipher[:-1], cipher[1:]),
        "diagonal": (cipher[:-1, :-1], cipher[1:, 1:]),
    }
    a, b = plain.astype(float), cipher.astype(float)
    found = {
        "chi_square": scipy.stats.chisquare(counts).statistic,
        "entropy": scipy.stats.entropy(counts, base=2),
        "mse": skimage.metrics.mean_squared_error(plain, cipher),
        "psnr": skimage.metrics.peak_signal_noise_ratio(plain, cipher, data_range=255),
        "nc": (a * b).sum() / numpy.sqrt((a * a).sum() * (b * b).sum()),
        "npcr": 100 * (cipher != other).mean(),
        "uaci": 100 * numpy.abs(b - other.astype(float)).mean() / 255,
        "ssim": skimage.metrics.structural_similarity(
            plain, cipher, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        ),
    }
    for direction, (one, neighbour) in pairs.items():
        found[f"correlation_{direction}"] = scipy.stats.pearsonr(one.ravel(), neighbour.ravel()).statistic
    return {name: float(value) for name, value in found.items()}


def main():
    plain, cipher, other = (skimage.io.imread(path) for path in sys.argv[1:4])
    report = {
        name: metrics(one, channels(cipher)[name], channels(other)[name]) for name, one in channels(plain).items()
    }
    report["all"] = {"compression_ratio": cipher.size / len(zlib.compress(cipher.tobytes(), 9))}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
