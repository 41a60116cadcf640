"""A device as PyTorch has it: whether it can be used, what room it has, what is set while it computes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from softclass.errors import DeviceError, TooLargeError

# What PyTorch says where memory is refused: on "cuda" in an error of its own, elsewhere in words.
REFUSALS = ("out of memory", "can't allocate memory")


def usable_device(name: str, where: str) -> Any:
    """
    Return a device on which PyTorch computes.

    Parameters
    ----------
    name : str
        "cpu", "cuda", "cuda:1", "mps".
    where : str
        Who asks, for the message.

    Returns
    -------
    torch.device
        One that has just computed a number and given it back.

    Raises
    ------
    DeviceError
        SC602, if there is none, or none that runs the kernels of this PyTorch.
    TooLargeError
        SC606, if its memory is full.
    """
    try:
        device = torch.device(name)
        if device.type == "cuda":  # cuBLAS repeats its results only with this, read when it is first used
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # An empty tensor would do on a GPU too old for every kernel of this PyTorch.
        torch.zeros(1, device=device).add_(1).item()
    except (RuntimeError, AssertionError) as reason:  # PyTorch without CUDA asserts
        if is_refusal(reason):
            raise too_large(device, where) from reason
        rule = f"`device` must be one that PyTorch can use on this machine; got {name!r}"
        raise DeviceError("SC602", rule, where=where, hint='"cpu" works everywhere') from reason
    return device


def is_refusal(reason: BaseException) -> bool:
    """Tell whether an error says that memory was refused."""
    return isinstance(reason, torch.OutOfMemoryError) or any(words in str(reason) for words in REFUSALS)


def too_large(device: Any, where: str) -> TooLargeError:
    """Return SC606 for a device."""
    rule = f'the memory of the device "{device}" does not suffice'
    if device.type == "cpu":
        return TooLargeError("SC606", rule, where=where, hint="Take smaller batches, images or layers")
    hint = 'Take smaller batches, images or layers, end other programs that use the device, or take the device "cpu"'
    return TooLargeError("SC606", rule, where=where, hint=hint)


def free_memory(device: Any) -> int:
    """
    Return how much memory a device has left.

    Parameters
    ----------
    device : torch.device
        A device that can be used.

    Returns
    -------
    int
        Bytes; 0 where PyTorch does not say.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return 0


@contextmanager
def computing_on(device: Any, n_threads: int | None, where: str) -> Iterator[None]:
    """
    Set threads and what makes results repeat, and give back what there was.

    Parameters
    ----------
    device : torch.device
        Where it is computed.
    n_threads : int or None
        Threads on the CPU; None leaves them as they are.
    where : str
        Who asks, for messages.

    Raises
    ------
    TooLargeError
        SC606, if the memory of the device does not suffice.
    """
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills, tries = torch.utils.deterministic.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    # `use_deterministic_algorithms` says the same to the compiler of PyTorch, which takes two seconds to load.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "warn")
    torch.utils.deterministic.fill_uninitialized_memory = False  # it would write every new map twice
    torch.backends.cudnn.benchmark = False  # which of its algorithms is the fastest depends on the day
    try:
        yield
    except RuntimeError as reason:
        if is_refusal(reason):
            raise too_large(device, where) from reason
        raise
    finally:
        torch.backends.cudnn.benchmark = tries
        torch.utils.deterministic.fill_uninitialized_memory = fills
        torch.set_deterministic_debug_mode(mode)
        torch.set_num_threads(threads)
