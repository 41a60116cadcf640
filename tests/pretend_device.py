"""A device that is not there: numbers are computed on the CPU, every other rule of a GPU holds.

Tensors on it are wrappers around CPU tensors. PyTorch sees them on "meta", for which it needs no vendor's library;
programs see "cuda:0" or "mps:0". What a GPU refuses is refused: operations that mix devices, `numpy()`, float64 on
"mps", devices that are not there. What a GPU is slow at is counted: copies between host and device, and questions that
make the host wait for an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

aten = torch.ops.aten
# Each makes the host wait until the device has computed an answer.
QUESTIONS = (
    aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default, aten.masked_select.default,
    aten.is_nonzero.default, aten._unique2.default, aten.unique_dim.default,
)  # fmt: skip
# What has no deterministic form on CUDA by the table of `torch.use_deterministic_algorithms`.
NOT_DETERMINISTIC = frozenset(
    getattr(aten, name)
    for name in (
        "max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward", "adaptive_max_pool2d_backward",
        "_adaptive_avg_pool2d_backward", "avg_pool3d_backward", "upsample_bilinear2d_backward",
        "reflection_pad2d_backward", "replication_pad2d_backward", "nll_loss2d_forward", "histc", "kthvalue", "median",
        "_embedding_bag_dense_backward", "put_", "grid_sampler_2d_backward", "_ctc_loss_backward",
    )
)  # fmt: skip


class OnDevice(Tensor):
    """A tensor on the pretended device."""

    held: Tensor
    place: torch.device

    @staticmethod
    def __new__(cls, held: Tensor, place: torch.device) -> OnDevice:
        if place.type == "mps" and held.dtype in (torch.float64, torch.complex128):
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. "
                "Please use float32 instead."
            )
        made: OnDevice = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device="meta",
        )  # fmt: skip
        made.held, made.place = held, place
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where a program sees it."""
        return self.place

    is_cuda = property(lambda self: self.place.type == "cuda")  # type: ignore[assignment]
    is_mps = property(lambda self: self.place.type == "mps")  # type: ignore[assignment]
    is_meta = property(lambda self: False)  # type: ignore[assignment]

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.held!r}, device={str(self.place)!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of the pretended machine")


def leaves(value: Any) -> Iterator[Any]:
    """Yield what stands in arguments, however deep."""
    if type(value) in (list, tuple, dict):
        for one in value.values() if type(value) is dict else value:
            yield from leaves(one)
    else:
        yield value


def mapped(change: Any, value: Any) -> Any:
    """Return arguments or results with each leaf changed."""
    if type(value) in (list, tuple):
        return type(value)(mapped(change, one) for one in value)
    if type(value) is dict:
        return {name: mapped(change, one) for name, one in value.items()}
    return change(value)


@dataclass
class Machine:
    """A machine with devices that are not there.

    Attributes
    ----------
    kind, count : str, int
        "cuda" or "mps"; how many there are.
    free : int
        Bytes of their memory that no tensor takes.
    fails_at : int
        The smallest allocation, in bytes, that they refuse.
    is_too_old : bool
        Whether they run no kernel of this PyTorch.
    to_device, to_host : list of int
        Bytes of each copy.
    questions : list of str
        Operations that make the host wait for an answer, beside the copies to it.
    operations : int
        What the device was asked to do, views included.
    """

    kind: str
    count: int = 2
    free: int = 2**34
    fails_at: int = 2**40
    is_too_old: bool = False
    to_device: list[int] = field(default_factory=list)
    to_host: list[int] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    operations: int = 0
    place: torch.device | None = None  # of the call that is being made

    def forget(self) -> None:
        """Begin to count again."""
        for counted in (self.to_device, self.to_host, self.questions):
            counted.clear()

    def named(self, value: object) -> torch.device | None:
        """Return the device of this machine that a value names, or None."""
        if type(value) is str and re.fullmatch(rf"{self.kind}(:\d+)?", value):
            value = torch.device(value)
        if not isinstance(value, torch.device) or value.type != self.kind:
            return None
        place = torch.device(self.kind, value.index or 0)
        if place.index >= self.count:
            raise RuntimeError("CUDA error: invalid device ordinal")
        return place

    def wrapped(self, value: Any, place: torch.device) -> Any:
        """Return a CPU tensor as one of the device."""
        if not isinstance(value, Tensor) or isinstance(value, OnDevice):
            return value
        if value.untyped_storage().nbytes() >= self.fails_at:
            said = "CUDA out of memory." if self.kind == "cuda" else "MPS backend out of memory"
            raise (torch.OutOfMemoryError if self.kind == "cuda" else RuntimeError)(said)
        return OnDevice(value, place)


class _Names(TorchFunctionMode):
    """Reads the names of devices in calls from Python, before PyTorch looks for a vendor's library."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        machine, kwargs = self.machine, dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func is torch.device or name == "_parse_to":  # a name, and no tensor yet
            return func(*args, **kwargs)
        ours = args[0] if args and isinstance(args[0], OnDevice) else None
        if ours is not None and name in ("numpy", "__array__"):
            raise TypeError(
                f"can't convert {ours.place} device type tensor to numpy. "
                "Use Tensor.cpu() to copy the tensor to host memory first."
            )
        if ours is not None and name == "tolist":
            machine.questions.append("tolist")
            return ours.held.tolist()
        if name == "pin_memory":
            if ours is not None:
                raise RuntimeError("cannot pin a tensor of a device: only dense CPU tensors can be pinned")
            return args[0].clone()
        flat = list(leaves((args, kwargs)))
        place = next((found for found in map(machine.named, flat) if found is not None), None)
        if place is None:
            place = next((x.place for x in flat if isinstance(x, OnDevice)), machine.place)
        if place is None:
            return func(*args, **kwargs)
        if "device" in kwargs and func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], OnDevice):
            kwargs.pop("device")
            made = func(*args, **kwargs)
            with self:
                return made.to(place)
        outer, machine.place = machine.place, place
        try:
            meta = torch.device("meta")
            args, kwargs = mapped(lambda x: meta if machine.named(x) is not None else x, (tuple(args), kwargs))
            return func(*args, **kwargs)
        finally:
            machine.place = outer


class _Rules(TorchDispatchMode):
    """Computes on the CPU what no rule of a device forbids."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        machine, kwargs = self.machine, dict(kwargs or {})
        flat = list(leaves((args, kwargs)))
        places = {x.place for x in flat if isinstance(x, OnDevice)}
        target = kwargs.get("device")
        if target is not None and target.type == "meta":
            target = machine.place or next(iter(places), torch.device(machine.kind, 0))
            kwargs["device"] = torch.device("cpu")
        elif target is not None and not places:
            return func(*args, **kwargs)
        if func is aten._to_copy.default:
            return self.copied(args[0], target, kwargs)
        if func is aten.copy_.default:
            return self.filled(*args[:2])
        if not places and target is None:
            return func(*args, **kwargs)
        on_host = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, OnDevice) and x.ndim]
        if len(places) > 1 or (places and on_host):
            where = sorted({*map(str, places), *("cpu" for _ in on_host)})
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {' and '.join(where)}!"
                f" (in {func})"
            )
        is_masked = func in (aten.index.Tensor, aten.index_put_.default, aten.index_put.default) and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if machine.is_too_old and places:
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
        if func in QUESTIONS or is_masked:
            machine.questions.append(str(func))
        if func.overloadpacket in NOT_DETERMINISTIC and torch.are_deterministic_algorithms_enabled():
            raise RuntimeError(f"{func} does not have a deterministic implementation")
        machine.operations += 1
        place = target if isinstance(target, torch.device) and target.type == machine.kind else next(iter(places))
        inner = mapped(lambda x: x.held if isinstance(x, OnDevice) else x, (tuple(args), kwargs))
        found = mapped(lambda x: machine.wrapped(x, place), func(*inner[0], **inner[1]))
        return return_and_correct_aliasing(func, args, kwargs, found)

    def copied(self, source: Tensor, target: torch.device | None, kwargs: dict[str, Any]) -> Tensor:
        """A tensor of another type or device."""
        is_ours = isinstance(source, OnDevice)
        held: Tensor = source.held if isinstance(source, OnDevice) else source
        found = aten._to_copy.default(held, **{**kwargs, "device": torch.device("cpu")})
        if target is None:
            target = source.device
        if target.type != self.machine.kind:
            if is_ours:
                self.machine.to_host.append(held.nbytes)
            return found
        if not is_ours:
            self.machine.to_device.append(held.nbytes)
        made: Tensor = self.machine.wrapped(found, target)
        return made

    def filled(self, target: Tensor, source: Tensor) -> Tensor:
        """A tensor that takes the numbers of another, wherever that lies."""
        held = [x.held if isinstance(x, OnDevice) else x for x in (target, source)]
        if isinstance(target, OnDevice) and not isinstance(source, OnDevice):
            self.machine.to_device.append(source.nbytes)
        if isinstance(source, OnDevice) and not isinstance(target, OnDevice):
            self.machine.to_host.append(source.nbytes)
        held[0].copy_(held[1])
        return target


@contextmanager
def pretended(kind: str = "cuda", **facts: Any) -> Iterator[Machine]:
    """Pretend that this machine has such devices."""
    machine = Machine(kind, **facts)
    run_backward = torch.autograd._engine_run_backward  # type: ignore[attr-defined]

    def backward(*args: Any, **kwargs: Any) -> Any:
        """A mode does not see what a call that it has seen does in Python, as recomputing does."""
        with _Names(machine):
            return run_backward(*args, **kwargs)

    with (
        mock.patch("torch.autograd._engine_run_backward", new=backward),
        mock.patch("torch.cuda.is_available", return_value=kind == "cuda"),
        mock.patch("torch.cuda.mem_get_info", return_value=(machine.free, 2 * machine.free)),
        mock.patch("torch.mps.recommended_max_memory", return_value=machine.free),
        mock.patch("torch.mps.driver_allocated_memory", return_value=0),
        _Names(machine),
        _Rules(machine),
    ):
        # A wrapper cannot take the numbers of another as its own, as `module.half()` asks of parameters.
        overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            yield machine
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrites)


@contextmanager
def formulas_alone(wide: torch.dtype = torch.float64) -> Iterator[None]:
    """Compute on the CPU as on a device: by formulas, without compiled kernels, in the widest type that it has."""
    from softclass.networks import torch as engine

    with (
        mock.patch("softclass.functions._torch.runs_kernels", return_value=False),
        mock.patch("softclass.functions.formula.wide_float", return_value=wide),
        mock.patch("softclass.functions.reference.wide_float", return_value=wide),
        mock.patch.object(engine.functional, "max_pool2d", new=lambda a, _: engine.largest_of_windows(a)),
    ):
        yield
