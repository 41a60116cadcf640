"""The shipped demo: its models, what the page reads of them, and digits that a pen draws."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import softclass
from softclass.model.activations import DrawnModel
from softclass.server.arrays import packed, unpacked
from web import pen
from web.engines import Ask, engine_fixtures

ROOT = Path(__file__).parents[2]
MODELS, DEMO = ROOT / "tests" / "golden" / "demo", ROOT / "src" / "softclass" / "web" / "demo"
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))
import make_demo  # noqa: E402
from demo_digits import fit_digit  # noqa: E402

sys.path.remove(str(SCRIPTS))
TASKS = Path(__file__).parent / "digit_tasks.js"
engine, node = engine_fixtures(TASKS)
BUNDLE = (DEMO / "bundle.bin").read_bytes()
ANSWERS = unpacked(BUNDLE)


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def cnn() -> softclass.Model:
    return softclass.load(MODELS / "digits-cnn.onnx")


@pytest.fixture(scope="module")
def regression() -> softclass.Model:
    return softclass.load(MODELS / "digits-softmax.onnx")


def test_the_bundle_is_what_the_models_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit but for logits, which another processor may round otherwise.

    The curves of experiment S4, which take long, have a test of their own.
    """
    monkeypatch.setattr(make_demo, "curves", lambda: ANSWERS["curves"])
    made = make_demo.bundle(*((MODELS / f"{name}.onnx").read_bytes() for name in make_demo.NAMES))
    found, kept = dict(_leaves(unpacked(packed(made)))), dict(_leaves(ANSWERS))
    rounded = [name for name in kept if name.endswith("/logits")]
    exact = [name for name in kept if not name.endswith("/logits")]

    assert list(found) == list(kept)
    assert {name: found[name] for name in exact} == {name: kept[name] for name in exact}
    for name in rounded:
        # float32 sums of 5,408 terms in another order; the largest logits are about 60
        assert np.abs(_numbers(found[name]) - _numbers(kept[name])).max() <= 1e-4


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value by its path; an array as its type, shape and bytes."""
    if isinstance(value, np.ndarray):
        yield path, (value.dtype.name, value.shape, value.tobytes())
    elif isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from _leaves(item, f"{path}/{name}")
    else:
        yield path, value


def _numbers(leaf: tuple[str, tuple[int, ...], bytes]) -> npt.NDArray[Any]:
    return np.frombuffer(leaf[2], leaf[0])


@pytest.mark.slow
def test_training_gives_the_same_bytes_each_time() -> None:
    """On one machine; other versions of NumPy and SciPy may round the variations of the digits differently."""
    digits = make_demo.Digits()
    first, second = ((make_demo.train_network(digits), make_demo.train_regression(digits)) for _ in range(2))

    assert first == second


@pytest.mark.slow
def test_curves_are_those_of_the_experiment() -> None:
    found = make_demo.curves()

    assert [row["head"] for row in found["runs"]] == [row["head"] for row in ANSWERS["curves"]["runs"]]
    for made, kept in zip(found["runs"], ANSWERS["curves"]["runs"], strict=True):
        # Two of 450 test digits may fall to the other side where arithmetic differs in its last bits.
        assert np.abs(made["accuracy"] - kept["accuracy"]).max() <= 2 / 450


def test_weights_are_those_of_the_file(cnn: softclass.Model) -> None:
    wanted = DrawnModel(cnn.body, cnn.manifest.n_parameters).weights()
    found = ANSWERS["weights"]

    assert {name: values.tobytes() for name, values in found.items()} == {n: v.tobytes() for n, v in wanted.items()}
    assert sum(values.size for values in found.values()) == ANSWERS["model"]["parameters"] == 54_410


def test_the_network_is_right_at_93_of_100_test_digits(cnn: softclass.Model) -> None:
    rows = ANSWERS["evaluation:digits-cnn"]
    logits, targets, role = (rows[name] for name in ("logits", "targets", "role"))
    right = logits.argmax(axis=1) == targets

    assert np.bincount(role).tolist() == [719, 215]
    assert right[role == 0].mean() >= 0.93
    assert cnn.evaluation is not None
    assert right[role == 0].mean() == pytest.approx(cnn.evaluation.accuracy, abs=1e-12)


def test_the_regression_is_too_sure_as_published(regression: softclass.Model) -> None:
    """The figures of the over-confident softmax regression, for which two solvers agreed to 1e-5."""
    rows = ANSWERS["evaluation:digits-softmax"]
    logits, targets, role = (rows[name] for name in ("logits", "targets", "role"))
    exact = logits.astype(np.float64)
    losses = np.log(np.exp(exact - exact.max(axis=1, keepdims=True)).sum(axis=1)) + exact.max(axis=1)
    losses -= exact[np.arange(len(targets)), targets]

    assert (np.bincount(role).tolist(), regression.temperature.temperature) == ([719, 539], 1.0)
    assert int((logits.argmax(axis=1) == targets)[role == 0].sum()) == 685
    assert losses[role == 0].mean() == pytest.approx(0.2355, abs=2e-4)
    assert losses[role == 1].mean() == pytest.approx(0.2018, abs=2e-4)


def test_pictures_stand_in_the_order_of_the_rows() -> None:
    digits = make_demo.Digits()
    order = np.concatenate([np.arange(863, 1797), np.arange(539, 863)])
    thumbnails = ANSWERS["evaluation:digits-softmax"]["thumbnails"]

    assert np.array_equal(thumbnails["grey"].T.reshape(-1, 8, 8), digits.originals[order])
    assert np.array_equal(digits.targets[order], ANSWERS["evaluation:digits-softmax"]["targets"])
    assert ANSWERS["evaluation:digits-cnn"]["thumbnails"]["grey"].tobytes() == thumbnails["grey"].tobytes()


def test_the_page_finds_the_logits_of_the_regression_to_the_last_bit(engine: Ask, regression: softclass.Model) -> None:
    """They are not in the file: they follow from its pixels, in sums that are exact in whatever order."""
    order = np.concatenate([np.arange(863, 1797), np.arange(539, 863)])
    wanted = regression.predict_logits(make_demo.Digits().originals[order].astype(np.uint8))

    found = engine("linear", bundle=text_of(BUNDLE))

    assert np.array(found, dtype=np.float32).tobytes() == wanted.tobytes()
    assert ANSWERS["evaluation:digits-softmax"]["logits"].tobytes() == wanted.tobytes()


def test_javascript_repeats_the_runtime(engine: Ask, cnn: softclass.Model) -> None:
    """Logits, and each evidence map with its bias, to 1e-5; those above 1, which reach 80, to 1e-5 of themselves."""
    images = make_demo.Digits().fitted[1078::18]
    drawn = np.stack([fit_digit(pen.painted(row["strokes"])) for row in pen.DRAWINGS["first"]])
    pixels = np.concatenate([images, drawn])
    wanted = cnn.predict_logits(pixels)

    found = engine("logits", bundle=text_of(BUNDLE), images=[text_of(image.tobytes()) for image in pixels])

    logits, evidence = (np.array([row[name] for row in found]) for name in ("logits", "evidence"))
    within = 1e-5 * np.maximum(1, np.abs(wanted))
    assert (np.abs(logits - wanted) <= within).all()
    assert (np.abs(evidence - wanted) <= within).all()
    assert (np.abs(evidence - logits) <= 1e-12 * np.maximum(1, np.abs(wanted).max())).all()


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_drawn_digit_is_recognised(engine: Ask, cnn: softclass.Model, name: str) -> None:
    """20 digits by a pen, two a class, prepared by the page: the first set was looked at in tuning, the second not."""
    rows = pen.DRAWINGS[name]
    pixels = engine("fitted", drawings=[row["strokes"] for row in rows], brush=pen.BRUSH)
    answers = cnn.predict(np.reshape(pixels, (-1, 28, 28)).astype(np.uint8))

    wrong = [(row["digit"], row["way"], int(answer)) for row, answer in zip(rows, answers, strict=True)
             if row["digit"] != int(answer)]  # fmt: skip
    assert len(wrong) <= 2, wrong


def test_examples_are_of_every_class_and_read_right(cnn: softclass.Model) -> None:
    images = ANSWERS["digits"]["images"]
    answers = cnn.predict(np.stack([fit_digit(image) for image in images]))

    assert [int(answer) for answer in answers] == ANSWERS["digits"]["labels"] == list(range(10))


def test_the_demo_is_small() -> None:
    assert sum(path.stat().st_size for path in DEMO.iterdir()) <= 100_000
    assert [path.name for path in DEMO.iterdir()] == ["bundle.bin"]
