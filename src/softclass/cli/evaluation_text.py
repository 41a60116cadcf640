"""The figures of an evaluation as lines for the screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softclass.cli.layout import counted, plain_figure, share, table_lines
from softclass.errors import shown

RECALLS_LISTED = 10


def evaluation_lines(facts: Mapping[str, Any], width: int) -> list[str]:
    """Return the short form: two lines of figures and the recall of each class.

    Parameters
    ----------
    facts : mapping
        The figures under the keys of ``metrics.json``.
    width : int
        Columns there are.

    Returns
    -------
    list of str
        Lines; longer ones are wrapped by whoever prints them.

    Examples
    --------
    >>> evaluation_lines({"accuracy": 0.9, "log_loss": 0.25, "n": 10, "brier": 0.1, "ece": 0.05}, 80)
    ['accuracy 0.900 · log loss 0.25 · Brier 0.1', 'ECE 0.050']
    """
    intervals = facts.get("intervals") or {}
    loss = f"log loss {plain_figure(facts.get('log_loss'))}{_interval(intervals.get('log_loss'), plain_figure)}"
    if facts.get("log_loss") is None and facts.get("log_loss_known_rows") is not None:
        loss = f"log loss of the known classes {plain_figure(facts['log_loss_known_rows'])}"
    if facts.get("log_loss_prior") is not None:
        loss += f", prior {plain_figure(facts['log_loss_prior'])}"
    first = f"accuracy {share(facts.get('accuracy'))}{_interval(intervals.get('accuracy'), share)} · {loss}"
    lines = [f"{first} · Brier {plain_figure(facts.get('brier'))}", _calibration_line(facts)]
    unknown = facts.get("unknown_class_rows")
    if unknown:
        lines.append(f"{counted(unknown, 'row')} with a label that the model does not know: counted as wrong")
    if facts.get("per_class"):
        lines.append(_recalls(facts["per_class"]))
    return lines


def class_table(facts: Mapping[str, Any]) -> list[str]:
    """Return one line per class with precision, recall, F1 and log loss."""
    rows = [["class", "rows", "precision", "recall", "F1", "log loss"]]
    for name, figures in facts["per_class"].items():
        rows.append(
            [
                shown(name, 40),
                f"{figures['n']:,}",
                share(figures.get("precision")),
                share(figures.get("recall")),
                share(figures.get("f1")),
                plain_figure(figures.get("log_loss")),
            ]
        )
    return table_lines(rows, right=range(1, 6))


def _calibration_line(facts: Mapping[str, Any]) -> str:
    line = f"ECE {share(facts.get('ece'))}"
    if facts.get("ece_null_95") is not None:
        rows = counted(facts["n"], "row")
        line += f"; on {rows} a perfectly calibrated model would show up to {share(facts['ece_null_95'])}"
    return line


def _recalls(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    seen = {name: figures for name, figures in per_class.items() if figures.get("n")}
    order = sorted(seen, key=lambda name: seen[name].get("recall") or 0.0)
    listed = list(seen) if len(seen) <= RECALLS_LISTED else order[:RECALLS_LISTED]
    words = [f"{shown(name, 30)} {share(seen[name].get('recall'))} ({seen[name]['n']:,})" for name in listed]
    title = "recall" if len(seen) <= RECALLS_LISTED else f"lowest recall of {len(seen):,} classes"
    return f"{title}  {' · '.join(words)}"


def _interval(bounds: Any, form: Any) -> str:
    return f" [{form(bounds[0])}, {form(bounds[1])}]" if bounds else ""
