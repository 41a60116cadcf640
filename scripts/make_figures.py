"""Make the figures of docs/concepts again, from the functions of softclass and nothing else.

python scripts/make_figures.py            writes docs/concepts/images/*.svg
python scripts/make_figures.py --check    says whether they are what would be written; exit status 1 if not

Each figure is an SVG of its own: it brings its colours for light and dark pages, a title and a description. What is not
softclass in them (the formulas that it is compared with) is written out here in NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import softclass
from softclass.report.plot import Axis, Plot, picture_file, power_of_ten
from softclass.report.svg import shape

TARGET = Path(__file__).resolve().parents[1] / "docs" / "concepts" / "images"
EPSILON = 1e-9  # of the source article's log(p + 1e-9)
BOUND = 2.5  # ulp that a float32 softmax may be wrong
QUARTERS = (0, 0.25, 0.5, 0.75, 1)
Numbers = npt.NDArray[np.floating[Any]]


def softmax_of_three() -> str:
    """Softmax of (z₁, 1, 0) as z₁ moves."""
    moved = np.linspace(-6, 8, 141)
    p = softclass.softmax(np.stack([moved, np.ones(141), np.zeros(141)], axis=1))
    plot = Plot(Axis(-6, 8, 60, 690), Axis(0, 1, 330, 50))
    return picture_file(
        400,
        "Softmax of three logits while the first one moves",
        "As the first logit grows from −6 to 8, its probability rises from almost 0 to almost 1 along an S. The other "
        "two fall together, and the ratio of their probabilities stays e to 1 everywhere.",
        [
            *plot.frame(range(-6, 9, 2), QUARTERS, "logit z₁ (nats), with z₂ = 1 and z₃ = 0", "probability"),
            plot.upright(1.0),
            *(plot.curve(moved, p[:, k], kind) for k, kind in enumerate(("key", "other", "third"))),
            plot.words(5, 0.97, "p₁", "name key", 6, 22),
            plot.words(-5.5, 0.735, "p₂", "name other", 0, -8),
            plot.words(-5.5, 0.27, "p₃", "name third", 0, -8),
            plot.words(1, 0.4223, "z₁ = z₂, p₁ = p₂", "note", 26),
            plot.words(-5.0, 0.5, "p₂ : p₃ = e : 1, wherever z₁ is", "note"),
        ],
    )


def temperature() -> str:
    """Softmax of the source article's logits at temperatures from 0.05 to 50."""
    temperatures = np.geomspace(0.05, 50, 181)
    p = np.stack([softclass.softmax([2.0, 1.0, 0.1], temperature=float(t)) for t in temperatures])
    at_one = np.asarray(softclass.softmax([2.0, 1.0, 0.1]))
    plot = Plot(Axis(0.05, 50, 60, 690, log=True), Axis(0, 1, 330, 50))
    return picture_file(
        400,
        "Temperature: the same logits from a hard choice to a tie",
        "The probabilities of the logits 2, 1 and 0.1 over the temperature on a logarithmic axis. Towards 0 the first "
        f"takes all, at 1 they are {at_one[0]:.2f}, {at_one[1]:.2f} and {at_one[2]:.2f}, and towards infinity all "
        "three approach one third.",
        [
            *plot.frame(
                (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50),
                QUARTERS,
                "temperature T (logits 2, 1 and 0.1; logarithmic axis)",
                "probability",
            ),
            plot.upright(1.0),
            plot.curve((0.05, 50), (1 / 3, 1 / 3), "bound"),
            *(plot.curve(temperatures, p[:, k], kind) for k, kind in enumerate(("key", "other", "third"))),
            plot.words(1.0, 0.659, "z₁ = 2", "name key", 12, -4),
            plot.words(0.42, 0.12, "z₂ = 1", "name other end", -4),
            plot.words(1.0, 0.06, "z₃ = 0.1", "name third", 10, 4),
            plot.words(0.052, 0.82, "T → 0: the largest takes all", "note", 6),
            plot.words(50, 1 / 3, "T → ∞: 1/3 each", "note end", -4, -22),
        ],
    )


def smooth_maximum() -> str:
    """T logsumexp((x, 0) / T) beside max(x, 0)."""
    moved = np.linspace(-4, 4, 161)
    pairs = np.stack([moved, np.zeros(161)], axis=1)
    plot = Plot(Axis(-4, 4, 60, 690), Axis(0, 4.2, 330, 50))
    kinds = {0.25: "third", 1.0: "key", 2.0: "other"}
    smooth = {t: t * np.asarray(softclass.logsumexp(pairs / t)) for t in kinds}
    above = ", ".join(f"{smooth[t][80]:.2f} for T = {t:g}" for t in kinds)
    return picture_file(
        400,
        "Log-sum-exp is a maximum with a rounded corner",
        "The maximum of x and 0 has a corner at 0. T times logsumexp of both, divided by T, lies above it and comes "
        f"close to it far from the corner; at the corner it is T log 2 above: {above}.",
        [
            *plot.frame(range(-4, 5), range(5), "x (nats)", "T · logsumexp((x, 0) / T) (nats)"),
            plot.curve((-4, 0, 4), (0, 0, 4), "corner"),
            *(plot.curve(moved, smooth[t], kind) for t, kind in kinds.items()),
            *(plot.dot(0, float(smooth[t][80]), kind) for t, kind in kinds.items()),
            plot.words(-1.6, 1.0, "T = 2", "name other", -44, -6),
            plot.words(-1.0, 0.42, "T = 1", "name key", -50, -2),
            plot.words(0.2, 0.25, "T = 0.25", "name third", 20, 6),
            plot.words(2.2, 2.2, "max(x, 0)", "note", 12, 22),
            plot.words(0, 2 * np.log(2), "T log 2 above the corner", "note end", -10, -14),
        ],
    )


def loss_and_gradient() -> str:
    """Three losses and their pushes on the true logit, over the lead of one wrong class among ten."""
    lead = np.linspace(-10, 40, 251)
    logits = np.zeros((251, 10))
    logits[:, 1] = lead
    targets = np.zeros(251, dtype=np.int64)
    losses, gradient = softclass.cross_entropy_value_and_gradient(logits, targets, reduction="none")
    p = np.asarray(softclass.softmax(logits))
    p_target = p[:, 0]
    capped = -np.log(p_target + EPSILON)
    starved = -gradient[:, 0] * p_target / (p_target + EPSILON)
    wrong = p.copy()
    wrong[:, 0] -= 1  # no digit matters here: the target is never the favourite beyond 2.2 nats
    squared = 0.5 * (wrong**2).sum(axis=1)
    x = Axis(-10, 40, 70, 690)
    loss_plot, push_plot = Plot(x, Axis(0, 42, 250, 50)), Plot(x, Axis(1e-10, 4, 560, 310, log=True))
    return picture_file(
        630,
        "Three losses and what they push with, over the size of the mistake",
        "Above: cross-entropy from logits grows by one nat for each nat of lead of the wrong class; log of p plus 1e-9 "
        f"stops at {-np.log(EPSILON):.2f} nats; squared error stops at 1. Below, on a logarithmic axis, the gradient "
        "at the true logit: it goes to 1 for cross-entropy, and falls like e to the minus lead for log of p plus 1e-9 "
        "from that lead on and for squared error almost from the start.",
        [
            *loss_plot.frame(range(-10, 41, 10), range(0, 41, 10), "", "loss (nats; squared error has no unit)"),
            loss_plot.curve((-10, 40), (-np.log(EPSILON),) * 2, "bound"),
            loss_plot.curve(lead, squared, "third"),
            loss_plot.curve(lead, capped, "other"),
            loss_plot.curve(lead, losses, "key"),
            loss_plot.words(30, 31, "from logits", "name key end", -14),
            loss_plot.words(40, 20.7, "−log(p + 10⁻⁹)", "name other end", 0, 22),
            loss_plot.words(40, 1, "squared error ½‖p − q‖²", "name third end", 0, -9),
            loss_plot.words(-9.5, 20.7, f"{-np.log(EPSILON):.2f} nats: the cap", "note", 0, -7),
            *push_plot.frame(
                range(-10, 41, 10),
                [10.0**k for k in range(-10, 1, 2)],
                "lead of one wrong class over the target, 10 classes (nats)",
                "push on the true logit, |∂loss/∂z| (logarithmic axis)",
                y_text=power_of_ten,
            ),
            push_plot.curve(lead, p_target * 2 * squared, "third"),
            push_plot.curve(lead, starved, "other"),
            push_plot.curve(lead, -gradient[:, 0], "key"),
            push_plot.words(40, 1, "from logits: 1 − p", "name key end", 0, 22),
            push_plot.words(31.5, 1e-5, "−log(p + 10⁻⁹)", "name other end", -24),
            push_plot.words(12, 1e-5, "squared error", "name third end", -20),
        ],
    )


def label_smoothing() -> str:
    """The loss with smoothed targets over the lead of the target, with its lowest point."""
    lead = np.linspace(-2, 14, 161)
    logits = np.zeros((161, 10))
    logits[:, 0] = lead
    targets = np.zeros(161, dtype=np.int64)
    shares = {0.0: "key", 0.1: "other", 0.3: "third"}
    losses = {
        share: np.asarray(softclass.cross_entropy(logits, targets, label_smoothing=share, reduction="none"))
        for share in shares
    }
    plot = Plot(Axis(-2, 14, 60, 690), Axis(0, 4.2, 330, 50))
    body = plot.frame(range(-2, 15, 2), range(5), "lead of the target over the nine others (nats)", "loss (nats)")
    body += [plot.curve(lead, losses[share], kind) for share, kind in shares.items()]
    lowest = {share: float(np.log((1 - share + share / 10) / (share / 10))) for share in shares if share}
    for share, best in lowest.items():
        height = float(softclass.cross_entropy([best] + [0.0] * 9, 0, label_smoothing=share))
        body.append(plot.dot(best, height, shares[share]))
        body.append(plot.words(best, height, f"lowest at {best:.2f}", "note middle", 8, -20))
    body += [
        plot.words(8, 0.0, "ε = 0: no lead is enough", "name key", 0, -10),
        plot.words(11, 1.2, "ε = 0.1", "name other", 0, -6),
        plot.words(7.6, 2.4, "ε = 0.3", "name third", 0, -8),
    ]
    return picture_file(
        400,
        "Label smoothing gives the lead a best size",
        "The loss over the lead of the target among ten classes. Without smoothing it falls for ever. With a tenth of "
        f"the target spread over all classes it is lowest at a lead of {lowest[0.1]:.2f} nats, with three tenths at "
        f"{lowest[0.3]:.2f}, and rises again.",
        body,
    )


def spread_logits(spread: float, n_rows: int = 8, n_classes: int = 1000) -> npt.NDArray[np.float32]:
    """Rows of float32 logits spread evenly over `spread` nats round 0, in an order that looks random and is not."""
    golden = (np.sqrt(5.0) - 1) / 2
    places = np.arange(1, n_rows * n_classes + 1) * golden % 1.0
    return (spread * (places - 0.5)).astype(np.float32).reshape(n_rows, n_classes)


def usual_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """exp(z - max) / sum in float32, with the best exp and the best sum there can be: each rounded once."""
    weights = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64)).astype(np.float32)
    return weights / weights.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)


def worst_ulps(logits: npt.NDArray[np.float32], found: Any) -> float:
    """Return the largest error of float32 probabilities, in units of the last place of the exact value."""
    exact = logits.astype(np.float64)
    exact = np.exp(exact - exact.max(axis=1, keepdims=True))  # differences of float32 numbers are exact in float64
    exact /= exact.sum(axis=1, keepdims=True)
    return float((np.abs(np.asarray(found) - exact) / np.spacing(exact.astype(np.float32))).max())


def error_in_ulps() -> str:
    """Worst error of float32 softmax over the spread of the logits."""
    spreads = np.linspace(0.5, 80, 160)
    rows = [spread_logits(float(spread)) for spread in spreads]
    ours = [worst_ulps(logits, softclass.softmax(logits)) for logits in rows]
    usual = [worst_ulps(logits, usual_softmax(logits)) for logits in rows]
    plot = Plot(Axis(0, 80, 60, 690), Axis(0.5, 128, 330, 50, log=True))
    return picture_file(
        400,
        "Where the digits of an ordinary softmax go",
        "The worst error of float32 probabilities, in units in the last place, over the spread of 1,000 logits. The "
        "usual formula, even with a perfect exponential and a perfect sum, loses digits in steps, since the "
        f"differences of logits are rounded: {usual[1]:.0f} ulp at a spread of 1, {usual[-1]:.0f} at 80. softclass "
        f"stays under its bound of {BOUND} ulp throughout.",
        [
            *plot.frame(
                range(0, 81, 10),
                (0.5, 1, 2, 4, 8, 16, 32, 64, 128),
                "spread of the logits, largest minus smallest (nats)",
                "worst error of 8,000 float32 probabilities (ulp; logarithmic axis)",
            ),
            plot.curve((0, 80), (BOUND, BOUND), "bound"),
            plot.curve(spreads, usual, "other"),
            plot.curve(spreads, ours, "key"),
            plot.words(63, 64, "exp(z − max) / sum, in float32", "name other end", -8),
            plot.words(79, 0.8, "softclass.softmax", "name key end"),
            plot.words(79, BOUND, f"{BOUND} ulp: what is promised", "note end", 0, -8),
        ],
    )


def usual_loss(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Loss of class 0 by log(sum(exp(z - max))) - (z_0 - max) in float32, each step rounded once."""
    differences = logits - logits.max(axis=1, keepdims=True)
    weights = np.exp(differences.astype(np.float64)).astype(np.float32)
    total = weights.sum(axis=1, dtype=np.float64).astype(np.float32)
    return np.log(total.astype(np.float64)).astype(np.float32) - differences[:, 0]


def small_losses() -> str:
    """The loss of a right and confident row, by the usual formula and by log1p."""
    lead = np.linspace(8, 26, 361, dtype=np.float32)
    logits = np.zeros((361, 3), dtype=np.float32)
    logits[:, 0] = lead
    ours = np.asarray(softclass.cross_entropy(logits, np.zeros(361, dtype=np.int64), reduction="none"))
    usual = usual_loss(logits)
    last = int(np.flatnonzero(usual)[-1])
    plot = Plot(Axis(8, 26, 70, 690), Axis(1e-11, 1e-3, 330, 50, log=True))
    end = float(lead[last]), float(usual[last])
    return picture_file(
        400,
        "Small losses need log1p",
        "The loss of a right answer over its lead, in float32, on a logarithmic axis. Computed with log1p it falls "
        "evenly, like e to the minus lead. Computed as the logarithm of a sum that holds the 1 of the maximum it goes "
        f"down in steps and is exactly 0 beyond a lead of {end[0]:.1f} nats.",
        [
            *plot.frame(
                range(8, 27, 2),
                [10.0**k for k in range(-11, -2)],
                "lead of the target over the two others (nats)",
                "loss of the row, float32 (nats; logarithmic axis)",
                y_text=power_of_ten,
            ),
            plot.curve(lead, ours, "key"),
            shape("line", x1=plot.x(end[0]), x2=plot.x(end[0]), y1=plot.y(end[1]), y2=plot.y.start, class_="mark"),
            plot.curve(lead[: last + 1], usual[: last + 1], "other"),
            plot.dot(*end, "end-mark"),
            plot.words(21.4, 1e-9, "softclass: log1p(s)", "name key", 12, -8),
            plot.words(*end, "log(1 + s): steps of 2⁻²³,", "name other", 14, -22),
            plot.words(*end, f"then 0 from {lead[last + 1]:.1f} nats on", "note", 14, -4),
        ],
    )


FIGURES: dict[str, Callable[[], str]] = {
    "softmax-of-three.svg": softmax_of_three,
    "temperature.svg": temperature,
    "smooth-maximum.svg": smooth_maximum,
    "loss-and-gradient.svg": loss_and_gradient,
    "label-smoothing.svg": label_smoothing,
    "error-in-ulps.svg": error_in_ulps,
    "small-losses.svg": small_losses,
}


def main() -> int:
    """Write the figures, or compare them."""
    wanted = {name: draw() for name, draw in FIGURES.items()}
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text(encoding="utf-8") for path in TARGET.glob("*.svg")}
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        verdict = f"{', '.join(differing)} differ; run scripts/make_figures.py" if differing else "as made"
        print(f"{len(wanted)} figures: {verdict}")
        return 1 if differing else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (TARGET / name).write_text(text, encoding="utf-8")
    print(f"{len(wanted)} figures in {TARGET.relative_to(TARGET.parents[2])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
