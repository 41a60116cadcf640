"""States of training as folders on disk: whole or not there, the newest two, a damaged one counts as missing.

A checkpoint is a folder with ``state.safetensors``, the arrays in the format of safetensors [1]_, and ``state.json``,
all else. A digest of each tells damage. Sums that go on to be added to are hexadecimal.

References
----------
.. [1] https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from softclass.data.files import atomic_directory, atomic_write, read_bytes
from softclass.data.paths import shown_path
from softclass.errors import ModelFileError, PathError, TableError
from softclass.networks.architecture import Architecture
from softclass.networks.engine import EngineState, Float32, Plan, Rows
from softclass.networks.training import Best, Restart, TrainingState

ARRAYS, FACTS = "state.safetensors", "state.json"
FORMAT = 1
KEPT = 2
EVERY_S = 1.0  # epochs may be shorter than it takes to sync a folder
_SUMS = ("loss_sum", "weight_sum", "correct", "gradient_norm", "seconds")


class CheckpointFolder:
    """
    A folder in which the newest two checkpoints of one run stand.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    run : str
        Digest of all that the run's result follows from, as `digest_of_run` gives it.
    every_s : float, optional
        Seconds between two checkpoints, by default one; the last state of a run is written in any case.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     CheckpointFolder(Path(folder), "1f2e").newest() is None
    True
    """

    def __init__(self, folder: Path, run: str, *, every_s: float | None = None) -> None:
        self.folder = folder
        self.run = run
        self.every_s = EVERY_S if every_s is None else every_s
        self._saved_at = -math.inf

    def save(self, state: TrainingState) -> None:
        """Write a state, if it is time to, and remove all but the newest two."""
        is_last = state.step >= state.plan.steps
        if time.monotonic() - self._saved_at < self.every_s and not is_last:
            return
        self.write(state)

    def write(self, state: TrainingState) -> None:
        """Write a state, and remove all but the newest two."""
        arrays, facts = _split(state)
        packed = packed_arrays(arrays)
        facts |= {"format": FORMAT, "run": self.run, "arrays": sha256(packed).hexdigest()}
        self.folder.mkdir(parents=True, exist_ok=True)
        # A restart goes back in steps, so their count comes first in the order of the names.
        target = self.folder / f"state-{len(state.restarts)}-{state.step:012d}"
        with atomic_directory(target, overwrite=True, is_ours=_is_ours) as folder:
            atomic_write(folder / ARRAYS, lambda file: file.write(packed))
            atomic_write(folder / FACTS, lambda file: file.write(_sealed(facts).encode()))
        for old in self._found()[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
        self._saved_at = time.monotonic()

    def newest(self) -> TrainingState | None:
        """
        Return the newest state that is not damaged; None if there is no checkpoint.

        Raises
        ------
        ModelFileError
            SC411, if all are damaged; SC412, if the newest is of other data or settings.
        """
        found = self._found()
        for folder in found:
            read = _read(folder)
            if read is None:
                continue
            facts, arrays = read
            if facts["run"] != self.run:
                raise ModelFileError(
                    "SC412",
                    "the checkpoint belongs to other data or other settings",
                    where=shown_path(folder),
                    hint="Go on with the data and settings of then, or begin in another folder",
                )
            return _joined(facts, arrays)
        if found:
            raise ModelFileError(
                "SC411", "every checkpoint is damaged", where=shown_path(self.folder), hint="Begin anew"
            )
        return None

    def _found(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        return sorted(self.folder.glob("state-[0-9]*-[0-9]*"), reverse=True)


def digest_of_run(architecture: Architecture, plan: Plan, seed: int, rows: Rows, validation: Rows | None) -> str:
    """
    Return a digest of all that a result follows from: network, plan, seed and every cell of the data.

    Parameters
    ----------
    architecture : Architecture
        The network.
    plan : Plan
        Its constants at the start.
    seed : int
        Decides every draw.
    rows, validation : Rows
        The data; None for no validation rows.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = sha256(json.dumps([architecture.to_dict(), asdict(plan), seed], sort_keys=True).encode())
    for part in (rows, validation):
        for name, array in sorted(vars(part).items()) if part is not None else ():
            digest.update(f"{name} {getattr(array, 'shape', None)} {getattr(array, 'dtype', None)}".encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def packed_arrays(arrays: Mapping[str, Float32]) -> bytes:
    """
    Return float32 arrays in the format of safetensors.

    Parameters
    ----------
    arrays : mapping of str to float32 array
        By name.

    Returns
    -------
    bytes
        The length of the header, the header, and the arrays, little-endian.

    Examples
    --------
    >>> unpacked_arrays(packed_arrays({"a": np.ones((1, 2), np.float32)}))["a"]
    array([[1., 1.]], dtype=float32)
    """
    header: dict[str, Any] = {}
    parts = []
    end = 0
    for name, array in arrays.items():
        parts.append(np.ascontiguousarray(array, dtype="<f4").tobytes())
        first, end = end, end + len(parts[-1])
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [first, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def unpacked_arrays(packed: bytes) -> dict[str, Float32]:
    """
    Return what `packed_arrays` packed; the bytes have passed their digest.

    Parameters
    ----------
    packed : bytes
        A file of safetensors.

    Returns
    -------
    dict of str to float32 array
        By name.
    """
    start = 8 + int.from_bytes(packed[:8], "little")
    header = json.loads(packed[8:start])
    arrays = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        array = np.frombuffer(packed[start + first : start + end], dtype="<f4").reshape(entry["shape"])
        arrays[name] = array.astype(np.float32)
    return arrays


def _split(state: TrainingState) -> tuple[dict[str, Float32], dict[str, Any]]:
    """Return a state as arrays and plain facts."""
    arrays: dict[str, Float32] = {}
    engines = {"now": state.engine} if state.epoch_start is state.engine else {
        "now": state.engine, "start": state.epoch_start,
    }  # fmt: skip
    facts: dict[str, Any] = {
        "plan": asdict(state.plan),
        "step": state.step,
        "history": state.history,
        "restarts": [asdict(restart) for restart in state.restarts],
        "best": None if state.best is None else {"value": state.best.value.hex(), "epoch": state.best.epoch},
        **{name: float(getattr(state, name)).hex() for name in _SUMS},
        "engines": {},
    }
    for place, engine in engines.items():
        for kind in ("parameters", "first_moments", "second_moments"):
            arrays |= {f"{place}.{kind}.{name}": array for name, array in getattr(engine, kind).items()}
        products = {name: float(getattr(engine, name)).hex() for name in ("beta1_product", "beta2_product")}
        facts["engines"][place] = {"step": engine.step, **products}
    if state.best is not None:
        arrays |= {f"best.parameters.{name}": array for name, array in state.best.parameters.items()}
    return arrays, facts


def _joined(facts: dict[str, Any], arrays: dict[str, Float32]) -> TrainingState:
    """Return the state that `_split` took apart."""

    def group(prefix: str) -> dict[str, Float32]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    engines = {
        place: EngineState(
            group(f"{place}.parameters."),
            group(f"{place}.first_moments."),
            group(f"{place}.second_moments."),
            stored["step"],
            float.fromhex(stored["beta1_product"]),
            float.fromhex(stored["beta2_product"]),
        )
        for place, stored in facts["engines"].items()
    }
    best = facts["best"]
    return TrainingState(
        plan=Plan(**facts["plan"]),
        step=facts["step"],
        engine=engines["now"],
        epoch_start=engines.get("start", engines["now"]),
        best=None if best is None else Best(float.fromhex(best["value"]), best["epoch"], group("best.parameters.")),
        history=tuple(facts["history"]),
        restarts=tuple(Restart(**restart) for restart in facts["restarts"]),
        **{name: float.fromhex(facts[name]) for name in _SUMS},
    )


def _sealed(facts: dict[str, Any]) -> str:
    """Return facts as JSON with the digest of all that stands before it."""
    text = json.dumps(facts, sort_keys=True)
    return json.dumps({"digest": sha256(text.encode()).hexdigest(), "facts": text})


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Float32]] | None:
    """Return the facts and arrays of a checkpoint; None if it is damaged."""
    try:
        sealed = json.loads(read_bytes(folder / FACTS))
        text = sealed["facts"]
        if sha256(text.encode()).hexdigest() != sealed["digest"]:
            return None
        facts = json.loads(text)
        packed = read_bytes(folder / ARRAYS)
    except (ValueError, KeyError, TypeError, AttributeError, PathError, TableError):
        return None
    if sha256(packed).hexdigest() != facts["arrays"] or facts["format"] != FORMAT:
        return None
    return facts, unpacked_arrays(packed)


def _is_ours(folder: Path) -> bool:
    return (folder / FACTS).is_file()
