"""What the report of a model tells: facts gathered from the file, from the tested rows, or from new labelled data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from softclass import __version__
from softclass.data.pixels import PixelPreprocessing
from softclass.data.preprocessing import BooleanStep, CategoryStep, DatetimeStep, NumberStep, Preprocessing, Step
from softclass.data.schema import Column
from softclass.functions.softmax import softmax
from softclass.model.layers import read_layers
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedConvolution
from softclass.report.facts import (
    ChoiceFacts,
    CoefficientTable,
    ColumnFacts,
    DroppedColumn,
    FitFacts,
    NetworkFacts,
    OddsRow,
    OddsTable,
    PathFacts,
    ReportFacts,
    WeightPictures,
    WorstRow,
)
from softclass.report.thumbnails import thumbnail_png

if TYPE_CHECKING:
    from softclass.model.examined import Examined
    from softclass.model.model import Model

WORST_ROWS = 20
SOFTMAX_KINDS = ("softmax", "fine-tuned")  # whose last layer was fitted by softmax regression
SHOWN_CATEGORIES = 8


def report_facts(
    model: Model,
    examined: Examined | None,
    *,
    examples: bool,
    title: str,
    config: str | None,
    told: Mapping[str, Any],
) -> ReportFacts:
    """
    Gather what a report shows.

    Parameters
    ----------
    model : Model
        Its file gives columns, parts, calibration and weights.
    examined : Examined, optional
        Rows of known class with the answers of the model; without them the figures stored in the file are shown, and
        no rows.
    examples : bool
        Whether rows or images of the data are shown.
    title : str
        What the page calls the data.
    config : str, optional
        The configuration of the run, as TOML.
    told : mapping
        Of ``metrics.json`` the facts ``fit``, ``path`` and ``odds_ratios``; without them their sections are left out.

    Returns
    -------
    ReportFacts
        Plain values.
    """
    manifest = model.manifest
    spec = manifest.image
    evaluation = model.evaluation if examined is None else examined.evaluation
    schema = model.schema
    return ReportFacts(
        title=title,
        task=manifest.task,
        classes=[label.name for label in manifest.classes],
        evaluation=evaluation,
        split_name="test" if evaluation is None else evaluation.split,
        created_with=f"softclass {__version__}",
        target=None if schema is None else schema.target,
        # Of the data that the page is named after: those of the training, or those it was asked to report on.
        n_rows=int(manifest.data["rows"]) if evaluation is None or evaluation.split == "test" else evaluation.n,
        class_counts={} if examined is None else examined.class_counts,
        image=None if spec is None else (spec.height, spec.width, spec.channels),
        columns=_columns(model),
        dropped=[] if schema is None else [DroppedColumn(one.name, one.reason) for one in schema.dropped],
        notes=[{**note.to_dict(), "text": note.text} for note in model.notes],
        parts=dict(manifest.parts),
        temperature=model.temperature,
        worst=_worst(examined, None if schema is None else schema.target) if examples and examined is not None else (),
        coefficients=_coefficients(model),
        fit=_fit(told.get("fit", {})),
        network=_network(model, told),
        choice=_choice(told.get("choice")),
        path=_path(told.get("path", {})),
        odds=_odds(told.get("odds_ratios", {})),
        facts=_making(model) + ([] if config is None else [("configuration", config)]),
    )


def _columns(model: Model) -> list[ColumnFacts]:
    constants, schema = model.manifest.preprocessing(), model.schema
    if schema is None or not isinstance(constants, Preprocessing):
        return []
    return [
        ColumnFacts(column.name, column.kind, _values(column, step), step.missing, _filled(step))
        for column, step in zip(schema.columns, constants.steps, strict=True)
    ]


def _values(column: Column, step: Step) -> str:
    if isinstance(step, CategoryStep):
        names = list(step.categories[:SHOWN_CATEGORIES])
        more = len(step.categories) - len(names)
        return ", ".join(names) + (f" … {more:,} more" if more else "")
    if column.kind == "boolean":
        return f"{column.false}, {column.true}"
    if column.minimum is None or column.maximum is None:
        return ""
    if column.kind == "datetime":
        return f"{_moment(column.minimum)} … {_moment(column.maximum)}"
    return f"{column.minimum:.6g} … {column.maximum:.6g}"


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.6g} s"


def _filled(step: Step) -> str:
    if not step.missing:
        return ""
    if isinstance(step, NumberStep):
        return f"{step.fill:.6g}"
    if isinstance(step, DatetimeStep):
        return _moment(step.fill)
    return "0.5" if isinstance(step, BooleanStep) else ""


def _worst(examined: Examined, target: str | None) -> Sequence[WorstRow]:
    """The rows that the model got wrong with the greatest confidence, the surest first."""
    logits = examined.logits
    predicted = logits.argmax(axis=1)
    wrong = np.flatnonzero(predicted != examined.targets)
    confidence = np.asarray(softmax(logits[wrong].astype(np.float64))).max(axis=1, initial=0.0)
    found: list[WorstRow] = []
    for row, share in sorted(zip(wrong.tolist(), confidence.tolist(), strict=True), key=lambda one: (-one[1], one[0])):
        if len(found) == WORST_ROWS:
            break
        found.append(
            WorstRow(
                place=examined.place(row),
                true=examined.name_of(row),
                predicted=examined.classes[int(predicted[row])],
                confidence=share,
                loss=examined.loss_of(row),
                cells=_cells(examined, row, target),
                thumbnail_png=None if examined.images is None else thumbnail_png(examined.images.pixels[row]),
            )
        )
    return found


def _cells(examined: Examined, row: int, target: str | None) -> dict[str, str] | None:
    """The cells of a row but for its label, which stands above them."""
    cells = examined.cells(row)
    return None if cells is None else {name: cell for name, cell in cells.items() if name != target}


def _coefficients(model: Model) -> CoefficientTable | WeightPictures | None:
    manifest = model.manifest
    constants = manifest.preprocessing()
    only, *more = read_layers(model.body, constants)
    if more or not isinstance(only, Dense):
        return None
    # Softmax does not change when all weights of a feature move together: show them around their mean.
    weight = only.weight - only.weight.mean(axis=0)
    if isinstance(constants, PixelPreprocessing):
        spec = manifest.image_spec()
        return WeightPictures(spec.height, spec.width, spec.channels, weight)
    return CoefficientTable(constants.feature_names, weight)


def _unlimited(value: float | None) -> float:
    """JSON has no infinity, so C without penalty is None there."""
    return math.inf if value is None else float(value)


def _fit(told: Mapping[str, Any]) -> FitFacts | None:
    if told.get("objective") is None:  # of a run before there was a certificate
        return None
    return FitFacts(
        C=_unlimited(told["C"]),
        objective=float(told["objective"]),
        gap=told["gap"],
        gap_kind=str(told["gap_kind"]),
        converged=bool(told["converged"]),
        passes=int(told["passes"]),
        iterations=int(told["iterations"]),
        solver=str(told["solver"]),
        separation=str(told["separation"]),
        streamed=bool(told["streamed"]),
        l1_ratio=float(told.get("l1_ratio", 0.0)),
        weights=int(told.get("weights", 0)),
        nonzero=int(told.get("nonzero", 0)),
    )


def _network(model: Model, told: Mapping[str, Any]) -> NetworkFacts | None:
    """What the file says of the network, and the curves where the run is known."""
    manifest = model.manifest
    if manifest.kind in SOFTMAX_KINDS:
        return None
    fit, curves = manifest.fit, told.get("learning") or {}
    first = read_layers(model.body, manifest.preprocessing())[0]
    judged = [loss for loss in curves.get("held_out", ()) if loss is not None]
    return NetworkFacts(
        name=str(fit["name"]),
        parameters=manifest.n_parameters,
        epochs=int(fit["epochs"]),
        best_epoch=int(fit["best_epoch"]),
        batch=int(fit["batch"]),
        validation=int(fit["validation"]),
        train=curves.get("learned_from", ()),
        judged=judged,
        filters=first.weight if isinstance(first, FittedConvolution) else None,
    )


def _choice(told: Mapping[str, Any] | None) -> ChoiceFacts | None:
    if not told:
        return None
    losses = {kind: one["log_loss"] for kind, one in told["tried"].items()}
    network = next(loss for kind, loss in losses.items() if kind != "softmax")
    return ChoiceFacts(told["chosen"] != "softmax", losses["softmax"], network, told["standard_error"])


def _path(told: Mapping[str, Any]) -> PathFacts | None:
    if not told:
        return None
    curves = told.get("weights") or {"C": (), "classes": {}, "rows": 0, "sampled": False}
    return PathFacts(
        C=told["C"],
        log_loss=told["log_loss"],
        standard_error=told["standard_error"],
        folds=int(told["folds"]),
        held_out=int(told["held_out_rows"]),
        chosen=_unlimited(told["chosen"]),
        was_chosen=bool(told["was_chosen"]),
        weight_C=curves["C"],
        weights=curves["classes"],
        weight_rows=int(curves["rows"]),
        weights_sampled=bool(curves["sampled"]),
        l1_ratio=float(told.get("l1_ratio", 0.0)),
    )


def _odds(told: Mapping[str, Any]) -> OddsTable | None:
    if not told:
        return None
    rows = [
        OddsRow(
            one["class"],
            one["column"],
            _unlimited(one["odds_ratio"]) if one["reason"] == "infinite" else one["odds_ratio"],
            one["low"],
            one["high"],
            one["p_value"],
            one["reason"],
        )
        for one in told["rows"]
    ]
    return OddsTable(told["reference"], float(told["coverage"]), float(told["n"]), rows, told["against"])


def _making(model: Model) -> list[tuple[str, str]]:
    manifest = model.manifest
    sizes = f"{manifest.n_features:,} features, {manifest.n_parameters:,} parameters"
    found = (_softmax_making if manifest.kind in SOFTMAX_KINDS else _network_making)(manifest.fit, sizes)
    found += [
        ("seed", str(manifest.parts["seed"])),
        ("data fingerprint", str(manifest.data["sha256"])),
        ("model digest", model.digest),
    ]
    return found + [(name, str(value)) for name, value in manifest.versions.items() if value is not None]


def _softmax_making(fit: Mapping[str, Any], sizes: str) -> list[tuple[str, str]]:
    strength = fit["C"]
    mixed = f", l1 ratio {fit['l1_ratio']:g}" if fit.get("l1_ratio") else ""
    behind = [("backbone", str(fit["backbone"]))] if "backbone" in fit else []
    name = "softmax regression behind a backbone" if behind else "softmax regression"
    return [
        ("model", f"{name}, {sizes}"),
        *behind,
        ("C", "no penalty" if strength is None or math.isinf(strength) else f"{strength:g}{mixed}"),
        ("iterations", f"{fit['iterations']:,}, {'converged' if fit['converged'] else 'not converged'}"),
    ]


def _network_making(fit: Mapping[str, Any], sizes: str) -> list[tuple[str, str]]:
    return [
        ("model", f"network {fit['name']}, {sizes}"),
        ("epochs", f"{fit['epochs']:,} planned, the best is number {fit['best_epoch']:,}"),
        ("batch, highest rate", f"{fit['batch']:,} rows, {fit['peak_rate']:g}"),
        ("validation", f"{fit['validation']:,} rows"),
    ]
