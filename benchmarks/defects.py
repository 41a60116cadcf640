"""What other libraries answer today where the table of their defects says they are wrong; beside it ours and the truth.

    PYTHONPATH=src python benchmarks/defects.py

The tests of the last two columns are in tests/functions/test_peers.py. Libraries that are not installed have no row.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

import softclass

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import golden
import truth

Z = [0.0, -20.0, -20.0]
NAN, INF = float("nan"), float("inf")
CASES = {case["defect"]: case for case in golden.cases("peers")}


class Row(NamedTuple):
    """One line of the table; a call that raises shows its error."""

    number: int
    question: str
    peer: str
    theirs: Callable[[], Any]
    ours: Callable[[], Any]
    right: Any


def shown(answer: Any) -> str:
    """Return a number or a short list as text, of a call what it returns or raises."""
    try:
        value = answer() if callable(answer) else answer
    except Exception as error:  # whatever the library says is the answer
        return f"{type(error).__name__}: {str(error).splitlines()[0][:38]}"
    numbers = np.asarray(value.detach().float() if hasattr(value, "detach") else value)
    return np.array2string(numbers.astype(np.float64), precision=8, max_line_width=200)


def gradient_of_ours() -> Any:
    """Return the entry of the target."""
    _, found = softclass.cross_entropy_value_and_gradient(np.array(Z, dtype=np.float32), 0)
    return found[0]


def loss_of(logits: Any, targets: Any, **options: Any) -> Callable[[], Any]:
    """Return a call of ours."""
    return lambda: softclass.cross_entropy(np.array(logits), np.array(targets), **options)


def wide_case() -> np.ndarray:
    """Return 100,000 classes of scale 5."""
    return np.random.default_rng(4).normal(size=100_000).astype(np.float32) * np.float32(5)


def worst_ulp(found: Any) -> float:
    """Return the worst error over those classes in units in the last place."""
    exact = truth.of_rows(wide_case()).probabilities
    return float((np.abs(np.asarray(found) - exact) / truth.spacing(exact, np.float32)).max())


def rows_of_scipy() -> Iterator[Row]:
    """Give what SciPy says."""
    from scipy import special

    single, half = np.array(Z, dtype=np.float32), np.zeros(70_000, dtype=np.float16)
    first = CASES[1]["log_probabilities"][0]
    yield Row(
        1,
        "log_softmax([0, -20, -20])[0], f32",
        "scipy",
        lambda: special.log_softmax(single)[0],
        lambda: softclass.log_softmax(single)[0],
        float(golden.values([first])[0]),
    )
    yield Row(
        3,
        "logsumexp of 70,000 zeros, f16",
        "scipy",
        lambda: special.logsumexp(half),
        lambda: softclass.logsumexp(half),
        np.log(70_000),
    )
    yield Row(
        3, "softmax of them", "scipy", lambda: special.softmax(half)[0], lambda: softclass.softmax(half)[0], 1 / 7e4
    )
    yield Row(
        4,
        "softmax, K = 1e5, scale 5, worst ulp",
        "scipy",
        lambda: worst_ulp(special.softmax(wide_case())),
        lambda: worst_ulp(softclass.softmax(wide_case())),
        0.0,
    )
    one = np.array([1, INF, -INF])
    yield Row(
        0,
        "log_softmax([1, inf, -inf])",
        "scipy",
        lambda: special.log_softmax(one),
        lambda: softclass.log_softmax(one),
        [-INF, 0, -INF],
    )


def rows_of_torch() -> Iterator[Row]:
    """Give what PyTorch says."""
    import torch
    from torch.nn import functional

    single, half = torch.tensor(Z), torch.zeros(70_000, dtype=torch.float16)
    yield Row(
        1,
        "log_softmax([0, -20, -20])[0], f32",
        "torch",
        lambda: functional.log_softmax(single, -1)[0],
        lambda: softclass.log_softmax(np.array(Z, dtype=np.float32))[0],
        -4.1223074e-09,
    )

    def gradient(logits: list[Any], target: Any, **options: Any) -> Any:
        given = torch.tensor(logits, requires_grad=True)
        functional.cross_entropy(given, torch.tensor(target), **options).backward()
        return given.grad

    yield Row(2, "its gradient at the target", "torch", lambda: gradient(Z, 0)[0], gradient_of_ours, -4.1223072e-09)
    yield Row(
        3,
        "logsumexp of 70,000 zeros, f16",
        "torch",
        lambda: torch.logsumexp(half, 0),
        lambda: softclass.logsumexp(half.numpy()),
        np.log(70_000),
    )
    yield Row(
        4,
        "softmax, K = 1e5, scale 5, worst ulp",
        "torch",
        lambda: worst_ulp(torch.softmax(torch.from_numpy(wide_case()), -1)),
        lambda: worst_ulp(softclass.softmax(wide_case())),
        0.0,
    )
    bad = [[0.0, 1.0], [NAN, 0.0]]
    yield Row(
        5,
        "gradient of an ignored row with NaN",
        "torch",
        lambda: gradient(bad, [0, -100])[1],
        lambda: softclass.cross_entropy_value_and_gradient(np.array(bad), np.array([0, -100]), ignore_index=-100)[1][1],
        [0, 0],
    )
    nine = CASES[9]
    features, weight = (golden.floats(nine[name], np.float16) for name in ("features", "weight"))
    yield Row(
        9,
        "linear f16, x·w = 115,200",
        "torch",
        lambda: functional.cross_entropy(torch.from_numpy(features) @ torch.from_numpy(weight).T, torch.tensor([1, 0])),
        lambda: softclass.linear_cross_entropy(features, weight, np.array([1, 0])),
        57600.693147,
    )
    yield Row(
        10,
        "soft target 0 at a logit of -inf",
        "torch",
        lambda: functional.cross_entropy(torch.tensor([0, 1, -INF]), torch.tensor([0.5, 0.5, 0])),
        loss_of([0, 1, -INF], [0.5, 0.5, 0]),
        0.8132617,
    )
    row = golden.floats(CASES[12]["logits"])
    yield Row(
        12,
        "loss of one bf16 row",
        "torch",
        lambda: functional.cross_entropy(torch.tensor(row, dtype=torch.bfloat16), torch.tensor(0)),
        lambda: softclass.cross_entropy(row.astype(ml_dtypes.bfloat16), 0),
        CASES[12]["loss"].split()[0],
    )
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    yield Row(
        13,
        "_softmax(out=) not contiguous, worst error",
        "torch",
        lambda: (torch._softmax(logits, 1, False, out=torch.empty(4, 3).T) - logits.softmax(1)).abs().max(),
        lambda: np.abs(
            softclass.softmax(logits.numpy(), out=np.empty((4, 3), np.float32).T) - softclass.softmax(logits.numpy())
        ).max(),
        0.0,
    )


def rows_of_jax() -> Iterator[Row]:
    """Give what JAX and optax say."""
    import jax
    import jax.numpy as jnp

    single, half = jnp.array(Z, dtype=jnp.float32), jnp.zeros(70_000, dtype=jnp.float16)
    yield Row(
        1,
        "log_softmax([0, -20, -20])[0], f32",
        "jax",
        lambda: jax.nn.log_softmax(single)[0],
        lambda: softclass.log_softmax(np.array(Z, dtype=np.float32))[0],
        -4.1223074e-09,
    )
    yield Row(
        3,
        "softmax of 70,000 zeros, f16",
        "jax",
        lambda: jax.nn.softmax(half)[0],
        lambda: softclass.softmax(np.zeros(70_000, np.float16))[0],
        1 / 7e4,
    )
    yield Row(
        4,
        "softmax, K = 1e5, scale 5, worst ulp",
        "jax",
        lambda: worst_ulp(jax.nn.softmax(jnp.array(wide_case()))),
        lambda: worst_ulp(softclass.softmax(wide_case())),
        0.0,
    )
    if util.find_spec("optax"):
        import optax

        yield Row(
            10,
            "soft target 0 at a logit of -inf",
            "optax",
            lambda: optax.softmax_cross_entropy(jnp.array([0, 1, -INF]), jnp.array([0.5, 0.5, 0])),
            loss_of([0, 1, -INF], [0.5, 0.5, 0]),
            0.8132617,
        )
        rows = jnp.array([[2.0, 1.0, 0.1]])
        for target in (-1, 7):
            yield Row(
                11,
                f"target {target} of 3 classes",
                "optax",
                lambda t=target: optax.softmax_cross_entropy_with_integer_labels(rows, jnp.array([t])),
                loss_of([[2.0, 1.0, 0.1]], [target]),
                NAN,
            )


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    libraries = {"torch": rows_of_torch, "jax": rows_of_jax, "scipy": rows_of_scipy}
    rows = [row for name, give in libraries.items() if util.find_spec(name) for row in give()]
    print(f"{'#':>2}  {'question':<40} {'peer':<6} {'its answer':<34} {'ours':<50} truth")
    for row in sorted(rows, key=lambda row: (row.number, row.peer)):
        right = row.right if isinstance(row.right, str) else shown(row.right)
        number = row.number or ""
        print(f"{number:>2}  {row.question:<40} {row.peer:<6} {shown(row.theirs):<34} {shown(row.ours):<50} {right}")


if __name__ == "__main__":
    main()
