"""The one door to onnxruntime: raw columns or pixels in, logits, probabilities and labels out.

A session gets bytes that :mod:`softclass.model.file` has already checked, never a path, so that the runtime opens no
file; it sends nothing, prints nothing, and reads no settings from the model.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.errors import InternalError, MachineError, ModelFileError, shown

MAX_BLOCK_ROWS = 8192
MAX_BLOCK_NUMBERS = 2**24  # float32 features of a block; the runtime holds about four such arrays, 256 MiB
CONVOLUTION_ROWS = 32  # of a convolutional network: larger blocks leave the caches, at twice the time an image
MAX_THREADS = 16  # one product a call: more only wait for each other
POOLED = b"softclass/layer/0/pooled"  # a value that convolutional networks have
_TRAIN_AGAIN = "Train the model again, or install another version of onnxruntime"
OLDEST_RUNTIME = (1, 23)  # as in pyproject.toml; nothing older is tested


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model says about some rows.

    Attributes
    ----------
    logits : float32 array of shape (n_samples, n_classes)
        After temperature.
    probabilities : float32 array of shape (n_samples, n_classes)
        Softmax of the logits.
    labels : object array of shape (n_samples,)
        Name of the class with the largest logit.
    """

    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.object_]


class Session:
    """A graph that is ready to run; several threads may share it.

    Parameters
    ----------
    body : bytes
        The model without its seal, as :func:`softclass.model.file.open_model` gives it.
    threads : int, optional
        Threads of one call; by default the processors this process may use, at most 16.

    Examples
    --------
    >>> import numpy as np
    >>> from softclass.data.preprocessing import NumberStep, Preprocessing
    >>> from softclass.model.graph import build_graph
    >>> from softclass.networks.architecture import Dense
    >>> step = NumberStep(input="width", fill=3.0, mean=2.5, scale=0.5, flag=False, missing=0)
    >>> dense = Dense(weight=np.array([[1.0], [-1.0]]), bias=np.zeros(2))
    >>> session = Session(build_graph(Preprocessing(steps=(step,), layout="columns"), [dense], ["broad", "slim"]))
    >>> outputs = session.run({"width": np.array([[2.0], [np.nan]])})
    >>> outputs.labels.tolist(), outputs.logits.tolist()
    (['slim', 'broad'], [[-1.0, 1.0], [1.0, -1.0]])
    """

    def __init__(self, body: bytes, *, threads: int | None = None) -> None:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # only what kills the process: standard output is our CSV
        options.intra_op_num_threads = threads or min(MAX_THREADS, _usable_processors())
        options.inter_op_num_threads = 1
        # Threads that wait must not burn the processor: calls are short and often one row long.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            # Fall-back off: on an error the class would print to standard output and try again.
            self._session = runtime.InferenceSession(
                body, options, providers=["CPUExecutionProvider"], enable_fallback=0, read_config_from_model=0
            )
        except Exception as error:  # the runtime has no common base class for its own errors
            _raise_from_runtime(error, runtime.__version__)
        self._inputs = {node.name: (_DTYPES[node.type], tuple(node.shape[1:])) for node in self._session.get_inputs()}
        self._names = [node.name for node in self._session.get_outputs()]
        self.n_classes = int(self._session.get_outputs()[0].shape[-1])
        # The weights take 4 bytes a feature and class, so the size of the file bounds the number of features.
        widest = max([len(body) // (4 * self.n_classes), *(math.prod(tail) for _, tail in self._inputs.values())])
        most = CONVOLUTION_ROWS if POOLED in body else MAX_BLOCK_ROWS
        self.block_rows = max(1, min(most, MAX_BLOCK_NUMBERS // max(1, widest)))

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> Outputs:
        """Return what the model says about some rows.

        Parameters
        ----------
        feeds : mapping of str to array
            One array an input of the graph, all with the same number of rows; zero rows are legal.

        Returns
        -------
        Outputs
            In the order of the rows. A row's bits do not depend on the rows beside it.

        Raises
        ------
        InternalError
            SC100, if an input is absent, not asked for, or of another shape: callers conform the data first.
        """
        arrays = self._conformed(feeds)
        n_rows = len(next(iter(arrays.values())))
        if n_rows == 0:
            nothing = np.empty((0, self.n_classes), dtype=np.float32)
            return Outputs(nothing, nothing.copy(), np.empty(0, dtype=object))
        blocks = [arrays] if n_rows <= self.block_rows else _blocks(arrays, n_rows, self.block_rows)
        try:
            parts = [self._session.run(self._names, block) for block in blocks]
        except Exception as error:  # the runtime has no common base class for its own errors
            raise ModelFileError(
                "SC404", f"onnxruntime cannot run the graph; {shown(error)}", hint=_TRAIN_AGAIN
            ) from error
        if len(parts) == 1:
            return Outputs(*parts[0])
        return Outputs(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))

    def run_all(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Return every output of the graph by its name, for rows that are few enough for one call.

        Parameters
        ----------
        feeds : mapping of str to array
            As for `run`.

        Returns
        -------
        dict of str to array
            The three of :class:`Outputs`, and those that :func:`softclass.model.wire.with_outputs` added.

        Raises
        ------
        InternalError
            SC100, as `run`.
        """
        found = self._session.run(self._names, self._conformed(feeds))
        return dict(zip(self._names, found, strict=True))

    def _conformed(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Give every input the shape and the type of the graph."""
        if feeds.keys() != self._inputs.keys():
            wanted = ", ".join(map(shown, self._inputs))
            raise InternalError("SC100", f"the graph has the inputs {wanted}", where="Session.run")
        arrays = {name: self._conformed_one(name, feeds[name]) for name in self._inputs}
        if len({len(array) for array in arrays.values()}) != 1:
            raise InternalError("SC100", "all inputs must have the same number of rows", where="Session.run")
        return arrays

    def _conformed_one(self, name: str, given: npt.NDArray[Any]) -> npt.NDArray[Any]:
        dtype, tail = self._inputs[name]
        # As nearly all come: the rest would be a fifth of the time of a call for one row.
        if type(given) is np.ndarray and given.dtype is dtype and given.shape[1:] == tail:
            return given
        array = np.asarray(given, dtype=dtype)
        if array.ndim == 1 and tail == (1,):
            array = array[:, np.newaxis]
        if array.shape[1:] != tail:
            rule = f'input "{shown(name)}" must have the shape (rows, {", ".join(map(str, tail))})'
            raise InternalError("SC100", f"{rule}; got {array.shape}", where="Session.run")
        return array


_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(double)": np.dtype(np.float64),
    "tensor(string)": np.dtype(np.object_),
    "tensor(uint8)": np.dtype(np.uint8),
}


def _blocks(arrays: dict[str, npt.NDArray[Any]], n_rows: int, size: int) -> Iterator[dict[str, npt.NDArray[Any]]]:
    for start in range(0, n_rows, size):
        yield {name: array[start : start + size] for name, array in arrays.items()}


def _usable_processors() -> int:
    """Return how many processors this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _runtime() -> ModuleType:
    """Import onnxruntime with its telemetry off and its log silent."""
    too_late = "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.pop("ORT_LOAD_CONFIG_FROM_MODEL", None)  # would let the model choose threads and write files
    try:
        import onnxruntime
    except ImportError as error:
        raise MachineError(
            "SC608", f"onnxruntime cannot be loaded; {shown(error)}", hint="Install it: pip install onnxruntime"
        ) from error
    if too_late:
        onnxruntime.disable_telemetry_events()
    onnxruntime.set_default_logger_severity(4)
    _check_version(onnxruntime.__version__)
    module: ModuleType = onnxruntime
    return module


def _check_version(version: str) -> None:
    """Refuse a runtime that cannot read our graphs."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_RUNTIME:
        needed = ".".join(map(str, OLDEST_RUNTIME))
        raise MachineError(
            "SC608",
            f"the model needs onnxruntime >= {needed}; got {shown(version)}",
            hint=f'Upgrade it: pip install "onnxruntime>={needed}"',
        )


def _raise_from_runtime(error: Exception, version: str) -> None:
    """Tell a model that the runtime refuses from a runtime that is too old for the model."""
    text = str(error)
    if "opset" in text.lower() or "ir_version" in text.lower() or "IR version" in text:
        raise MachineError(
            "SC608",
            f"the model needs a newer onnxruntime; got {shown(version)}",
            hint="Upgrade it: pip install --upgrade onnxruntime",
        ) from error
    raise ModelFileError("SC404", f"onnxruntime cannot run the graph; {shown(text)}", hint=_TRAIN_AGAIN) from error
