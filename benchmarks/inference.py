"""What does a prediction cost: the model file through onnxruntime against PyTorch eager, one row or image and blocks.

A section of softmax_mlp.py and softmax_cnn.py, measured in a process of its own with one core and one thread. The
model is trained by the product on made data; PyTorch has its weights, and its probabilities must agree to 1e-5 before
any time is taken. All contestants take turns inside a round, and a ratio is a quotient inside a round.

- *softclass*: the runtime of the product, `Session.run`, from raw columns or bytes to logits, probabilities and label.
- *onnxruntime*: the same file and inputs, without softclass.
- *torch, same job*: PyTorch eager from the same raw inputs to the same three outputs; one product of all numbers.
- *torch, features ready*: PyTorch eager from features that somebody has filled, scaled and encoded before.
- *softclass estimator*: `predict_proba` of the scikit-learn class, with its checks, from an array.
- *softclass model*: `Model.predict_proba` of a mapping of columns, with the reading of cells of any type.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

import machine
import parts

OURS = "softclass"
ROUNDS = 15
SAMPLE_S = 4e-3  # calls are repeated within a turn until they take this long
AGREEMENT = 1e-5
ROWS = {"tables": (1, 32, 1024, 8192), "images": (1, 32, 256, 1024)}
FEW = {"tables": (1, 8), "images": (1, 2)}
CASES = {"tables": ("16 numbers", "6 numbers with gaps, 3 categories"), "images": ("classic", "two-hidden")}
Call = Callable[[], Any]


def measured(kind: str, rounds: int, *options: str) -> list[dict[str, Any]]:
    """Return a line a case, number of rows, contestant and round, measured in a process of its own."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOFTCLASS_NUM_THREADS")
    command = [sys.executable, __file__, kind, "--rounds", str(rounds), *options]
    done = subprocess.run(
        command, env={**os.environ, **dict.fromkeys(names, "1")}, stdout=subprocess.PIPE, text=True, check=True
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def table(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of all rounds, ratios inside a round."""
    return parts.medians(
        lines, "name", lambda line: name_of(line["case"], line["rows"], OURS), "cpu_us", beside=("wall_us",)
    )


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table for the terminal: microseconds a row or image."""
    for row in rows:
        each = {name: row[name] / row["rows"] for name in ("cpu_us", "wall_us")}
        yield (
            f"{row['case']:36}{row['rows']:>6} {row['contestant']:24}{each['cpu_us']:9.2f} CPU us, "
            f"{each['wall_us']:9.2f} wall us a row{row['over_ours']:8.2f} x softclass"
        )


def name_of(case: str, n_rows: int, contestant: str) -> str:
    """Name of a line among those of all cases."""
    return f"{case}, {n_rows}: {contestant}"


def contestants(case: str) -> Callable[[int], dict[str, Call]]:
    """Return a function that gives the calls for a number of rows, after training the model of a case."""
    return _images(case) if case in CASES["images"] else _tables(case)


def _tables(case: str) -> Callable[[int], dict[str, Call]]:
    import onnxruntime
    import torch

    import softclass
    from softclass.data.preprocessing import CategoryStep, Preprocessing
    from softclass.model.layers import feature_order, read_layers
    from softclass.model.session import Session

    columns = _made_columns(case)
    targets = np.array([f"class {number}" for number in _made_classes(columns)])
    model = softclass.train({**columns, "target": targets}, "target", model="mlp", epochs=3)
    constants = model.manifest.preprocessing()
    assert isinstance(constants, Preprocessing)
    layers = read_layers(model.body, constants)
    layers = (type(layers[0])(layers[0].weight[:, feature_order(constants)], layers[0].bias, layers[0].activation),
              *layers[1:])  # fmt: skip
    network = _torch_network(layers)
    numeric = [step for step in constants.steps if not isinstance(step, CategoryStep)]
    texts = [step for step in constants.steps if isinstance(step, CategoryStep)]
    fill, mean, scale = (
        torch.tensor([getattr(step, name) for step in numeric], dtype=torch.float64)
        for name in ("fill", "mean", "scale")
    )
    flagged = torch.tensor([place for place, step in enumerate(numeric) if step.flag], dtype=torch.int64)
    codes = [{"": 0} | {text: code for code, text in enumerate(step.categories, start=2)} for step in texts]
    classes = np.array([label.name for label in model.manifest.classes], dtype=object)
    temperature = float(model.manifest.calibration.temperature)

    def features(feeds: Mapping[str, np.ndarray]) -> Any:
        numbers = torch.from_numpy(np.concatenate([feeds[step.input] for step in numeric], axis=1))
        missing = torch.isnan(numbers)
        scaled = (torch.where(missing, fill, numbers) - mean) / scale
        scaled = scaled.clamp(-1e100, 1e100)
        blocks = [(scaled / torch.sqrt(1 + (scaled / 3) ** 2)).float()]
        if len(flagged):
            blocks.append(missing[:, flagged].float())
        for step, known in zip(texts, codes, strict=True):
            numbers = torch.tensor([known.get(text, 1) for text in feeds[step.input].ravel().tolist()])
            blocks.append(torch.nn.functional.one_hot(numbers, len(known) + 1).float())
        return torch.cat(blocks, dim=1) if len(blocks) > 1 else blocks[0]

    def eager(ready: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits = network(ready) / temperature
        return logits.numpy(), torch.softmax(logits, 1).numpy(), classes[logits.argmax(1).numpy()]

    own, plain = Session(model.body, threads=1), _plain_session(onnxruntime, model.body)
    estimator = softclass.SoftmaxMLP(epochs=3, n_jobs=1).fit(_as_array(columns), targets) if not texts else None

    def calls(n_rows: int) -> dict[str, Call]:
        chosen = {name: np.tile(cells, -(-n_rows // len(cells)))[:n_rows] for name, cells in columns.items()}
        feeds = constants.feeds(chosen)
        with torch.inference_mode():
            ready = features(feeds).numpy()

        def same_job() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            with torch.inference_mode():
                return eager(features(feeds))

        def from_ready() -> tuple[np.ndarray, np.ndarray]:
            with torch.inference_mode():
                logits = network(torch.from_numpy(ready)) / temperature
                return logits.numpy(), torch.softmax(logits, 1).numpy()

        found: dict[str, Call] = {
            OURS: lambda: _three(own.run(feeds)),
            "onnxruntime": lambda: plain.run(["logits", "probabilities", "label"], feeds),
            "torch, same job": same_job,
            "torch, features ready": from_ready,
            "softclass model": lambda: model.predict_proba(chosen),
        }
        if estimator is not None:
            array = _as_array(chosen)
            found["softclass estimator"] = lambda: estimator.predict_proba(array)
        return found

    return calls


def _images(architecture: str) -> Callable[[int], dict[str, Call]]:
    import onnxruntime
    import torch

    import softclass
    from cnn_peers import made
    from softclass.model.layers import read_layers
    from softclass.model.session import Session

    pixels, targets = made(1_200)[:2]
    model = softclass.train(
        pixels[..., None], targets, model="cnn", architecture=architecture, augment="none", epochs=1
    )
    constants = model.manifest.preprocessing()
    network = _torch_network(read_layers(model.body, constants))
    mean, std = (torch.tensor(values).reshape(1, -1, 1, 1) for values in (constants.mean, constants.std))
    classes = np.array([label.name for label in model.manifest.classes], dtype=object)
    temperature = float(model.manifest.calibration.temperature)
    own, plain = Session(model.body, threads=1), _plain_session(onnxruntime, model.body)
    estimator = softclass.SoftmaxCNN(architecture=architecture, epochs=1, n_jobs=1).fit(pixels, targets)

    def scaled(images: np.ndarray) -> Any:
        return (torch.from_numpy(images).permute(0, 3, 1, 2).float() - mean) / std

    def calls(n_rows: int) -> dict[str, Call]:
        images = np.ascontiguousarray(np.resize(pixels[..., None], (n_rows, *pixels.shape[1:], 1)))
        ready = scaled(images).contiguous().numpy()

        def same_job() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            with torch.inference_mode():
                logits = network(scaled(images)) / temperature
                return logits.numpy(), torch.softmax(logits, 1).numpy(), classes[logits.argmax(1).numpy()]

        def from_ready() -> tuple[np.ndarray, np.ndarray]:
            with torch.inference_mode():
                logits = network(torch.from_numpy(ready)) / temperature
                return logits.numpy(), torch.softmax(logits, 1).numpy()

        return {
            OURS: lambda: _three(own.run({"image": images})),
            "onnxruntime": lambda: plain.run(["logits", "probabilities", "label"], {"image": images}),
            "torch, same job": same_job,
            "torch, features ready": from_ready,
            "softclass estimator": lambda: estimator.predict_proba(images),
        }

    return calls


def _torch_network(layers: Sequence[Any]) -> Any:
    """Return the layers of a model file as PyTorch's."""
    import torch
    from torch import nn

    found: list[nn.Module] = []
    for layer in layers:
        weight = torch.from_numpy(layer.weight.astype(np.float32))
        if hasattr(layer, "pads"):
            if len(set(layer.pads)) != 1:
                raise ValueError(f"PyTorch's networks here have equal borders; got {layer.pads}")
            made: Any = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=layer.pads[0])
            after = [nn.MaxPool2d(2)] * layer.pooled + [nn.ReLU()]
        else:
            if layers[0].weight.ndim == 4 and not any(isinstance(one, nn.Flatten) for one in found):
                found.append(nn.Flatten())
            made = nn.Linear(weight.shape[1], weight.shape[0])
            after = {"relu": [nn.ReLU()], "selu": [nn.SELU()], "": []}[layer.activation]
        made.weight.data, made.bias.data = weight, torch.from_numpy(layer.bias.astype(np.float32))
        found += [made, *after]
    return nn.Sequential(*found).eval()


def _plain_session(onnxruntime: Any, body: bytes) -> Any:
    """A session as its documentation makes it, with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])


def _three(outputs: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return outputs.logits, outputs.probabilities, outputs.labels


def _made_columns(case: str) -> dict[str, np.ndarray]:
    """Columns of 2,000 rows, in some cases with gaps and with a category that training meets rarely."""
    random, n_rows = np.random.default_rng(0), 2_000
    if case == CASES["tables"][0]:
        return {f"x{number}": random.normal(size=n_rows) * 10.0**number for number in range(-4, 12)}
    columns = {f"x{number}": random.normal(size=n_rows) for number in range(6)}
    for name in ("x1", "x4"):
        columns[name][random.random(n_rows) < 0.05] = np.nan
    for name, depth in (("colour", 7), ("shape", 5), ("maker", 8)):
        columns[name] = np.array([f"{name} {code}" for code in random.integers(0, depth, n_rows)], dtype=object)
    return columns


def _made_classes(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Seven classes that the numbers tell apart in part."""
    numbers = _as_array({name: cells for name, cells in columns.items() if name.startswith("x")})
    scaled = np.nan_to_num((numbers - np.nanmean(numbers, axis=0)) / np.nanstd(numbers, axis=0))
    random = np.random.default_rng(1)
    return (scaled @ random.normal(size=(numbers.shape[1], 7)) + random.gumbel(size=(len(numbers), 7))).argmax(axis=1)


def _as_array(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.stack(list(columns.values()), axis=1)


def require_agreement(case: str, calls: Mapping[str, Call]) -> None:
    """Raise RuntimeError unless all that run this model's weights give the same probabilities, and the same labels."""
    own = calls[OURS]()
    for name in ("onnxruntime", "torch, same job", "torch, features ready"):
        found = calls[name]()
        worst = float(np.abs(found[1] - own[1]).max())
        if worst > AGREEMENT or not np.isfinite(worst):
            raise RuntimeError(f"{case}: probabilities of {name} are {worst:.2g} off")
        clear = np.sort(own[1], axis=1)[:, -1] - np.sort(own[1], axis=1)[:, -2] > AGREEMENT
        if len(found) == 3 and list(np.asarray(found[2])[clear]) != list(own[2][clear]):
            raise RuntimeError(f"{case}: labels of {name} differ")


def in_rounds(calls: Mapping[str, Call], rounds: int) -> Iterator[tuple[int, str, float, float]]:
    """Yield round, contestant, CPU and wall seconds of a call: all are warm, and take turns."""
    repeats = {}
    for name, call in calls.items():
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            call()
            spent.append(time.perf_counter() - began)
        repeats[name] = max(1, min(1_000, int(SAMPLE_S / min(spent))))
    for number in range(rounds):
        for name, call in calls.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(repeats[name]):
                call()
            spent = time.process_time() - cpu, time.perf_counter() - wall
            yield number, name, spent[0] / repeats[name], spent[1] / repeats[name]


def main() -> int:
    """Measure a kind of model in this process; print one line of JSON."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=CASES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--few", action="store_true", help="few rows, the first case")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and not arguments.few:
        os.sched_setaffinity(0, {min(machine.allowed_cores())})
    torch.set_num_threads(1)
    cases = CASES[arguments.kind][:1] if arguments.few else CASES[arguments.kind]
    found = []
    for case in cases:
        calls_for = contestants(case)
        for n_rows in (FEW if arguments.few else ROWS)[arguments.kind]:
            calls = calls_for(n_rows)
            require_agreement(case, calls)
            for number, who, cpu, wall in in_rounds(calls, arguments.rounds):
                found.append({
                    "case": case, "rows": n_rows, "contestant": who, "name": name_of(case, n_rows, who),
                    "round": number, "cpu_us": round(1e6 * cpu, 3), "wall_us": round(1e6 * wall, 3),
                    "onnxruntime": metadata.version("onnxruntime"),
                })  # fmt: skip
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
