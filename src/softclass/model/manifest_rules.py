"""The rules for each fact of a model file, and the readers that rebuild values from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from softclass.data import facts as rules
from softclass.data.image_set import ImageSpec
from softclass.data.pixels import Constants, PixelPreprocessing
from softclass.data.preprocessing import Preprocessing
from softclass.errors import ModelFileError, Note, shown
from softclass.model.canonical import invalid
from softclass.model.wire import newer
from softclass.model.wire_table import HINT
from softclass.trust.evaluation import Evaluation
from softclass.trust.temperature import Temperature

MAJOR, MINOR = 1, 0
KINDS = ("softmax", "mlp", "cnn", "fine-tuned")
REQUIRED: tuple[str, ...] = ()  # names of facts beyond this version that a reader must understand
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 100.0


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


FIELD_RULES: dict[str, rules.Check] = {
    "calibration": _is_mapping,
    "card": _is_mapping,
    "classes": rules.is_list,
    "data": _is_mapping,
    "evaluation": rules.or_none(_is_mapping),
    "features": rules.is_count,
    "fit": _is_mapping,
    "format": _is_mapping,
    "image": rules.or_none(_is_mapping),
    "kind": rules.one_of(*KINDS),
    "layers": lambda value: isinstance(value, list) and 1 <= len(value) <= 100,
    "layout": rules.one_of("columns", "matrix", "image"),
    "notes": rules.is_list,
    "optional": _is_mapping,
    "parameters": rules.is_count,
    "parts": _is_mapping,
    "preprocessing": _is_mapping,
    "sample": _is_mapping,
    "schema": rules.or_none(_is_mapping),
    "task": rules.one_of("table", "images"),
    "versions": _is_mapping,
}
PART_RULES: dict[str, rules.Check] = {
    "fit": rules.is_count,
    "calibration": rules.is_count,
    "test": rules.is_count,
    "stratified": rules.is_flag,
    "group": rules.or_none(rules.is_text),
    "time": rules.or_none(rules.is_text),
    "own_test": rules.is_flag,
    "own_calibration": rules.is_flag,
    "seed": rules.is_count,
}
FIT_RULES: dict[str, rules.Check] = {
    "C": rules.or_none(rules.is_positive),  # None: no regularisation
    "converged": rules.is_flag,
    "gradient_norm": rules.or_none(rules.is_number),
    "iterations": rules.is_count,
}
# Of a network; its architecture as `Architecture.to_dict` gives it.
NETWORK_RULES: dict[str, rules.Check] = {
    "architecture": _is_mapping,
    "batch": rules.is_count,
    "best_epoch": rules.is_count,
    "epochs": rules.is_count,
    "name": rules.is_text,
    "peak_rate": rules.is_positive,
    "restarts": rules.is_count,
    "validation": rules.is_count,
}
# Only where weights answer to their absolute values too.
PENALTY_RULES: dict[str, rules.Check] = {"l1_ratio": lambda value: rules.is_positive(value) and value <= 1}
CARD_RULES: dict[str, rules.Check] = {
    "summary": rules.is_text,
    "limits": rules.is_texts,
    "intended_use": rules.or_none(rules.is_text),
}
NOTE_RULES: dict[str, rules.Check] = {
    "code": rules.is_text,
    "text": rules.is_text,
    "column": rules.or_none(rules.is_text),
    "count": rules.or_none(rules.is_count),
    "hint": rules.is_text,
}
VERSION_RULES: dict[str, rules.Check] = {
    "softclass": rules.is_text,
    "onnx_opset": rules.is_count,
    "numpy": rules.or_none(rules.is_text),
    "onnxruntime": rules.or_none(rules.is_text),
}


def checked_facts(found: Any, checks: Mapping[str, rules.Check], where: str) -> dict[str, Any]:
    """As ``data.facts.checked``, with the place and the remedy of a model file."""
    try:
        return rules.checked(found, checks, where)
    except ModelFileError as error:
        error.hint = error.hint or HINT
        raise


def check_format(facts: Any) -> tuple[str, ...]:
    """Look at the version first; return the names of optional facts that this version leaves unread."""
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), dict):
        raise invalid("must be an object with a format")
    found = checked_facts(
        facts["format"],
        {"major": rules.is_count, "minor": rules.is_count, "required": rules.is_texts},
        "facts, format",
    )
    versions = facts.get("versions")
    writer = str(versions.get("softclass", "?")) if isinstance(versions, dict) else "?"
    if found["major"] > MAJOR:
        raise newer(f"format {found['major']}; this softclass knows {MAJOR}", writer)
    if found["major"] < MAJOR:
        raise invalid(f"the format must be {MAJOR}; got {found['major']}")
    beyond = [name for name in found["required"] if name not in REQUIRED]
    if beyond:
        raise newer(f'facts that must be understood: "{shown(beyond[0])}"', writer)
    optional = facts.get("optional")
    return tuple(sorted(optional)) if isinstance(optional, dict) else ()


def read_fit(found: Any, kind: str) -> dict[str, Any]:
    """Return the facts of the fit; of softmax regression with or without the share of absolute values."""
    if kind not in ("softmax", "fine-tuned"):
        return checked_facts(found, NETWORK_RULES, "facts, fit")
    rest = dict(PENALTY_RULES) if isinstance(found, dict) and "l1_ratio" in found else {}
    if kind == "fine-tuned":
        rest["backbone"] = rules.is_text
    return checked_facts(found, {**FIT_RULES, **rest}, "facts, fit")


def read_image(found: Any) -> ImageSpec:
    """Return the size of the images."""
    sides = rules.is_count
    facts = checked_facts(
        found,
        {"height": sides, "width": sides, "channels": sides, "resize": rules.is_text},
        "facts, image",
    )
    spec: ImageSpec = rebuilt(ImageSpec, facts, "facts, image")
    return spec


def read_preprocessing(found: Any, image: ImageSpec | None) -> Constants:
    """Return the steps of a table, or mean and spread of each channel."""
    if image is None:
        steps: Preprocessing = rebuilt(Preprocessing, found, "facts, preprocessing")
        return steps

    def one_a_channel(value: Any) -> bool:
        return isinstance(value, list) and len(value) == image.channels and all(map(rules.is_number, value))

    def positive(value: Any) -> bool:
        return one_a_channel(value) and all(map(rules.is_positive, value))

    where = "facts, preprocessing"
    return PixelPreprocessing.from_dict(checked_facts(found, {"mean": one_a_channel, "std": positive}, where))


def rebuilt(kind: Any, found: Any, where: str) -> Any:
    """Rebuild a value by its own reader, whose errors become ours."""
    try:
        return kind.from_dict(found)
    except ModelFileError as error:
        error.where = where if not error.where else f"{where}, {error.where}"
        error.hint = error.hint or HINT
        raise
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise invalid(f"breaks its own rules; {shown(error)}", where) from error


def read_note(found: Any, where: str) -> Note:
    """Return a note of training."""
    return Note(**checked_facts(found, NOTE_RULES, where))


def read_temperature(found: Any) -> Temperature:
    """Return what was done to the logits; a temperature outside [0.01, 100] is refused."""

    def losses(value: Any) -> bool:
        return isinstance(value, dict) and all(map(rules.or_none(rules.is_number), value.values()))

    checks: dict[str, rules.Check] = {
        "method": rules.one_of("none", "temperature"),
        "temperature": lambda value: rules.is_number(value) and LOWEST_TEMPERATURE <= value <= HIGHEST_TEMPERATURE,
        "n": rules.is_count,
        "candidates": losses,
        "reason": rules.is_text,
    }
    return Temperature.from_dict(checked_facts(found, checks, "facts, calibration"))


def read_evaluation(found: Any) -> dict[str, Any] | None:
    """Return the figures, which must be those that an Evaluation has; it is made when someone asks for it."""
    if found is None:
        return None
    known = {*Evaluation.__dataclass_fields__, "reliability"}
    unknown = sorted(set(found) - known)
    if unknown:
        raise invalid(f'the keys are closed; "{shown(unknown[0])}" is unknown', "facts, evaluation")
    if "reliability" in found:
        rebuilt(Evaluation, found, "facts, evaluation")
    return dict(found)
