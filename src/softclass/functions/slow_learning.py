"""How long a confident mistake lasts: theory and measurement, for one neuron and for the logits of one row.

The words are those of docs/concepts/slow-learning.md. Losses and gradients stand in
`head_losses` and `precision`, experiments with data in `slow_plane` and `slow_network`; their names are handed on here,
so that one import reaches all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from softclass.functions.experiment_checks import check_choice, check_count, check_number, check_share
from softclass.functions.head_losses import HEADS as HEADS
from softclass.functions.head_losses import sigmoid_cross_entropy as sigmoid_cross_entropy
from softclass.functions.head_losses import sigmoid_squared_error as sigmoid_squared_error
from softclass.functions.head_losses import squared_error as squared_error
from softclass.functions.precision import CLIPPED, EPSILON
from softclass.functions.precision import loss_variant as loss_variant
from softclass.functions.slow_network import median_curves as median_curves
from softclass.functions.slow_network import network_accuracies as network_accuracies
from softclass.functions.slow_network import split_by_class as split_by_class
from softclass.functions.slow_plane import best_rate as best_rate
from softclass.functions.slow_plane import plane_epochs as plane_epochs
from softclass.functions.slow_plane import usable_rates as usable_rates

LOSSES = ("cross_entropy", "squared_error")
ROW_LOSSES = (*LOSSES, "eps", "clip")
MOST_STEPS = 2_000_000


def escape_constant(n_classes: int) -> float:
    r"""
    Return how many times :math:`e^m / (s \eta)` squared error takes from a wrong lead of m.

    :math:`c_K = (K - 2 + 2^{1-K}) / (K (K - 1))`, theorem 8.

    Parameters
    ----------
    n_classes : int
        K, at least 2.

    Returns
    -------
    float
        1/4 for two classes, about 1/K for many.

    Raises
    ------
    OptionError
        SC141, if there are fewer than two classes.

    Examples
    --------
    >>> [round(escape_constant(k), 6) for k in (2, 3, 5, 10, 100)]
    [0.25, 0.208333, 0.153125, 0.088911, 0.009899]
    """
    check_count("escape_constant", "n_classes", n_classes, 2)
    return (n_classes - 2 + 2.0 ** (1 - n_classes)) / (n_classes * (n_classes - 1))


def escape_time(loss: str, n_classes: int, margin: float, *, learning_rate: float, squared_norm: float = 0.0) -> float:
    r"""
    Steps that theory gives a row until its class is ahead, from a lead of one wrong class.

    Two classes, exactly for small steps: :math:`(G(m) - G(0)) / (2 s \eta)` for cross-entropy and
    :math:`(F(m) - F(0)) / (4 s \eta)` for squared error, with :math:`G(u) = u - e^{-u}` and
    :math:`F(u) = e^u + 3u - 3e^{-u} - e^{-2u} / 2`. More classes, the leading term where :math:`K \ll e^m`:
    :math:`m / (2 s \eta)` and :math:`c_K e^m / (s \eta)`.

    Parameters
    ----------
    loss : {"cross_entropy", "squared_error", "eps", "clip"}
        The last two are ``-log(p + 1e-9)``, which adds :math:`10^{-9} e^m / (2 s \eta)`, and the logarithm of a
        probability cut off at 1e-7, which never comes free once :math:`p_t` is below.
    n_classes : int
        K, at least 2.
    margin : float
        m, at least 0: the logit of the wrong class minus that of every other.
    learning_rate : float
        The factor of the gradient in a step, above 0.
    squared_norm : float, default 0.0
        Of the features x in front of a layer ``W x + b``; s is 1 more. 0: the bias alone moves.

    Returns
    -------
    float
        Steps, or infinity.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    See Also
    --------
    logit_steps : What is measured.
    even_escape_time : From equal logits, where :math:`e^m` is not large.

    Examples
    --------
    >>> for loss in ("cross_entropy", "squared_error"):
    ...     print(f"{escape_time(loss, 10, 12.0, learning_rate=0.5):,.1f}")
    12.0
    28,941.2
    """
    check_choice("escape_time", "loss", loss, ROW_LOSSES)
    check_count("escape_time", "n_classes", n_classes, 2)
    check_number("escape_time", "margin", margin)
    speed = _speed("escape_time", learning_rate, squared_norm)
    if loss == "squared_error":
        exact = (_slow(margin) - _slow(0.0)) / 4 if n_classes == 2 else escape_constant(n_classes) * _exp(margin)
        return exact / speed
    time = (_fast(margin) - _fast(0.0)) / 2 if n_classes == 2 else margin / 2
    if loss == "eps":  # the push is p / (p + 1e-9) as strong, and 1 / p = 1 + e^u for two classes
        time += EPSILON * (margin + (_exp(margin) - math.exp(-margin)) / 2 if n_classes == 2 else _exp(margin) / 2)
    if loss == "clip" and 1 / (_exp(margin) + n_classes - 1) < CLIPPED:
        return math.inf
    return time / speed


def even_escape_time(loss: str, n_classes: int, *, learning_rate: float, squared_norm: float = 0.0) -> float:
    r"""
    Steps that theory gives a row whose logits are all equal, to half of the probability.

    :math:`(\ln K + 1) / (s \eta)` for cross-entropy, :math:`(K + 3 \ln K) / (s \eta)` for squared error: the leading
    terms for many classes, theorem 6.

    Parameters
    ----------
    loss : {"cross_entropy", "squared_error"}
        The loss.
    n_classes : int
        K, at least 2.
    learning_rate : float
        The factor of the gradient in a step, above 0.
    squared_norm : float, default 0.0
        As for `escape_time`.

    Returns
    -------
    float
        Steps.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    Examples
    --------
    >>> for loss in ("cross_entropy", "squared_error"):
    ...     print(f"{even_escape_time(loss, 1000, learning_rate=0.5):,.1f}")
    15.8
    2,041.4
    """
    check_choice("even_escape_time", "loss", loss, LOSSES)
    check_count("even_escape_time", "n_classes", n_classes, 2)
    log = math.log(n_classes)
    speed = _speed("even_escape_time", learning_rate, squared_norm)
    return (log + 1 if loss == "cross_entropy" else n_classes + 3 * log) / speed


def neuron_time(
    loss: str, start: float, *, learning_rate: float = 0.15, below: float = 0.5, squared_norm: float = 1.0
) -> float:
    r"""
    Steps that theory gives one sigmoid neuron from a wrong output down to another.

    From :math:`z_0` to :math:`z_1`: :math:`(G(z_0) - G(z_1)) / (s \eta)` for cross-entropy and
    :math:`(F(z_0) - F(z_1)) / (s \eta)` for squared error, with F and G as for `escape_time`.

    Parameters
    ----------
    loss : {"cross_entropy", "squared_error"}
        The loss; the target is 0.
    start : float
        :math:`z_0`.
    learning_rate : float, default 0.15
        The factor of the gradient in a step, above 0.
    below : float, default 0.5
        The output at :math:`z_1`, in (0, 1).
    squared_norm : float, default 1.0
        Of the input; s is 1 more.

    Returns
    -------
    float
        Steps; 0 if the neuron starts there.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    Examples
    --------
    >>> [round(neuron_time(loss, 4.0), 1) for loss in ("cross_entropy", "squared_error")]
    [16.6, 230.1]
    """
    check_choice("neuron_time", "loss", loss, LOSSES)
    check_number("neuron_time", "start", start, least=-math.inf)
    end = _logit_of("neuron_time", below)
    integral = _fast if loss == "cross_entropy" else _slow
    return max(0.0, integral(start) - integral(end)) / _speed("neuron_time", learning_rate, squared_norm)


def neuron_run(start: float, loss: str, *, learning_rate: float = 0.15) -> Iterator[float]:
    """
    Yield the output of one neuron with input 1 and target 0: before the first step, then after each.

    Parameters
    ----------
    start : float
        The first logit; weight and bias hold half of it each.
    loss : {"cross_entropy", "squared_error"}
        What is made smaller, by gradient descent.
    learning_rate : float, default 0.15
        The factor of the gradient in a step, above 0.

    Yields
    ------
    float
        The output, without end.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    Examples
    --------
    >>> from itertools import islice
    >>> [round(a, 4) for a in islice(neuron_run(4.0, "cross_entropy"), 3)]
    [0.982, 0.976, 0.9681]
    """
    check_choice("neuron_run", "loss", loss, LOSSES)
    check_number("neuron_run", "start", start, least=-math.inf)
    check_number("neuron_run", "learning_rate", learning_rate, may_equal=False)
    weight = bias = start / 2
    while True:
        output = _sigmoid_of_one(weight + bias)
        yield output
        push = output if loss == "cross_entropy" else output * output * _sigmoid_of_one(-weight - bias)
        weight, bias = weight - learning_rate * push, bias - learning_rate * push


def neuron_steps(
    start: float, loss: str, *, learning_rate: float = 0.15, below: float = 0.5, max_steps: int = MOST_STEPS
) -> int | None:
    """
    Count the steps of one neuron with input 1 and target 0 until its output is small.

    Parameters
    ----------
    start : float
        The first logit; weight and bias hold half of it each.
    loss : {"cross_entropy", "squared_error"}
        What is made smaller, by gradient descent.
    learning_rate : float, default 0.15
        The factor of the gradient in a step, above 0.
    below : float, default 0.5
        What the output has to fall below, in (0, 1).
    max_steps : int, default 2000000
        When to give up.

    Returns
    -------
    int or None
        Steps; None if they are more than `max_steps`.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    See Also
    --------
    neuron_time : What theory says.

    Examples
    --------
    >>> neuron_steps(4.0, "cross_entropy"), neuron_steps(4.0, "squared_error")
    (17, 232)
    """
    _logit_of("neuron_steps", below)
    check_count("neuron_steps", "max_steps", max_steps, 0)
    outputs = neuron_run(start, loss, learning_rate=learning_rate)
    return next((n for n, output in zip(range(max_steps + 1), outputs, strict=False) if output < below), None)


def logit_run(margin: float, n_classes: int, loss: str, *, learning_rate: float = 0.5) -> Iterator[tuple[float, float]]:
    """
    Yield what becomes of K logits of which a wrong one leads: before the first step, then after each.

    The other classes stay equal to each other, so three numbers are enough and a step costs the same for every K.

    Parameters
    ----------
    margin : float
        How far the wrong class leads at first, at least 0; all other logits are 0.
    n_classes : int
        K, at least 2.
    loss : {"cross_entropy", "squared_error", "eps", "clip"}
        What is made smaller, by gradient descent on the logits.
    learning_rate : float, default 0.5
        The factor of the gradient in a step, above 0.

    Yields
    ------
    p_target : float
        Probability of the right class.
    loss : float
        In nats, or half the squared error. The run ends where a step changes nothing.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    Examples
    --------
    >>> from itertools import islice
    >>> [f"{p:.6f} {loss:.3f}" for p, loss in islice(logit_run(12.0, 10, "cross_entropy"), 3)]
    ['0.000006 12.000', '0.000017 11.000', '0.000045 10.000']
    >>> len(list(logit_run(18.0, 10, "clip")))
    1
    """
    check_choice("logit_run", "loss", loss, ROW_LOSSES)
    check_count("logit_run", "n_classes", n_classes, 2)
    check_number("logit_run", "margin", margin)
    check_number("logit_run", "learning_rate", learning_rate, may_equal=False)
    target, wrong, other = 0.0, float(margin), 0.0
    n_others = n_classes - 2
    while True:
        largest = max(target, wrong, other)
        e_target, e_wrong, e_other = math.exp(target - largest), math.exp(wrong - largest), math.exp(other - largest)
        total = e_target + e_wrong + n_others * e_other
        p = e_target / total, e_wrong / total, e_other / total
        yield p[0], _row_loss(p, n_others, loss, math.log(total) + (largest - target))
        push = _row_push(p, n_others, loss)
        before = target, wrong, other
        target, wrong, other = (z - learning_rate * g for z, g in zip(before, push, strict=True))
        if before == (target, wrong, other):
            return


def logit_steps(
    margin: float, n_classes: int, loss: str, *, learning_rate: float = 0.5, max_steps: int = MOST_STEPS
) -> int | None:
    """
    Count the steps of K logits, of which a wrong one leads, until the right class has more than half.

    Parameters
    ----------
    margin : float
        How far the wrong class leads at first, at least 0; all other logits are 0.
    n_classes : int
        K, at least 2.
    loss : {"cross_entropy", "squared_error", "eps", "clip"}
        What is made smaller, by gradient descent on the logits.
    learning_rate : float, default 0.5
        The factor of the gradient in a step, above 0.
    max_steps : int, default 2000000
        When to give up.

    Returns
    -------
    int or None
        Steps; None if they are more than `max_steps`, or if a step changes nothing any more.

    Raises
    ------
    OptionError
        SC141, for another loss or a number out of its range.

    See Also
    --------
    escape_time : What theory says.

    Examples
    --------
    >>> [logit_steps(12.0, 10, loss) for loss in ("cross_entropy", "squared_error")]
    [13, 28991]
    >>> print(logit_steps(18.0, 10, "clip"))
    None
    """
    check_count("logit_steps", "max_steps", max_steps, 0)
    run = logit_run(margin, n_classes, loss, learning_rate=learning_rate)
    return next((n for n, (p, _) in zip(range(max_steps + 1), run, strict=False) if p > 0.5), None)


def _row_loss(p: tuple[float, float, float], n_others: int, loss: str, cross_entropy: float) -> float:
    if loss == "squared_error":
        wrong = p[1] + n_others * p[2]
        return 0.5 * (wrong * wrong + p[1] * p[1] + n_others * p[2] * p[2])
    if loss == "eps":
        return -math.log(p[0] + EPSILON)
    if loss == "clip":
        return -math.log(min(max(p[0], CLIPPED), 1 - CLIPPED))
    return cross_entropy


def _row_push(p: tuple[float, float, float], n_others: int, loss: str) -> tuple[float, float, float]:
    """Return the gradient at the logits of the target, of the leading class and of one of the others."""
    r = -(p[1] + n_others * p[2]), p[1], p[2]
    if loss == "squared_error":
        several = p[0], p[1], n_others * p[2]
        push = [q * sum(w * (s - t) for w, t in zip(several, r, strict=True)) for q, s in zip(p, r, strict=True)]
        return push[0], push[1], push[2]
    factor = 1.0
    if loss == "eps":
        factor = p[0] / (p[0] + EPSILON)
    if loss == "clip":
        factor = 1.0 if CLIPPED <= p[0] <= 1 - CLIPPED else 0.0
    return factor * r[0], factor * r[1], factor * r[2]


def _slow(u: float) -> float:
    """Return F(u); its derivative is 1 / (a² (1 - a)) for a = σ(u)."""
    return _exp(u) + 3 * u - 3 * _exp(-u) - _exp(-2 * u) / 2


def _fast(u: float) -> float:
    """Return G(u); its derivative is 1 / a for a = σ(u)."""
    return u - _exp(-u)


def _exp(u: float) -> float:
    return math.exp(u) if u < 709 else math.inf


def _sigmoid_of_one(z: float) -> float:
    small = math.exp(-abs(z))
    return (1.0 if z >= 0 else small) / (1 + small)


def _speed(where: str, learning_rate: float, squared_norm: float) -> float:
    check_number(where, "learning_rate", learning_rate, may_equal=False)
    check_number(where, "squared_norm", squared_norm)
    return learning_rate * (1 + squared_norm)


def _logit_of(where: str, below: float) -> float:
    check_share(where, "below", below)
    return math.log(below / (1 - below))
