"""Runs of slow learning, step by step and without softclass: for make_golden_slow_learning.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import mpmath
import numpy as np

Number = Any  # mpmath knows no types


# ---- random numbers: whole numbers of 32 bits, so no digit is in doubt


class Generator:
    """The generator mulberry32."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def word(self) -> int:
        """Return the next 32 bits."""
        self.state = (self.state + 0x6D2B79F5) % 2**32
        t = (self.state ^ self.state >> 15) * (self.state | 1) % 2**32
        t ^= (t + (t ^ t >> 7) * (t | 61)) % 2**32
        return t ^ t >> 14

    def next(self) -> float:
        """Return a number in [0, 1); 32 bits, so exact."""
        return self.word() / 2**32

    def normal(self) -> Number:
        """Return a normal number, in 50 digits."""
        u = self.next()
        while u == 0:
            u = self.next()
        v = self.next()
        return mpmath.sqrt(-2 * mpmath.log(u)) * mpmath.cos(2 * mpmath.pi * v)

    def permutation(self, n: int) -> list[int]:
        """Return 0 to n - 1 in another order."""
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.word() * (i + 1) >> 32
            order[i], order[j] = order[j], order[i]
        return order


# ---- runs, in plain float64


def neuron_run(start: float, loss: str, rate: float = 0.15) -> Iterator[tuple[float, float]]:
    """Yield output and loss of one neuron with x = 1 and target 0, before every step."""
    w = b = start / 2
    while True:
        a = 1 / (1 + math.exp(-(w + b)))
        yield a, -math.log1p(-a) if loss == "cross_entropy" else a * a / 2
        push = a if loss == "cross_entropy" else a * a * (1 - a)
        w, b = w - rate * push, b - rate * push


def neuron_runs() -> Iterator[dict[str, Any]]:
    """Yield steps until the output is below, and the output every 25 steps."""
    for start in (1.5, 4.0, 6.0, 8.0, 10.0):
        for loss in ("cross_entropy", "squared_error"):
            counts = {}
            for below in (0.5, 0.1):
                counts[str(below)] = next(n for n, (a, _) in enumerate(neuron_run(start, loss)) if a < below)
            trace = [a for _, (a, _) in zip(range(301), neuron_run(start, loss), strict=False)][::25]
            yield {"start": start, "loss": loss, "learning_rate": 0.15, "steps": counts, "every_25": trace}


def mistaken_neuron() -> dict[str, Any]:
    """Return where a neuron ends if its push is divided by 1 - a, and where it should: 300 steps from z = 4."""
    ends = {}
    for name in ("right", "mistaken"):
        w = b = 2.0
        for _ in range(300):
            a = 1 / (1 + math.exp(-(w + b)))
            push = a if name == "right" else a / (a * (1 - a))
            w, b = w - 0.005 * push, b - 0.005 * push
        ends[name] = 1 / (1 + math.exp(-(w + b)))
    return {"start": 4.0, "learning_rate": 0.005, "steps": 300, **ends}


def gradients_of(p: list[float], loss: str) -> list[float]:
    """Return the gradient at the logits for target 0, from the probabilities."""
    r = [p[0] - 1, *p[1:]]
    r[0] = -math.fsum(p[1:])
    if loss == "squared_error":
        return [a * math.fsum(c * (b - d) for c, d in zip(p, r, strict=True)) for a, b in zip(p, r, strict=True)]
    if loss == "eps":
        return [one * (p[0] / (p[0] + 1e-9)) for one in r]
    if loss == "clip":
        return r if 1e-7 <= p[0] <= 1 - 1e-7 else [0.0] * len(p)
    return r


def value_of(p: list[float], loss: str) -> float:
    """Return the loss for target 0."""
    if loss == "squared_error":
        return 0.5 * (math.fsum(p[1:]) ** 2 + math.fsum(one * one for one in p[1:]))
    return -math.log({"eps": p[0] + 1e-9, "clip": min(max(p[0], 1e-7), 1 - 1e-7)}.get(loss, p[0]))


def logit_run(
    margin: float, n_classes: int, loss: str, rate: float = 0.5
) -> Iterator[tuple[float, float, list[float]]]:
    """Yield probability of the target, loss and logits, before every step; each class has its own logit."""
    z = [0.0, float(margin)] + [0.0] * (n_classes - 2)
    while True:
        largest = max(z)
        e = [math.exp(one - largest) for one in z]
        total = math.fsum(e)
        p = [one / total for one in e]
        yield p[0], value_of(p, loss), z
        z = [one - rate * push for one, push in zip(z, gradients_of(p, loss), strict=True)]


def steps_of(run: Iterator[tuple[float, float, list[float]]], done: Callable[[float, list[float]], bool]) -> int:
    """Return after how many steps a run is done."""
    return next(n for n, (p, _, z) in enumerate(run) if done(p, z))


def escaped(p: float, _: list[float]) -> bool:
    """Whether the target has more than half."""
    return p > 0.5


LOGIT_RUNS = {
    "cross_entropy": (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
    "squared_error": (0, 2, 4, 6, 8, 10, 12),
    "eps": (14, 16, 18, 20, 22, 24, 26, 28, 30),
    "clip": (14, 16),
}


def logit_runs() -> Iterator[dict[str, Any]]:
    """Yield steps of ten logits until the target has more than half, and what they do on the way."""
    for loss, margins in LOGIT_RUNS.items():
        for margin in margins:
            steps = steps_of(logit_run(margin, 10, loss), escaped)
            trace = [(p, value) for _, (p, value, _) in zip(range(301), logit_run(margin, 10, loss), strict=False)][
                ::25
            ]
            known = {"n_classes": 10, "margin": margin, "loss": loss, "learning_rate": 0.5, "steps": steps}
            yield {**known, "p_every_25": [p for p, _ in trace], "loss_every_25": [value for _, value in trace]}
    for margin in (18, 20, 22, 24, 26, 28, 30):  # the push is exactly 0, so the run stands still
        p, value, z = next(run := logit_run(margin, 10, "clip"))
        if next(run)[2] != z:
            raise AssertionError(f"a clipped loss moves at margin {margin}")
        trace = {"p_every_25": [p] * 13, "loss_every_25": [value] * 13}
        yield {"n_classes": 10, "margin": margin, "loss": "clip", "learning_rate": 0.5, "steps": None, **trace}


def even_runs() -> Iterator[dict[str, Any]]:
    """Yield steps from equal logits; only two of them differ by symmetry, or these runs would take hours."""
    for n_classes in (10, 100, 1000, 3000):
        for loss in ("cross_entropy", "squared_error"):
            target, rest, n_others = 0.0, 0.0, n_classes - 1
            steps = 0
            while (share := 1 / (1 + n_others * math.exp(rest - target))) <= 0.5:
                other = (1 - share) / n_others
                push, pull = share - 1, other
                if loss == "squared_error":
                    mean = share * push + n_others * other * pull
                    push, pull = share * (push - mean), other * (pull - mean)
                target, rest, steps = target - 0.5 * push, rest - 0.5 * pull, steps + 1
            yield {"n_classes": n_classes, "margin": 0, "loss": loss, "learning_rate": 0.5, "steps": steps}


def two_class_runs() -> Iterator[dict[str, Any]]:
    """Yield steps of two logits until they are equal."""
    for margin in (6, 8, 10):
        for loss in ("cross_entropy", "squared_error"):
            steps = steps_of(logit_run(margin, 2, loss), escaped)
            yield {"n_classes": 2, "margin": margin, "loss": loss, "learning_rate": 0.5, "steps": steps}


HEADS = ("softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se")


def plane_points(seed: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Return 300 points round three centres, and their classes."""
    generator = Generator(seed)
    centres = 2 * np.array([[math.cos(a), math.sin(a)] for a in np.deg2rad([90.0, 210.0, 330.0])])
    drawn = np.array([float(generator.normal()) for _ in range(600)]).reshape(300, 2)
    return np.repeat(centres, 100, axis=0) + spread * drawn, np.repeat(np.arange(3), 100)


def head_gradient(z: np.ndarray, y: np.ndarray, head: str) -> tuple[float, np.ndarray]:
    """Return mean loss and the gradient of every row."""
    if head.startswith("softmax"):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
    else:
        p = 1 / (1 + np.exp(-z))
    r = p - y
    if head == "softmax_ce":
        return float(-np.log((p * y).sum(axis=1)).mean()), r
    if head == "softmax_se":
        return float(0.5 * (r * r).sum(axis=1).mean()), p * (r - (p * r).sum(axis=1, keepdims=True))
    if head == "sigmoid_ce":
        return float((np.logaddexp(0, z) - y * z).sum(axis=1).mean()), r
    return float(0.5 * (r * r).sum(axis=1).mean()), r * p * (1 - p)


def plane_run(seed: int, scale: float, head: str, rate: float = 0.5) -> Iterator[tuple[float, float, np.ndarray]]:
    """Yield accuracy, loss and weights of a linear model on these points, before every epoch; all wrong at first."""
    x, t = plane_points(seed, 0.6)
    y = np.eye(3)[t]
    centres = 2 * np.array([[math.cos(a), math.sin(a)] for a in np.deg2rad([90.0, 210.0, 330.0])])
    w, b = scale * np.roll(centres, -1, axis=0), np.zeros(3)
    while True:
        z = x @ w.T + b
        loss, g = head_gradient(z, y, head)
        yield float((z.argmax(axis=1) == t).mean()), loss, w
        w, b = w - rate * g.T @ x / len(x), b - rate * g.mean(axis=0)


def plane() -> dict[str, Any]:
    """Return points, epochs until 95 % are right, and what happens on the way."""
    runs = []
    for seed, scales in ((7, (0.25, 0.5, 1.0, 2.0, 4.0)), (1, (2.0,)), (2, (2.0,))):
        for scale in scales:
            for head in HEADS if seed == 7 else HEADS[:2]:
                epochs = next(n for n, (share, _, _) in enumerate(plane_run(seed, scale, head)) if share >= 0.95)
                trace = [one[:2] for _, one in zip(range(301), plane_run(seed, scale, head), strict=False)][::25]
                known = {"seed": seed, "start_scale": scale, "head": head, "learning_rate": 0.5, "epochs": epochs}
                yields = {"accuracy_every_25": [a for a, _ in trace], "loss_every_25": [value for _, value in trace]}
                runs.append({**known, **yields})
    x, _ = plane_points(7, 0.6)
    return {"first_point": x[0].tolist(), "last_point": x[-1].tolist(), "runs": runs}
