"""The run directory: everything a training leaves on disk, written beside its place and renamed when complete."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from softclass import __version__
from softclass.data.files import atomic_directory, atomic_write, atomic_write_text, check_folder_takes_more
from softclass.data.table import Table
from softclass.errors import Notes, UsageError, shown
from softclass.model.model import Model
from softclass.model.predictions import write_predictions
from softclass.model.run_files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    HISTORY_FILE,
    MARKS,
    METRICS_FILE,
    MODEL_FILE,
    PREDICTIONS_FILE,
    REJECTS_FILE,
    REPORT_FILE,
    SCHEMA_FILE,
)


def is_run(path: Path) -> bool:
    """Whether a directory is a run that softclass wrote."""
    return all((path / name).is_file() for name in MARKS)


def check_output(output: str | Path, *, overwrite: bool) -> Path:
    """Refuse an output that exists and may not be replaced, or cannot be written, before any work is done."""
    path = Path(output)
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise UsageError(
                "SC204",
                "the output exists",
                where=shown(str(path)),
                hint="Choose another --output, or pass --overwrite",
            )
        if not path.is_dir() or not is_run(path):
            raise UsageError(
                "SC204", "only a run directory of softclass is ever replaced; this is something else",
                where=shown(str(path)), hint="Choose another --output",
            )  # fmt: skip
    check_folder_takes_more(path)
    return path


def metrics_of(model: Model, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``metrics.json``: flat and stable, without NaN."""
    evaluation = model.evaluation
    manifest = model.manifest
    facts: dict[str, Any] = {
        "format": 1,
        "softclass": __version__,
        "model": model.kind,
        "task": manifest.task,
        "classes": [label.name for label in manifest.classes],
        "n_classes": len(manifest.classes),
    }
    if evaluation is not None:
        facts |= evaluation.to_dict()
    facts |= {
        "calibration": model.temperature.to_dict(),
        "parts": manifest.parts,
        "notes": [note.to_dict() for note in model.notes],
        **extra,
    }
    return facts


def write_run(
    path: Path,
    model: Model,
    *,
    overwrite: bool,
    config: str,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    table: Table | None,
    predictions: Any,
    with_report: bool,
    command: str,
    watch: Stopwatch,
) -> dict[str, int]:
    """Write all files of a run, or none; return their sizes in bytes."""
    with atomic_directory(path, overwrite=overwrite, is_ours=is_run) as folder:
        model.save(folder / MODEL_FILE)
        atomic_write_text(folder / METRICS_FILE, json_text(metrics))
        atomic_write_text(folder / HISTORY_FILE, "".join(json.dumps(_finite(entry)) + "\n" for entry in history))
        atomic_write_text(folder / CONFIG_FILE, config)
        if model.schema is not None:
            facts = {"schema": model.schema.to_dict(), "preprocessing": model.manifest.preprocessing().to_dict()}
            atomic_write_text(folder / SCHEMA_FILE, json_text(facts))
        if table is not None and table.rejected:
            write_rejects(folder / REJECTS_FILE, table.rejected)
        if predictions is not None:
            _write_predictions(folder / PREDICTIONS_FILE, predictions)
        if with_report:
            model.report(folder / REPORT_FILE)
        atomic_write_text(folder / ENVIRONMENT_FILE, _environment(command, watch.seconds))
        return {file.name: file.stat().st_size for file in sorted(folder.iterdir())}


def write_rejects(path: Path, rejected: Sequence[tuple[int, str]], *, overwrite: bool = True) -> Path:
    """Write line and text of the rows that were left out, as CSV."""
    lines = "".join(f"{line},{_quoted(text)}\n" for line, text in rejected)
    return atomic_write_text(path, "line,text\n" + lines, overwrite=overwrite)


def json_text(facts: Any) -> str:
    """JSON for people and machines: indented, with null where a number is not finite (C = inf: no penalty).

    Examples
    --------
    >>> json_text({"C": float("inf")})
    '{\\n "C": null\\n}\\n'
    """
    return json.dumps(_finite(facts), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(facts: Any) -> Any:
    if isinstance(facts, Mapping):
        return {key: _finite(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and not math.isfinite(facts) else facts


def _quoted(text: str) -> str:
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def _write_predictions(path: Path, predictions: Any) -> None:
    def write(file: BinaryIO) -> None:
        write_predictions([predictions], file, "parquet", spreadsheet_safe=False, notes=Notes(), seekable=True)

    atomic_write(path, write)


def _environment(command: str, seconds: Mapping[str, float]) -> str:
    """The only file of a run with a date or a fact about the machine."""
    libraries = ("numpy", "scipy", "scikit-learn", "onnx", "onnxruntime", "pyarrow")
    lines = [
        f"time      {datetime.now(UTC).isoformat(timespec='seconds')}",
        f"command   {command}",
        f"softclass {__version__}",
        f"python    {platform.python_version()} on {platform.platform()}",
        f"processor {platform.machine()}, {os.cpu_count()} cores",
        f"memory    peak {_peak_bytes() / 2**20:,.0f} MiB",
        *(f"library   {name} {version(name)}" for name in libraries),
        *(f"seconds   {phase} {value:.3f}" for phase, value in seconds.items()),
    ]
    return "\n".join(lines) + "\n"


def _peak_bytes() -> int:
    """Largest memory of the process so far; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Stopwatch:
    """Seconds of each phase of a piece of work."""

    def __init__(self) -> None:
        self.started = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, phase: str) -> None:
        """End a phase."""
        now = time.monotonic()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def total(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.started
