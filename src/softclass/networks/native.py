"""The native engine: trains an architecture on the CPU, without a framework.

The compiled module keeps all parameters in one buffer, padded and in its own layout; here are the buffers, the views
that give every tensor its logical shape, and the checks that keep the kernels within them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from softclass.errors import ShapeError
from softclass.kernels import cpu
from softclass.networks.architecture import Architecture
from softclass.networks.engine import EngineState, Float32, Int64, Plan, Rows, StepReport
from softclass.networks.engine_checks import check_is_native, check_parameters, check_smoothing
from softclass.networks.layers import Periodic, Pixels, Scale
from softclass.networks.row_arrays import WHERE, check_rows, column_arrays, count_rows, target_arrays
from softclass.networks.start_weights import start_state

RUN_SECONDS = 0.05  # then a run comes back, so that Ctrl-C, limits and checkpoints are seen
MOST_STEPS = 1024  # of one call of the compiled module: their constants are made beforehand


class NativeEngine:
    """
    Trains one architecture in compiled code; results are the same bytes for any number of threads and any processor.

    Parameters
    ----------
    architecture : Architecture
        The network.
    seed : int
        Key of all draws, in [0, 2**64).
    n_threads : int or None
        Threads; None takes as many as the process may use.
    label_smoothing : float, default=0.0
        Share of every target that is spread evenly over the classes. It spoils the probabilities: a smoothing of 0.1
        took the calibration error from 0.005 to 0.105 on Fashion-MNIST.

    Attributes
    ----------
    architecture, seed, n_threads, label_smoothing
        As given.

    Raises
    ------
    OptionError
        SC141, if `label_smoothing` lies outside [0, 1), or the architecture needs PyTorch.

    Examples
    --------
    >>> from softclass.networks.engine import Plan
    >>> from softclass.networks.layers import Columns, FullyConnected, Relu
    >>> network = Architecture(Columns(2), (FullyConnected(16), Relu(), FullyConnected(2)))
    >>> numbers = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> rows = Rows((numbers[:, 0] > 0).astype(np.int32), numbers=numbers)
    >>> engine = NativeEngine(network, seed=0, n_threads=1)
    >>> engine.initialise()
    >>> report = engine.run(rows, np.arange(64), 0, 4, Plan(64, 16, 1, 0.01))
    >>> report.last_step, report.weight_sum
    (4, 64.0)
    """

    def __init__(
        self, architecture: Architecture, *, seed: int, n_threads: int | None, label_smoothing: float = 0.0
    ) -> None:
        check_smoothing(label_smoothing, WHERE)
        check_is_native(architecture, WHERE)
        self.architecture, self.seed, self.n_threads = architecture, seed, n_threads
        self.label_smoothing = label_smoothing
        self._constants = self._normalisation(None)
        self._network = self._make_network()
        size, derived, self._tensors = cpu.network_facts(self._network)
        self._parameters, self._first, self._second = _zeros(size), _zeros(size), _zeros(size)
        self._derived, self._lanes = _zeros(derived), _zeros(0)
        self._steps, self._beta_products = 0, (1.0, 1.0)
        self._checked: Rows | None = None

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
        epoch_start = first_step // plan.steps_per_epoch * plan.steps_per_epoch
        last_step = min(last_step, first_step + MOST_STEPS)
        constants = plan.constants(first_step, last_step)
        self._make_lanes(plan.batch)
        last, loss, weight, correct, norm, is_finite, self._steps, beta1_power, beta2_power = cpu.network_train(
            self._network_for(rows),
            self._parameters,
            self._first,
            self._second,
            self._lanes,
            self._derived,
            self._steps,
            self._beta_products[0],
            self._beta_products[1],
            **column_arrays(rows),
            **target_arrays(rows),
            order=np.ascontiguousarray(order, dtype=np.int64),
            first_step=first_step - epoch_start,
            last_step=last_step - epoch_start,
            batch_size=plan.batch,
            rates=constants.rate,
            decays=constants.decay,
            dropout=constants.dropout,
            beta1=plan.beta1,
            beta2=plan.beta2,
            epsilon=plan.epsilon,
            label_smoothing=self.label_smoothing,
            seed=self.seed,
            epoch=plan.epoch_of(first_step),
            flips=plan.flip,
            shift=plan.shift,
            unknown_codes=plan.unknown,
            seconds=RUN_SECONDS,
            threads=self.n_threads or 0,
        )
        self._beta_products = beta1_power, beta2_power
        return StepReport(epoch_start + last, loss, weight, correct, norm, is_finite)

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
        network = self._network_for(rows, with_targets=False)
        chosen = np.arange(count_rows(rows)) if indices is None else np.ascontiguousarray(indices, dtype=np.int64)
        logits = np.empty((len(chosen), self.architecture.n_classes), dtype=np.float32)
        cpu.network_logits(
            network,
            self._parameters,
            self._derived,
            **column_arrays(rows),
            indices=chosen,
            logits=logits,
            threads=self.n_threads or 0,
        )
        return logits

    def loss_and_gradients(
        self,
        rows: Rows,
        indices: Int64,
        *,
        dropout_masks: Sequence[npt.NDArray[np.bool_]] | None = None,
        micro_rows: int = 0,
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
        micro_rows : int, default=0
            Rows that go through the network at once; 0 leaves it to the engine. No bit depends on it.

        Returns
        -------
        loss : float
            Sum of weight times loss, over the number of rows.
        gradients : dict of float32 arrays
            Its derivatives, under the names of `parameters`.
        """
        network = self._network_for(rows)
        chosen = np.ascontiguousarray(indices, dtype=np.int64)
        masks = self._masks(dropout_masks, len(chosen))
        lanes = _zeros(cpu.network_lanes(network, len(chosen)) * len(self._parameters))
        loss, _, _ = cpu.network_gradient(
            network,
            self._parameters,
            self._derived,
            **column_arrays(rows),
            **target_arrays(rows),
            indices=chosen,
            label_smoothing=self.label_smoothing,
            masks=masks,
            micro_rows=micro_rows,
            lanes=lanes,
            threads=self.n_threads or 0,
        )
        return loss / len(chosen), self._read(lanes)

    def parameters(self) -> dict[str, Float32]:
        """Return copies of the parameters, under the names and in the shapes of `Architecture.parameter_shapes`."""
        return self._read(self._parameters)

    def state(self) -> EngineState:
        """Return copies of all that is needed to go on."""
        return EngineState(
            self.parameters(), self._read(self._first), self._read(self._second), self._steps, *self._beta_products
        )

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
        self._write(self._parameters, state.parameters)
        self._write(self._first, state.first_moments)
        self._write(self._second, state.second_moments)
        self._steps, self._beta_products = state.step, (state.beta1_product, state.beta2_product)
        cpu.network_refresh(self._network, self._parameters, self._derived, self.n_threads or 0)

    def _normalisation(self, rows: Rows | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return what is subtracted from the pixels of a channel, and what they are multiplied by."""
        what = self.architecture.input
        channels = what.channels if isinstance(what, Pixels) else 0
        offset = np.zeros(channels) if rows is None or rows.offset is None else rows.offset
        scale = np.ones(channels) if rows is None or rows.scale is None else rows.scale
        return tuple(offset.tolist()), tuple(scale.tolist())

    def _make_network(self) -> object:
        architecture, (offset, scale) = self.architecture, self._constants
        what, hidden = architecture.input, architecture.hidden
        dropout = [layer.dropout for layer in hidden]
        if isinstance(what, Pixels):
            stages = [(stage.maps, stage.kernel, *stage.pads) for stage in architecture.stages]
            widths = [layer.n_out for layer in hidden[:-1]]
            return cpu.cnn_network(
                what.height,
                what.width,
                what.channels,
                list(offset),
                list(scale),
                stages,
                widths,
                dropout,
                architecture.n_classes,
            )
        return cpu.mlp_network(
            what.numbers,
            list(what.codes),
            [j in architecture.embedded_columns for j in range(len(what.codes))],
            architecture.embedding_width,
            architecture.has(Periodic),
            architecture.has(Scale),
            hidden[0].ntk,
            type(hidden[0].activation).__name__.lower(),
            [layer.n_out for layer in hidden],
            dropout,
        )

    def _network_for(self, rows: Rows, *, with_targets: bool = True) -> object:
        """Check rows once, and have the network normalise as they say."""
        if self._checked is rows:
            return self._network
        check_rows(self.architecture, rows, with_targets=with_targets)
        if (constants := self._normalisation(rows)) != self._constants:
            self._constants = constants
            self._network = self._make_network()
        self._checked = rows if with_targets else None
        return self._network

    def _make_lanes(self, batch: int) -> None:
        size = cpu.network_lanes(self._network, batch) * len(self._parameters)
        if len(self._lanes) < size:
            self._lanes = _zeros(size)

    def _masks(self, masks: Sequence[npt.NDArray[np.bool_]] | None, count: int) -> list[npt.NDArray[np.uint8]]:
        if masks is None:
            return []
        widths = [layer.n_in for layer in self.architecture.hidden if layer.dropout > 0]
        if [mask.shape for mask in masks] != [(count, width) for width in widths]:
            rule = f"`dropout_masks` must have the shapes {[(count, width) for width in widths]}"
            raise ShapeError("SC101", f"{rule}; got {[mask.shape for mask in masks]}", where=WHERE)
        return [np.ascontiguousarray(mask, dtype=np.uint8) for mask in masks]

    def _views(self, buffer: Float32) -> dict[str, Float32]:
        """Return the tensors of a buffer, their padding left out; inputs of a dense layer may be several axes."""
        return {
            name: np.lib.stride_tricks.as_strided(buffer[place:], shape, tuple(4 * stride for stride in strides))
            for name, shape, strides, place in self._tensors
        }

    def _read(self, buffer: Float32) -> dict[str, Float32]:
        views, shapes = self._views(buffer), self.architecture.parameter_shapes
        return {name: views[name].reshape(shape).copy() for name, shape in shapes.items()}

    def _write(self, buffer: Float32, values: dict[str, Float32]) -> None:
        views = self._views(buffer)
        check_parameters(self.architecture, values, WHERE)
        for name, value in values.items():
            views[name][...] = value.reshape(views[name].shape)


def _zeros(size: int) -> Float32:
    """Return zeros that begin at a multiple of 64 bytes."""
    memory = np.zeros(size + 16, dtype=np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + size]
