"""The names of the files in a run directory; imports nothing of ours, so that the command line may ask at once."""

from __future__ import annotations

from pathlib import Path

MODEL_FILE = "model.onnx"
METRICS_FILE = "metrics.json"
CONFIG_FILE = "config.toml"
PREDICTIONS_FILE = "predictions-test.parquet"
REPORT_FILE = "report.html"
HISTORY_FILE = "history.jsonl"
SCHEMA_FILE = "schema.json"
REJECTS_FILE = "rejects.csv"
ENVIRONMENT_FILE = "environment.txt"
# What a directory must hold to count as a run of ours, which --overwrite may replace.
MARKS = (MODEL_FILE, METRICS_FILE, CONFIG_FILE)


def checkpoints_of(run: Path) -> Path:
    """Return the folder that a run goes on from while it is not finished.

    Examples
    --------
    >>> checkpoints_of(Path("runs/flowers-1")).name
    'flowers-1.checkpoints'
    """
    return run.with_name(run.name + ".checkpoints")
