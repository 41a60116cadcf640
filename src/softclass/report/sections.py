"""What each section of the report shows, worked out before the template lays it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from softclass.report.facts import CoefficientTable, OddsRow, ReportFacts, WeightPictures
from softclass.report.figures import (
    HEAT_STEPS,
    coefficient_figure,
    confusion_figure,
    luck_figure,
    reliability_figure,
    share_outside,
    small_reliability_figure,
    strip_figure,
)
from softclass.report.learning_figure import learning_figure
from softclass.report.numbers import count, figure, percent, tiny, with_value
from softclass.report.path_figures import loss_path_figure, weight_path_figure
from softclass.report.svg import clipped
from softclass.report.thumbnails import data_uri, weight_png, weight_scale
from softclass.trust.evaluation import Evaluation
from softclass.trust.reliability import ReliabilityDiagram

Words = Callable[..., Markup]

MAX_MATRIX_CLASSES = 26
MAX_PAIRS = 25
MAX_CLASS_ROWS = 40
WEAKEST_CLASSES = 20
MAX_COUNT_BARS = 26
SHOWN_COUNT_BARS = 12
MAX_COLUMNS = 60
FOLDED = 600  # rows of a table, or notes, behind a fold: a page is for reading, and below a megabyte
MAX_NOTES = 6  # of one kind; the rest is behind a fold
COEFFICIENT_CLASSES = 12
COEFFICIENTS = 8
MAX_PICTURES = 40
MAX_FILTERS = 64
ODDS_CLASSES = 12
ODDS_ROWS = 60  # of a class


def all_sections(facts: ReportFacts, words: Words) -> dict[str, Any]:
    """Return what the template needs beside the facts themselves."""
    evaluation = facts.evaluation

    def rows(n: int) -> Markup:
        kind = "image" if facts.task == "images" else "row"
        return words(kind if n == 1 else kind + "s", n=with_value(n, count(n)))

    def part(name: str) -> Markup | str:
        return words(f"part_{name}") if name in ("test", "calibration", "fit", "evaluate") else clipped(name, 60)

    return {
        "rows": rows,
        "part": part,
        "parts": _parts(facts),
        "counts": _counts(facts),
        "notes": _notes(facts),
        "max_notes": MAX_NOTES,
        "max_columns": MAX_COLUMNS,
        "folded": FOLDED,
        "tiles": _tiles(evaluation, words) if evaluation else [],
        "largest_share": _largest_share(evaluation) if evaluation else None,
        "class_rows": _class_rows(evaluation) if evaluation else None,
        "confusion": _confusion(evaluation, words) if evaluation else None,
        "reliability": _reliability(evaluation, words, rows) if evaluation else None,
        "weights": _weights(facts, words),
        "fit": _fit(facts, words),
        "network": _network(facts, words, rows),
        "choice": _choice(facts, words),
        "path": _path(facts, words, rows),
        "odds": _odds(facts, words, rows),
    }


def _parts(facts: ReportFacts) -> list[dict[str, Any]]:
    """Name, rows and width of each part that has rows."""
    sizes = [(name, int(facts.parts.get(name, 0) or 0)) for name in ("fit", "calibration", "test")]
    total = sum(size for _, size in sizes)
    return [{"name": name, "rows": size, "share": size / total} for name, size in sizes if size]


def _notes(facts: ReportFacts) -> list[tuple[str, list[str]]]:
    """Messages under their codes, in the order in which each code came up first."""
    by_code: dict[str, list[str]] = {}
    for note in facts.notes:
        by_code.setdefault(str(note["code"]), []).append(str(note["message"]))
    return list(by_code.items())


def _counts(facts: ReportFacts) -> dict[str, Any]:
    """Rows of each class with the length of their bars, largest first when they do not all fit."""
    pairs = list(facts.class_counts.items())
    more = 0
    if len(pairs) > MAX_COUNT_BARS:
        more = len(pairs) - SHOWN_COUNT_BARS
        pairs = sorted(pairs, key=lambda pair: -pair[1])[:SHOWN_COUNT_BARS]
    largest = max((rows for _, rows in pairs), default=0)
    return {
        "rows": [{"name": name, "n": rows, "share": rows / largest if largest else 0.0} for name, rows in pairs],
        "more": more,
    }


def _largest_share(evaluation: Evaluation) -> float:
    return float(evaluation.confusion.sum(axis=1).max() / evaluation.n)


def _tiles(evaluation: Evaluation, words: Words) -> list[dict[str, Any]]:
    """The four numbers of the headline, each with a strip."""
    tiles = []
    largest = _largest_share(evaluation)
    for key, value, mark, maximum, say in (
        ("accuracy", evaluation.accuracy, largest, 1.0, percent),
        ("log_loss", evaluation.log_loss, evaluation.log_loss_prior, None, figure),
        ("brier", evaluation.brier, evaluation.brier_uncertainty, None, figure),
    ):
        low, high = evaluation.intervals.get(key, (value, value))
        drawn = [x for x in (value, mark, high) if np.isfinite(x)]
        top = maximum or 1.1 * max(drawn, default=1.0)
        label = words("strip", name=words(key), value=say(value), low=say(low), high=say(high), mark=say(mark))
        tiles.append(
            {
                "name": words(key),
                "value": with_value(value, say(value)),
                "interval": words("interval", low=with_value(low, say(low)), high=with_value(high, say(high)))
                if key in evaluation.intervals
                else "",
                "compare": words(f"tile_{key}", value=with_value(mark, say(mark))),
                "strip": strip_figure(label, value, low, high, mark, top) if np.isfinite(value) else "",
            }
        )
    low, high = evaluation.intervals.get("ece", (evaluation.ece, evaluation.ece))
    label = words("strip_ece", name=words("ece"), value=figure(evaluation.ece), mark=figure(evaluation.ece_null_95))
    tiles.append(
        {
            "name": words("ece"),
            "value": with_value(evaluation.ece, figure(evaluation.ece)),
            "interval": words("interval", low=with_value(low, figure(low)), high=with_value(high, figure(high))),
            "compare": words("tile_ece", value=with_value(evaluation.ece_null_95, figure(evaluation.ece_null_95))),
            "strip": luck_figure(label, evaluation.ece, evaluation.ece_null_95),
        }
    )
    return tiles


def _class_rows(evaluation: Evaluation) -> dict[str, Any]:
    """The table of classes; with very many, the weakest of them first and the rest behind a fold."""
    every = [{"name": name, "row": row} for name, row in evaluation.per_class.items()]
    if len(every) <= MAX_CLASS_ROWS:
        return {"first": every, "every": None, "tested": len(every)}
    tested = [one for one in every if evaluation.per_class[str(one["name"])].n]
    weakest = sorted(tested, key=lambda one: evaluation.per_class[str(one["name"])].f1 or 0.0)
    return {"first": weakest[:WEAKEST_CLASSES], "every": every[:FOLDED], "tested": len(tested)}


def _confusion(evaluation: Evaluation, words: Words) -> dict[str, Any]:
    """Heat map and its table, or the pairs most often confused; and the sentence on the worst of them."""
    confusion, classes = evaluation.confusion, evaluation.classes
    totals = confusion.sum(axis=1)
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]
    pairs = [
        {
            "true": classes[i],
            "predicted": classes[j],
            "n": int(wrong[i, j]),
            "total": int(totals[i]),
            "share": float(wrong[i, j] / totals[i]),
        }
        for i, j in (divmod(int(place), len(classes)) for place in order)
        if wrong[i, j]
    ]
    small = len(classes) <= MAX_MATRIX_CLASSES
    label = words(
        "confusion_alt", n=len(classes), right=count(int(np.trace(confusion))), total=count(int(confusion.sum()))
    )
    return {
        "figure": confusion_figure(confusion, classes, str(label.unescape()), words) if small else None,
        "table": confusion.tolist() if small else None,
        "totals": totals.tolist(),
        "pairs": pairs,
        "with_shares": len(classes) <= 10,
        "steps": [(step, f"{HEAT_STEPS[step - 1]:.0%} – {HEAT_STEPS[step]:.0%}") for step in range(1, len(HEAT_STEPS))],
    }


def _reliability(evaluation: Evaluation, words: Words, rows: Callable[[int], Markup]) -> dict[str, Any]:
    """Diagrams after and before temperature, and of the largest classes."""
    same = evaluation.reliability_uncalibrated == evaluation.reliability

    def one(title: str, diagram: ReliabilityDiagram) -> dict[str, Any]:
        outside = percent(share_outside(diagram))
        label = words("reliability_alt", rows=rows(diagram.n).striptags(), outside=outside)
        return {
            "title": words(title),
            "label": label,
            "figure": reliability_figure(diagram, str(label.unescape()), words),
            "blocks": list(zip(diagram.low, diagram.high, diagram.rows, diagram.frequency, strict=True)),
        }

    diagrams = [one("top_label" if same else "after_temperature", evaluation.reliability)]
    if not same:
        diagrams.insert(0, one("before_temperature", evaluation.reliability_uncalibrated))
    classes = []
    for name, diagram in evaluation.class_reliability.items():
        before = evaluation.class_reliability_uncalibrated.get(name, diagram)
        versions = (
            [("top_label", diagram)] if same else [("before_temperature", before), ("after_temperature", diagram)]
        )
        classes.append(
            {
                "name": name,
                "figures": [
                    (
                        words(title),
                        small_reliability_figure(
                            drawn,
                            str(
                                words(
                                    "per_class_alt", name=clipped(name, 60), outside=percent(share_outside(drawn))
                                ).unescape()
                            ),
                        ),
                    )
                    for title, drawn in versions
                ],
            }
        )
    return {"diagrams": diagrams, "classes": classes, "same": same}


def _weights(facts: ReportFacts, words: Words) -> dict[str, Any] | None:
    """Bars or pictures of the weights, the classes with the most rows first when they do not all fit."""
    learnt = facts.coefficients
    if learnt is None:
        return None
    weight = np.asarray(learnt.weight, dtype=np.float64)
    if weight.size == 0:
        return None
    n_classes = len(facts.classes)
    pair = n_classes == 2 and bool(np.allclose(weight[0], -weight[1], rtol=1e-4, atol=1e-8 * np.abs(weight).max()))
    rows = [facts.class_counts.get(name, 0) for name in facts.classes]
    most = COEFFICIENT_CLASSES if isinstance(learnt, CoefficientTable) else MAX_PICTURES
    chosen = sorted(np.argsort([-n for n in rows], kind="stable")[:most].tolist())
    if pair:
        chosen = [1]
    make = _bars if isinstance(learnt, CoefficientTable) else _pictures
    return {
        "panels": make(learnt, weight, chosen, facts, words),  # type: ignore[arg-type]
        "kind": "bars" if isinstance(learnt, CoefficientTable) else "pictures",
        "pair": pair,
        "shown": len(chosen),
        "all": n_classes,
        "scale": weight_scale(weight),
        "colour": isinstance(learnt, WeightPictures) and learnt.channels > 1,
    }


def _bars(
    learnt: CoefficientTable, weight: Any, chosen: list[int], facts: ReportFacts, words: Words
) -> list[dict[str, Any]]:
    scale = float(np.abs(weight[chosen]).max())
    panels = []
    for k in chosen:
        top = np.argsort(-np.abs(weight[k]), kind="stable")[:COEFFICIENTS]
        names = [learnt.feature_names[d] for d in top]
        said = "; ".join(f"{clipped(name, 40)} {value:+.2f}" for name, value in zip(names, weight[k, top], strict=True))
        label = words("weights_alt", name=clipped(facts.classes[k], 60), list=said)
        panels.append(
            {
                "name": facts.classes[k],
                "figure": coefficient_figure(names, weight[k, top], scale, str(label.unescape())),
                "table": [(name, float(value)) for name, value in zip(names, weight[k, top], strict=True)],
            }
        )
    return panels


def _pictures(
    learnt: WeightPictures, weight: Any, chosen: list[int], facts: ReportFacts, words: Words
) -> list[dict[str, Any]]:
    pictures = weight.reshape(len(weight), learnt.height, learnt.width, learnt.channels).mean(axis=3)
    scale = weight_scale(pictures)
    return [
        {
            "name": facts.classes[k],
            "uri": data_uri(weight_png(pictures[k], scale)),
            "label": words("weights_picture_alt", name=clipped(facts.classes[k], 60)),
            "scale": scale,
        }
        for k in chosen
    ]


def _fit(facts: ReportFacts, words: Words) -> dict[str, Any] | None:
    """The sentences on the objective and on how far it is from its minimum."""
    fit = facts.fit
    if fit is None:
        return None
    kind = "fit_penalised" if np.isfinite(fit.C) else "fit_free"
    gap = {"duality": "gap_duality", "newton": "gap_newton", "decrement": "gap_decrement"}.get(fit.gap_kind)
    if gap is None or fit.gap is None:
        certified = words("gap_none")
    else:
        share = fit.gap / fit.objective if fit.objective > 0 else 0.0
        certified = words(gap, gap=with_value(fit.gap, tiny(fit.gap)), share=tiny(share))
    return {
        "reached": words(
            kind,
            C=f"{fit.C:g}",
            objective=with_value(fit.objective, figure(fit.objective)),
            passes=with_value(fit.passes, count(fit.passes)),
            solver=clipped(fit.solver, 40),
        ),
        "certified": certified,
        "sparse": words(
            "fit_sparse",
            ratio=f"{fit.l1_ratio:g}",
            weights=with_value(fit.weights, count(fit.weights)),
            nonzero=with_value(fit.nonzero, count(fit.nonzero)),
        )
        if fit.l1_ratio
        else "",
    }


def _network(facts: ReportFacts, words: Words, rows: Callable[[int], Markup]) -> dict[str, Any] | None:
    """What was trained, the curves of its epochs, the filters of its first layer."""
    network = facts.network
    if network is None:
        return None
    judged = "learning_judged_by" if network.validation else "learning_not_judged"
    said = "; ".join(
        f"{epoch}: {figure(loss)}" + (f", {figure(network.judged[epoch - 1])}" if network.judged else "")
        for epoch, loss in enumerate(network.train, start=1)
    )
    filters = network.filters
    pictures: list[dict[str, Any]] = []
    if filters is not None:
        grey = np.asarray(filters, dtype=np.float64).mean(axis=1)
        scale = float(np.abs(grey).max())
        pictures = [
            {"uri": data_uri(weight_png(one, scale)), "label": words("filter_alt", number=number)}
            for number, one in enumerate(grey[:MAX_FILTERS], start=1)
        ]
    return {
        "about": words(
            "learning_about",
            name=clipped(network.name, 40),
            parameters=with_value(network.parameters, count(network.parameters)),
            epochs=with_value(network.epochs, count(network.epochs)),
            batch=with_value(network.batch, count(network.batch)),
        ),
        "judged": words(judged, rows=rows(network.validation), epoch=network.best_epoch),
        "figure": learning_figure(
            network.train,
            network.judged,
            network.best_epoch,
            str(words("learning_alt", list=said).unescape()),
            words,
        )
        if network.train
        else None,
        "table": [
            (epoch, loss, network.judged[epoch - 1] if network.judged else None)
            for epoch, loss in enumerate(network.train, start=1)
        ],
        "filters": pictures,
        "n_filters": 0 if filters is None else len(filters),
        "side": 0 if filters is None else filters.shape[-1],
        "colour": filters is not None and filters.shape[1] > 1,
    }


def _choice(facts: ReportFacts, words: Words) -> Markup | None:
    """The sentence on softmax regression against the network."""
    choice = facts.choice
    if choice is None:
        return None
    return words(
        "choice_network" if choice.is_network else "choice_softmax",
        softmax=with_value(choice.softmax, figure(choice.softmax)),
        network=with_value(choice.network, figure(choice.network)),
        error=with_value(choice.standard_error, tiny(choice.standard_error)),
    )


def _path(facts: ReportFacts, words: Words, rows: Callable[[int], Markup]) -> dict[str, Any] | None:
    """Held-out loss over C, and the curves of the strongest columns."""
    path = facts.path
    if path is None or not any(loss is not None for loss in path.log_loss):
        return None
    table = list(zip(path.C, path.log_loss, path.standard_error, strict=True))
    said = "; ".join(f"{strength:g}: {figure(loss)}" for strength, loss, _ in table)
    largest = max(
        (abs(weight) for curves in path.weights.values() for curve in curves.values() for weight in curve), default=0.0
    )
    choice = "path_chose" if path.was_chosen else "path_given" if np.isfinite(path.chosen) else "path_free"
    measured = words("path_folds" if path.folds > 1 else "path_once", folds=path.folds, rows=rows(path.held_out))
    return {
        "measured": measured,
        "choice": words(choice, C=f"{path.chosen:g}"),
        "mixed": words("path_mixed", ratio=f"{path.l1_ratio:g}") if path.l1_ratio else "",
        "table": table,
        "figure": loss_path_figure(
            path.C, path.log_loss, path.standard_error, path.chosen, str(words("path_alt", list=said).unescape()), words
        ),
        "panels": [_weight_panel(name, curves, largest, facts, words) for name, curves in path.weights.items()],
        "pair": len(facts.classes) == 2,
        "sampled": path.weights_sampled,
    }


def _weight_panel(
    name: str, curves: Mapping[str, Sequence[float]], largest: float, facts: ReportFacts, words: Words
) -> dict[str, Any]:
    path = facts.path
    assert path is not None  # noqa: S101 - curves are of a path
    said = "; ".join(f"{clipped(column, 40)} {curve[0]:+.2f} … {curve[-1]:+.2f}" for column, curve in curves.items())
    label = words("path_weights_alt", name=clipped(name, 60), list=said)
    # The powers of ten: between them the curves say enough.
    places = [place for place, strength in enumerate(path.weight_C) if abs(np.log10(strength) % 1.0 - 0.5) > 0.499]
    return {
        "name": name,
        "strengths": [path.weight_C[place] for place in places],
        "table": [(column, [curve[place] for place in places]) for column, curve in curves.items()],
        "figure": weight_path_figure(path.weight_C, curves, path.chosen, largest, str(label.unescape()), words),
    }


def _odds(facts: ReportFacts, words: Words, rows: Callable[[int], Markup]) -> dict[str, Any] | None:
    """The table of odds ratios, class by class."""
    odds = facts.odds
    if odds is None or not odds.rows:
        return None
    classes: dict[str, list[OddsRow]] = {}
    for row in odds.rows:
        classes.setdefault(row.class_name, []).append(row)
    reasons = {
        "separated": words("odds_separated"),
        "infinite": words("odds_infinite"),
        "dependent": words("odds_dependent"),
        "constant": words("odds_constant"),
        "weightless": words("odds_weightless"),
    }
    shown = [
        (
            name,
            [(line, reasons.get(line.reason, line.reason)) for line in lines[:ODDS_ROWS]],
            words("odds_none", columns=count(len(lines))) if all(line.reason == "separated" for line in lines) else "",
        )
        for name, lines in list(classes.items())[:ODDS_CLASSES]
    ]
    n_shown = sum(len(lines) for _, lines, _ in shown)
    against = ", ".join(f"{clipped(column, 40)} = {clipped(category, 40)}" for column, category in odds.against.items())
    return {
        "about": words(
            "odds_about",
            reference=clipped(odds.reference, 40),
            coverage=f"{odds.coverage:.0%}",
            rows=rows(round(odds.n)),
        ),
        "against": against,
        "classes": shown,
        "shown": n_shown,
        "all": len(odds.rows),
        "more": n_shown < len(odds.rows),
    }
