"""The same answers from other libraries, of those that are installed; and the copies that bound them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import util
from typing import Any

import numpy as np
import numpy.typing as npt

import machine
from rounds import Call

WIDTH = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


def installed(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the libraries that can be imported here."""
    return tuple(name for name in names if util.find_spec(name))


@dataclass(frozen=True)
class Rows:
    """N rows of K logits, normal with scale 3, their targets, and a place for the result."""

    logits: npt.NDArray[Any]
    targets: npt.NDArray[np.int64]
    out: npt.NDArray[Any]

    @classmethod
    def made(cls, n_rows: int, n_classes: int, dtype: str = "float32", scale: float = 3.0) -> Rows:
        """Make the rows; the same for the same sizes."""
        rng = np.random.default_rng(n_classes)
        drawn = np.dtype(np.float64 if dtype == "float64" else np.float32)
        logits = rng.standard_normal((n_rows, n_classes), dtype=drawn) * drawn.type(scale)
        logits = logits.astype(numpy_type(dtype), copy=False)
        return cls(logits, rng.integers(0, n_classes, n_rows), np.zeros_like(logits))

    @property
    def dtype(self) -> str:
        """Name of the type of the logits."""
        return str(self.logits.dtype)


def numpy_type(name: str) -> np.dtype[Any]:
    """The type; bfloat16 is that of ml_dtypes."""
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def tensor(array: npt.NDArray[Any]) -> Any:
    """The same memory as a tensor."""
    import torch

    if str(array.dtype) == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def as_numpy(result: Any) -> Any:
    """The result of any of them as arrays of NumPy; a pair stays a pair."""
    if isinstance(result, tuple):
        return tuple(as_numpy(one) for one in result)
    if hasattr(result, "detach"):
        result = result.detach()
        result = result.double() if result.dtype.itemsize < 4 else result
        return result.numpy()
    return np.asarray(result)


def copies(source: npt.NDArray[Any], target: npt.NDArray[Any], threads: int, peers: Sequence[str]) -> dict[str, Call]:
    """Copies into memory that is there, by one call and by all threads."""
    source, target = source.reshape(-1), target.reshape(-1)
    found: dict[str, Call] = {"copy": lambda: np.copyto(target, source)}
    if threads > 1 and source.nbytes > 1 << 20:
        found["copy, threads"] = machine.in_parts(np.copyto, [target, source], threads)
    if "torch" in peers:
        a, b = tensor(source), tensor(target)
        found["copy, torch"] = lambda: b.copy_(a)
    return found


def fresh_copies(source: npt.NDArray[Any], peers: Sequence[str]) -> dict[str, Call]:
    """Copies into memory the system has to give first."""
    found: dict[str, Call] = {"copy fresh": source.copy}
    if "torch" in peers:
        found["copy fresh, torch"] = tensor(source).clone
    return found


def softmax(data: Rows, peers: Sequence[str], axis: int = -1) -> dict[str, Call]:
    """softmax(z)."""
    z, found = data.logits, {}
    if "numpy" in peers:

        def formula() -> Any:
            e = z - z.max(axis=axis, keepdims=True)
            np.exp(e, out=e)
            e /= e.sum(axis=axis, keepdims=True)
            return e

        found["numpy"] = formula
    if "scipy" in peers and data.dtype in ("float32", "float64"):
        from scipy import special

        found["scipy"] = lambda: special.softmax(z, axis=axis)
    return {**found, **_torch(data, peers, "softmax", axis), **_jax(data, peers, "softmax", axis)}


def log_softmax(data: Rows, peers: Sequence[str], axis: int = -1) -> dict[str, Call]:
    """log softmax(z)."""
    z, found = data.logits, {}
    if "numpy" in peers:

        def formula() -> Any:
            d = z - z.max(axis=axis, keepdims=True)
            d -= np.log(np.exp(d).sum(axis=axis, keepdims=True))
            return d

        found["numpy"] = formula
    if "scipy" in peers and data.dtype in ("float32", "float64"):
        from scipy import special

        found["scipy"] = lambda: special.log_softmax(z, axis=axis)
    return {**found, **_torch(data, peers, "log_softmax", axis), **_jax(data, peers, "log_softmax", axis)}


def logsumexp(data: Rows, peers: Sequence[str], axis: int = -1) -> dict[str, Call]:
    """log sum exp(z); the result is small, so one that exists already changes little."""
    z, found = data.logits, {}
    if "numpy" in peers:

        def formula() -> Any:
            m = z.max(axis=axis, keepdims=True)
            return m.squeeze(axis) + np.log(np.exp(z - m).sum(axis=axis))

        found["numpy"] = formula
    if "scipy" in peers and data.dtype in ("float32", "float64"):
        from scipy import special

        found["scipy"] = lambda: special.logsumexp(z, axis=axis)
    if "torch" in peers:
        import torch

        values = torch.logsumexp(tensor(z), axis)
        found["torch out"] = lambda: torch.logsumexp(tensor_z, axis, out=values)
        tensor_z = tensor(z)
        found["torch"] = lambda: torch.logsumexp(tensor_z, axis)
    return {**found, **_jax(data, peers, "logsumexp", axis)}


def _torch(data: Rows, peers: Sequence[str], word: str, axis: int) -> dict[str, Call]:
    if "torch" not in peers:
        return {}
    import torch

    function, z, out = getattr(torch, word), tensor(data.logits), tensor(data.out)
    return {"torch": lambda: function(z, axis), "torch out": lambda: function(z, axis, out=out)}


def _jax(data: Rows, peers: Sequence[str], word: str, axis: int) -> dict[str, Call]:
    if "jax" not in peers or data.dtype == "float64":  # JAX is float32 unless the whole process is switched over
        return {}
    import jax

    function = jax.jit(lambda z: getattr(jax.nn, word)(z, axis=axis))
    z = jax.numpy.asarray(data.logits)
    return {"jax": lambda: function(z).block_until_ready()}


def cross_entropy(data: Rows, peers: Sequence[str]) -> dict[str, Call]:
    """The mean loss, without a gradient."""
    z, y, rows, found = data.logits, data.targets, np.arange(len(data.targets)), {}
    if "numpy" in peers:

        def formula() -> Any:
            d = z - z.max(axis=-1, keepdims=True)
            target = d[rows, y]
            return (np.log(np.exp(d, out=d).sum(axis=-1)) - target).mean(dtype=np.float64)

        found["numpy"] = formula
    if "scipy" in peers and data.dtype in ("float32", "float64"):
        from scipy import special

        found["scipy"] = lambda: (special.logsumexp(z, axis=-1) - z[rows, y]).mean(dtype=np.float64)
    if "torch" in peers:
        import torch

        a, b = tensor(z), tensor(y)
        found["torch"] = lambda: torch.nn.functional.cross_entropy(a, b)
    if "jax" in peers and data.dtype != "float64":
        import jax

        function, a_jax, b_jax = jax.jit(_jax_loss), jax.numpy.asarray(z), jax.numpy.asarray(y)
        found["jax"] = lambda: function(a_jax, b_jax).block_until_ready()
    return found


def cross_entropy_value_and_gradient(data: Rows, peers: Sequence[str]) -> dict[str, Call]:
    """The mean loss and its derivative at the logits."""
    z, y, rows, found = data.logits, data.targets, np.arange(len(data.targets)), {}
    if "numpy" in peers:

        def formula() -> Any:
            e = z - z.max(axis=-1, keepdims=True)
            target = e[rows, y]
            s = np.exp(e, out=e).sum(axis=-1, keepdims=True)
            value = (np.log(s[:, 0]) - target).mean(dtype=np.float64)
            e /= s * len(y)
            e[rows, y] -= z.dtype.type(1 / len(y))
            return value, e

        found["numpy"] = formula
    if "torch" in peers:
        found |= _torch_value_and_gradient(data)
    if "jax" in peers and data.dtype != "float64":
        import jax

        function, a, b = jax.jit(jax.value_and_grad(_jax_loss)), jax.numpy.asarray(z), jax.numpy.asarray(y)
        found["jax"] = lambda: jax.block_until_ready(function(a, b))
    return found


def _torch_value_and_gradient(data: Rows) -> dict[str, Call]:
    """As everybody writes it; without leaving the gradient at the tensor; and by hand, in place, without autograd."""
    import torch
    from torch.nn import functional

    z, y, out = tensor(data.logits), tensor(data.targets), tensor(data.out)
    leaf, rows, one = z.clone().requires_grad_(), torch.arange(len(y)), torch.tensor(1.0, dtype=z.dtype)

    def backward() -> Any:
        leaf.grad = None
        loss = functional.cross_entropy(leaf, y)
        loss.backward()
        return loss, leaf.grad

    def grad() -> Any:
        loss = functional.cross_entropy(leaf, y)
        return loss, torch.autograd.grad(loss, leaf)[0]

    def by_hand() -> Any:
        torch.log_softmax(z, -1, out=out)
        loss = functional.nll_loss(out, y)
        out.exp_()
        out[rows, y] -= one
        return loss, out.div_(len(y))

    return {"torch": backward, "torch autograd.grad": grad, "torch by hand out": by_hand}


def _jax_loss(logits: Any, targets: Any) -> Any:
    """As optax writes it: one number a row, no matrix of logarithms."""
    import jax

    chosen = jax.numpy.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=-1) - chosen).mean()
