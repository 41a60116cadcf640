"""``softclass inspect``: what is inside a model file, or how a data file would be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from softclass.cli.evaluation_text import evaluation_lines
from softclass.cli.layout import jsonable, plain_figure, quoted_path, size
from softclass.cli.options import Common, Reading, flag, option
from softclass.cli.output import LABEL_WIDTH, Screen
from softclass.cli.summary import calibration_words, class_words, column_lines, image_words
from softclass.errors import Notes, UsageError, shown
from softclass.model.run_files import MODEL_FILE

WHERE = "softclass inspect"
CLASSES_LISTED = 20


def inspect(
    path: Annotated[str, Parameter(help="a model file, a run directory, or data")],
    /,
    *,
    schema: Annotated[bool, flag("only the columns")] = False,
    card: Annotated[bool, flag("the model card, in Markdown")] = False,
    verify: Annotated[bool, flag("also run the sample that the model carries and compare")] = False,
    target: Annotated[str | None, option("label column, of data", "--target", "-t", metavar="NAME")] = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> None:
    """Show what is inside a model file, or how the columns of a data file would be taken."""
    if schema and card:
        raise UsageError("SC203", "--schema and --card exclude each other", where=WHERE)
    if is_model(path):
        if target is not None or reading != Reading():
            raise UsageError("SC202", "--target and the options of tables do not apply to a model", where=WHERE)
        _inspect_model(path, screen, schema=schema, card=card, verify=verify, threads=common.threads)
        return
    for given, name in ((card, "--card"), (verify, "--verify")):
        if given:
            raise UsageError("SC202", f"{name} does not apply to data (applies to models)", where=WHERE)
    _inspect_data(path, target, reading, screen, schema=schema)


def is_model(path: str) -> bool:
    """Tell a model from data: by its name, or by the first byte of an ONNX file."""
    where = Path(path)
    if where.is_dir():
        return (where / MODEL_FILE).exists()
    if where.suffix.casefold() == ".onnx":
        return True
    if not where.is_file():
        # A pipe would block, and what was read from it would be gone.
        return False
    try:
        with where.open("rb") as file:
            return file.read(1) == b"\x08"
    except OSError:
        return False


def _inspect_model(path: str, screen: Screen, *, schema: bool, card: bool, verify: bool, threads: int | None) -> None:
    from softclass.model.model import load

    notes = Notes()
    model = load(path, threads=threads, notes=notes)
    for note in notes:
        screen.note(note)
    manifest = model.manifest
    if verify:
        from softclass.model.sample import check_sample

        constants = manifest.preprocessing()
        check_sample(manifest.sample, model.session, constants, manifest.image, where=shown(path))
    facts = json.loads(manifest.to_json())
    if card:
        screen.document({"card": model.card()})
        screen.result(model.card().rstrip("\n"))
        return
    if schema:
        screen.document(facts["schema"])
        _columns(model.schema, manifest.preprocessing(), screen)
        return
    screen.document({**facts, "digest": model.digest})
    file = Path(path, MODEL_FILE) if Path(path).is_dir() else Path(path)
    screen.labelled("file", f"{quoted_path(file)} · {size(file.stat().st_size)} · sha256 {model.digest}")
    names = [label.name for label in manifest.classes]
    listed = ", ".join(shown(name, 30) for name in names[:CLASSES_LISTED])
    rest = f", … {len(names):,} in all" if len(names) > CLASSES_LISTED else ""
    # Training may have had more or fewer: normalisations and embeddings are part of the weights of a file.
    counted = f"{manifest.n_parameters:,} parameters{' in the file' if model.kind in ('mlp', 'cnn') else ''}"
    screen.labelled("model", f"{model.kind} · {manifest.n_features:,} features · {counted}")
    screen.labelled("classes", listed + rest)
    if manifest.image is not None:
        screen.labelled("image", image_words(manifest.image.height, manifest.image.width, manifest.image.channels))
    else:
        target = manifest.schema().target
        screen.labelled("target", shown(target) if target is not None else "not named")
        _columns(model.schema, manifest.preprocessing(), screen)
    screen.labelled("inputs", _inputs(manifest))
    screen.labelled("outputs", "logits float32 [N, K] · probabilities float32 [N, K] · label string [N]")
    sizes = [f"{part} {manifest.parts[part]:,}" for part in ("fit", "calibration", "test")]
    screen.labelled("parts", " · ".join([*sizes, f"seed {manifest.parts['seed']}"]))
    screen.labelled("trust", calibration_words(model.temperature))
    if manifest.evaluation is None:
        screen.labelled("test", "nothing was held out: how good the probabilities are is not known")
    else:
        for index, line in enumerate(evaluation_lines(manifest.evaluation, screen.out.width - LABEL_WIDTH)):
            screen.labelled("test" if index == 0 else "", line)
    for note in model.notes:
        screen.labelled("note", f"{note.code} {note.message}")
    if verify:
        screen.labelled("verified", " the checksum fits, and the sample gives the stored probabilities")


def _inputs(manifest: Any) -> str:
    if manifest.image is not None:
        spec = manifest.image
        return f"image uint8 [N, {spec.height}, {spec.width}, {spec.channels}]"
    if manifest.layout == "matrix":
        return "numbers double [N, D], texts string [N, S]"
    texts = sum(column.kind == "category" for column in manifest.schema().columns)
    numbers = len(manifest.schema().columns) - texts
    return f"one per column, [N, 1]: {numbers:,} double, {texts:,} string"


def _columns(schema: Any, preprocessing: Any, screen: Screen) -> None:
    if schema is None:
        return
    screen.rows("columns", column_lines(schema.columns, preprocessing, screen.out.width - LABEL_WIDTH))
    for dropped in schema.dropped:
        screen.labelled("left out", f"{shown(dropped.name)}: {dropped.reason}")
    if schema.ids:
        screen.labelled("ids", ", ".join(shown(name) for name in schema.ids))


def _inspect_data(path: str, target: str | None, reading: Reading, screen: Screen, *, schema: bool) -> None:
    from softclass.data.images import is_image_source

    notes = Notes()
    if is_image_source(path):
        if target is not None or reading != Reading():
            raise UsageError("SC202", "--target and the options of tables do not apply to images", where=WHERE)
        _inspect_images(path, notes, screen)
    else:
        _inspect_table(path, target, reading, notes, screen, only_columns=schema)
    for note in notes:
        screen.note(note)


def _inspect_images(path: str, notes: Notes, screen: Screen) -> None:
    from softclass.data.images import ImageOptions, read_images

    images = read_images(path, ImageOptions(), notes)
    counts: dict[str, int] = {}
    for label in sorted(images.labels or (), key=lambda label: (len(label), label) if label.isdigit() else (0, label)):
        counts[label] = counts.get(label, 0) + 1
    spec = images.spec
    screen.document({"task": "images", "n_rows": len(images.files), "image": spec.to_dict(), "class_counts": counts})
    words = image_words(spec.height, spec.width, spec.channels)
    screen.labelled("images", f"{shown(images.name)} · {len(images.files):,} images · {words} · {class_words(counts)}")


def _inspect_table(
    path: str, target: str | None, reading: Reading, notes: Notes, screen: Screen, *, only_columns: bool
) -> None:
    from softclass.data.schema import SchemaOptions, infer_schema
    from softclass.data.table import read_table

    read = reading.options()
    table = read_table(path, read, notes)
    found, _ = infer_schema(table, target, SchemaOptions(needs_target=target is not None), read, notes)
    screen.document(jsonable(found.to_dict()))
    if not only_columns:
        dialect = ""
        if table.dialect is not None:
            dialect = (
                f" · delimiter {table.dialect.delimiter!r}, decimal {table.dialect.decimal!r}, {table.dialect.encoding}"
            )
        screen.labelled(
            "data", f"{shown(table.name)} · {table.n_rows:,} rows × {len(table.columns):,} columns{dialect}"
        )
        if found.target is None:
            screen.labelled("target", "none by its name; --target NAME to say which")
        else:
            names = ", ".join(shown(label.name, 30) for label in found.classes[:CLASSES_LISTED])
            screen.labelled(
                "target", f"{shown(found.target)} · {plain_figure(float(len(found.classes)))} classes: {names}"
            )
    _columns(found, None, screen)
