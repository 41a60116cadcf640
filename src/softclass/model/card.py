"""The facts of a model as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softclass.errors import shown

if TYPE_CHECKING:
    from softclass.model.model import Model

SHOWN_COLUMNS = 40


def card_text(model: Model) -> str:
    """Return the card of a model in Markdown."""
    manifest = model.manifest
    names = [shown(label.name) for label in manifest.classes]
    lines = [
        f"# softclass {model.kind} model",
        "",
        f"Gives the probability of each of {len(names)} classes: {', '.join(names[:20])}{' …' * (len(names) > 20)}.",
        f"Digest {model.digest}.",
        "",
        "## Data",
        "",
        f"- {manifest.data['rows']:,} rows, fingerprint {str(manifest.data['sha256'])[:16]}",
        "- parts: " + ", ".join(f"{part} {manifest.parts[part]:,}" for part in ("fit", "calibration", "test")),
        *_input_lines(model),
        "",
        "## Figures",
        "",
        *_figure_lines(model),
        "",
        "## Calibration",
        "",
        f"- {model.temperature.reason or model.temperature.method}",
        "",
        "## Notes",
        "",
        *([f"- {note.code} {note.message}" for note in model.notes] or ["- none"]),
    ]
    return "\n".join(lines) + "\n"


def _input_lines(model: Model) -> list[str]:
    schema = model.schema
    if schema is None:
        spec = model.manifest.image_spec()
        colour = "grey" if spec.channels == 1 else "RGB"
        return [f"- images of {spec.height} x {spec.width} pixels, {colour}, fitted by {spec.resize}"]
    lines = [f"- {shown(column.name)}: {column.kind}" for column in schema.columns[:SHOWN_COLUMNS]]
    if len(schema.columns) > SHOWN_COLUMNS:
        lines.append(f"- and {len(schema.columns) - SHOWN_COLUMNS} more columns")
    return lines + [f"- left out: {shown(dropped.name)} ({dropped.reason})" for dropped in schema.dropped]


def _figure_lines(model: Model) -> list[str]:
    evaluation = model.evaluation
    if evaluation is None:
        return ["- nothing was held out, so nothing is known about new rows"]
    lines = [f"- {evaluation.n:,} test rows"]
    for name in ("accuracy", "log_loss", "brier", "ece"):
        low, high = evaluation.intervals.get(name, (float("nan"), float("nan")))
        lines.append(
            f"- {name.replace('_', ' ')} {getattr(evaluation, name):.4g}, 95 % interval {low:.4g} to {high:.4g}"
        )
    return lines
