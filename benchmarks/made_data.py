"""Data sets that benchmarks make for themselves: the shapes and the difficulties of known ones, from a seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Data = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

MEANS = (2959.4, 155.7, 14.1, 269.4, 46.4, 2350.1, 212.1, 223.3, 142.5, 1980.3)
DEVIATIONS = (280.0, 111.9, 7.49, 212.5, 58.3, 1559.3, 26.8, 19.8, 38.3, 1324.2)
AREAS = (0.449, 0.051, 0.436, 0.064)
COVERS = (0.365, 0.488, 0.062, 0.0047, 0.0163, 0.0299, 0.0353)


def _drawn(logits: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a class a row, drawn from the softmax of its logits."""
    return np.asarray((logits + rng.gumbel(size=logits.shape)).argmax(axis=1), dtype=np.int64)


def forest(n_rows: int = 200_000, seed: int = 0) -> Data:
    """Ten correlated numbers in units of their own and two sets of dummies, 54 columns, 7 classes, as in Covertype.

    The dummies are collinear with the intercept, scales lie five decades apart, some columns and classes are rare.
    """
    rng = np.random.default_rng(seed)
    factors, mixing = rng.standard_normal((n_rows, 4)), rng.standard_normal((4, 10))
    numbers = 0.7 * factors @ mixing / 2 + 0.7 * rng.standard_normal((n_rows, 10))
    soils = 1.0 / np.arange(1, 41) ** 1.6
    height = numbers[:, :1]
    area = _drawn(np.log(AREAS) + height * rng.standard_normal(4), rng)
    soil = _drawn(np.log(soils / soils.sum()) + height * rng.standard_normal(40) * 1.2, rng)
    features = np.zeros((n_rows, 54))
    features[:, :10] = np.round(np.array(MEANS) + np.array(DEVIATIONS) * numbers)
    features[np.arange(n_rows), 10 + area] = 1
    features[np.arange(n_rows), 14 + soil] = 1
    weight = 0.9 * rng.standard_normal((7, 10))
    by_area, by_soil = rng.standard_normal((7, 4)), 1.2 * rng.standard_normal((7, 40))
    logits = numbers @ weight.T + by_area.T[area] + by_soil.T[soil] + np.log(COVERS)
    return features, _drawn(logits, rng)


def digits(n_rows: int = 60_000, seed: int = 0) -> Data:
    """Noisy, shifted 28 x 28 pictures in [0, 1] of scikit-learn's 8 x 8 digits, 3 % of them with any label."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(seed)
    small = load_digits()
    large = np.stack([zoom(image, 2.5, order=1) for image in small.images])
    chosen = rng.integers(0, len(large), n_rows)
    down, right = (4 + np.clip(np.round(rng.standard_normal(n_rows)), -2, 2).astype(int) for _ in range(2))
    gain = 16 * (0.7 + 0.5 * rng.random(n_rows))
    pixels = np.zeros((n_rows, 28, 28), dtype=np.float32)
    for row in range(n_rows):
        pixels[row, down[row] : down[row] + 20, right[row] : right[row] + 20] = large[chosen[row]] * gain[row]
    pixels += (pixels > 40) * rng.normal(0, 40, pixels.shape).astype(np.float32)
    pixels[pixels < 40] = 0
    targets = small.target[chosen].astype(np.int64)
    wrong = rng.random(n_rows) < 0.03
    targets[wrong] = rng.integers(0, 10, int(wrong.sum()))
    return np.clip(np.round(pixels), 0, 255).reshape(n_rows, 784).astype(np.float64) / 255, targets


def text(
    n_rows: int = 20_000, n_words: int = 50_000, n_classes: int = 20, seed: int = 0
) -> tuple[sparse.csr_matrix, npt.NDArray[np.int64]]:
    """Documents as rows of (1 + log count) x idf, of length one: some 90 of 50,000 words in each, 20 classes.

    Words follow Zipf's law; about an eighth of those of a document are from a thousand words of its class.
    """
    rng = np.random.default_rng(seed)
    law = 1.0 / np.arange(1, n_words + 1) ** 1.05
    bounds = np.cumsum(law / law.sum())
    own = np.stack([rng.choice(n_words, n_words // 50, replace=False) for _ in range(n_classes)])
    targets = rng.integers(0, n_classes, n_rows)
    lengths = np.maximum(8, rng.lognormal(np.log(110), 0.6, n_rows)).astype(np.int64)
    rows = np.repeat(np.arange(n_rows), lengths)
    words = np.minimum(np.searchsorted(bounds, rng.random(len(rows))), n_words - 1)
    of_class = rng.random(len(rows)) < 0.12
    words[of_class] = own[targets[rows[of_class]], rng.integers(0, own.shape[1], int(of_class.sum()))]
    counts = sparse.csr_matrix((np.ones(len(rows)), (rows, words)), shape=(n_rows, n_words))
    counts.sum_duplicates()
    found = np.bincount(counts.indices, minlength=n_words)
    counts.data = (1.0 + np.log(counts.data)) * (np.log((1.0 + n_rows) / (1.0 + found)) + 1.0)[counts.indices]
    lengths_squared = np.asarray(counts.multiply(counts).sum(axis=1)).ravel()
    counts.data /= np.repeat(np.sqrt(lengths_squared), np.diff(counts.indptr))
    return counts, np.asarray(targets, dtype=np.int64)
