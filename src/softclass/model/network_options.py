"""The options of train that speak of networks: which classifiers they leave to be tried, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from softclass.errors import UsageError, nearest, shown
from softclass.estimators.image_augmentation import AUGMENTATIONS
from softclass.model.network_fitting import NetworkOptions
from softclass.model.options import (
    changed_options,
    option_name,
    out_of_range,
    parse_duration,
    parse_image_size,
)
from softclass.networks.engine_checks import check_torch
from softclass.networks.grammar import LARGEST_DEEP_SIDE, LARGEST_SIDE, MOST_WIDTH
from softclass.networks.known_architectures import DEEP_ARCHITECTURES, IMAGE_ARCHITECTURES

SOFTMAX_ONLY = ("C", "l1_ratio", "max_iter", "tol", "path", "odds_ratios")
NETWORK_ONLY = (
    "hidden", "architecture", "augment", "epochs", "batch_size", "lr", "weight_decay", "patience", "resume",
    "keep_checkpoints", "device",
)  # fmt: skip
OF_BUDGET = ("budget", "validation")  # of networks, and of the choice between both
NETWORK_OF = {"table": "mlp", "images": "cnn"}
TABLE_ARCHITECTURES = ("realmlp",)
DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
FEWEST_ROWS = 500  # of the fit part, below which auto does not try a network
DEEP_SIDE = 96  # the same of deep networks
NETWORK_SIDE = 48  # of images whose size nobody gives: cost and learning by heart grow with the square of it
AUTO_BUDGETS = {"table": 30.0, "images": 60.0}  # seconds, where nobody gives any


def candidates(given: Mapping[str, Any], task: str, defaults: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the classifiers that the options leave, the simpler first.

    Parameters
    ----------
    given : mapping
        All options of train.
    task : {"table", "images"}
        What the data are.
    defaults : mapping
        Their defaults.

    Returns
    -------
    tuple of str
        Of "softmax" and "mlp" or "cnn".

    Raises
    ------
    UsageError
        SC202, if an option has no effect on the model; SC203, if options ask for two models; SC207, if one is out of
        its range.
    MissingExtraError
        SC601, if only PyTorch could train the network and it is not installed.
    DeviceError
        SC602, if the machine has no such device: told before any data are read.

    Examples
    --------
    >>> from softclass.model.train import DEFAULTS
    >>> candidates({**DEFAULTS, "epochs": 3}, "table", DEFAULTS)
    ('mlp',)
    """
    network, model = NETWORK_OF[task], given["model"]
    changed = changed_options(given, defaults)
    of_softmax = [name for name in changed if name in SOFTMAX_ONLY]
    of_network = [name for name in changed if name in NETWORK_ONLY]
    _check_values(given, task)
    if model not in ("auto", "softmax", network):
        other = next(task for task, kind in NETWORK_OF.items() if kind == model)
        data = "a table" if task == "table" else "images"
        raise UsageError(
            "SC202", f'--model {model} does not apply to {data} (applies to {"tables" if other == "table" else other})',
            where="train", hint=f"Pass --model {network}",
        )  # fmt: skip
    if given["backbone"] is not None:
        of_network += [name for name in changed if name in OF_BUDGET]
        if of_network:
            raise UsageError(
                "SC202", f"{option_name(of_network[0])} does not apply with --backbone, whose layers stay as they are",
                where="train", hint=f"Leave {option_name(of_network[0])} out",
            )  # fmt: skip
        if model == network:
            raise UsageError("SC203", f"--backbone fits a last layer, --model {model} a whole network", where="train",
                             hint="Leave one of them out")  # fmt: skip
        return ("softmax",)
    if model == "auto":
        if of_softmax:
            of_network += [name for name in changed if name in OF_BUDGET]
        if of_softmax and of_network:
            one, two = option_name(of_softmax[0]), option_name(of_network[0])
            raise UsageError(
                "SC203", f"{one} asks for softmax regression and {two} for a network", where="train",
                hint="Leave one of them out, or pass --model",
            )  # fmt: skip
        if of_softmax or not of_network:
            return ("softmax",) if of_softmax else ("softmax", network)
        _check_network(given, task)
        return (network,)
    if model == "softmax":
        of_network += [name for name in changed if name in OF_BUDGET]
    wrong = of_network if model == "softmax" else of_softmax
    if wrong:
        instead = "softmax has --max-iter" if wrong[0] == "epochs" else ""
        applies = network if model == "softmax" else "softmax"
        raise UsageError(
            "SC202", f'{option_name(wrong[0])} does not apply to --model {model} (applies to {applies})',
            where="train", hint=instead or f"Leave {option_name(wrong[0])} out",
        )  # fmt: skip
    if model == network:
        _check_network(given, task)
    return (model,)


def network_options(given: Mapping[str, Any], task: str, *, planned: bool) -> NetworkOptions:
    """
    Return what the options say of the network.

    Parameters
    ----------
    given : mapping
        All options of train, checked.
    task : {"table", "images"}
        What the data are.
    planned : bool
        Whether the network has a budget although none was given: where it is one candidate of two.

    Returns
    -------
    NetworkOptions
        With numbers in the place of texts.

    Examples
    --------
    >>> from softclass.model.train import DEFAULTS
    >>> network_options({**DEFAULTS, "hidden": "64,32", "budget": "2m"}, "table", planned=False).hidden
    (64, 32)
    """
    budget = None if given["budget"] is None else parse_duration(given["budget"], "budget")
    if budget is None and planned and given["epochs"] is None:
        budget = AUTO_BUDGETS[task]
    return NetworkOptions(
        architecture=given["architecture"],
        hidden=_hidden(given["hidden"]),
        augment=_augment(given["augment"]),
        validation=given["validation"],
        epochs=given["epochs"],
        batch=given["batch_size"],
        peak_rate=given["lr"],
        decay=given["weight_decay"],
        patience=given["patience"],
        budget=budget,
        device="cpu" if given["device"] == "auto" else given["device"],
    )


def _check_network(given: Mapping[str, Any], task: str) -> None:
    """Refuse what the network that is asked for could not be trained with, before anything is read."""
    is_deep = task == "images" and given["architecture"] in DEEP_ARCHITECTURES
    largest, size = LARGEST_DEEP_SIDE if is_deep else LARGEST_SIDE, parse_image_size(given["image_size"])
    if task == "images" and size is not None and max(size) > largest:
        text = "x".join(map(str, size))
        raise UsageError(
            "SC207", f"--image-size must be at most {largest}x{largest} for this network; got {text}", where="train",
            hint="" if is_deep else f"--architecture deep takes up to {LARGEST_DEEP_SIDE}x{LARGEST_DEEP_SIDE}",
        )  # fmt: skip
    if is_deep:
        check_torch(f"--architecture {given['architecture']}", "train")
    if given["device"] not in ("auto", "cpu"):
        check_torch(f"a network with --device {given['device']}", "train")
        from softclass.networks.torch_device import usable_device

        usable_device(given["device"], "train")


def _check_values(given: Mapping[str, Any], task: str) -> None:
    """Refuse what lies outside its range."""
    for name in ("epochs", "batch_size", "patience"):
        if given[name] is not None and given[name] < 1:
            raise out_of_range(name, "at least 1", given[name])
    if given["lr"] is not None and not 0 < given["lr"] < float("inf"):
        raise out_of_range("lr", "positive and finite", given["lr"])
    if given["weight_decay"] is not None and not 0 <= given["weight_decay"] < float("inf"):
        raise out_of_range("weight_decay", "0 or more, and finite", given["weight_decay"])
    if not 0 < given["validation"] < 1:
        raise out_of_range("validation", "between 0 and 1", given["validation"])
    if given["budget"] is not None:
        budget = parse_duration(given["budget"], "budget")
        if given["epochs"] is not None:
            raise UsageError("SC203", "--budget and --epochs both say how long to train", where="train",
                             hint="Leave one of them out")  # fmt: skip
        if given["time_limit"] is not None and parse_duration(given["time_limit"]) < budget:
            raise UsageError("SC203", "--time-limit cuts what --budget plans: it must be the larger", where="train")
    if task == "images" and given["hidden"] is not None:
        raise UsageError("SC202", "--hidden does not apply to images (applies to tables)", where="train",
                         hint=f"Pass --architecture, one of {', '.join(IMAGE_ARCHITECTURES)}")  # fmt: skip
    if task == "table" and given["augment"] is not None:
        raise UsageError("SC202", "--augment does not apply to a table (applies to images)", where="train")
    known = IMAGE_ARCHITECTURES if task == "images" else TABLE_ARCHITECTURES
    if given["architecture"] not in ("auto", *known):
        close = nearest(str(given["architecture"]), known, 1)
        raise UsageError(
            "SC207", f'--architecture must be one of auto, {", ".join(known)}; got "{shown(given["architecture"])}"',
            where="train", hint=f"Did you mean {close[0]}?" if close else "",
        )  # fmt: skip
    if given["hidden"] is not None and given["architecture"] != "auto":
        raise UsageError("SC203", "--hidden and --architecture both say what the layers are", where="train")
    if not DEVICES.fullmatch(given["device"]):
        raise out_of_range("device", "auto, cpu, cuda, cuda:N or mps", given["device"])
    _hidden(given["hidden"])
    _augment(given["augment"])
    if given["resume"] is not None and str(given["output"]) != str(given["resume"]):
        raise UsageError(
            "SC203", "--resume names the run directory, and --output another one", where="train",
            hint="Leave --output out",
        )  # fmt: skip
    if given["keep_checkpoints"] and given["output"] is None:
        raise UsageError("SC202", "--keep-checkpoints has no effect without an output directory", where="train",
                         hint="Pass output=")  # fmt: skip


def _hidden(value: str | Sequence[int] | None) -> tuple[int, ...] | None:
    """Read the widths of hidden layers."""
    if value is None:
        return None
    rule = f"one to four widths from 1 to {MOST_WIDTH}, such as 256,256"
    try:
        widths = tuple(int(width) for width in (value.split(",") if isinstance(value, str) else value))
    except (TypeError, ValueError):
        raise out_of_range("hidden", rule, value) from None
    if not 1 <= len(widths) <= 4 or not all(1 <= width <= MOST_WIDTH for width in widths):
        raise out_of_range("hidden", rule, value)
    return widths


def _augment(value: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Read the kinds of augmentation."""
    if value is None:
        return None
    kinds = tuple(value.split(",") if isinstance(value, str) else value)
    if kinds == ("none",):
        return ()
    if not kinds or not set(kinds) <= set(AUGMENTATIONS):
        raise out_of_range("augment", "none, or of flip,shift", value)
    return kinds
