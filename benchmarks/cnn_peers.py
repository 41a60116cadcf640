"""One contestant of softmax_cnn.py as a process of its own: reads images, trains, prints one line of JSON.

Nothing but NumPy and the contestant's own library is imported, so that each can live in an environment of its own. CPU
seconds are those of the training calls, epoch by epoch; imports and reading stand beside them.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Task:
    """What is trained, and on what.

    Attributes
    ----------
    pixels, targets, test_pixels, test_targets : arrays
        Images (n, 28, 28) of bytes and classes.
    architecture : str
        "classic" or "two-hidden".
    batch, epochs, seed, threads : int
        As they say.
    """

    pixels: np.ndarray
    targets: np.ndarray
    test_pixels: np.ndarray
    test_targets: np.ndarray
    architecture: str
    batch: int
    epochs: int
    seed: int
    threads: int

    @property
    def constants(self) -> tuple[float, float]:
        """Mean and standard deviation of the pixels."""
        return float(self.pixels.mean(dtype=np.float64)), float(self.pixels.std(dtype=np.float64))


@dataclass
class Trained:
    """What came of it: seconds of every epoch, test logits or log probabilities."""

    version: str
    logits: np.ndarray
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)


class Clock:
    """CPU and wall seconds of epochs."""

    def __init__(self) -> None:
        self.cpu_s: list[float] = []
        self.wall_s: list[float] = []
        self.start()

    def start(self) -> None:
        """An epoch begins."""
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        """It has ended."""
        self.cpu_s.append(time.process_time() - self._cpu)
        self.wall_s.append(time.perf_counter() - self._wall)


def softclass(task: Task) -> Trained:
    """The native engine with its own plan: AdamW, one cycle."""
    from softclass import __version__
    from softclass.networks.augmentation import permutation
    from softclass.networks.engine import Plan, Rows
    from softclass.networks.known_architectures import image_architecture
    from softclass.networks.layers import Pixels
    from softclass.networks.native import NativeEngine

    mean, std = task.constants
    classes = int(task.targets.max()) + 1
    constants = {"offset": np.array([mean], np.float32), "scale": np.array([1 / std], np.float32)}
    rows = Rows(task.targets.astype(np.int32), pixels=task.pixels[..., None], **constants)
    test = Rows(task.test_targets.astype(np.int32), pixels=task.test_pixels[..., None], **constants)
    network = image_architecture(task.architecture, Pixels(*task.pixels.shape[1:]), classes)
    engine = NativeEngine(network, seed=task.seed, n_threads=task.threads)
    rate = (5e-3 if task.architecture == "classic" else 3e-3) * (task.batch / 128) ** 0.5
    plan = Plan(len(rows), task.batch, task.epochs, rate)
    engine.initialise()
    clock, step = Clock(), 0
    for epoch in range(task.epochs):
        clock.start()
        order = permutation(task.seed, epoch, len(rows))
        while step < (epoch + 1) * plan.steps_per_epoch:
            step = engine.run(rows, order, step, (epoch + 1) * plan.steps_per_epoch, plan).last_step
        clock.stop()
    return Trained(__version__, engine.logits(test), clock.cpu_s, clock.wall_s)


def _torch_network(task: Task, *, pool_first: bool) -> Any:
    from torch import nn

    def stage(channels: int, maps: int, pad: int) -> list[nn.Module]:
        after = [nn.MaxPool2d(2), nn.ReLU()] if pool_first else [nn.ReLU(), nn.MaxPool2d(2)]
        return [nn.Conv2d(channels, maps, 3, padding=pad), *after]

    if task.architecture == "classic":
        return nn.Sequential(*stage(1, 32, 0), nn.Flatten(), nn.Linear(5408, 10))
    hidden = (nn.Dropout(0.25), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10))
    return nn.Sequential(*stage(1, 32, 1), *stage(32, 64, 1), nn.Flatten(), *hidden)


def _torch(task: Task, *, loader: bool, bfloat16: bool) -> Trained:
    import torch

    torch.set_num_threads(task.threads)
    torch.manual_seed(task.seed)
    mean, std = task.constants
    images = ((torch.tensor(task.pixels).float() - mean) / std)[:, None]
    test = ((torch.tensor(task.test_pixels).float() - mean) / std)[:, None]
    targets = torch.tensor(task.targets.astype(np.int64))
    model = _torch_network(task, pool_first=not loader)
    if not loader:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=not loader)
    loss_of = torch.nn.CrossEntropyLoss()
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, targets), task.batch, shuffle=True)

    def step(x: Any, y: Any) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()

    clock = Clock()
    for _ in range(task.epochs):
        clock.start()
        if loader:
            for x, y in data:
                step(x, y)
        else:
            order = torch.randperm(len(images))
            for start in range(0, len(images), task.batch):
                rows = order[start : start + task.batch]
                step(images[rows], targets[rows])
        clock.stop()
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(part) for part in test.split(256)])
    return Trained(torch.__version__, logits.numpy(), clock.cpu_s, clock.wall_s)


def keras(task: Task) -> Trained:
    """tf.keras with its documented defaults: Adam, ``fit``."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task.threads)
    tf.config.threading.set_inter_op_parallelism_threads(task.threads)
    tf.keras.utils.set_random_seed(task.seed)
    layers = tf.keras.layers
    if task.architecture == "classic":
        parts = [layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
    else:
        parts = [layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
        parts += [layers.Conv2D(64, 3, padding="same", activation="relu"), layers.MaxPooling2D(), layers.Flatten()]
        parts += [layers.Dropout(0.25), layers.Dense(128, activation="relu"), layers.Dropout(0.25)]
    model = tf.keras.Sequential([tf.keras.Input((28, 28, 1)), *parts, layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    clock = Clock()

    class Watch(tf.keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            clock.start()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            clock.stop()

    images = task.pixels[..., None].astype(np.float32) / 255
    model.fit(images, task.targets, batch_size=task.batch, epochs=task.epochs, verbose=0, callbacks=[Watch()])
    probabilities = model.predict(task.test_pixels[..., None].astype(np.float32) / 255, batch_size=256, verbose=0)
    return Trained(tf.__version__, np.log(np.maximum(probabilities, 1e-30)), clock.cpu_s, clock.wall_s)


CONTESTANTS: dict[str, Callable[[Task], Trained]] = {
    "softclass": softclass,
    "torch-loader": lambda task: _torch(task, loader=True, bfloat16=False),
    "torch-best": lambda task: _torch(task, loader=False, bfloat16=True),
    "torch-best-float32": lambda task: _torch(task, loader=False, bfloat16=False),
    "keras": keras,
}


def _idx(path: Path, skip: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=skip)


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the four arrays of an IDX set of 28 x 28 images."""
    parts = []
    for part in ("train", "t10k"):
        parts.append(_idx(folder / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28))
        parts.append(_idx(folder / f"{part}-labels-idx1-ubyte.gz", 8))
    return parts[0], parts[1], parts[2], parts[3]


def made(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images of bars whose place is their class, for a run that needs no data."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 10, 2 * n).astype(np.uint8)
    pixels = random.integers(0, 100, (2 * n, 28, 28), dtype=np.uint8)
    for row, target in enumerate(targets):
        pixels[row, 4 + 2 * target : 6 + 2 * target, 4:24] += 120
    return pixels[:n], targets[:n], pixels[n:], targets[n:]


def scores(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Accuracy; log loss and calibration error, as they come and at the temperature that suits the second half."""
    z = logits.astype(np.float64)
    own = np.arange(len(targets))

    def log_probabilities(temperature: float) -> np.ndarray:
        shifted = (z - z.max(axis=1, keepdims=True)) / temperature
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def log_loss(temperature: float, rows: slice) -> float:
        return float(-log_probabilities(temperature)[own, targets][rows].mean())

    def calibration_error(temperature: float, rows: slice) -> float:
        log_p = log_probabilities(temperature)[rows]
        confidence, right = np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == targets[rows]
        bins = np.minimum((confidence * 15).astype(int), 14)
        gaps = [abs((confidence[bins == b] - right[bins == b]).sum()) for b in range(15)]
        return float(sum(gaps) / len(right))

    half, rest = slice(0, len(targets) // 2), slice(len(targets) // 2, None)
    temperature = min(np.arange(0.7, 2.5, 0.02), key=lambda t: log_loss(t, rest))
    return {
        "accuracy": float((z.argmax(axis=1) == targets).mean()),
        "log_loss": log_loss(1.0, half),
        "log_loss_scaled": log_loss(float(temperature), half),
        "ece": calibration_error(1.0, half),
        "ece_scaled": calibration_error(float(temperature), half),
        "temperature": float(temperature),
    }


def main() -> int:
    """Train once, print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=CONTESTANTS)
    parser.add_argument("data", type=Path, nargs="?", help="folder of an IDX set; none: made images")
    parser.add_argument("--architecture", default="classic")
    for option, default in (("batch", 128), ("epochs", 1), ("seed", 0), ("threads", 1), ("rows", 60_000), ("core", -1)):
        parser.add_argument(f"--{option}", type=int, default=default)
    arguments = parser.parse_args()
    if arguments.core >= 0:
        os.sched_setaffinity(0, {arguments.core})
    arrays = read(arguments.data) if arguments.data else made(arguments.rows)
    pixels, targets = (np.ascontiguousarray(array[: arguments.rows]) for array in arrays[:2])
    task = Task(pixels, targets, *arrays[2:], arguments.architecture, arguments.batch, arguments.epochs,
                arguments.seed, arguments.threads)  # fmt: skip
    before = time.process_time()
    found = CONTESTANTS[arguments.peer](task)
    everything = time.process_time() - before
    line = {
        "peer": arguments.peer,
        "version": found.version,
        "data_sha256": hashlib.sha256(pixels.tobytes()).hexdigest()[:16],
        "architecture": arguments.architecture,
        "batch": arguments.batch,
        "epochs": arguments.epochs,
        "threads": arguments.threads,
        "seed": arguments.seed,
        "rows": len(targets),
        "cpu_s": found.cpu_s,
        "wall_s": found.wall_s,
        "beside_s": everything - sum(found.cpu_s),
        **scores(found.logits, task.test_targets),
    }
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
