"""Make the demo of the explore page: two models of scikit-learn's digits, and the bundle that the page reads.

python scripts/make_demo.py             trains both models and writes everything
python scripts/make_demo.py --bundle    writes the bundle of the models that are there
python scripts/make_demo.py --check     says whether all of it is what would be written; exit status 1 if not

The models are tests/golden/demo/{digits-cnn,digits-softmax}.onnx, the bundle src/softclass/web/demo/bundle.bin.
The same machine gives the same bytes each time. Nothing but the 1,797 digits of 8 x 8 pixels is learned from.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits, load_iris

import softclass
from demo_digits import UInt8, enlarged, fit_digit, variations
from softclass.data.pixels import PixelPreprocessing
from softclass.functions.random import Generator
from softclass.functions.slow_network import median_curves, split_by_class
from softclass.model.activations import DrawnModel
from softclass.model.file import open_model
from softclass.model.graph import build_graph
from softclass.model.layers import read_layers
from softclass.model.manifest import Manifest, make_sample
from softclass.model.model import Model
from softclass.model.session import Session
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedLayer
from softclass.server.arrays import LinearLogits, packed
from softclass.server.explore import model_answer
from softclass.trust.evaluation import evaluate
from softclass.trust.temperature import fit_temperature

Part = tuple[UInt8, npt.NDArray[np.int64]]

ROOT = Path(__file__).resolve().parents[1]
MODELS, BUNDLE = ROOT / "tests" / "golden" / "demo", ROOT / "src" / "softclass" / "web" / "demo"
NAMES = ("digits-cnn", "digits-softmax")
SEED = 7  # of the order of the rows; the network's own draws have seed 0
LEARNED, CALIBRATED = 863, 1_078  # of the rows in that order: the network learns, is calibrated, is tested
SMALL_LEARNED, SMALL_CALIBRATED = 539, 1_078  # the same for softmax regression
COPIES, EPOCHS = 30, 15
WEIGHT_DECAY = 0.3  # weights of places that hardly ever have ink stay near zero, and are zero once rounded
# The weights of the last layers are multiples of these: most of what a float32 holds of a weight is noise, and noise is
# what a compressed file cannot make smaller. No figure that is quoted changes.
STEP, SMALL_STEP = 2.0**-4, 2.0**-15
SHORTENED = "After training, the weights of the last layer were rounded; calibration and test came after that."
FEWEST_RIGHT = 0.93
LEAST_C = 1e4  # of features between 0 and 1: so weak a penalty leaves the regression too sure of itself
SURE = 0.99  # what an example must be read with
CURVE_RATE, CURVE_EPOCHS, CURVE_SEEDS = 0.5, 30, (0, 1, 2, 3, 4)


class Digits:
    """
    The digits in the order of the demo.

    Attributes
    ----------
    rows : int64 array of shape (1797,)
        Which of scikit-learn's rows each of them is.
    originals : float64 array of shape (1797, 8, 8)
        0 to 16.
    targets : int64 array of shape (1797,)
        0 to 9.
    fitted : uint8 array of shape (1797, 28, 28)
        As `fit_digit` gives them.
    """

    def __init__(self) -> None:
        bunch = load_digits()
        self.rows = np.array(Generator(SEED).permutation(len(bunch.target)))
        self.originals = bunch.images[self.rows]
        self.targets = bunch.target[self.rows]
        self.fitted = np.stack([fit_digit(enlarged(image)) for image in self.originals])


def train_network(digits: Digits) -> bytes:
    """Return digits-cnn.onnx: learned from variations, calibrated and tested on the digits as they are."""
    random = np.random.default_rng(0)
    varied = np.stack([variations(image, COPIES, random) for image in digits.originals[:LEARNED]], axis=1)
    x = np.concatenate([*varied, digits.fitted[:LEARNED]])
    parts = {
        "train": (x, np.tile(digits.targets[:LEARNED], COPIES + 1)),
        "val": (digits.fitted[LEARNED:CALIBRATED], digits.targets[LEARNED:CALIBRATED]),
        "test": (digits.fitted[CALIBRATED:], digits.targets[CALIBRATED:]),
    }
    trained = _train(
        parts,
        model="cnn",
        architecture="classic",
        epochs=EPOCHS,
        augment=["none"],
        validation=1e-6,
        weight_decay=WEIGHT_DECAY,
    )
    constants = trained.manifest.constants
    *stages, dense = read_layers(trained.body, constants)
    short = Dense(_rounded(dense.weight, STEP), dense.bias)
    model = _made_of(constants, (*stages, short), trained, parts)
    if model.evaluation is None or model.evaluation.accuracy < FEWEST_RIGHT:
        raise SystemExit(f"digits-cnn must be right at {FEWEST_RIGHT:.0%} of the test digits; it is {model.evaluation}")
    return model.to_bytes()


def train_regression(digits: Digits) -> bytes:
    """Return digits-softmax.onnx: with so weak a penalty that it is too sure, and without a temperature to mend it."""
    pixels = digits.originals.astype(np.uint8)
    parts = {
        "train": (pixels[:SMALL_LEARNED], digits.targets[:SMALL_LEARNED]),
        "test": (pixels[SMALL_CALIBRATED:], digits.targets[SMALL_CALIBRATED:]),
    }
    # The product scales by the spread of the pixels; C is meant for pixels / 16.
    spread = float(pixels[:SMALL_LEARNED].std())
    trained = _train(
        parts, model="softmax", C=LEAST_C * (spread / 16) ** 2, tol=1e-12, max_iter=10_000, calibrate="none"
    )
    # The same function of the pixels as they are: of whole numbers, short weights make short logits.
    constants = trained.manifest.constants
    (dense,) = read_layers(trained.body, constants)
    weight = dense.weight / constants.std
    bias = dense.bias - weight.sum(axis=1) * constants.mean
    short = Dense(_rounded(weight, SMALL_STEP), _rounded(bias, SMALL_STEP))
    return _made_of(PixelPreprocessing((0.0,), (1.0,)), (short,), trained, parts).to_bytes()


def _train(parts: dict[str, Part], **options: Any) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.npz"
        arrays = {
            f"{letter}_{part}": array for part, pair in parts.items() for letter, array in zip("xy", pair, strict=True)
        }
        np.savez(path, **arrays)
        return softclass.train(path, progress=lambda event, facts: None, **options)


def _rounded(values: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.float64]:
    return np.round(values / step) * step + 0.0  # no negative zeros


def _made_of(
    constants: PixelPreprocessing, layers: tuple[FittedLayer, ...], trained: Model, parts: dict[str, Part]
) -> Model:
    """Return a trained model with other numbers, calibrated and tested anew as training does it."""
    facts = trained.manifest
    names = [label.name for label in facts.classes]
    temperature = trained.temperature

    def graph(divisor: float) -> bytes:
        return build_graph(constants, layers, names, temperature=divisor, image=facts.image)

    def logits(body: bytes, part: str) -> npt.NDArray[np.float32]:
        return Session(body).run({"image": parts[part][0][..., np.newaxis]}).logits

    if "val" in parts:
        temperature = fit_temperature(logits(graph(1.0), "val"), parts["val"][1])
    body = graph(temperature.temperature)
    evaluation = evaluate(logits(body, "test"), parts["test"][1], names, temperature=temperature.temperature)
    manifest = Manifest.build(
        preprocessing=constants, layers=layers, classes=facts.classes, temperature=temperature, parts=facts.parts,
        fit=facts.fit, data=facts.data, sample=make_sample(constants, Session(body), facts.image), image=facts.image,
        evaluation=evaluation, notes=facts.notes, card={**facts.card, "summary": SHORTENED}, kind=facts.kind,
    )  # fmt: skip
    return Model.seal(body, manifest)


def bundle(network: bytes, regression: bytes) -> dict[str, Any]:
    """
    Return what the page reads: the answers of a server under the names of its routes.

    Parameters
    ----------
    network, regression : bytes
        The two models.

    Returns
    -------
    dict
        With arrays in it.
    """
    digits = Digits()
    cnn, small = (Model(open_model(content)) for content in (network, regression))
    drawn = DrawnModel(cnn.body, cnn.manifest.n_parameters)
    answers: dict[str, Any] = {
        "model": {**model_answer(cnn, drawn, name=NAMES[0], evaluations=NAMES), "demo": True},
        "weights": drawn.weights(),
    }
    # The rows of both sets from the first that the network did not learn from, so that one sheet shows them all.
    order = np.concatenate([np.arange(LEARNED, len(digits.targets)), np.arange(SMALL_LEARNED, LEARNED)])
    originals = digits.originals[order].astype(np.uint8)
    # Place by place of the picture, since the same places of all digits are alike.
    grey = np.ascontiguousarray(originals.reshape(len(order), -1).T)  # (64, 1258)
    shown = {"width": 8, "height": 8, "white": 16, "grey": grey}
    layer = DrawnModel(small.body, small.manifest.n_parameters).weights()
    linear = LinearLogits(grey, layer["layer/0/weight"], layer["layer/0/bias"])
    if not np.array_equal(linear.values, small.predict_logits(originals)):
        raise SystemExit("the logits of the regression must follow from the pixels to the last bit")
    shared = len(digits.targets) - LEARNED
    for name, model, logits, rows in (
        (NAMES[0], cnn, cnn.predict_logits(digits.fitted[order[:shared]]), order[:shared]),
        (NAMES[1], small, linear, order),
    ):
        answers[f"evaluation:{name}"] = {
            "name": name,
            "n": len(rows),
            "classes": [str(label) for label in model.classes],
            "logits": logits,
            "targets": digits.targets[rows].astype(np.int32),
            "role": (rows < CALIBRATED).astype(np.uint8),
            "thumbnails": shown,
        }
    answers["digits"] = examples(digits, cnn)
    answers["curves"] = curves()
    iris = load_iris()
    answers["iris"] = {
        "names": ["petal length (cm)", "petal width (cm)"],
        "classes": iris.target_names.tolist(),
        "points": iris.data[:, 2:],
        "targets": iris.target.astype(np.int32),
    }
    return answers


def examples(digits: Digits, model: Model) -> dict[str, Any]:
    """Return for each class the first test digit that the network reads right and surely, before it is prepared."""
    tested = np.arange(CALIBRATED, len(digits.targets))
    p = model.predict_proba(digits.fitted[tested])
    right = p[np.arange(len(tested)), digits.targets[tested]] >= SURE
    rows = [int(tested[right & (digits.targets[tested] == digit)][0]) for digit in range(10)]
    return {"labels": list(range(10)), "images": np.stack([enlarged(digits.originals[row]) for row in rows])}


def curves() -> dict[str, Any]:
    """Return the accuracy of networks that start saturated, after each epoch: experiment S4."""
    bunch = load_digits()
    learned, tested = split_by_class(bunch.target)
    train, test = ((bunch.data[rows] / 16, bunch.target[rows]) for rows in (learned, tested))
    runs = median_curves(train, test, learning_rate=CURVE_RATE, epochs=CURVE_EPOCHS, seeds=CURVE_SEEDS)
    return {
        "learning_rate": CURVE_RATE,
        "seeds": list(CURVE_SEEDS),
        "runs": [{**run, "accuracy": np.array(run["accuracy"])} for run in runs],
    }


def files(network: bytes, regression: bytes) -> dict[Path, bytes]:
    """Return every file of the demo by its place."""
    models = dict(zip((MODELS / f"{name}.onnx" for name in NAMES), (network, regression), strict=True))
    return {**models, BUNDLE / "bundle.bin": packed(bundle(network, regression))}


def main() -> int:
    """Write the files, or compare them."""
    if "--bundle" in sys.argv[1:]:
        network, regression = ((MODELS / f"{name}.onnx").read_bytes() for name in NAMES)
    else:
        digits = Digits()
        network, regression = train_network(digits), train_regression(digits)
    wanted = files(network, regression)
    if "--check" in sys.argv[1:]:
        other = [path.name for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
        print(f"demo: {'as made' if not other else ', '.join(other) + ' differ'}")
        return 1 if other else 0
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"{path.relative_to(ROOT)}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
