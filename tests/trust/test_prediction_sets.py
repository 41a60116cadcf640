"""Prediction sets: exact ranks, exact scores, and the coverage that is promised."""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from asserts import assert_bit_equal, assert_close
from softclass import SoftmaxRegression, softmax
from softclass.errors import NotFiniteError, OptionError, ShapeError, TargetError
from softclass.trust.prediction_sets import (
    METHODS,
    PredictionSets,
    choose_raps,
    conformal_rank,
    count_sets,
    coverage_band,
    nonconformity_scores,
    row_uniforms,
)


def uniforms_for(method: str, n: int, seed: int = 0) -> np.ndarray | None:
    return None if method == "lac" else np.random.default_rng(seed).random(n)


def made_rows(seed: int, n: int, n_classes: int, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(n, n_classes))
    return logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)


# --- ranks -----------------------------------------------------------------------------------------------------------


def test_ranks_are_exact_for_99000_pairs() -> None:
    pairs = [(n, alpha) for n in range(1, 1001) for alpha in range(1, 100)]
    expected = [-(-(n + 1) * (100 - alpha) // 100) for n, alpha in pairs]
    wanted = [Fraction(100 - alpha, 100) for alpha in range(100)]

    assert expected == [conformal_rank(n, wanted[alpha]) for n, alpha in pairs]


@pytest.mark.parametrize("written", [0.3, "0.3", "3/10", Fraction(3, 10), np.float64(0.3), "30e-2"])
def test_a_float_means_the_decimal_that_it_is_printed_as(written: object) -> None:
    # In binary ceil(10 * (1 - 0.7)) is 4.
    assert conformal_rank(9, written) == 3


@pytest.mark.parametrize(
    ("n", "coverage", "band"),
    [
        (19, "0.9", (0.774, 0.981)),
        (50, "0.9", (0.826, 0.960)),
        (100, "0.9", (0.848, 0.945)),
        (199, "0.9", (0.863, 0.932)),
        (500, "0.9", (0.877, 0.921)),
        (539, "0.9", (0.878, 0.920)),
        (999, "0.9", (0.884, 0.915)),
        (5000, "0.9", (0.893, 0.907)),
        (100, "0.95", (0.911, 0.980)),
        (999, "0.95", (0.938, 0.961)),
        (9, "0.95", (1.0, 1.0)),
    ],
)
def test_band_of_the_coverage(n: int, coverage: str, band: tuple[float, float]) -> None:
    assert band == pytest.approx(coverage_band(n, coverage), abs=5e-4)


# --- scores ----------------------------------------------------------------------------------------------------------


def exact_scores(row: list[float], method: str, u: float, penalty: float, free: int) -> list[float]:
    """The definition, class by class, in 40 digits."""
    with mpmath.workdps(40):
        powers = [mpmath.exp(mpmath.mpf(z)) for z in row]
        p = [power / mpmath.fsum(powers) for power in powers]
        if method == "lac":
            return [float(mpmath.log(mpmath.fsum(powers)) - mpmath.mpf(z)) for z in row]
        ranking = sorted(range(len(row)), key=lambda k: (-row[k], k))
        found = [0.0] * len(row)
        for place, k in enumerate(ranking, start=1):
            extra = penalty * max(0, place - free) if method == "raps" else 0.0
            found[k] = float(mpmath.fsum(p[j] for j in ranking[: place - 1]) + u * p[k] + extra)
        return found


@pytest.mark.parametrize("method", METHODS)
def test_scores_are_those_of_the_definition(method: str) -> None:
    logits = np.concatenate([made_rows(1, 20, 6, 3.0)[0], [[1.0, 3, 3, 2, 2, 0], [0.0] * 6, [800.0, 0, -800, 1, 2, 3]]])
    u = np.linspace(0.0, 1.0, len(logits))
    taken = None if method == "lac" else u
    expected = [exact_scores(row, method, share, 0.2, 2) for row, share in zip(logits.tolist(), u, strict=True)]
    found = nonconformity_scores(logits, method=method, uniforms=taken, penalty=0.2, free_classes=2)

    assert_close(expected, found, rtol=1e-13, atol=1e-15)


def test_lac_score_does_not_saturate() -> None:
    # 1 - p is 0 in both rows; the score still tells them apart.
    first, second = nonconformity_scores([[50.0, 0.0], [60.0, 0.0]])[:, 0]

    assert first == pytest.approx(np.exp(-50), rel=1e-12)
    assert second == pytest.approx(np.exp(-60), rel=1e-12)


def test_aps_without_uniforms_counts_the_class_itself_fully() -> None:
    found = nonconformity_scores(np.log([[0.6, 0.3, 0.1]]), method="aps")

    assert_close([[0.6, 0.9, 1.0]], found, rtol=1e-14, atol=0)


@given(
    st.integers(0, 2**32 - 1), st.sampled_from(METHODS), st.integers(1, 7), st.integers(2, 12), st.sampled_from((1, 60))
)
@settings(max_examples=60, deadline=None)
def test_sets_grow_with_the_coverage(seed: int, method: str, n_classes: int, n: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(n + 20, n_classes))).round(1)
    u = None if method == "lac" else rng.random(n + 20)
    fitted = PredictionSets.fit(
        logits[:n], rng.integers(-1, n_classes, n), method=method, uniforms=None if u is None else u[:n]
    )
    rest = None if u is None else u[n:]
    small, large = (fitted.sets(logits[n:], coverage=c, uniforms=rest) for c in ("0.5", "0.8"))

    assert not np.any(small & ~large)


@given(st.integers(0, 2**32 - 1), st.sampled_from(("aps", "raps")), st.integers(1, 9), st.sampled_from((0.5, 5, 900)))
@settings(max_examples=60, deadline=None)
def test_sets_of_aps_and_raps_are_the_first_classes_of_the_ranking(
    seed: int, method: str, n_classes: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(30, n_classes))).round(1)
    scores = nonconformity_scores(logits, method=method, uniforms=rng.random(30))
    ranked = np.take_along_axis(scores, np.argsort(-logits, axis=1, kind="stable"), axis=1)

    assert np.all(np.diff(ranked, axis=1) >= 0)


# --- coverage --------------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(METHODS),
    st.integers(1, 25),
    st.integers(1, 6),
    st.sampled_from(("0.05", "0.5", "0.7", "0.9", "0.99")),
    st.sampled_from((0.0, 1.0, 300.0)),
)
@settings(max_examples=80, deadline=None)
def test_each_row_in_turn_as_the_new_one_is_covered_often_enough(
    seed: int, method: str, n: int, n_classes: int, coverage: str, scale: float
) -> None:
    """The guarantee itself, without chance: of n + 1 rows at least k are covered by the sets of the n others."""
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(n + 1, n_classes))).round(1)
    targets = rng.integers(0, n_classes, n + 1)
    u = None if method == "lac" else rng.random(n + 1)
    covered = 0
    for row in range(n + 1):
        others = np.arange(n + 1) != row
        some, own = (None, None) if u is None else (u[others], u[[row]])
        fitted = PredictionSets.fit(logits[others], targets[others], method=method, uniforms=some)
        covered += int(fitted.sets(logits[[row]], coverage=coverage, uniforms=own)[0, targets[row]])

    assert covered >= conformal_rank(n, coverage)


def coverages(method: str, n: int, coverage: str, n_classes: int, scale: float, seed: int) -> np.ndarray:
    """Coverage on 500 new rows of 300 draws of n conformal rows."""
    found = []
    for draw in range(300):
        logits, targets = made_rows(seed + draw, n + 500, n_classes, scale)
        u = uniforms_for(method, n + 500, seed + draw)
        some, rest = (None, None) if u is None else (u[:n], u[n:])
        fitted = PredictionSets.fit(logits[:n], targets[:n], method=method, uniforms=some)
        sets = fitted.sets(logits[n:], coverage=coverage, uniforms=rest)
        found.append(sets[np.arange(500), targets[n:]].mean())
    return np.array(found)


CASES = [
    ("lac", 9, "0.3", 5, 2.0),
    ("lac", 20, "0.95", 2, 2.0),
    ("lac", 100, "0.9", 50, 3.0),
    ("aps", 9, "0.9", 5, 2.0),
    ("aps", 50, "0.55", 20, 2.0),
    ("raps", 19, "0.9", 5, 2.0),
    ("raps", 100, "0.8", 20, 1.0),
]


@pytest.mark.parametrize(("method", "n", "coverage", "n_classes", "scale"), CASES)
def test_mean_coverage_is_the_rank_over_the_rows(
    method: str, n: int, coverage: str, n_classes: int, scale: float
) -> None:
    rank = conformal_rank(n, coverage)
    mean = rank / (n + 1)
    variance = mean * (1 - mean) / (n + 2)
    found = coverages(method, n, coverage, n_classes, scale, seed=11).mean()
    error = (found - mean) / np.sqrt(variance / 300 + (mean * (1 - mean) - variance) / (300 * 500))

    assert abs(error) < 4  # 7 cases, seeds fixed; a false alarm once in 2,000 changes of the seed


def test_coverage_is_spread_like_the_band_says() -> None:
    low, high = coverage_band(100, "0.9")
    inside = np.mean([low <= share <= high for share in coverages("lac", 100, "0.9", 5, 2.0, seed=5)])

    # 90 %, a little less since 500 rows measure each coverage only to 1.3 points; 4 standard errors of 300 draws.
    assert 0.86 - 0.07 < inside < 0.90 + 0.07


# --- sets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_too_few_rows_give_full_sets(method: str) -> None:
    logits, targets = made_rows(3, 30, 4)
    u = uniforms_for(method, 30)
    some, rest = (None, None) if u is None else (u[:8], u[8:])
    fitted = PredictionSets.fit(logits[:8], targets[:8], method=method, uniforms=some)

    assert fitted.quantile("0.9") == np.inf
    assert fitted.sets(logits[8:], coverage="0.9", uniforms=rest).all()


def test_empty_sets_are_kept_and_can_be_filled() -> None:
    fitted = PredictionSets.fit(np.log([[0.9, 0.1]] * 9), [0] * 9)
    unsure = np.log([[0.5, 0.5], [0.4, 0.6], [0.95, 0.05]])

    assert fitted.sets(unsure, coverage="0.5").tolist() == [[False, False], [False, False], [True, False]]
    assert fitted.sets(unsure, coverage="0.5", allow_empty=False).tolist() == [
        [True, False],
        [False, True],
        [True, False],
    ]


def test_a_class_that_the_model_does_not_know_scores_infinity() -> None:
    fitted = PredictionSets.fit(np.zeros((4, 2)), [0, -1, 1, -1])

    assert fitted.scores.tolist()[2:] == [np.inf, np.inf]
    assert fitted.quantile("0.6") == np.inf


@pytest.mark.parametrize("method", METHODS)
def test_a_row_gets_its_set_alone_as_among_others(method: str) -> None:
    logits, targets = made_rows(4, 200, 7, 5.0)
    u = uniforms_for(method, 200)
    fitted = PredictionSets.fit(logits, targets, method=method, uniforms=u)
    together = fitted.sets(logits, coverage="0.8", uniforms=u)
    alone = [
        fitted.sets(logits[[i]], coverage="0.8", uniforms=None if u is None else u[[i]])[0] for i in range(len(logits))
    ]

    assert_bit_equal(together, np.array(alone))


def test_large_inputs_are_worked_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, targets = made_rows(6, 90, 5)
    u = uniforms_for("raps", 90)
    whole = PredictionSets.fit(logits, targets, method="raps", uniforms=u)
    sets = whole.sets(logits, coverage="0.7", uniforms=u)
    monkeypatch.setattr("softclass.trust.metrics.CHUNK_NUMBERS", 35)  # 7 rows at a time
    pieces = PredictionSets.fit(logits, targets, method="raps", uniforms=u)

    assert_bit_equal(whole.scores, pieces.scores)
    assert_bit_equal(sets, pieces.sets(logits, coverage="0.7", uniforms=u))


def test_counts_of_sets() -> None:
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
    found = count_sets(sets, [0, 2, 0, 1, -1])

    assert (found.n, found.covered, found.empty, found.mean_size) == (5, 2, 1, 1.4)
    assert (found.sizes, found.class_rows, found.class_covered) == ((1, 2, 1, 1), (2, 1, 1), (1, 1, 0))
    assert found.class_mean_sizes == (0.5, 3.0, 2.0)


def test_counts_of_a_class_without_rows() -> None:
    assert count_sets(np.ones((1, 2), dtype=bool), [1]).class_mean_sizes == (None, 2.0)


# --- constants and row numbers ---------------------------------------------------------------------------------------


def test_chosen_constants_give_smaller_sets_than_aps() -> None:
    logits, targets = made_rows(8, 3000, 50, 4.0)
    u = np.random.default_rng(9).random(3000)
    penalty, free = choose_raps(logits[:1000], targets[:1000], u[:1000], coverage="0.9")
    sizes = {}
    for method in ("aps", "raps"):
        fitted = PredictionSets.fit(
            logits[1000:2000],
            targets[1000:2000],
            method=method,
            uniforms=u[1000:2000],
            penalty=penalty,
            free_classes=free,
        )
        sizes[method] = fitted.sets(logits[2000:], coverage="0.9", uniforms=u[2000:]).sum()

    assert penalty > 0
    assert sizes["raps"] < sizes["aps"]


def test_numbers_of_rows_follow_the_hash() -> None:
    rows = [b"", b"a row", "一行".encode()]
    key = (12345).to_bytes(8, "little")
    expected = [
        (int.from_bytes(hashlib.blake2b(row, digest_size=8, key=key).digest(), "little") >> 11) / 2**53 for row in rows
    ]

    assert expected == row_uniforms(rows, seed=12345).tolist()


def test_numbers_of_rows_are_uniform() -> None:
    found = np.sort(row_uniforms(str(number).encode() for number in range(20_000)))
    distance = np.abs(found - (np.arange(20_000) + 0.5) / 20_000).max()

    assert distance < 2.0 / np.sqrt(20_000)  # Kolmogorov: a false alarm in 0.07 % of seeds


# --- the over-confident digits ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits and targets of 539 conformal and 719 test rows of softmax regression that is too sure of itself."""
    features, targets = load_digits(return_X_y=True)
    order = mulberry_permutation(len(targets), seed=7)
    features, targets = features[order] / 16, targets[order]
    logits = SoftmaxRegression(C=1e4).fit(features[:539], targets[:539]).decision_function(features)
    return logits[539:1078], targets[539:1078], logits[1078:], targets[1078:]


def mulberry_permutation(n: int, seed: int) -> np.ndarray:
    """The permutation of the page: mulberry32 and Fisher-Yates from the end."""
    order, state = np.arange(n), seed
    for i in range(n - 1, 0, -1):
        state = (state + 0x6D2B79F5) % 2**32
        t = (state ^ state >> 15) * (state | 1) % 2**32
        t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
        j = (t ^ t >> 14) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order


@pytest.mark.parametrize(
    ("coverage", "rank", "limit", "covered", "mean_size", "empty"),
    [
        ("0.99", 535, 0.99878, 710, 1.210, 0),
        ("0.95", 513, 0.6528, 690, 1.013, 0),
        ("0.9", 486, 0.04924, 657, 0.933, 48),
    ],
)
def test_golden_sets_of_the_digits(
    digits: tuple[np.ndarray, ...], coverage: str, rank: int, limit: float, covered: int, mean_size: float, empty: int
) -> None:
    fitted = PredictionSets.fit(digits[0], digits[1])
    found = count_sets(fitted.sets(digits[2], coverage=coverage), digits[3])

    assert (fitted.n, conformal_rank(fitted.n, coverage)) == (539, rank)
    assert limit == pytest.approx(-np.expm1(-fitted.quantile(coverage)), abs=2e-4)
    assert (covered, mean_size, empty) == (
        pytest.approx(found.covered, abs=1),
        pytest.approx(found.mean_size, abs=2e-3),
        pytest.approx(found.empty, abs=1),
    )


def test_lac_gives_the_sets_of_the_probabilities(digits: tuple[np.ndarray, ...]) -> None:
    fitted = PredictionSets.fit(digits[0], digits[1])
    own = np.sort(1 - softmax(digits[0])[np.arange(539), digits[1]])
    expected = 1 - softmax(digits[2]) <= own[conformal_rank(539, "0.95") - 1]

    assert_bit_equal(expected, fitted.sets(digits[2], coverage="0.95"))


# --- what is refused -------------------------------------------------------------------------------------------------

ROWS = np.zeros((2, 3))
REFUSED = [
    (
        lambda: nonconformity_scores(ROWS, method="thr"),
        OptionError,
        '[SC141] nonconformity_scores: `method` must be "lac", "aps" or "raps"; got \'thr\'',
    ),
    (
        lambda: nonconformity_scores(ROWS, uniforms=[0.1, 0.2]),
        OptionError,
        '[SC141] nonconformity_scores: `uniforms` must be None for "lac", which is not randomised',
    ),
    (
        lambda: nonconformity_scores(ROWS, method="aps", uniforms=[0.1]),
        ShapeError,
        "[SC101] nonconformity_scores: `uniforms` must have shape (2,); got (1,)",
    ),
    (
        lambda: nonconformity_scores(ROWS, method="aps", uniforms=[0.1, np.nan]),
        OptionError,
        "[SC141] nonconformity_scores: `uniforms` must lie in [0, 1]",
    ),
    (
        lambda: nonconformity_scores(ROWS, method="raps", penalty=-1.0),
        OptionError,
        "[SC141] nonconformity_scores: `penalty` and `free_classes` must be finite and at least 0; got -1.0 and 1",
    ),
    (
        lambda: nonconformity_scores([[np.nan, 0.0]]),
        NotFiniteError,
        "[SC131] nonconformity_scores: each row of `logits` must have a finite largest element; got nan in row 0"
        " (1 of 1 are not)",
    ),
    (
        lambda: PredictionSets.fit(ROWS, [0, 3]),
        TargetError,
        "[SC121] PredictionSets.fit: `targets` must lie in [-1, 3); got 3 at index 1 (1 of 2 are outside)",
    ),
    (
        lambda: conformal_rank(5, 1.0),
        OptionError,
        "[SC141] conformal_rank: `coverage` must lie in (0, 1); got 1.0",
    ),
    (
        lambda: conformal_rank(5, "ninety"),
        OptionError,
        "[SC141] conformal_rank: `coverage` must lie in (0, 1); got 'ninety'",
    ),
    (lambda: conformal_rank(-1, 0.5), OptionError, "[SC141] conformal_rank: `n` must be at least 0; got -1"),
    (
        lambda: count_sets(ROWS, [0, 1]),
        ShapeError,
        "[SC102] count_sets: `sets` must be bool with 2 axes; got float64 of shape (2, 3)",
    ),
    (
        lambda: choose_raps(ROWS[:1], [0], [0.5], coverage=0.9),
        ShapeError,
        "[SC103] choose_raps: at least two rows are needed; got 1",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED)
def test_what_is_refused(call: object, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call()  # type: ignore[operator]
