"""The names of the files in a run directory; imports nothing, so that the command line may ask at once."""

from __future__ import annotations

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
