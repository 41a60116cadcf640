"""How long does an epoch of a fully connected network take; how soon is scikit-learn's default accuracy reached?

Two tables, never mixed. *Engine*: the same start weights, batches and rates; a time is printed only if the losses of an
epoch agree to 1 %. *To the same accuracy*, on letter: scikit-learn's MLPClassifier as it comes, and ours. One thread
everywhere, CPU seconds of the training calls, contestants in turn, medians.

    python benchmarks/softmax_mlp.py [--smoke] [--rounds 5] [--letter shared/data/letter/letter.csv]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from softclass.kernels import cpu
from softclass.networks.architecture import Architecture
from softclass.networks.engine import Plan, Rows
from softclass.networks.layers import Columns, FullyConnected, Layer, Relu
from softclass.networks.native import NativeEngine

RATE = 5e-3
SHAPES = {"26-100-5": ((100,), 200), "26-256-256-256-5": ((256, 256, 256), 256)}
Seconds = Callable[[], tuple[float, float]]  # of an epoch, and its mean loss


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


def engine_table(n: int, rounds: int) -> None:
    """Print seconds of an epoch."""
    features, targets = made_table(n)
    for name, (widths, batch) in SHAPES.items():
        architecture = network(26, widths, 5)
        contestants = {
            "softclass": ours(features, targets, architecture, batch),
            "torch in memory": torch_loop(features, targets, architecture, batch, loader=False),
            "torch DataLoader": torch_loop(features, targets, architecture, batch, loader=True),
            "scikit-learn": scikit_learn(features, targets, architecture, batch),
        }
        seconds: dict[str, list[float]] = {who: [] for who in contestants}
        for _ in range(rounds):
            losses = {}
            for who, epoch in contestants.items():
                cpu_seconds, losses[who] = epoch()
                seconds[who].append(cpu_seconds)
            for who, loss in losses.items():
                near = 0.1 if who == "scikit-learn" else 0.01
                if abs(loss / losses["softclass"] - 1) > near:
                    raise RuntimeError(f"{name}: the loss of {who} is {loss}, ours {losses['softclass']}")
        print(f"{name}, {n} rows, batch {batch}: CPU seconds an epoch, median of {rounds}; times ours, by rounds")
        for who, found in seconds.items():
            ratio = statistics.median(a / b for a, b in zip(found, seconds["softclass"], strict=True))
            print(f"  {who:18s} {statistics.median(found):.4f}  {ratio:.1f}")


def accuracy_table(path: Path, rounds: int) -> None:
    """Print seconds and what they earned on the table of letter."""
    lines = path.read_text().split()[1:]
    cells = [line.split(",") for line in lines]
    targets = np.array([ord(row[0]) - 65 for row in cells], np.int32)
    features = np.array([row[1:] for row in cells], np.float64)
    features = ((features - features[:16_000].mean(0)) / features[:16_000].std(0)).astype(np.float32)
    fit, test = slice(0, 16_000), slice(16_000, None)
    print("letter, 16,000 / 4,000: CPU seconds, accuracy, log loss")
    for seed in range(rounds):
        model = MLPClassifier(random_state=seed)
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(features[fit], targets[fit])
        theirs = time.process_time() - begin
        chances = model.predict_proba(features[test])
        print(f"  scikit-learn, defaults  {theirs:.2f}  {judged(chances, targets[test])}")
        for widths, epochs, batch, rate in (((100,), 60, 64, 0.01 / math.sqrt(2)), ((512,), 40, 128, 0.01)):
            engine = NativeEngine(network(16, widths, 26), seed=seed, n_threads=1)
            rows = Rows(targets[fit], numbers=features[fit])
            plan = Plan(16_000, batch, epochs, rate, decay=0.02, beta2=0.95)
            begin = time.process_time()
            engine.initialise()
            for epoch in range(epochs):
                train(engine, rows, plan, epoch)
            mine = time.process_time() - begin
            logits = engine.logits(Rows(targets[test], numbers=features[test])).astype(np.float64)
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            found = judged(odds / odds.sum(axis=1, keepdims=True), targets[test])
            print(f"  softclass {widths}, {epochs} epochs  {mine:.3f}  {found}  {theirs / mine:.1f} times")


def judged(chances: np.ndarray, targets: np.ndarray) -> str:
    """Return accuracy and log loss."""
    hit = chances[np.arange(len(targets)), targets]
    return f"{(chances.argmax(axis=1) == targets).mean():.4f}  {-np.log(np.maximum(hit, 1e-300)).mean():.4f}"


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few rows, one round, no letter")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--letter", type=Path, help="the table of letter, for the second question")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        engine_table(2_000 if options.smoke else 43_152, 1 if options.smoke else options.rounds)
        if options.letter and not options.smoke:
            accuracy_table(options.letter, min(options.rounds, 3))


if __name__ == "__main__":
    main()
