"""The options of train: which have an effect on which data, what their values mean, and how a run records them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from softclass.data.files import check_local_path, read_bytes
from softclass.data.images import names_images
from softclass.data.schema import Label
from softclass.errors import Notes, UsageError, first_quoted, nearest, shown
from softclass.model.limits import check_metric_names, parse_limits

# Options that mean something for one kind of data only.
TABLE_ONLY = (
    "group", "time", "split_column", "number", "category", "boolean", "datetime", "drop", "id", "delimiter",
    "decimal", "thousands", "encoding", "header", "date_format", "input_format", "na_values", "max_categories",
    "bad_rows", "drop_missing_target", "force_classes", "sample_weight", "odds_ratios",
)  # fmt: skip
IMAGES_ONLY = ("image_size", "channels", "resize", "follow_links", "backbone")
RUN_ONLY = ("overwrite", "report", "predictions")
ON_BY_DEFAULT = ("header", "report", "predictions", "stratify")

# What a run's config.toml does not repeat: where things are written, and what is told on the way.
# A budget was turned into epochs.
NOT_RECORDED = (
    "output", "overwrite", "progress", "fail_under", "strict", "threads", "budget", "resume", "keep_checkpoints",
)  # fmt: skip

# What the value of an option may be, unless it is None; lists, C and class weights have rules of their own.
_WHOLE, _SHARE, _TEXT, _TRUTH = "a whole number", "a number", "a text", "True or False"
_SIZE = "a positive size such as 500MB or 2GiB"
_TYPES: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("seed", "rows", "cv", "max_iter", "max_categories", "threads", "channels", "epochs",
                     "batch_size", "patience"), (Integral, _WHOLE)),
    **dict.fromkeys(("test", "calibration", "tol", "l1_ratio", "lr", "weight_decay", "validation"), (Real, _SHARE)),
    **dict.fromkeys(("model", "calibrate", "bad_rows", "resize", "group", "time", "split_column", "delimiter",
                     "decimal", "thousands", "encoding", "date_format", "input_format", "architecture",
                     "device"), (str, _TEXT)),
    **dict.fromkeys(("overwrite", "report", "predictions", "stratify", "header", "drop_missing_target", "force_classes",
                     "follow_links", "strict", "path", "odds_ratios", "keep_checkpoints"), (bool, _TRUTH)),
    "C": (str | Real, 'a positive number or "auto"'),
    "time_limit": (str | Real, "a positive time such as 60s, 10m or 2h"),
    "budget": (str | Real, "a positive time such as 60s, 10m or 2h"),
    "memory_limit": (str | Real, _SIZE),
    "fail_under": (str | Mapping, "limits such as accuracy=0.9"),
    **dict.fromkeys(("output", "resume", "backbone"), (str | PathLike, "a path")),
}  # fmt: skip
LISTS = ("number", "category", "boolean", "datetime", "drop", "id", "na_values")

MODELS = ("auto", "softmax", "mlp", "cnn")
CALIBRATIONS = ("auto", "none", "temperature")


def option_name(name: str) -> str:
    """Return the spelling of an option that serves the command line and Python alike in messages."""
    return f"--{'no-' if name in ON_BY_DEFAULT else ''}{name.replace('_', '-')}"


def check_options(given: Mapping[str, Any], task: str, defaults: Mapping[str, Any]) -> None:
    """Refuse options that have no effect on these data (SC202), contradict each other (SC203) or are out of range."""
    changed = changed_options(given, defaults)
    other, fits = (IMAGES_ONLY, "images") if task == "table" else (TABLE_ONLY, "tables")
    for name in changed:
        if name in other:
            data = "a table" if task == "table" else "images"
            raise UsageError(
                "SC202", f"{option_name(name)} does not apply to {data} (applies to {fits})", where="train"
            )
        if name in RUN_ONLY and given["output"] is None:
            raise UsageError(
                "SC202", f"{option_name(name)} has no effect without an output directory", where="train",
                hint="Pass output=",
            )  # fmt: skip
    if task == "images" and isinstance(given["target"], str) and not names_images(given.get("data")):
        raise UsageError(
            "SC202", "--target does not apply to images (applies to tables)", where="train",
            hint="A folder is read as images, whose class is the name of their folder; name the files of a table",
        )  # fmt: skip
    _one_of(given["model"], "model", MODELS)
    _one_of(given["calibrate"], "calibrate", CALIBRATIONS)
    _one_of(given["bad_rows"], "bad_rows", ("fail", "skip"))
    if given["resize"] is not None:
        _one_of(given["resize"], "resize", ("crop", "pad", "stretch"))
    if given["channels"] not in (None, 1, 3):
        raise out_of_range("channels", "1 or 3", given["channels"])
    for name, low in (("seed", 0), ("rows", 0), ("max_iter", 1), ("max_categories", 1)):
        if given[name] < low:
            raise out_of_range(name, f"at least {low}", given[name])
    if given["seed"] >= 2**63:
        raise out_of_range("seed", "below 2^63", given["seed"])
    if given["cv"] != 0 and given["cv"] < 2:
        raise out_of_range("cv", "0 or at least 2", given["cv"])
    if not 0 < given["tol"] < 1:
        raise out_of_range("tol", "between 0 and 1", given["tol"])
    strength = given["C"]
    if isinstance(strength, str):
        if strength != "auto":
            raise out_of_range("C", 'a positive number or "auto"', strength)
    elif not strength > 0:
        raise out_of_range("C", 'a positive number or "auto"', strength)
    if not 0 <= given["l1_ratio"] <= 1:
        raise out_of_range("l1_ratio", "between 0 and 1", given["l1_ratio"])
    if given["l1_ratio"] and strength == math.inf:
        raise UsageError("SC202", "--l1-ratio has no effect with --C inf, which is no penalty", where="train",
                         hint="Pass a finite --C, or leave --l1-ratio out")  # fmt: skip
    if given["threads"] is not None and given["threads"] < 1:
        raise out_of_range("threads", "at least 1", given["threads"])
    check_metric_names(parse_limits(given["fail_under"]))
    if given["test"] is not None and given["test_data"] is not None:
        raise UsageError("SC203", "--test and --test-data exclude each other", where="train")
    if given["calibrate"] == "none" and given["calibration"]:
        raise UsageError("SC203", "--calibration sets rows aside for what --calibrate none leaves out", where="train")


def changed_options(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """Return the names of the options that differ from their defaults."""
    return [name for name in defaults if not _same(given[name], defaults[name])]


def check_types(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuse values of a type that the option cannot have (SC207): the command line makes none, Python callers can."""
    for name, (allowed, rule) in _TYPES.items():
        value = given[name]
        if value is None and defaults[name] is None:
            continue
        if not isinstance(value, allowed) or isinstance(value, bool) != (allowed is bool):
            raise UsageError("SC207", f"{option_name(name)} must be {rule}; got {_shown_value(value)}", where="train")
    for name in LISTS:
        texts = isinstance(given[name], Sequence) and all(isinstance(one, str) for one in given[name])
        if isinstance(given[name], str | bytes) or not texts:
            hint = f"Pass {name}=[{given[name]!r}]" if isinstance(given[name], str) else ""
            message = f"{option_name(name)} must be a list of texts; got {_shown_value(given[name])}"
            raise UsageError("SC207", message, where="train", hint=hint)
    if not isinstance(given["class_weight"], str | Mapping | None):
        message = f'--class-weight must be "balanced", a mapping or a JSON file; got {given["class_weight"]!r:.80}'
        raise UsageError("SC207", message, where="train")
    if given["progress"] is not None and not callable(given["progress"]):
        message = f"progress must be a function of an event and its facts; got {_shown_value(given['progress'])}"
        raise UsageError("SC207", message, where="train")


def plain_number(value: Any) -> Any:
    """Return a number of NumPy as one of Python, which every file can hold, and anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _shown_value(value: Any) -> str:
    return f'"{shown(value)}"' if isinstance(value, str) else shown(repr(value))


def _same(value: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        return tuple(value) == default if isinstance(value, list | tuple) else False
    return value is default or (isinstance(value, bool | int | float | str) and value == default)


def _one_of(value: Any, name: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = nearest(str(value), allowed)
        hint = f"Did you mean {close[0]}?" if close else ""
        raise UsageError(
            "SC207", f'{option_name(name)} must be one of {", ".join(allowed)}; got "{shown(value)}"', where="train",
            hint=hint,
        )  # fmt: skip


def out_of_range(name: str, rule: str, value: Any) -> UsageError:
    """Return the error of a value outside the range of its option."""
    message, spelled = f"{option_name(name)} must be {rule}; got {shown(value)}", option_name(name)
    return UsageError("SC207", message, where="train", hint=f"Leave {spelled} out for what fits most data")


def parse_duration(value: str | float, name: str = "time_limit") -> float:
    """
    Read the time that an option gives as seconds.

    Examples
    --------
    >>> parse_duration("2m"), parse_duration("1.5h"), parse_duration(30)
    (120.0, 5400.0, 30.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|m|h)?", str(value).strip())
    if not match or float(match[1]) == 0:
        raise out_of_range(name, "a positive time such as 60s, 10m or 2h", value)
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


def parse_size(value: str | float) -> float:
    """
    Read an amount of memory as bytes.

    Examples
    --------
    >>> parse_size("500MB"), parse_size("2 GiB"), parse_size(1024)
    (500000000.0, 2147483648.0, 1024.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?(?:e\d+)?|\.\d+)\s*(?:([kKMGT])(i?)B|B)?", str(value).strip())
    if not match or float(match[1]) == 0:
        raise out_of_range("memory_limit", _SIZE, value)
    power = "KMGT".index(match[2].upper()) + 1 if match[2] else 0
    return float(match[1]) * float((1024 if match[3] else 1000) ** power)


def parse_image_size(value: str | tuple[int, int] | None) -> tuple[int, int] | None:
    """
    Read the size of the images as (height, width).

    Examples
    --------
    >>> parse_image_size("96x128")
    (96, 128)
    """
    if value is None:
        return None
    sides = re.fullmatch(r"(\d+)[xX×](\d+)", value.strip()) if isinstance(value, str) else None
    size = (int(sides[1]), int(sides[2])) if sides else tuple(value) if not isinstance(value, str) else ()
    if len(size) != 2 or not all(isinstance(side, int) and 1 <= side <= 4096 for side in size):
        raise out_of_range("image_size", "HEIGHTxWIDTH with sides from 1 to 4096", value)
    return size[0], size[1]


def class_weights(
    value: str | Mapping[Any, float] | None, classes: tuple[Label, ...], notes: Notes
) -> dict[int, float] | str | None:
    """Return the weights by class number, "balanced", or None; say that weights shift the probabilities (SC845)."""
    if value is None:
        return None
    notes.add(
        "SC845",
        "class weights shift the probabilities away from the shares in the data",
        hint="Leave out --class-weight if you want true probabilities",
    )
    if value == "balanced":
        return "balanced"
    by_label = _weights_file(value) if isinstance(value, str) else value
    number = {label.name: index for index, label in enumerate(classes)} | {
        label.value: index for index, label in enumerate(classes)
    }
    weights = {}
    for label, weight in by_label.items():
        if label not in number:
            names = [known.name for known in classes]
            close = nearest(str(label), names)
            raise UsageError(
                "SC207", f'--class-weight names a class that is not there; got "{shown(label)}"', where="train",
                hint=f"Did you mean {', '.join(map(shown, close))}?" if close else f"There are {first_quoted(names)}",
            )  # fmt: skip
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise UsageError(
                "SC207",
                f'weights of classes must be positive and finite; got {shown(weight)} for "{shown(label)}"',
                where="train",
            )
        weights[number[label]] = float(weight)
    return weights


def _weights_file(path: str) -> Mapping[str, float]:
    where = check_local_path(path)
    try:
        found = json.loads(read_bytes(where, limit=2**24))
    except ValueError as error:
        raise UsageError(
            "SC207", f"--class-weight must be balanced or a JSON file; {error}", where=shown(path)
        ) from None
    if not isinstance(found, dict):
        raise UsageError("SC207", "--class-weight needs a JSON object of label to weight", where=shown(path))
    return found


def config_text(given: Mapping[str, Any], defaults: Mapping[str, Any], chosen: Mapping[str, Any], version: str) -> str:
    """Return the options of a run as TOML that ``train --config`` takes; each line says where its value is from."""
    lines = ["# Every option of this run; softclass train -c FILE repeats it.", "[softclass]",
             f"version = {_toml(version)}", "", "[train]"]  # fmt: skip
    data = given["data"]
    names = data if isinstance(data, list | tuple) else [data]
    if all(isinstance(name, str | Path) for name in names):
        lines.append(f"data = {_toml([str(name) for name in names])}")
    else:
        lines.append(f"# data: {type(data).__name__} in memory")
    for name in ["target", *defaults]:
        if name in NOT_RECORDED:
            continue
        value, origin = given[name], "default"
        if name == "target" or not _same(value, defaults[name]):
            origin = "given"
        if name in chosen and value in (None, "auto"):
            value, origin = chosen[name], "chosen"
        text = _toml(value)
        if value is None:
            lines.append(f"# {name} is not set  # {origin}")
        elif text is None:
            lines.append(f"# {name}: {type(value).__name__} in memory  # {origin}")
        else:
            lines.append(f"{name} = {text}  # {origin}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str | None:
    """A value as TOML, or None if it has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        # A JSON string is a TOML basic string, but for DEL.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        items = [_toml(item) for item in value]
        return None if None in items else f"[{', '.join(item for item in items if item is not None)}]"
    return None
