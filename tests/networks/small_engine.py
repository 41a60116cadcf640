"""An engine in a few lines of NumPy, for tests of the training story: hidden layers with relu over numbers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from softclass.networks.architecture import Architecture
from softclass.networks.engine import EngineState, Plan, Rows, StepReport


@dataclass
class SmallEngine:
    """AdamW on the mean of weight times cross-entropy, in float32.

    `steps_a_call` cuts runs as a clock would; `broken_steps` maps a step to how often it meets NaN.
    """

    architecture: Architecture
    seed: int = 0
    steps_a_call: int = 1_000_000
    broken_steps: dict[int, int] = field(default_factory=dict)
    calls: list[tuple[int, int]] = field(default_factory=list)

    def initialise(self) -> None:
        random = np.random.default_rng(self.seed)
        shapes = self.architecture.parameter_shapes
        start = {name: random.uniform(-0.3, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
        none = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self.now = EngineState(start, none, dict(none), 0, 1.0, 1.0)

    def run(self, rows: Rows, order: Any, first_step: int, last_step: int, plan: Plan) -> StepReport:
        last = min(last_step, first_step + self.steps_a_call)
        self.calls.append((first_step, last))
        loss = weight = correct = norm = 0.0
        for step in range(first_step, last):
            place = step % plan.steps_per_epoch
            batch = order[place * plan.batch : (place + 1) * plan.batch]
            if self.broken_steps.get(step, 0) > 0:
                self.broken_steps[step] -= 1
                return StepReport(step, loss, weight, correct, norm, False)
            value, weights, hits, gradients = self._gradients(rows, batch)
            loss, weight, correct = loss + value, weight + weights, correct + hits
            norm = max(norm, float(np.sqrt(sum(np.sum(np.float64(g) ** 2) for g in gradients.values()))))
            self._update(gradients, plan, step)
        return StepReport(last, loss, weight, correct, norm, True)

    def _gradients(self, rows: Rows, batch: Any) -> tuple[float, float, float, dict[str, Any]]:
        parameters, hidden = self.now.parameters, len(self.architecture.hidden)
        features, inputs = rows.numbers[batch], []
        for number in range(1, hidden + 1):
            inputs.append(features)
            features = features @ parameters[f"dense{number}.weight"].T + parameters[f"dense{number}.bias"]
            features = np.maximum(features, 0) if number < hidden else features
        odds = np.exp(features - features.max(axis=1, keepdims=True))
        chances, targets = odds / odds.sum(axis=1, keepdims=True), rows.targets[batch]
        weight = np.ones(len(batch), np.float32) if rows.weight is None else rows.weight[batch]
        at = np.arange(len(batch))
        losses = -np.log(np.maximum(chances[at, targets], 1e-30))
        back = chances.copy()
        back[at, targets] -= 1
        back *= weight[:, None] / len(batch)
        gradients = {}
        for number in range(hidden, 0, -1):
            gradients[f"dense{number}.weight"] = back.T @ inputs[number - 1]
            gradients[f"dense{number}.bias"] = back.sum(axis=0)
            back = (back @ parameters[f"dense{number}.weight"]) * (inputs[number - 1] > 0)
        # Multiples of 2**-24 add up exactly, as those of the native engine do.
        loss = np.round(float(weight @ losses) * 2**24) / 2**24
        return loss, float(weight.sum()), float(weight @ (chances.argmax(axis=1) == targets)), gradients

    def _update(self, gradients: dict[str, Any], plan: Plan, step: int) -> None:
        now, constants = self.now, plan.constants(step, step + 1)
        rate, decay = float(constants.rate[0]), float(constants.decay[0])
        products = now.beta1_product * plan.beta1, now.beta2_product * plan.beta2
        parameters, first, second = {}, {}, {}
        for name, g in gradients.items():
            first[name] = np.float32(plan.beta1) * now.first_moments[name] + np.float32(1 - plan.beta1) * g
            second[name] = np.float32(plan.beta2) * now.second_moments[name] + np.float32(1 - plan.beta2) * g * g
            mean, spread = first[name] / (1 - products[0]), second[name] / (1 - products[1])
            kept = now.parameters[name] * np.float32(1 - rate * (decay if name.endswith("weight") else 0))
            parameters[name] = (kept - np.float32(rate) * mean / (np.sqrt(spread) + plan.epsilon)).astype(np.float32)
        self.now = EngineState(parameters, first, second, now.step + 1, *products)

    def logits(self, rows: Rows, indices: Any = None) -> Any:
        features = rows.numbers if indices is None else rows.numbers[indices]
        hidden = len(self.architecture.hidden)
        for number in range(1, hidden + 1):
            weight, bias = (self.now.parameters[f"dense{number}.{part}"] for part in ("weight", "bias"))
            features = features @ weight.T + bias
            features = np.maximum(features, 0) if number < hidden else features
        return features

    def parameters(self) -> dict[str, Any]:
        return {name: array.copy() for name, array in self.now.parameters.items()}

    def state(self) -> EngineState:
        return replace(self.now)  # arrays are never changed in place

    def load_state(self, state: EngineState) -> None:
        self.now = state
