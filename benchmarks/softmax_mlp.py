"""How long does an epoch of a fully connected network take; how soon is an accuracy reached; what does a row cost?

Three tables, never mixed. *engine*: the same start weights, batches and rates; a time counts only if the losses of an
epoch agree to 1 %. *letter*: scikit-learn's MLPClassifier as it comes, and ours, to the same accuracy. *inference*: one
row, and blocks of rows, through the model file and through PyTorch (see `inference.py`). One thread everywhere, CPU
seconds of the training calls, contestants in turn, medians. Each run adds its rounds to the results file.

    python benchmarks/softmax_mlp.py [shared/data] [--smoke] [--sections engine letter inference] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import inference
import parts
from softclass.kernels import cpu
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Plan, Rows
from softclass.networks.layers import Columns, FullyConnected, Layer, Relu
from softclass.networks.native import NativeEngine

RATE = 5e-3
SHAPES = {"26-100-5": ((100,), 200), "26-256-256-256-5": ((256, 256, 256), 256)}
OURS = "softclass"
SECTIONS = ("engine", "letter", "inference")
Seconds = Callable[[], tuple[float, float]]  # of an epoch, and its mean loss
Measure = Callable[[], list[dict[str, Any]]]
Table = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def made_table(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 26 numbers a row and 5 classes that a network can learn in part, of the size of diamonds."""
    random = np.random.default_rng(0)
    features = random.standard_normal((n, 26)).astype(np.float32)
    bent = np.tanh(features @ random.standard_normal((26, 12)) / 3) @ random.standard_normal((12, 5))
    return features, (bent + random.gumbel(size=(n, 5)) / 2).argmax(axis=1).astype(np.int32)


def network(n_in: int, widths: tuple[int, ...], n_classes: int) -> Architecture:
    """Return relu layers of these widths."""
    layers: list[Layer] = [layer for width in widths for layer in (FullyConnected(width), Relu())]
    return Architecture(Columns(n_in), (*layers, FullyConnected(n_classes)))


def order_of(epoch: int, n: int) -> np.ndarray:
    """Return the order of an epoch."""
    order = np.empty(n, np.int64)
    cpu.network_order(0, epoch, order)
    return order


def train(engine: NativeEngine, rows: Rows, plan: Plan, epoch: int) -> float:
    """Do one epoch; return its mean loss."""
    step, end = epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch
    order, loss = order_of(epoch, len(rows)), 0.0
    while step < end:
        report = engine.run(rows, order, step, end, plan)
        step, loss = report.last_step, loss + report.loss_sum
    return loss / len(rows)


def ours(features: np.ndarray, targets: np.ndarray, architecture: Architecture, batch: int) -> Seconds:
    """Return an epoch of ours, from the start."""
    rows, plan = Rows(targets, numbers=features), Plan(len(targets), batch, 1, RATE, schedule="constant")

    def epoch() -> tuple[float, float]:
        engine = NativeEngine(architecture, seed=0, n_threads=1)
        engine.initialise()
        begin = time.process_time()
        loss = train(engine, rows, plan, 0)
        return time.process_time() - begin, loss

    return epoch


def torch_loop(
    features: np.ndarray, targets: np.ndarray, architecture: Architecture, batch: int, *, loader: bool
) -> Seconds:
    """Indexed tensors and fused AdamW, the fastest loop known to us; or what tutorials write, with a DataLoader."""
    x, y = torch.from_numpy(features), torch.from_numpy(targets.astype(np.int64))

    def epoch() -> tuple[float, float]:
        engine = NativeEngine(architecture, seed=0, n_threads=1)
        engine.initialise()
        start, layers = engine.parameters(), []
        for number, layer in enumerate(architecture.hidden, start=1):
            linear = torch.nn.Linear(layer.n_in, layer.n_out)
            linear.weight.data = torch.from_numpy(start[f"dense{number}.weight"])
            linear.bias.data = torch.from_numpy(start[f"dense{number}.bias"])
            layers += [linear, torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=not loader
        )
        data = torch.utils.data.TensorDataset(x, y)
        batches: Any = torch.utils.data.DataLoader(data, batch_size=batch, sampler=order_of(0, len(y)).tolist())
        begin, total = time.process_time(), 0.0
        if not loader:
            order = torch.from_numpy(order_of(0, len(y)))
            batches = ((x[part], y[part]) for part in order.split(batch))
        for inputs, classes in batches:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), classes)
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(classes)
        return time.process_time() - begin, total / len(y)

    return epoch


def scikit_learn(features: np.ndarray, targets: np.ndarray, architecture: Architecture, batch: int) -> Seconds:
    """Its own start weights, which cannot be given, so its loss is only near: 10 %."""
    widths = tuple(layer.n_out for layer in architecture.hidden[:-1])

    def epoch() -> tuple[float, float]:
        model = MLPClassifier(
            widths, batch_size=batch, learning_rate_init=RATE, beta_2=0.99, max_iter=1, random_state=0
        )
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(features, targets)
        return time.process_time() - begin, model.loss_

    return epoch


def engine_lines(n: int, rounds: int) -> list[dict[str, Any]]:
    """Return a line a network, contestant and round: seconds of an epoch and its mean loss."""
    features, targets = made_table(n)
    found = []
    for shape, (widths, batch) in SHAPES.items():
        architecture = network(26, widths, 5)
        contestants = {
            OURS: ours(features, targets, architecture, batch),
            "torch in memory": torch_loop(features, targets, architecture, batch, loader=False),
            "torch DataLoader": torch_loop(features, targets, architecture, batch, loader=True),
            "scikit-learn": scikit_learn(features, targets, architecture, batch),
        }
        for number in range(rounds):
            losses = {}
            for who, epoch in contestants.items():
                cpu_s, losses[who] = epoch()
                line = {"network": shape, "rows": n, "batch": batch, "contestant": who, "name": f"{shape}: {who}"}
                found.append({**line, "round": number, "cpu_s": cpu_s, "loss": losses[who]})
            for who, loss in losses.items():
                near = 0.1 if who == "scikit-learn" else 0.01
                if abs(loss / losses[OURS] - 1) > near:
                    raise RuntimeError(f"{shape}: the loss of {who} is {loss}, ours {losses[OURS]}")
    return found


def engine_table(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of all rounds, ratios inside a round."""
    return parts.medians(lines, "name", lambda line: f"{line['network']}: {OURS}", "cpu_s")


def letter_lines(path: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return a line a seed and contestant: seconds of the fit on the table of letter and what they earned."""
    lines = path.read_text().split()[1:]
    cells = [line.split(",") for line in lines]
    targets = np.array([ord(row[0]) - 65 for row in cells], np.int32)
    features = np.array([row[1:] for row in cells], np.float64)
    features = ((features - features[:16_000].mean(0)) / features[:16_000].std(0)).astype(np.float32)
    fit, test = slice(0, 16_000), slice(16_000, None)
    found = []
    for seed in seeds:
        model = MLPClassifier(random_state=seed)
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(features[fit], targets[fit])
        spent = time.process_time() - begin
        scores = judged(model.predict_proba(features[test]), targets[test])
        found.append({"name": "scikit-learn, defaults", "round": seed, "cpu_s": spent, **scores})
        for widths, epochs, batch, rate in (((100,), 60, 64, 0.01 / math.sqrt(2)), ((512,), 40, 128, 0.01)):
            engine = NativeEngine(network(16, widths, 26), seed=seed, n_threads=1)
            rows = Rows(targets[fit], numbers=features[fit])
            plan = Plan(16_000, batch, epochs, rate, decay=0.02, beta2=0.95)
            begin = time.process_time()
            engine.initialise()
            for epoch in range(epochs):
                train(engine, rows, plan, epoch)
            spent = time.process_time() - begin
            logits = engine.logits(Rows(targets[test], numbers=features[test])).astype(np.float64)
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores = judged(odds / odds.sum(axis=1, keepdims=True), targets[test])
            name = f"softclass {widths[0]}, {epochs} epochs"
            found.append({"name": name, "round": seed, "cpu_s": spent, **scores})
    return found


def letter_table(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians over seeds; times faster than scikit-learn with the same seed."""
    peer = "scikit-learn, defaults"
    found = parts.medians(lines, "name", lambda line: peer, "cpu_s", beside=("accuracy", "log_loss"))
    return [{**row, "times_faster": 1 / row.pop("over_ours")} for row in found]


def judged(chances: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Return accuracy and log loss."""
    hit = chances[np.arange(len(targets)), targets]
    log_loss = -np.log(np.maximum(hit, 1e-300)).mean()
    return {"accuracy": float((chances.argmax(axis=1) == targets).mean()), "log_loss": float(log_loss)}


def lines_of(document: Mapping[str, Any]) -> Iterator[str]:
    """Tables for the terminal."""
    for row in document.get("engine", ()):
        yield f"{row['network']:18} {row['contestant']:18} {row['cpu_s']:.4f}  {row['over_ours']:.1f} x softclass"
    for row in document.get("letter", ()):
        scores = f"accuracy {row['accuracy']:.4f}  log loss {row['log_loss']:.4f}"
        yield f"{row['name']:28} {row['cpu_s']:8.3f} CPU s  {scores}  {row['times_faster']:.1f} times as fast"
    yield from inference.lines(document.get("inference", ()))


def main() -> None:
    """Measure the sections that are asked for, and add them to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("shared/data"), help="folder of the data sets")
    parser.add_argument("--smoke", action="store_true", help="few rows, one round, no letter, nothing written")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="what is measured")
    parser.add_argument("--rounds", type=int, default=5, help="that are added")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the networks of letter")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        if options.smoke:
            lines = [{**line, "part": 0} for line in engine_lines(2_000, 1)]
            rows = [{**line, "part": 0} for line in inference.measured("tables", 1, "--few")]
            print(*lines_of({"engine": engine_table(lines), "inference": inference.table(rows)}), sep="\n")
            return
        measure: dict[str, tuple[Measure, Table]] = {
            "engine": (lambda: engine_lines(43_152, options.rounds), engine_table),
            "letter": (lambda: letter_lines(options.data / "letter" / "letter.csv", options.seeds), letter_table),
            "inference": (lambda: inference.measured("tables", options.rounds), inference.table),
        }
        for section in options.sections:
            part, (take, table_of) = parts.Part(), measure[section]
            path = parts.add("softmax_mlp", section, part, take(), table_of)
            print(*lines_of({section: json.loads(path.read_text())[section]}), sep="\n", flush=True)
        print("wrote", path)


if __name__ == "__main__":
    main()
