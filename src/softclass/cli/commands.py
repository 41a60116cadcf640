"""The commands and where they live; light enough for ``softclass --help``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Name and summary, in the order of `softclass --help`. A command is the function of its name in the module of its name.
COMMANDS = {
    "train": "learn from a table or a folder of images; write a run directory with the model",
    "predict": "class probabilities, one output row per input row",
    "evaluate": "how good the probabilities are on labelled data",
    "report": "one offline HTML page about a model",
    "explore": "a page to play with: softmax, losses, your own model",
    "inspect": "what is inside a model file, or how a data file would be read",
    "doctor": "versions, processor, memory; what is missing and how to get it",
    "demo": "train on the data sets that come along; demo slow-learning: experiments with losses",
    "explain": "what an error or note means and what to do about it",
}


def function_of(command: str) -> Any:
    """Return the function behind a command; loads its module only."""
    return getattr(import_module(f"softclass.cli.{command}"), command)
