"""The PyTorch engine: trains the architectures of the native one on any device that PyTorch has.

Start weights, orders, mirrored and moved images, dropout and lost codes are the same draws as the native engine's, and
the arithmetic of AdamW is the same, so that both engines tell the same story up to rounding. Batches are gathered from
the arrays themselves: no loader stands between. On a GPU a group of steps is begun before the host asks what came of
them; if one was not finite, they are done again, one by one, up to that one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from softclass.errors import MissingExtraError, ShapeError
from softclass.functions.cross_entropy import cross_entropy
from softclass.networks.architecture import Architecture, Hidden, Stage, is_statistic
from softclass.networks.engine import EngineState, Float32, Int64, Plan, Rows, StepConstants, StepReport
from softclass.networks.engine_checks import check_parameters, check_smoothing
from softclass.networks.fitted_layers import NORM_EPSILON
from softclass.networks.layers import Columns, Periodic, Relu, Scale, Selu, Sigmoid, Tanh
from softclass.networks.row_arrays import check_rows, count_rows
from softclass.networks.start_weights import start_state

try:
    import torch
except ModuleNotFoundError as _reason:
    raise MissingExtraError(
        "SC601",
        "TorchEngine trains with PyTorch; PyTorch is not installed",
        where="TorchEngine",
        hint="Install it: pip install 'softclass[torch]'",
    ) from _reason

from torch import Tensor
from torch.nn import functional

from softclass.networks.torch_device import computing_on, usable_device
from softclass.networks.torch_rows import Batch, Picked, TorchRows, threshold

WHERE = "TorchEngine"
RUN_SECONDS = 0.05  # then a run comes back, so that Ctrl-C, limits and checkpoints are seen
LOGIT_ROWS, LOGIT_BYTES = 1024, 2**28  # rows whose maps are in memory at once; of the largest maps among them
MOST_AT_ONCE = 128  # steps that a GPU is given before the host asks for their losses
DROPOUT_STREAM = 8
WAVE_RATE, SCALE_RATE, NTK_BIAS_RATE = 0.1, 6.0, 0.1  # factors of RealMLP-TD
# Smaller numbers count as 0: without gradient a moment would never get there, and subnormal numbers are slow.
LEAST_GRADIENT, LEAST_FIRST_MOMENT, LEAST_SECOND_MOMENT = 1e-17, 1e-30, 1e-36
LEAST_POWER = 1e-300
STATISTIC_MOMENTUM = 0.1  # share of the batch in the running means of a normalisation
LOSS_UNIT = 2.0**-24  # of the sums of a report
_ACTIVATIONS: dict[type[Any], Any] = {
    Relu: functional.relu,
    Tanh: torch.tanh,
    Sigmoid: torch.sigmoid,
    Selu: functional.selu,
}


class _Group(NamedTuple):
    """Parameters that follow each other in memory and are updated alike."""

    place: slice
    rate_factor: float
    decays: bool


class _Outcome(NamedTuple):
    """Losses and hits of the rows of a step, and the gradients of the step at all parameters."""

    losses: Tensor
    hits: Tensor
    gradients: tuple[Tensor, ...]


class _Step(NamedTuple):
    """What a step brought: sums of weight times loss, of weight, of the weight of hits; the length of the gradient."""

    loss: float
    weight: float
    correct: float
    length: float


class TorchEngine:
    """
    Trains one architecture with PyTorch; on one machine, with one number of threads, results are the same bytes.

    Parameters
    ----------
    architecture : Architecture
        The network.
    seed : int
        Key of all draws, in [0, 2**64).
    n_threads : int or None, default=None
        Threads on the CPU; None leaves them as PyTorch has them. PyTorch's results depend on their number.
    label_smoothing : float, default=0.0
        Share of every target that is spread evenly over the classes. It spoils the probabilities.
    device : str, default="cpu"
        Where it is computed: "cpu", "cuda", "cuda:1", "mps". On a GPU, products have the precision that PyTorch gives
        them there: of convolutions on "cuda" that is TF32 (10 bits behind the point) unless
        `torch.backends.cudnn.allow_tf32` says otherwise, of all others float32. Sums of reports are made on the host.

    Attributes
    ----------
    architecture, seed, n_threads, label_smoothing
        As given.
    device : torch.device
        Where the parameters lie.

    Raises
    ------
    OptionError
        SC141, if `label_smoothing` lies outside [0, 1).
    DeviceError
        SC602, if PyTorch cannot use the device.
    TooLargeError
        SC606, here and in every method, if the memory of the device does not suffice.

    Examples
    --------
    >>> from softclass.networks.engine import Plan
    >>> from softclass.networks.layers import FullyConnected
    >>> network = Architecture(Columns(2), (FullyConnected(16), Relu(), FullyConnected(2)))
    >>> numbers = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> rows = Rows((numbers[:, 0] > 0).astype(np.int32), numbers=numbers)
    >>> engine = TorchEngine(network, seed=0)
    >>> engine.initialise()
    >>> report = engine.run(rows, np.arange(64), 0, 1, Plan(64, 16, 1, 0.01))
    >>> report.last_step, report.weight_sum
    (1, 16.0)
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        seed: int,
        n_threads: int | None = None,
        label_smoothing: float = 0.0,
        device: str = "cpu",
    ) -> None:
        check_smoothing(label_smoothing, WHERE)
        self.architecture, self.seed, self.n_threads = architecture, seed, n_threads
        self.label_smoothing = label_smoothing
        self.device = usable_device(device, WHERE)
        shapes = architecture.parameter_shapes
        kinds = {name: (_rate_factor(architecture, name), _decays(name)) for name in shapes if not is_statistic(name)}
        self._stored = sorted(kinds, key=kinds.__getitem__)  # as they lie in memory: what is updated alike together
        places: dict[str, slice] = {}
        size = 0
        for name in (*self._stored, *filter(is_statistic, shapes)):
            places[name] = slice(size, size + math.prod(shapes[name]))
            size = places[name].stop
        self._groups: list[_Group] = []
        for kind in sorted(set(kinds.values())):
            alike = [places[name] for name in self._stored if kinds[name] == kind]
            self._groups.append(_Group(slice(alike[0].start, alike[-1].stop), *kind))
        self._places = places
        with self._settings():
            self._buffers = [torch.zeros(size, dtype=torch.float32, device=self.device) for _ in range(3)]
        self._parameters, self._first, self._second = self._buffers
        self._views = {name: self._parameters[places[name]].view(shape) for name, shape in shapes.items()}
        # They share the memory of the parameters; the buffer is updated whole.
        self._leaves = {name: self._views[name].detach().requires_grad_() for name in self._stored}
        self._statistics = self._parameters[self._groups[-1].place.stop :]
        widest = max((4 * stage.maps * stage.places for stage in architecture.stages), default=1)
        self._logit_rows = max(1, min(LOGIT_ROWS, LOGIT_BYTES // widest))
        self._steps, self._beta_products = 0, (1.0, 1.0)
        self._at_once = 1  # steps of a group; on the CPU it stays so
        self._checked: Rows | None = None
        self._rows: TorchRows | None = None

    def initialise(self) -> None:
        """Set start weights, which follow from architecture and seed alone, and zero moments."""
        self.load_state(start_state(self.architecture, self.seed))

    def run(self, rows: Rows, order: Int64, first_step: int, last_step: int, plan: Plan) -> StepReport:
        """
        Do the steps from `first_step` up to but not including `last_step`, or the first of them: about 50 ms.

        Parameters
        ----------
        rows : Rows
            The data.
        order : int64 array of shape (n,)
            Rows of the epoch, as they are taken.
        first_step, last_step : int
            Steps, counted from 0 over all epochs of `plan`; all of one epoch.
        plan : Plan
            Batch, rates and draws.

        Returns
        -------
        StepReport
            What the steps brought. Where steps are cut into calls changes no bit.
        """
        self._check(rows)
        began = time.monotonic()
        constants = plan.constants(first_step, last_step)
        loss_sum = weight_sum = correct = norm = 0.0
        step, is_finite = first_step, True
        with self._settings():
            while step < last_step and is_finite:
                count = min(self._at_once, last_step - step)
                before = self._copy() if count > 1 else None
                group_began = time.monotonic()
                done = self._group_of_steps(rows, order, step, count, plan, _part(constants, step - first_step, count))
                is_finite = all(math.isfinite(one.loss) and math.isfinite(one.length) for one in done)
                if before is not None and not is_finite:
                    self._take_back(before)
                    self._at_once, is_finite = 1, True
                    continue
                for one in done if is_finite else done[:-1]:
                    loss_sum, weight_sum, correct = loss_sum + one.loss, weight_sum + one.weight, correct + one.correct
                    norm = max(norm, one.length)
                step += count if is_finite else 0
                if self.device.type != "cpu":
                    self._at_once = _next_group(count, time.monotonic() - group_began)
                if time.monotonic() - began >= RUN_SECONDS:
                    break
            # A running mean that is not finite stays so: one look behind all steps is enough.
            if is_finite and len(self._statistics) and not bool(torch.isfinite(self._statistics).all()):
                is_finite, step = False, step - 1
        return StepReport(step, loss_sum, weight_sum, correct, norm, is_finite)

    def logits(self, rows: Rows, indices: Int64 | None = None) -> Float32:
        """
        Return the logits of rows, without dropout or augmentation.

        Parameters
        ----------
        rows : Rows
            The data; targets and weights are not looked at.
        indices : int64 array of shape (n,), or None
            Which rows; None takes all.

        Returns
        -------
        float32 array of shape (n, n_classes)
            Logits.
        """
        self._check(rows, with_targets=False)
        chosen = np.arange(count_rows(rows)) if indices is None else np.asarray(indices, dtype=np.int64)
        logits = np.empty((len(chosen), self.architecture.n_classes), dtype=np.float32)
        with self._settings(), torch.no_grad():
            # Rows that are asked for once an epoch are not worth the memory of a device.
            held = self._rows_of(rows) if rows is self._checked else TorchRows(rows, self.device, self.seed, keep=False)
            for begin in range(0, len(chosen), self._logit_rows):
                block = held.pick(chosen[begin : begin + self._logit_rows])
                found = self._forward(held.inputs(block), {}, None)
                logits[begin : begin + len(block.here)] = found.cpu().numpy()
        return logits

    def loss_and_gradients(
        self, rows: Rows, indices: Int64, *, dropout_masks: Sequence[npt.NDArray[np.bool_]] | None = None
    ) -> tuple[float, dict[str, Float32]]:
        """
        Return loss and gradients of rows as one batch, without augmentation: for tests and for teaching.

        Parameters
        ----------
        rows : Rows
            The data.
        indices : int64 array of shape (n,)
            Rows of the batch.
        dropout_masks : sequence of bool arrays of shape (n, width), or None
            For each `Dropout` of the architecture, in order, what is kept; None drops nothing.

        Returns
        -------
        loss : float
            Sum of weight times loss, over the number of rows.
        gradients : dict of float32 arrays
            Its derivatives, under the names of `parameters`; running means have none.
        """
        self._check(rows)
        chosen = np.asarray(indices, dtype=np.int64)
        masks = {} if dropout_masks is None else self._given_masks(dropout_masks, len(chosen))
        followed = {name: view.clone() for name, view in self._views.items() if is_statistic(name)}
        with self._settings():
            held = self._rows_of(rows)
            found = self._gradients(held.batch(held.pick(chosen)), masks, followed)
            loss, _, _ = _sums(found.losses.cpu().numpy(), found.hits.cpu().numpy(), rows, chosen)
        gradients = dict(zip(self._stored, found.gradients, strict=True))
        names = [name for name in self.architecture.parameter_shapes if name in gradients]
        return loss / len(chosen), {name: _copied(gradients[name]) for name in names}

    def parameters(self) -> dict[str, Float32]:
        """Return copies of the parameters, under the names and in the shapes of `Architecture.parameter_shapes`."""
        return self._named(self._parameters)

    def state(self) -> EngineState:
        """Return copies of all that is needed to go on, with this engine or another."""
        parameters, first, second = map(self._named, self._buffers)
        return EngineState(parameters, first, second, self._steps, *self._beta_products)

    def load_state(self, state: EngineState) -> None:
        """
        Go on from a state.

        Parameters
        ----------
        state : EngineState
            From `state` of an engine of the same architecture; it is copied.

        Raises
        ------
        ShapeError
            SC101, if a parameter is missing or of another shape.
        """
        parts = (state.parameters, state.first_moments, state.second_moments)
        for values in parts:
            check_parameters(self.architecture, values, WHERE)
        for buffer, values in zip(self._buffers, parts, strict=True):
            numbers = np.empty(len(buffer), dtype=np.float32)
            for name, value in values.items():
                numbers[self._places[name]] = np.ravel(value)
            buffer.copy_(torch.from_numpy(numbers))
        self._steps, self._beta_products = state.step, (state.beta1_product, state.beta2_product)

    def _named(self, buffer: Tensor) -> dict[str, Float32]:
        """Return copies of what lies in a buffer, by name, in one copy from the device."""
        numbers = buffer.cpu().numpy()
        shapes = self.architecture.parameter_shapes
        return {name: numbers[self._places[name]].reshape(shape).copy() for name, shape in shapes.items()}

    def _copy(self) -> tuple[list[Tensor], int, tuple[float, float]]:
        """Return what steps change, copied where it lies."""
        return [buffer.clone() for buffer in self._buffers], self._steps, self._beta_products

    def _take_back(self, copied: tuple[list[Tensor], int, tuple[float, float]]) -> None:
        buffers, self._steps, self._beta_products = copied
        for buffer, numbers in zip(self._buffers, buffers, strict=True):
            buffer.copy_(numbers)

    # ---- what comes in

    def _check(self, rows: Rows, *, with_targets: bool = True) -> None:
        """Check rows once."""
        if self._checked is not rows:
            check_rows(self.architecture, rows, with_targets=with_targets)
            self._checked = rows if with_targets else None

    def _rows_of(self, rows: Rows) -> TorchRows:
        """Return rows on the device; those that are trained on stay there."""
        if self._rows is None or self._rows.rows is not rows:
            self._rows = None  # so that its memory is free
            self._rows = TorchRows(rows, self.device, self.seed)
        return self._rows

    def _drawn_masks(self, held: TorchRows, picked: Picked, epoch: int, dropout: float) -> dict[int, Tensor]:
        """Return, by layer, what its inputs are multiplied by."""
        masks: dict[int, Tensor] = {}
        for number, layer in enumerate(self.architecture.hidden):
            rate = layer.dropout * dropout
            if rate > 0:
                pieces = held.pieces(picked, layer.n_in, epoch, DROPOUT_STREAM + number)
                masks[number] = (pieces >= threshold(rate)).float() * (1 / (1 - rate))
        return masks

    def _given_masks(self, masks: Sequence[npt.NDArray[np.bool_]], count: int) -> dict[int, Tensor]:
        wanted = {number: layer for number, layer in enumerate(self.architecture.hidden) if layer.dropout > 0}
        expected = [(count, layer.n_in) for layer in wanted.values()]
        if [mask.shape for mask in masks] != expected:
            rule = f"`dropout_masks` must have the shapes {expected}; got {[mask.shape for mask in masks]}"
            raise ShapeError("SC101", rule, where=WHERE)
        return {
            number: torch.from_numpy(mask.astype(np.float32)).to(self.device) * (1 / (1 - layer.dropout))
            for (number, layer), mask in zip(wanted.items(), masks, strict=True)
        }

    # ---- forward, backward, update

    def _group_of_steps(
        self, rows: Rows, order: Int64, first: int, count: int, plan: Plan, constants: StepConstants
    ) -> list[_Step]:
        """Do steps of one epoch and return what they brought; of a single one, nothing is updated if it is not finite.

        The host asks the device once, behind all of them.
        """
        held, epoch = self._rows_of(rows), plan.epoch_of(first)
        begin = first % plan.steps_per_epoch * plan.batch
        whole = held.pick(order[begin : begin + count * plan.batch], plan, epoch)
        batches = [whole.part(place, place + plan.batch) for place in range(0, len(whole.here), plan.batch)]
        found: list[_Outcome] = []
        lengths: list[Tensor] = []
        sums: list[tuple[float, float, float]] = []
        for at, picked in enumerate(batches):
            masks = self._drawn_masks(held, picked, epoch, float(constants.dropout[at]))
            one = self._gradients(held.batch(picked, plan, epoch), masks, self._views)
            found.append(one._replace(gradients=()))
            if count == 1:
                sums = self._sums(found, rows, batches)
                if not math.isfinite(sums[0][0]):
                    return [_Step(*sums[0], 0.0)]
            lengths.append(self._update(one.gradients, float(constants.rate[at]), float(constants.decay[at]), plan))
        sums = sums or self._sums(found, rows, batches)
        return [_Step(*three, length) for three, length in zip(sums, torch.stack(lengths).tolist(), strict=True)]

    def _sums(self, found: list[_Outcome], rows: Rows, batches: list[Picked]) -> list[tuple[float, float, float]]:
        """Return what `_sums` does for each step."""
        losses, hits = (torch.cat([getattr(one, name) for one in found]).cpu().numpy() for name in ("losses", "hits"))
        ends = np.cumsum([len(picked.here) for picked in batches])[:-1]
        parts = zip(np.split(losses, ends), np.split(hits, ends), batches, strict=True)
        return [_sums(of_rows, are_hits, rows, picked.here) for of_rows, are_hits, picked in parts]

    def _forward(
        self, inputs: tuple[Tensor, ...], masks: dict[int, Tensor], followed: Mapping[str, Tensor] | None
    ) -> Tensor:
        """Return the logits; while training, the running means in `followed` are moved on."""
        p = self._leaves
        if self.architecture.stages:
            [h] = inputs
            for number, stage in enumerate(self.architecture.stages, start=1):
                h = self._staged(h, f"stage{number}", stage, followed)
            h = h.permute(0, 2, 3, 1).reshape(len(h), -1)  # features in the order row, column, channel
        else:
            h = self._columns(*inputs)
        for number, layer in enumerate(self.architecture.hidden):
            h = h * masks[number] if number in masks else h
            h = _dense(h, p[f"dense{number + 1}.weight"], p[f"dense{number + 1}.bias"], layer)
        return h

    def _staged(self, x: Tensor, name: str, stage: Stage, followed: Mapping[str, Tensor] | None) -> Tensor:
        """Convolution, normalisation, pool, relu: in this order relu has a quarter of the work."""
        top, left, bottom, right = stage.pads
        if any(stage.pads):
            x = functional.pad(x, (left, right, top, bottom))
        weight, bias = self._leaves[f"{name}.weight"].permute(3, 2, 0, 1), self._leaves[f"{name}.bias"]
        a = functional.conv2d(x, weight, None if stage.normalised else bias)
        if stage.normalised:
            kept = self._views if followed is None else followed
            a = functional.batch_norm(
                a, kept[f"{name}.mean"], kept[f"{name}.variance"], self._leaves[f"{name}.factor"], bias,
                training=followed is not None, momentum=STATISTIC_MOMENTUM, eps=NORM_EPSILON,
            )  # fmt: skip
        if stage.pooled:
            a = functional.max_pool2d(a, 2) if a.device.type == "cpu" else largest_of_windows(a)
        return functional.relu(a)

    def _columns(self, numbers: Tensor, codes: Tensor | None = None) -> Tensor:
        """Return the inputs of the first layer: numbers, waves, embedded columns, indicators."""
        p, architecture = self._leaves, self.architecture
        counts = architecture.input.codes if isinstance(architecture.input, Columns) else ()
        parts = [numbers]
        if architecture.has(Periodic):
            turns = numbers.unsqueeze(-1) * p["periodic.frequency"]
            waves = torch.cos(2 * math.pi * (turns - turns.round()) + p["periodic.phase"])
            sums = (waves.unsqueeze(2) * p["periodic.weight"]).sum(-1) + p["periodic.bias"]
            parts.append(sums.flatten(1))
        if codes is not None:
            for j in architecture.embedded_columns:
                parts.append(functional.embedding(codes[:, j], p[f"embedding{j + 1}.weight"]))
            for j in architecture.indicator_columns:
                parts.append(functional.one_hot(codes[:, j], counts[j]).float())
        inputs = torch.cat(parts, dim=1)
        return inputs * p["scale.weight"] if architecture.has(Scale) else inputs

    def _gradients(self, batch: Batch, masks: dict[int, Tensor], followed: Mapping[str, Tensor]) -> _Outcome:
        """Return what a step brings; gradients are in stored order, those of the sum of weight times loss by count."""
        logits = self._forward(batch.inputs, masks, followed)
        losses = cross_entropy(logits, batch.targets, reduction="none", label_smoothing=self.label_smoothing)
        weighted = losses if batch.weight is None else losses * batch.weight
        leaves = [self._leaves[name] for name in self._stored]
        labels = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(dim=1)
        hits = logits.detach().argmax(dim=1) == labels
        return _Outcome(losses.detach(), hits, torch.autograd.grad(weighted.sum() / len(losses), leaves))

    def _update(self, gradients: tuple[Tensor, ...], rate: float, decay: float, plan: Plan) -> Tensor:
        """Do a step of AdamW (Loshchilov and Hutter, 2019); return the length of the gradient."""
        beta1_power, beta2_power = (
            _next_power(power, beta) for power, beta in zip(self._beta_products, (plan.beta1, plan.beta2), strict=True)
        )
        self._steps, self._beta_products = self._steps + 1, (beta1_power, beta2_power)
        with torch.no_grad():
            gradient = torch.cat([part.reshape(-1) for part in gradients])
            gradient.masked_fill_(gradient.abs() < LEAST_GRADIENT, 0.0)
            for group in self._groups:
                g, w = gradient[group.place], self._parameters[group.place]
                m, v = self._first[group.place], self._second[group.place]
                pace = rate * group.rate_factor
                m.mul_(plan.beta1).add_(g, alpha=1 - plan.beta1)
                m.masked_fill_(m.abs() < LEAST_FIRST_MOMENT, 0.0)
                v.mul_(plan.beta2).addcmul_(g, g, value=1 - plan.beta2)
                v.masked_fill_(v.abs() < LEAST_SECOND_MOMENT, 0.0)
                divisor = (v * (1 / (1 - beta2_power))).sqrt_().add_(plan.epsilon)
                w.mul_(1 - pace * (decay if group.decays else 0.0))
                w.addcdiv_(m, divisor, value=-pace / (1 - beta1_power))
            wide = gradient if self.device.type == "mps" else gradient.double()  # it has no float64
            return wide.square().sum().sqrt()

    def _settings(self) -> AbstractContextManager[None]:
        return computing_on(self.device, self.n_threads, WHERE)


def largest_of_windows(a: Tensor) -> Tensor:
    """
    Return the largest value of each 2 x 2 window; the gradient goes to the first of equals, in row order.

    It is `max_pool2d` in operations whose gradients are deterministic on every device.

    Parameters
    ----------
    a : tensor of shape (n, channels, height, width)
        Maps; an odd last row or column is left out.

    Returns
    -------
    tensor of shape (n, channels, height // 2, width // 2)
        Smaller maps.
    """
    height, width = a.shape[2] // 2 * 2, a.shape[3] // 2 * 2
    rows = [_larger(a[:, :, i:height:2, :width:2], a[:, :, i:height:2, 1:width:2]) for i in (0, 1)]
    return _larger(rows[0], rows[1])


def _larger(first: Tensor, second: Tensor) -> Tensor:
    return torch.where(second > first, second, first)


def _dense(x: Tensor, weight: Tensor, bias: Tensor, layer: Hidden) -> Tensor:
    if layer.ntk:
        z = functional.linear(x, weight) * (1 / math.sqrt(layer.n_in)) + bias
    else:
        z = functional.linear(x, weight, bias)
    return z if layer.activation is None else _ACTIVATIONS[type(layer.activation)](z)


def _sums(losses: Float32, hits: npt.NDArray[np.bool_], rows: Rows, indices: Int64) -> tuple[float, float, float]:
    """Return sums of weight times loss, of weight, and of the weight of hits."""
    weight = np.ones(len(indices)) if rows.weight is None else rows.weight[indices].astype(np.float64)
    loss = float(losses.astype(np.float64) @ weight)
    return _rounded(loss), _rounded(weight.sum()), _rounded(weight[hits].sum())


def _part(constants: StepConstants, begin: int, count: int) -> StepConstants:
    of = slice(begin, begin + count)
    return StepConstants(constants.rate[of], constants.decay[of], constants.dropout[of])


def _next_group(count: int, seconds: float) -> int:
    """Return how many steps to begin together, so that they take no longer than a run."""
    if seconds > RUN_SECONDS:
        return max(1, count // 2)
    return min(2 * count, MOST_AT_ONCE) if seconds < RUN_SECONDS / 3 else count


def _rounded(x: float) -> float:
    """Return a multiple of 2**-24: adding such numbers is exact, wherever a run was cut."""
    return round(x / LOSS_UNIT) * LOSS_UNIT if math.isfinite(x) else float(x)


def _rate_factor(architecture: Architecture, name: str) -> float:
    if name == "scale.weight":
        return SCALE_RATE
    if name.startswith("periodic."):
        return WAVE_RATE
    return NTK_BIAS_RATE if name.endswith(".bias") and architecture.hidden[0].ntk else 1.0


def _decays(name: str) -> bool:
    return not name.endswith((".bias", ".phase", ".factor")) and name != "scale.weight"


def _next_power(power: float, beta: float) -> float:
    return power * beta if power * beta >= LEAST_POWER else 0.0


def _copied(tensor: Tensor) -> Float32:
    copied: Float32 = tensor.detach().cpu().numpy().copy()
    return copied
