"""Image -> CNN -> softmax: CPU seconds of an epoch against tf.keras and PyTorch, and how right the models are.

Every contestant is a process of its own, with its own Python if `--python` names one, pinned to one core with one
thread; `cnn_peers.py` holds them. They take turns, round by round, and a ratio is a quotient inside a round. The table
of epochs compares equal batches; PyTorch's best pipeline (indexed tensors, fused Adam, pool before relu, channels last,
bfloat16 or float32) has the batch of 256 that suits it. Two epochs are trained and the second counts: the first of
TensorFlow holds its tracing. The table of models trains ours with its own plan over three seeds; that of inference runs
one image, and blocks of them, through the model file and through PyTorch.

All sections take most of an hour; each run adds what it measured to the results file, so they can be had in parts:

    python benchmarks/softmax_cnn.py shared/data --python keras /path/python --sections classic --rounds 1
    python benchmarks/softmax_cnn.py shared/data --sections models --models classic --seeds 0
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import inference
import machine
import parts

PEERS = Path(__file__).parent / "cnn_peers.py"
ROUNDS = 5
SECTIONS = ("classic", "two-hidden", "models", "inference", "peak")
EPOCH_S = {  # contestant, batch
    "softclass, batch 128": ("softclass", 128),
    "softclass, batch 32": ("softclass", 32),
    "tf.keras fit, batch 128": ("keras", 128),
    "tf.keras fit, batch 32": ("keras", 32),
    "torch DataLoader, batch 128": ("torch-loader", 128),
    "torch DataLoader, batch 32": ("torch-loader", 32),
    "torch best, bfloat16": ("torch-best", 256),
    "torch best, float32": ("torch-best-float32", 256),
}
OURS = {128: "softclass, batch 128", 32: "softclass, batch 32", 256: "softclass, batch 128"}
MODELS = (  # set, architecture, epochs
    ("fashion_mnist", "classic", 3),
    ("mnist", "classic", 3),
    ("fashion_mnist", "two-hidden", 8),
    ("mnist", "two-hidden", 8),
)
MULTIPLICATIONS = 25_350 * 16  # of an image of the reference network, forward and back, as vectors of 16 are filled


def train(python: str, peer: str, data: Path | None, options: Mapping[str, object]) -> dict[str, Any]:
    """Run one contestant; return its line, or why there is none."""
    command = [python, str(PEERS), peer, *([str(data)] if data else [])]
    for option, value in options.items():
        command += [f"--{option}", str(value)]
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "SOFTCLASS_NUM_THREADS")
    one = dict.fromkeys(threads, "1")
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env={**os.environ, **one, **quiet}, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"peer": peer, "failed": done.stderr.strip().splitlines()[-1:]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def epochs(
    contestants: Mapping[str, tuple[str, int]],
    pythons: Mapping[str, str],
    data: Path | None,
    rounds: int,
    options: Mapping[str, object],
) -> list[dict[str, Any]]:
    """Seconds of the second of two epochs, all contestants in turn: one line each a round."""
    found = []
    for number in range(rounds):
        for name, (peer, batch) in contestants.items():
            if peer == "keras" and peer not in pythons:
                continue
            line = train(pythons.get(peer, sys.executable), peer, data, {**options, "batch": batch, "epochs": 2})
            if "failed" in line:
                print(f"{name}: {line['failed']}", file=sys.stderr)
                continue
            found.append({
                **line, "name": name, "round": number, "first_cpu_s": line["cpu_s"][0], "cpu_s": line["cpu_s"][-1],
                "wall_s": line["wall_s"][-1],
            })  # fmt: skip
    return found


def epoch_table(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of all rounds, ratios inside a round."""
    return parts.medians(lines, "name", lambda line: OURS[line["batch"]], "cpu_s")


def models(
    sets: Path, names: Sequence[str], seeds: Sequence[int], architectures: Sequence[str]
) -> list[dict[str, Any]]:
    """What our models reach with their own plan."""
    found = []
    for name, architecture, n in (model for model in MODELS if model[0] in names and model[1] in architectures):
        if not (sets / name).is_dir():
            print(f"{name}: left out, it is not there", file=sys.stderr)
            continue
        for seed in seeds:
            options = {"architecture": architecture, "epochs": n, "seed": seed, "core": min(machine.allowed_cores())}
            found.append({"set": name, **train(sys.executable, "softclass", sets / name, options)})
            print(*lines({"models": found[-1:]}), sep="\n", file=sys.stderr, flush=True)
    return found


def model_table(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a set, architecture and seed: the last that was measured."""
    last = {(line["set"], line["architecture"], line["seed"]): line for line in lines}
    return [last[key] for key in sorted(last)]


def fma_peak() -> float:
    """Products with additions a second, of float32, by one core: half the best rate of a product of matrices."""
    import numpy as np
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    left, right, out = (np.ones((machine.PRODUCT, machine.PRODUCT), np.float32) for _ in range(3))
    a, b, c = (torch.from_numpy(matrix) for matrix in (left, right, out))
    products = (lambda: np.matmul(left, right, out=out), lambda: torch.mm(a, b, out=c))
    seconds = []
    with threadpool_limits(1):
        for product in products * 7:
            began = time.process_time()  # CPU seconds, as an epoch is measured: the core may have other work
            product()
            seconds.append(time.process_time() - began)
    return float(machine.PRODUCT**3 / min(seconds))


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Tables for the terminal."""
    for title in ("classic", "two-hidden"):
        for row in document.get(title, ()):
            ratio = "" if row["over_ours"] is None else f"{row['over_ours']:7.2f} x softclass"
            seconds = f"{row['cpu_s']:9.3f} CPU s{ratio}"
            yield f"{row['architecture']:12}{row['name']:30}{seconds}  accuracy {row['accuracy']:.4f}"
    for row in document.get("models", ()):
        scores = {key: f"{row[key]:.4f}" for key in ("accuracy", "log_loss_scaled", "ece_scaled")}
        text = "  ".join(f"{key} {value}" for key, value in scores.items())
        run = f"{row['epochs']} epochs  seed {row['seed']}  {sum(row['cpu_s']):7.2f} CPU s"
        yield f"{row['set']:15}{row['architecture']:12}{run}  {text}"
    yield from inference.lines(document.get("inference", ()))
    for row in document.get("peak", ()):
        yield f"an epoch of the reference network at {row['of_peak']:.0%} of the multipliers' measured peak"


def peak(rounds: int, data: Path, core: Mapping[str, object]) -> list[dict[str, Any]]:
    """Share of the multipliers' rate that an epoch reaches, both measured at the same time."""
    name = OURS[128]
    own = [line["cpu_s"] / line["rows"] for line in epochs({name: EPOCH_S[name]}, {}, data, rounds, core)]
    rate = fma_peak()
    return [{"multiplications_per_s": rate, "image_s": min(own), "of_peak": MULTIPLICATIONS / min(own) / rate}]


def main() -> int:
    """Measure the sections that are asked for, and add them to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("shared/data"), help="folder of the data sets")
    own_python = "the Python of a contestant: keras, torch-loader, torch-best, torch-best-float32"
    parser.add_argument("--python", nargs=2, action="append", default=[], metavar=("PEER", "PATH"), help=own_python)
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="what is measured")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="that are added to classic, two-hidden, inference")
    parser.add_argument("--models", nargs="+", default=["classic", "two-hidden"], help="architectures of the models")
    parser.add_argument("--sets", nargs="+", default=["fashion_mnist", "mnist"], help="data sets of the models")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the models")
    parser.add_argument("--smoke", action="store_true", help="1,280 made images once, nothing written")
    arguments = parser.parse_args()
    pythons = dict(arguments.python)
    core = {"core": min(machine.allowed_cores())}
    if arguments.smoke:
        few = {name: EPOCH_S[name] for name in ("softclass, batch 128", "torch DataLoader, batch 128")}
        found = [{**line, "part": 0} for line in epochs(few, pythons, None, 1, {**core, "rows": 1280})]
        rows = inference.table([{**line, "part": 0} for line in inference.measured("images", 1, "--few")])
        print(*lines({"classic": epoch_table(found), "inference": rows}), sep="\n")
        return 0
    fashion = arguments.data / "fashion_mnist"
    two = {name: EPOCH_S[name] for name in ("softclass, batch 128", "torch best, bfloat16", "torch best, float32")}
    measure: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "classic": lambda: epochs(EPOCH_S, pythons, fashion, arguments.rounds, core),
        "two-hidden": lambda: epochs(two, pythons, fashion, arguments.rounds, {**core, "architecture": "two-hidden"}),
        "models": lambda: models(arguments.data, arguments.sets, arguments.seeds, arguments.models),
        "inference": lambda: inference.measured("images", arguments.rounds),
        "peak": lambda: peak(arguments.rounds, fashion, core),
    }
    tables = {"classic": epoch_table, "two-hidden": epoch_table, "models": model_table, "inference": inference.table,
              "peak": lambda rows: [max(rows, key=lambda row: row["part"])]}  # fmt: skip
    for section in arguments.sections:
        part = parts.Part()
        path = parts.add("softmax_cnn", section, part, measure[section](), tables[section])
        print(*lines({section: json.loads(path.read_text())[section]}), sep="\n", flush=True)
    print("wrote", path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
