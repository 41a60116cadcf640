"""SoftmaxMLP on tables: what it learns, weights of rows and classes, gaps, categories, stopping and going on."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.exceptions import NotFittedError

from asserts import assert_bit_equal
from softclass.errors import DataWarning, NotFiniteError, OptionError, UsageError
from softclass.estimators.network_fitting import scaled_log_loss
from softclass.estimators.softmax_mlp import SoftmaxMLP
from softclass.networks.architecture import Architecture
from softclass.networks.layers import Columns, Dropout, FullyConnected, Scale, Tanh

IRIS = load_iris(return_X_y=True)
WINE = load_wine(return_X_y=True)


def _spirals(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three arms that no straight line tells apart."""
    random = np.random.default_rng(seed)
    y, radius = np.arange(n) % 3, random.uniform(0.2, 1, n)
    angle = 4 * radius + 2 * np.pi / 3 * y + random.normal(0, 0.1, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), y


SPIRALS, NEW_SPIRALS = _spirals(), _spirals(900, 1)


def _model(**options) -> SoftmaxMLP:
    return SoftmaxMLP(**({"hidden_layer_sizes": (16,), "epochs": 5, "n_jobs": 1} | options))


def _same(one: SoftmaxMLP, two: SoftmaxMLP) -> None:
    for name, array in one.parameters().items():
        assert_bit_equal(array, two.parameters()[name])


def _curves(model: SoftmaxMLP) -> list[dict[str, object]]:
    clock = ("seconds", "rows_per_s")
    return [{name: fact for name, fact in row.items() if name not in clock} for row in model.history_]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"hidden_layer_sizes": (32, 32)},
        {"activation": "tanh"},
        {"activation": "selu", "hidden_layer_sizes": (32, 32)},
        {"numeric_embedding": "periodic"},
        {"dropout": 0.1},
        {"hidden_layer_sizes": "realmlp", "epochs": 40},
    ],
    ids=str,
)
def test_learns_what_no_straight_line_tells_apart(options):
    model = _model(**({"hidden_layer_sizes": "auto", "epochs": 100} | options)).fit(*SPIRALS)

    assert model.score(*NEW_SPIRALS) > 0.95


def test_digits_reach_the_accuracy_of_a_small_network():
    X, y = load_digits(return_X_y=True)

    model = SoftmaxMLP(n_jobs=1).fit(X[:1300], y[:1300])

    assert model.score(X[1300:], y[1300:]) > 0.92  # scikit-learn's MLPClassifier: 0.93 on these last 497 rows


def test_units_of_the_columns_change_no_prediction():
    X, y = WINE
    plain, scaled = _model().fit(X, y), _model().fit(X * 1024.0, y)

    assert_bit_equal(plain.predict_proba(X), scaled.predict_proba(X * 1024.0))


def test_history_holds_both_curves_of_every_epoch():
    model = _model(epochs=4).fit(*IRIS)

    assert [row["epoch"] for row in model.history_] == [1, 2, 3, 4]
    assert set(model.history_[0]) == {
        "epoch", "step", "train_loss", "train_accuracy", "validation_log_loss", "validation_accuracy", "lr", "seconds",
        "rows_per_s", "is_best", "validation_log_loss_scaled", "temperature", "gradient_norm",
    }  # fmt: skip
    assert model.history_[3]["train_loss"] < model.history_[0]["train_loss"]
    assert model.n_iter_ == 4


def test_the_best_epoch_is_that_of_the_smallest_scaled_loss():
    model = _model(epochs=30).fit(*SPIRALS)

    losses = [row["validation_log_loss_scaled"] for row in model.history_]
    assert model.best_epoch_ == 1 + int(np.argmin(losses))


def test_weights_kept_are_those_of_the_best_epoch():
    X, y = SPIRALS
    strange = X[:200], np.roll(y[:200], 1)  # the more is learned, the worse
    model = _model(epochs=30).fit(X, y, eval_set=strange)

    score = scaled_log_loss(model.decision_function(strange[0]).astype(np.float32), strange[1], None)
    assert score.value == model.history_[model.best_epoch_ - 1]["validation_log_loss_scaled"]
    assert model.best_epoch_ < model.n_iter_


def test_validation_rows_are_not_learned_from():
    X, y = IRIS
    without = _model(validation_fraction=0.0).fit(X, y)
    others = _model().fit(X, y, eval_set=(X[:20], y[:20]))

    assert without.plan_.n_rows == others.plan_.n_rows == 150
    assert _model().fit(X, y).plan_.n_rows == 135
    assert without.history_[0]["validation_log_loss"] is None


def test_an_eval_set_may_have_weights():
    X, y = IRIS
    weights = np.zeros(40)
    weights[:20] = 3.0

    weighted = _model().fit(X, y, eval_set=(X[:40], y[:40], weights))

    plain = _model().fit(X, y, eval_set=(X[:20], y[:20]))
    assert weighted.history_[-1]["validation_log_loss"] == pytest.approx(plain.history_[-1]["validation_log_loss"])


@pytest.mark.parametrize(
    ("eval_set", "message"),
    [
        ((IRIS[0],), "SoftmaxMLP: `eval_set` must be (X, y) or (X, y, sample_weight)"),
        ((IRIS[0][:2], [0, 7]), 'SoftmaxMLP, `eval_set`: label "7" is none of the classes'),
        ((IRIS[0][:2, :3], [0, 1]), "X has 3 features, but SoftmaxMLP is expecting 4 features as input."),
    ],
)
def test_a_bad_eval_set_is_refused(eval_set, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        _model().fit(*IRIS, eval_set=eval_set)


def test_rows_of_weight_zero_are_the_same_as_none():
    X, y = IRIS
    weights = np.random.default_rng(0).integers(0, 3, 150).astype(float)
    kept = weights > 0

    zeros, removed = _model().fit(X, y, weights), _model().fit(X[kept], y[kept], weights[kept])

    _same(zeros, removed)
    assert _curves(zeros) == _curves(removed)


def test_equal_weights_are_the_same_as_none():
    X, y = IRIS

    _same(_model().fit(X, y, np.full(150, 0.3)), _model().fit(X, y))


def test_whole_weights_are_copies_in_expectation():
    X, y = IRIS[0][::3], IRIS[1][::3]
    times = np.random.default_rng(1).choice([1, 3], len(y))
    gaps = []
    for seed in range(20):
        options = {"epochs": 20, "random_state": seed, "validation_fraction": 0.0, "learning_rate": 0.01}
        weighted = _model(batch_size=16, **options).fit(X, y, times)
        copied = _model(batch_size=32, **options).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
        losses = [-model.predict_log_proba(X)[np.arange(len(y)), y] @ times for model in (weighted, copied)]
        gaps.append(losses[0] / losses[1] - 1)

    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(20) + 0.01  # batches of equal weight, to within a row


def test_class_weights_are_row_weights():
    X, y = IRIS
    by_class = _model(class_weight={0: 1.0, 1: 5.0, 2: 1.0}).fit(X, y)

    by_row = _model().fit(X, y, np.where(y == 1, 5.0, 1.0))

    _same(by_class, by_row)


def test_balanced_classes_and_their_undoing_restore_the_shares():
    random = np.random.default_rng(0)
    y = (random.uniform(size=2000) < 0.1).astype(int)
    X = random.normal(size=(2000, 2)) + y[:, None]
    model = _model(class_weight="balanced", epochs=15, learning_rate=0.003, validation_fraction=0.0).fit(X, y)

    logits = model.predict_log_proba(X) - np.log(2000 / (2 * np.bincount(y)))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    assert abs(chances[:, 1].mean() - y.mean()) < 0.01
    assert model.predict_proba(X)[:, 1].mean() > 0.25  # half of the weight


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_bit(threads):
    X, y = np.repeat(WINE[0], 10, axis=0), np.repeat(WINE[1], 10)
    options = {"hidden_layer_sizes": (256, 64), "batch_size": 512, "epochs": 2}

    _same(_model(n_jobs=1, **options).fit(X, y), _model(n_jobs=threads, **options).fit(X, y))


def test_the_seed_decides_and_none_is_zero():
    one, again, other = (_model(random_state=seed).fit(*IRIS) for seed in (0, None, 1))

    _same(one, again)
    assert not np.array_equal(one.predict_proba(IRIS[0]), other.predict_proba(IRIS[0]))


def test_a_random_state_draws_a_seed():
    model = _model(random_state=np.random.RandomState(5)).fit(*IRIS)

    seed = np.random.RandomState(5).randint(2**31 - 1)
    _same(model, _model(random_state=int(seed)).fit(*IRIS))


def test_patience_ends_a_run_early():
    model = _model(epochs=60, patience=3, learning_rate=0.5).fit(*SPIRALS)

    assert model.n_iter_ == model.best_epoch_ + 3 < 60


def test_no_patience_runs_to_the_end():
    assert _model(epochs=40, patience=None, learning_rate=0.5).fit(*SPIRALS).n_iter_ == 40


def test_patience_of_a_short_run_is_refused():
    message = "[SC202] SoftmaxMLP: `patience` has no effect in runs of fewer than 20 epochs; this one has 5"

    with pytest.raises(UsageError, match=re.escape(message)):
        _model(patience=2).fit(*IRIS)


def test_patience_without_validation_rows_is_refused():
    message = "[SC202] SoftmaxMLP: `patience` has no effect without validation rows. Leave it out, or pass eval_set"

    with pytest.raises(UsageError, match=re.escape(message)):
        _model(epochs=30, patience=2, validation_fraction=0.0).fit(*IRIS)


def test_a_fit_that_fails_leaves_nothing_fitted():
    model = _model().fit(*IRIS)

    with pytest.raises(NotFiniteError):
        model.set_params(learning_rate=1e30).fit(*WINE)

    with pytest.raises(NotFittedError):
        model.predict(IRIS[0])


def test_callbacks_see_each_epoch_and_may_end_the_run():
    seen = []

    model = _model(callbacks=[lambda row: seen.append(row["epoch"]), lambda row: row["epoch"] == 3]).fit(*IRIS)

    assert seen == [1, 2, 3]
    assert model.n_iter_ == 3


def test_verbose_prints_a_line_an_epoch(capsys):
    _model(verbose=1, epochs=2).fit(*IRIS)

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        r"SoftmaxMLP: epoch 2 of 2, training loss \d\.\d{4}, validation log loss \d\.\d{4}, accuracy \d\.\d{4}",
        lines[1],
    )


def test_progress_and_stop_are_watched():
    told = []

    model = _model().fit_watched(
        *IRIS, on_steps=lambda done, of: told.append((done, of)), should_stop=lambda: bool(told)
    )

    assert told[0][1] == 5 * model.plan_.steps_per_epoch
    assert len(told) == 1


def test_warm_start_goes_on():
    X, y = IRIS
    model = _model(warm_start=True, epochs=3).fit(X, y)
    first = model.history_[-1]["train_loss"]
    constants = model.encoding_

    model.fit(X, y)

    assert model.history_[-1]["train_loss"] < first
    assert model.encoding_ is constants
    assert model._state.step == 2 * 3 * model.plan_.steps_per_epoch


def test_warm_start_of_another_network_is_refused():
    model = _model(warm_start=True, epochs=1).fit(*IRIS)

    with pytest.raises(ValueError, match="warm_start goes on with the network of the last fit"):
        model.set_params(hidden_layer_sizes=(17,)).fit(*IRIS)


def test_without_warm_start_a_second_fit_begins_anew():
    model = _model().fit(*IRIS)
    before = model.parameters()

    model.fit(*IRIS)

    assert_bit_equal(before["dense1.weight"], model.parameters()["dense1.weight"])


def test_partial_fit_learns_from_batch_to_batch():
    X, y = SPIRALS
    model = _model(epochs="auto", hidden_layer_sizes=(64,), learning_rate=0.05)

    for _ in range(60):
        model.partial_fit(X, y, classes=[0, 1, 2])

    assert model.score(*NEW_SPIRALS) > 0.9
    assert model._state.step == 60 * model.plan_.steps_per_epoch


def test_partial_fit_may_meet_classes_later():
    X, y = IRIS
    model = _model(epochs="auto").partial_fit(X[:100], y[:100], classes=[0, 1, 2])

    model.partial_fit(X[100:], y[100:])

    assert model.predict_proba(X).shape == (150, 3)


def test_partial_fit_takes_another_order_each_time():
    once = _model(epochs="auto").partial_fit(*IRIS, classes=[0, 1, 2])
    orders = [once.plan_.first_epoch, once.partial_fit(*IRIS).plan_.first_epoch]

    assert orders == [0, 1]


@pytest.mark.parametrize(
    ("options", "call", "kind", "message"),
    [
        ({}, {}, ValueError, "SoftmaxMLP: `classes` must be given in the first call of partial_fit"),
        (
            {"epochs": 3},
            {"classes": [0, 1, 2]},
            UsageError,
            "[SC202] SoftmaxMLP: `epochs` has no effect in partial_fit",
        ),
        ({"patience": 3}, {"classes": [0, 1, 2]}, UsageError, "[SC202] SoftmaxMLP: `patience` has no effect in"),
        ({}, {"classes": [0, 1]}, ValueError, 'SoftmaxMLP: label "2" is none of the classes'),
    ],
)
def test_bad_calls_of_partial_fit_are_refused(options, call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        SoftmaxMLP(**options).partial_fit(*IRIS, **call)


def test_partial_fit_keeps_its_classes():
    model = SoftmaxMLP().partial_fit(*IRIS, classes=[0, 1, 2])

    with pytest.raises(ValueError, match="SoftmaxMLP: `classes` must be those of the first call"):
        model.partial_fit(*IRIS, classes=[0, 1, 2, 3])


def test_gaps_are_filled_and_flagged():
    random = np.random.default_rng(0)
    X = random.normal(size=(900, 2))
    y = (random.uniform(size=900) < 0.5).astype(int)
    X[y == 1, 0] = np.where(random.uniform(size=(y == 1).sum()) < 0.9, np.nan, X[y == 1, 0])

    model = _model(epochs=30).fit(X, y)

    # That a cell is missing is all there is to know: 0.05 of all rows hide it.
    assert model.score(X, y) > 0.92
    assert model.encoding_.input.numbers == 3


def test_gaps_where_the_fit_had_none_count_as_medians():
    X, y = IRIS
    model = _model().fit(X, y)
    gaps, medians = X.copy(), X.copy()
    gaps[:, 2], medians[:, 2] = np.nan, model.encoding_.median[2]

    assert_bit_equal(model.predict_proba(medians), model.predict_proba(gaps))


def test_columns_without_numbers_or_variation_do_no_harm():
    X, y = IRIS
    more = np.column_stack([X, np.full(150, np.nan), np.full(150, 7.0)])

    assert _model(epochs=60).fit(more, y).score(more, y) > 0.85


def test_infinity_is_refused():
    X = IRIS[0].copy()
    X[3, 1] = np.inf

    with pytest.raises(ValueError, match="Input X contains infinity"):
        _model().fit(X, IRIS[1])


def test_huge_numbers_train_through_the_clip():
    X, y = IRIS
    X = X.copy()
    X[0, 0] = 1e300

    assert _model(epochs=60).fit(X, y).score(X, y) > 0.9


def _frame(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """The class follows from a colour and the sign of a number."""
    random = np.random.default_rng(seed)
    colour = random.choice(["red", "green", "blue"], n)
    size = random.normal(size=n)
    y = np.where(colour == "red", 2, (size > 0).astype(int))
    return pd.DataFrame({"colour": pd.Categorical(colour), "size": size, "old": random.uniform(size=n) < 0.5}), y


def _text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(colour=frame["colour"].astype(str))


@pytest.mark.parametrize("kind", [lambda f: f, _text, lambda f: f.assign(colour=f["colour"].astype(object))])
def test_categories_of_pandas_are_learned(kind):
    frame, y = _frame()

    model = _model(epochs=40).fit(kind(frame), y)

    assert model.score(*_frame(seed=1)) > 0.95
    assert model.encoding_.categories[0] == tuple(frame["colour"].value_counts().index)
    assert model.feature_names_in_.tolist() == ["colour", "size", "old"]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["blue", "green", "red"])])
def test_frames_of_polars_give_what_frames_of_pandas_give(dtype):
    frame, y = _frame()
    columns = {name: frame[name].to_numpy() for name in ("size", "old")}
    other = pl.DataFrame({"colour": frame["colour"].astype(str).tolist(), **columns}).with_columns(
        pl.col("colour").cast(dtype)
    )

    assert_bit_equal(_model().fit(frame, y).predict_proba(frame), _model().fit(other, y).predict_proba(other))


def test_unseen_and_missing_categories_are_ordinary_inputs():
    frame, y = _frame()
    frame["colour"] = frame["colour"].astype(object)
    frame.loc[:60, "colour"] = None
    model = _model(epochs=20).fit(frame, y)
    strange = frame.assign(colour="violet")

    chances = model.predict_proba(strange)

    assert_bit_equal(chances, model.predict_proba(frame.assign(colour="pink")))
    assert np.isfinite(chances).all()
    assert not np.array_equal(chances, model.predict_proba(frame.assign(colour=None)))


def test_rare_categories_are_merged_into_other():
    frame, y = _frame()
    frame["colour"] = frame["colour"].astype(str)
    frame.loc[0, "colour"] = "violet"

    assert "violet" not in _model().fit(frame, y).encoding_.categories[0]


def test_many_categories_are_embedded():
    frame, y = _frame(2000)
    towns = np.random.default_rng(2).integers(0, 40, 2000)
    frame["town"] = [f"t{town}" for town in towns]
    y = (towns % 2).astype(int)

    model = _model(epochs=30, validation_fraction=0.2).fit(frame, y)

    assert model.parameters()["embedding2.weight"].shape == (42, 8)
    assert model.history_[-1]["validation_accuracy"] > 0.95


def test_nullable_numbers_of_pandas_are_taken():
    frame, y = _frame()
    frame["size"] = frame["size"].round(2).astype("Float64").mask(np.arange(400) % 7 == 0)

    assert _model().fit(frame, y).encoding_.flagged.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.rename(columns={"size": "length"}),
            "The feature names should match those that were passed during fit",
        ),
        (lambda f: f.assign(size="big"), "X must have texts or categories in the columns in which it had them in fit"),
        (lambda f: f.assign(size=np.inf), "Input X contains infinity"),
        (
            lambda f: f.assign(size=pd.Timestamp("2020-01-01")),
            'column "size" must hold numbers, booleans, texts or categories',
        ),
    ],
)
def test_frames_that_do_not_fit_are_refused(change, message):
    frame, y = _frame()
    model = _model(epochs=1).fit(frame, y)

    with pytest.raises(ValueError, match=re.escape(message)):
        model.predict(change(frame))


def test_a_whole_architecture_is_taken():
    layers = (Scale(), FullyConnected(9), Tanh(), Dropout(0.1), FullyConnected(3))
    network = Architecture(Columns(4), layers)

    model = _model(hidden_layer_sizes=network).fit(*IRIS)

    assert model.architecture_ is network
    assert model.parameters()["scale.weight"].shape == (4,)


def test_an_architecture_of_another_table_is_refused():
    network = Architecture(Columns(5), (FullyConnected(9), Tanh(), FullyConnected(3)))
    message = (
        "[SC141] SoftmaxMLP: `hidden_layer_sizes` must take Columns(numbers=4, codes=()) and have 3 classes; got"
        " Columns(numbers=5, codes=()) and 3"
    )

    with pytest.raises(OptionError, match=re.escape(message)):
        _model(hidden_layer_sizes=network).fit(*IRIS)


@pytest.mark.parametrize("options", [{"activation": "tanh"}, {"dropout": 0.1}, {"numeric_embedding": "periodic"}])
def test_options_that_realmlp_answers_itself_are_refused(options):
    [name] = options
    message = f'[SC202] SoftmaxMLP: `{name}` has no effect where `hidden_layer_sizes` is "realmlp". Leave it out'

    with pytest.raises(UsageError, match=re.escape(message)):
        _model(hidden_layer_sizes="realmlp", **options).fit(*IRIS)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_layer_sizes": (17,)}, {"activation": "tanh"}, {"dropout": 0.3}, {"numeric_embedding": "periodic"},
        {"epochs": 6}, {"batch_size": 20}, {"learning_rate": 0.1}, {"weight_decay": 0.5}, {"class_weight": {1: 3.0}},
        {"validation_fraction": 0.2}, {"random_state": 3},
    ],
    ids=str,
)  # fmt: skip
def test_every_option_changes_the_network(options):
    plain, other = _model().fit(*IRIS), _model(**options).fit(*IRIS)

    assert not np.array_equal(plain.predict_proba(IRIS[0]), other.predict_proba(IRIS[0]))


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_layer_sizes": "big"}, {"activation": "gelu"}, {"dropout": 1.0}, {"epochs": 0}, {"batch_size": 0},
        {"learning_rate": 0}, {"weight_decay": -1}, {"validation_fraction": 1.0}, {"patience": 0}, {"n_jobs": 0},
    ],
    ids=str,
)  # fmt: skip
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=f"The '{next(iter(options))}' parameter of SoftmaxMLP must be"):
        SoftmaxMLP(**options).fit(*IRIS)


def test_a_rate_far_too_high_restarts_and_then_says_so():
    with pytest.raises(NotFiniteError, match=re.escape("[SC132] train_network: loss or gradient is not finite")):
        _model(learning_rate=1e30).fit(*IRIS)


def test_a_rate_too_high_restarts_with_a_warning():
    message = r"^\[SC852\] SoftmaxMLP: loss or gradient was not finite at epoch 3, step \d+; the epoch was begun again"

    with pytest.warns(DataWarning, match=message):
        model = _model(learning_rate=1e3, epochs=3, hidden_layer_sizes=(16, 16)).fit(*IRIS)

    assert np.isfinite(model.predict_proba(IRIS[0])).all()


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="SoftmaxMLP: `y` must hold at least two classes; got one class"):
        _model().fit(IRIS[0], np.zeros(150))


def test_two_classes_have_one_logit():
    X, y = IRIS[0][:100], IRIS[1][:100]
    model = _model().fit(X, y)

    chances = model.predict_proba(X)
    assert np.allclose(model.decision_function(X), np.log(chances[:, 1] / chances[:, 0]), rtol=1e-6, atol=1e-6)


def test_labels_keep_their_kind():
    names = np.array(["setosa", "versicolor", "virginica"])

    assert _model(epochs=40).fit(IRIS[0], names[IRIS[1]]).predict(IRIS[0][:1]).tolist() == ["setosa"]


def test_scaled_log_loss_ranks_by_the_temperature():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3000, 4))
    targets = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)

    plain, sharp = (scaled_log_loss((scale * logits).astype(np.float32), targets, None) for scale in (1, 5))

    assert sharp.log_loss > plain.log_loss + 0.5
    assert sharp.value == pytest.approx(plain.value, abs=1e-6)
    assert sharp.temperature == pytest.approx(5 * plain.temperature, rel=1e-3)
