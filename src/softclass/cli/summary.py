"""What ``softclass train`` says, line by line, from the events of the training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from softclass.cli.evaluation_text import evaluation_lines
from softclass.cli.layout import cells, counted, duration, jsonable, padded, plain_figure, quoted_path, size, wrapped
from softclass.cli.output import LABEL_WIDTH, Screen
from softclass.errors import shown
from softclass.model.run_files import MODEL_FILE

COLUMNS_LISTED = 40
CLASSES_LISTED = 6
EXAMPLES_LISTED = 6


class TrainingSummary:
    """Listens to the events of a training and writes the summary.

    Parameters
    ----------
    screen : Screen
        Where to write.
    """

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.facts: dict[str, Any] = {}
        self.told: set[tuple[str, str | None, str]] = set()

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Say what an event means."""
        if event == "note":
            note = facts["note"]
            # Blocks of the same data can have the same thing to say.
            if (note.code, note.column, note.text) not in self.told:
                self.told.add((note.code, note.column, note.text))
                self.screen.note(note)
            return
        self.screen.progress(event, facts)
        say = getattr(self, f"_say_{event}", None)
        if say is not None:
            self.facts[event] = facts
            say(**facts)

    def finish(self, run: str) -> None:
        """Write the document of ``--json``: the metrics of the run."""
        if self.screen.as_json:
            metrics = json.loads(Path(run, "metrics.json").read_text(encoding="utf-8"))
            self.screen.document({**metrics, "run": run})

    def finish_plan(self) -> None:
        """Say that a dry run ends here."""
        plan = {event: jsonable(facts) for event, facts in self.facts.items() if event in ("data", "parts", "model")}
        self.screen.document({"dry_run": True, **plan})
        self.screen.labelled("next", "nothing was fitted or written: run again without --dry-run")

    def _say_data(self, *, task: str, name: str, n_rows: int, class_counts: Mapping[str, int], **facts: Any) -> None:
        classes = class_words(class_counts)
        if task == "images":
            words = image_words(facts["height"], facts["width"], facts["channels"])
            self.screen.labelled("images", f"{shown(name)} · {n_rows:,} images · {words} · {classes}")
        else:
            target = f"target {shown(facts.get('target') or '')}: {classes}"
            self.screen.labelled("data", f"{shown(name)} · {n_rows:,} rows × {facts['n_columns']:,} columns · {target}")
            if facts.get("on_disk"):
                self.screen.labelled("", "in a temporary file, since it takes more than half of --memory-limit")

    def _say_columns(self, *, schema: Any = None, preprocessing: Any = None) -> None:
        columns = getattr(schema, "columns", ())
        if not columns:
            return
        if len(columns) > COLUMNS_LISTED and not self.screen.verbose:
            kinds = [column.kind for column in columns]
            counts = " · ".join(f"{kinds.count(kind):,} {kind}" for kind in dict.fromkeys(kinds))
            self.screen.labelled("columns", f"{counts}   (-v lists them)")
            return
        self.screen.rows("columns", column_lines(columns, preprocessing, self.screen.out.width - LABEL_WIDTH))

    def _say_parts(self, *, sizes: Mapping[str, int], **facts: Any) -> None:
        words = [f"{name} {count:,}" for name, count in sizes.items() if count or name == "fit"]
        own = [part for part in ("calibration", "test") if facts.get(f"own_{part}")]
        words = [f"{word} (its own)" if word.split()[0] in own else word for word in words]
        for name in ("group", "time"):
            if facts.get(name):
                words.append(f"by {name} {shown(facts[name])}")
        if len(own) < 2:  # else nothing was drawn
            words.append(f"{'stratified, ' if facts.get('stratified') else ''}seed {facts.get('seed', 0)}")
        self.screen.labelled("parts", " · ".join(words))

    def _say_model(self, *, kind: str, n_features: int, n_classes: int, n_parameters: int | None) -> None:
        words = f"{kind}   {counted(n_features, 'feature')} → {n_classes:,} classes"
        self.screen.labelled("model", words if n_parameters is None else f"{words} · {n_parameters:,} parameters")

    def _say_network(
        self, *, name: str, parameters: int, in_file: int, epochs: int, batch: int, rows: int, validation: int
    ) -> None:
        plan = f"{counted(epochs, 'epoch')} of {rows:,} rows, {batch:,} a step"
        judge = f" · judged on {validation:,} rows" if validation else ""
        self.screen.labelled("network", f"{name} · {parameter_words(parameters, in_file)} · {plan}{judge}")

    def _say_candidate(self, *, kind: str, log_loss: float, accuracy: float, seconds: float, rows: int) -> None:
        self.screen.labelled(
            "tried",
            f"{kind}: log loss {plain_figure(log_loss)}, accuracy {plain_figure(accuracy)} "
            f"on {rows:,} validation rows · {duration(seconds)}",
        )

    def _say_choice(self, *, chosen: str, reason: str, **facts: Any) -> None:
        self.screen.labelled("chosen", f"{chosen}: {reason}")

    def _say_saved(self, *, run: Any, folder: Any) -> None:
        self.screen.remark(f"saved in {quoted_path(folder)}; softclass train --resume {quoted_path(run)} goes on")

    def _say_fit(self, **facts: Any) -> None:
        if "epochs" in facts:
            self._say_network_fit(**facts)
        else:
            self._say_softmax_fit(**facts)

    def _say_network_fit(self, *, best_epoch: int, epochs: int, seconds: float, **facts: Any) -> None:
        words = f"best epoch {best_epoch:,} of {epochs:,}"
        if facts["reason"] == "patience":
            words += ", then no better one for a while"
        loss, accuracy = facts.get("validation_log_loss_scaled"), facts.get("validation_accuracy")
        if loss is not None and accuracy is not None:
            words += f" · validation log loss {plain_figure(loss)}, accuracy {plain_figure(accuracy)}"
        self.screen.labelled("fit", f"{words} · {duration(seconds)}")

    def _say_softmax_fit(self, *, C: float, iterations: int, converged: bool, seconds: float, **facts: Any) -> None:
        mixed = f", l1 ratio {facts['l1_ratio']:g}" if facts.get("l1_ratio") else ""
        best = f", best of {facts['tried']}" if facts.get("tried") else ""
        end = "converged" if converged else "not converged"
        gradient = facts.get("gradient_norm")
        size_words = f", gradient {gradient:.0e}" if gradient is not None else ""
        self.screen.labelled(
            "fit",
            f"C = {C:g}{mixed}{best} · {counted(iterations, 'iteration')}, {end}{size_words} · {duration(seconds)}",
        )
        for line in certificate_lines(facts):
            self.screen.labelled("", line)

    def _say_calibration(self, *, temperature: Any) -> None:
        self.screen.labelled("trust", calibration_words(temperature))

    def _say_test(self, *, evaluation: Any, split: str = "test") -> None:
        if evaluation is None:
            self.screen.labelled("test", "nothing was held out: how good the probabilities are is not known")
            return
        facts = evaluation.to_dict()
        for index, line in enumerate(evaluation_lines(facts, self.screen.out.width - LABEL_WIDTH)):
            self.screen.labelled("test" if index == 0 else "", line)

    def _say_wrote(self, *, path: Any, files: Mapping[str, int], seconds: float) -> None:
        self._say_folds(Path(path, "metrics.json"))
        listed = [
            f"{name} {size(files[name])}" if name == MODEL_FILE else name
            for name in sorted(files, key=lambda name: (name != MODEL_FILE, name))
        ]
        run = quoted_path(path)
        self.screen.labelled("wrote", f"{run}   {' · '.join(listed)}   {duration(seconds)}")
        images = self.facts.get("data", {}).get("task") == "images"
        self.screen.labelled("next", f"softclass predict {run} {'new-images/' if images else 'new.csv'}")
        if "report.html" in files:
            self.screen.labelled("", f"softclass report {run} --open")

    def _say_folds(self, path: Path) -> None:
        folds = json.loads(path.read_text(encoding="utf-8")).get("cross_validation") if path.exists() else None
        if folds:
            lines = evaluation_lines({**folds, "per_class": None}, self.screen.out.width - LABEL_WIDTH)
            for index, line in enumerate(lines):
                self.screen.labelled(
                    "folds" if index == 0 else "", f"{folds['folds']} folds: {line}" if index == 0 else line
                )


def column_lines(columns: Sequence[Any], preprocessing: Any, room: int) -> list[str]:
    """Return the lines of a list of columns: name, kind, what is in it."""
    steps = {step.input: step for step in getattr(preprocessing, "steps", ())}
    widest = min(max((cells(shown(column.name, 30)) for column in columns), default=0), 30)
    lines = []
    for column in columns:
        head = f"{padded(shown(column.name, 30), widest)}  {column.kind:<9}  "
        words = column_words(column, steps.get(column.input))
        # On a narrow screen the details stand below the name.
        if cells(head) + 24 > room:
            lines += [head.rstrip(), *(f"  {line}" for line in wrapped(words, room - 2) if line)]
        else:
            first, *rest = wrapped(words, room - cells(head))
            lines += [(head + first).rstrip(), *(" " * cells(head) + line for line in rest)]
    return lines


def column_words(column: Any, step: Any = None) -> str:
    """Return the range or the categories of a column, and what happens where it is missing."""
    filled = getattr(step, "fill", None)
    if column.kind == "number" and column.minimum is not None:
        words = f"{_bound(column.minimum)} … {_bound(column.maximum)}"
    elif column.kind == "datetime" and column.minimum is not None:
        words = f"{_day(column.minimum)} … {_day(column.maximum)}"
    elif column.kind == "boolean" and column.true is not None:
        words = f"{shown(column.true)} / {shown(column.false)}"
    else:
        categories = getattr(step, "categories", ())
        words = ", ".join(shown(category, 20) for category in categories[:EXAMPLES_LISTED])
        if len(categories) > EXAMPLES_LISTED:
            words += f", … {len(categories):,} in all"
    if column.missing:
        words += f"   {column.missing:,} missing"
        if filled is not None and column.kind == "number":
            words += f" → median {_bound(filled)}{' + flag' if step.flag else ''}"
    return words


def certificate_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return how far the fit is from the optimum and who says so, and what tells the classes apart."""
    objective, gap = facts.get("objective"), facts.get("gap")
    if objective is None:
        return []
    says = {
        "duality": "proved: at most {gap} above the minimum (duality gap)",
        "newton": "proved: at most {gap} above the minimum (curvature)",
        "decrement": "estimated: {gap} above the minimum",
    }.get(facts["gap_kind"])
    distance = says.format(gap=f"{gap:.2g}") if says is not None and gap is not None else "no bound on the minimum"
    way = f"{facts['solver']}, {facts['passes']:,} pass{'' if facts['passes'] == 1 else 'es'}"
    lines = [f"objective {objective:.6g} nats a row · {distance} · {way}"]
    if facts.get("l1_ratio"):
        lines.append(f"{facts['nonzero']:,} of {facts['weights']:,} weights are not zero")
    if facts.get("streamed"):
        lines.append("features streamed from disk, since they would take more than --memory-limit")
    if facts.get("separation"):
        lines.append(shown(facts["separation"], 400))
    return lines


def parameter_words(trained: int, in_file: int) -> str:
    """
    Return how many parameters a network has; where it is written with more or fewer, both numbers.

    Examples
    --------
    >>> parameter_words(3210, 3210)
    '3,210 parameters'
    >>> parameter_words(104426, 104202)  # the normalisations are part of the convolutions in the file
    '104,426 parameters trained, 104,202 in the file'
    """
    if trained == in_file:
        return f"{trained:,} parameters"
    return f"{trained:,} parameters trained, {in_file:,} in the file"


def calibration_words(temperature: Any) -> str:
    """Return what was done to the probabilities after fitting, and why."""
    reason = f" ({temperature.reason})" if temperature.reason else ""
    if temperature.method == "none":
        return f"calibration: none{reason}"
    words = f"temperature {plain_figure(temperature.temperature)}"
    losses = temperature.candidates
    if "none" in losses and "temperature" in losses:
        words += f" · log loss {plain_figure(losses['none'])} → {plain_figure(losses['temperature'])}"
    return f"{words} on {temperature.n:,} rows{reason}"


def image_words(height: int, width: int, channels: int) -> str:
    """Return the size and colour of images."""
    return f"{height}×{width} {'grey' if channels == 1 else 'colour'}"


def class_words(counts: Mapping[str, int]) -> str:
    """Return the classes with the rows of each, or how many classes there are."""
    if len(counts) > CLASSES_LISTED:
        low, high = min(counts.values()), max(counts.values())
        return f"{len(counts):,} classes, {low:,}{f' … {high:,}' if high > low else ''} each"
    return ", ".join(f"{shown(name, 30)} {count:,}" for name, count in counts.items())


def _bound(value: float) -> str:
    """Return a number without marks between the thousands, which would mislead in a year."""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.4g}"


def _day(seconds: float) -> str:
    from datetime import UTC, datetime, timedelta

    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date().isoformat()
    except OverflowError:
        return plain_figure(seconds)
