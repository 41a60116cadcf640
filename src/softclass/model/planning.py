"""What is known of a run before anything is fitted: the data, their parts, the constants of the preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from softclass.data.image_set import LONGEST_SIDE, ImageSpec
from softclass.data.images import ImageOptions
from softclass.data.leaks import find_leaks, note_conflicts
from softclass.data.preprocessing import Preprocessing
from softclass.data.row_order import row_order
from softclass.data.schema import SchemaOptions
from softclass.data.split import Parts, SplitOptions, count_shared_rows, split
from softclass.data.table import ReadOptions
from softclass.errors import DataError, Note, Notes, UsageError, shown
from softclass.model.backbone import Backbone, read_backbone
from softclass.model.encoded import STREAMED_BYTES, AnyPreprocessing, fitting_bytes
from softclass.model.examples import (
    Examples,
    is_images,
    read_image_examples,
    read_more_rows,
    read_table_examples,
)
from softclass.model.fitting import n_features_of, preprocessing_of
from softclass.model.layers import network_places
from softclass.model.limits import SHARE_FOR_CELLS, check_features_fit, streaming_limit
from softclass.model.network_options import DEEP_SIDE, FEWEST_ROWS, NETWORK_SIDE, candidates
from softclass.model.odds_ratios import check_odds_ratios
from softclass.model.options import check_options, option_name, parse_image_size, parse_size
from softclass.networks.grammar import LARGEST_SIDE
from softclass.networks.known_architectures import DEEP_ARCHITECTURES

Progress = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class TrainingPlan:
    """What is known before anything is fitted but the constants of the preprocessing."""

    examples: Examples
    tests: Examples | None
    parts: Parts
    preprocessing: AnyPreprocessing
    sizes: dict[str, int]
    cut: dict[str, Any]
    memory_limit: float
    left_for_features: float
    kinds: tuple[str, ...]


def _longest_side(kinds: tuple[str, ...], architecture: str) -> int:
    """Return the longer side of images whose size nobody gives."""
    if "cnn" not in kinds:
        return LONGEST_SIDE
    return DEEP_SIDE if architecture in DEEP_ARCHITECTURES else NETWORK_SIDE


def _check_output_spares(backbone: str | Path, output: str | Path | None) -> None:
    """Refuse to put the model in the place of its backbone: nobody could repeat the run, or use the backbone again."""
    file = Path(backbone).resolve()
    if output is not None and Path(output).resolve() in (file, file.parent):
        raise UsageError("SC203", "--output would take the place of the backbone", where="train",
                         hint="Choose another --output")  # fmt: skip


def _sizes_of(image: ImageSpec, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the size of the images that a backbone takes; another size is refused."""
    taken = {"image_size": (image.height, image.width), "channels": image.channels}
    for name, size in taken.items():
        asked = parse_image_size(given[name]) if name == "image_size" else given[name]
        if asked not in (None, size):
            spelled = "x".join(map(str, size)) if isinstance(size, tuple) else size
            raise UsageError("SC203", f"{option_name(name)} asks for another size than the backbone's, {spelled}",
                             where="train", hint=f"Leave {option_name(name)} out")  # fmt: skip
    return {**given, **taken, "resize": given["resize"] or image.resize}


def make_plan(given: Mapping[str, Any], defaults: Mapping[str, Any], notes: Notes, say: Progress) -> TrainingPlan:
    """Read the data, find out what they are, and cut them into parts."""
    images = is_images(given["data"])
    task = "images" if images else "table"
    check_options(given, task, defaults)
    kinds = candidates(given, task, defaults)
    limit = streaming_limit() if given["memory_limit"] is None else parse_size(given["memory_limit"])
    say("phase", {"name": "reading", "done": 0, "total": None})
    backbone: Backbone | None = None
    read = _picked(ReadOptions, given)
    if images:
        if given["backbone"] is not None:
            backbone = read_backbone(given["backbone"], threads=given["threads"])
            _check_output_spares(given["backbone"], given["output"])
            given = _sizes_of(backbone.image, given)
        wanted = ImageOptions(
            size=parse_image_size(given["image_size"]), channels=given["channels"], resize=given["resize"] or "crop",
            strict=given["strict"], follow_links=given["follow_links"],
            longest=_longest_side(kinds, given["architecture"]),
        )  # fmt: skip
        if len(kinds) > 1 and wanted.size is not None and max(wanted.size) > LARGEST_SIDE:
            kinds = kinds[:1]
        examples = read_image_examples(given["data"], given["target"], wanted, notes)
    else:
        examples = read_table_examples(
            given["data"], given["target"], read, _picked(SchemaOptions, given), notes, group=given["group"],
            time=given["time"], split_column=given["split_column"], sample_weight=given["sample_weight"],
            memory_limit=SHARE_FOR_CELLS * limit,
        )  # fmt: skip
    if 0 < given["rows"] < examples.n_rows:
        order = np.argsort(row_order(examples.n_rows, given["seed"]), kind="stable")
        examples = examples.take(np.sort(order[: given["rows"]]))
    tests = (
        None
        if given["test_data"] is None
        else read_more_rows(given["test_data"], examples, read, notes, memory_limit=SHARE_FOR_CELLS * limit)
    )
    if tests is not None and examples.own_parts is not None and (count := int(np.sum(examples.own_parts == "test"))):
        raise UsageError(
            "SC202", f"--test-data has no effect: the data bring their own test part ({count:,} rows)", where="train",
            hint="Leave --test-data out, or train on the other rows alone",
        )  # fmt: skip
    say("data", _data_facts(examples))

    shares = SplitOptions(
        test=given["test"] if tests is None else 0.0,
        calibration=0.0 if given["calibrate"] == "none" else given["calibration"],
        stratify=given["stratify"],
        seed=given["seed"],
    )
    examples, parts = _classes_with_rows(examples, _split(examples, shares, notes), notes)
    if tests is not None:
        tests = tests.with_classes(examples.classes)
    elif len(parts.test):
        tests = examples.take(parts.test)
    preprocessing = backbone or preprocessing_of(examples, parts.fit, notes, given["max_categories"])
    say("columns", {"schema": examples.schema, "preprocessing": preprocessing})
    sizes = {**parts.sizes(), "test": 0 if tests is None else tests.n_rows}
    cut = {
        "stratified": parts.stratified, "seed": given["seed"], "group": given["group"], "time": given["time"],
        "own_test": parts.own_test or given["test_data"] is not None, "own_calibration": parts.own_calibration,
    }  # fmt: skip
    say("parts", {"sizes": sizes, **cut})
    n_features, n_classes = n_features_of(examples, preprocessing), len(examples.classes)
    if len(kinds) > 1 and len(parts.fit) < FEWEST_ROWS:
        kinds = kinds[:1]
    left = limit - (0 if examples.table is None or examples.table.on_disk else examples.table.nbytes)
    streamed = fitting_bytes(len(parts.fit), n_features) > left
    if streamed and len(kinds) > 1:
        kinds = kinds[:1]  # a network reads its rows from memory
    name = " then ".join(kinds) if backbone is None else f"softmax behind the backbone {backbone.digest[:12]}"
    say("model", {"kind": name, "n_features": n_features, "n_classes": n_classes,
                  "n_parameters": n_classes * (n_features + 1) if kinds == ("softmax",) else None})  # fmt: skip
    held = STREAMED_BYTES if streamed and kinds == ("softmax",) else None
    held_features = n_features if kinds[-1] != "mlp" else _network_inputs(preprocessing)
    check_features_fit(len(parts.fit), held_features, n_classes, examples.name, streamed_bytes=held)
    if given["odds_ratios"]:
        check_odds_ratios(n_features, n_classes)
    return TrainingPlan(examples, tests, parts, preprocessing, sizes, cut, limit, left, kinds)


def _network_inputs(preprocessing: AnyPreprocessing) -> int:
    """Numbers and codes of a row, which a network for tables holds in memory."""
    assert isinstance(preprocessing, Preprocessing)  # noqa: S101 - of a table
    places = network_places(preprocessing)
    return len(places.numbers) + len(places.codes)


def _data_facts(examples: Examples) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": examples.name, "n_rows": examples.n_rows, "class_counts": examples.class_counts()}
    facts["on_disk"] = examples.table is not None and examples.table.on_disk
    if examples.schema is not None and examples.table is not None:
        return {"task": "table", "n_columns": len(examples.table.columns), "target": examples.schema.target, **facts}
    assert examples.spec is not None  # noqa: S101 - examples are a table or images
    spec = examples.spec
    return {
        "task": "images",
        "height": spec.height,
        "width": spec.width,
        "channels": spec.channels,
        "target": None,
        **facts,
    }


def _split(examples: Examples, shares: SplitOptions, notes: Notes) -> Parts:
    return split(
        examples.targets, len(examples.classes), shares, notes, class_names=examples.class_names(),
        own=examples.own_parts, groups=examples.groups, times=examples.times,
        content_keys=examples.content_keys if examples.images is not None else None,
    )  # fmt: skip


def _classes_with_rows(examples: Examples, parts: Parts, notes: Notes) -> tuple[Examples, Parts]:
    """Drop classes that no fit row has, as own parts or a split by time can leave them; nothing could be learnt."""
    weights = None if examples.weights is None else examples.weights[parts.fit]
    counts = np.bincount(examples.targets[parts.fit], weights, minlength=len(examples.classes))
    if counts.all():
        return examples, parts
    absent = [f'"{shown(label.name)}"' for label, count in zip(examples.classes, counts, strict=True) if count == 0]
    if len(absent) == 1:
        notes.add("SC804", f"class {absent[0]} has no row in the fit part; the model does not know it")
    else:
        more = f" and {len(absent) - 5:,} more" if len(absent) > 5 else ""
        listed = ", ".join(absent[:5]) + more
        text = f"classes have no row in the fit part; the model does not know them: {listed}"
        notes.add("SC804", text, count=len(absent))
    classes = tuple(label for label, count in zip(examples.classes, counts, strict=True) if count)
    examples = examples.with_classes(classes)
    if len(classes) < 2:
        raise DataError("SC371", "the fit part must hold at least two classes", where=shown(examples.name))
    fit = parts.fit[examples.targets[parts.fit] >= 0]
    known = examples.targets[parts.calibration] >= 0
    return examples, replace(parts, fit=fit, calibration=parts.calibration[known])


def look_for_leaks(planned: TrainingPlan, notes: Notes) -> None:
    """Note rows that stand in two parts, columns that give the label away, and equal rows of different classes."""
    examples, parts, preprocessing = planned.examples, planned.parts, planned.preprocessing
    count_shared_rows(examples.content_keys, parts, notes)
    if isinstance(preprocessing, Preprocessing) and isinstance(examples.inputs, dict):
        find_leaks(examples.inputs, preprocessing, examples.targets, parts, notes)
    else:
        note_conflicts(examples.content_keys, examples.targets, notes, "image")


class ToldNotes(Notes):
    """Notes that are told the moment they are added; later additions to a count show up in the model only."""

    def __init__(self, progress: Progress | None) -> None:
        super().__init__()
        self._progress = progress

    def add(self, code: str, text: str, *, column: str | None = None, count: int | None = None, hint: str = "") -> None:
        """Add a note and tell it."""
        super().add(code, text, column=column, count=count, hint=hint)
        if self._progress is not None:
            self._progress("note", {"note": Note(code, text, column, count, hint)})


def quiet(event: str, facts: dict[str, Any]) -> None:
    """Tell nobody."""


def _picked(kind: Any, given: Mapping[str, Any]) -> Any:
    """The options of train that are fields of a dataclass of the same names."""
    found = {field.name: given[field.name] for field in fields(kind) if field.name in given}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})
