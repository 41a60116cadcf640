"""How far the objective can be from its minimum: bounds that are proved, and an estimate where no bound is useful.

Three ways, from the cheapest: weak duality, which needs a penalty and no further read of the rows; the curvature along
the segment to the minimum, which needs the exact Hessian and no penalty; half the squared Newton decrement, which is an
estimate. With `l1` the penalty is ``sum(penalty * weight**2) / 2 + sum(l1 * abs(weight))``, else its first part alone.
Where a solver stopped on its own estimate, that is not believed: better points near by are sought until a bound holds
there, and they are the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, special

from softclass.estimators.line_search import Solution, line_search
from softclass.estimators.linear_loss import LinearLoss
from softclass.estimators.linearised_dual import DualPoint, linearised_dual, refined_step
from softclass.estimators.scaling import BLOCK_BYTES, Array
from softclass.estimators.sparse_gap import sparse_gap
from softclass.functions.softmax import softmax

ROUNDING = 1e-14  # of the objective: what the sums behind a bound may have lost in float64
HALVINGS = 20  # until the share of the dual point that gives the best bound is known
POLISH_CLASSES = 300  # classes up to which the bias is polished by Newton steps; beyond, by matching the shares
WORTH_POLISHING = 0.5  # share of the goal that the weights' part of the gap may take, so that the bias can do the rest
CLOSE = 0.5  # where it has to be below 1: far out on separated classes it is 1 but for rounding
SMALLEST_PIVOT = 1e-13  # of the largest: a Hessian closer to singular proves nothing
LEAST_PRODUCTS = 5  # Hessian products that confirm an estimate
MOST_PRODUCTS = 25
SMALL_GAIN = 0.03  # share of the estimate that a step adds when the rest is taken for small
NEWTON_NUMBERS = 1500  # parameters up to which the Hessian is factorised for a bound
NEWTON_WORK = 2e11  # rows x parameters^2 that a Hessian at the end may cost, where it is asked for
STEPS = 30  # Newton steps towards a point with a bound, where the Hessian is cheap
STEEP = 0.3  # slope that may be left after one, as a share of the slope before
FASTER = 0.25  # share of the last decrement that the next one may be: without penalty and slower, classes separate
SEARCHES = 6  # steps by conjugate gradients where it is not
CAUTION = 100.0  # times an estimate is the distance given: among far rows, curvature is less a little further on
WIDE_STEPS = 10  # Newton steps towards a bound in the wide pass
BOUND_WORK = 2e9  # and where only a bound is: a tenth of a second, as long as fits of that size take


@dataclass(frozen=True)
class Certificate:
    """The distance of the objective from its minimum.

    Attributes
    ----------
    gap : float
        In nats per weighted row; infinite where nothing is known.
    kind : str
        "duality" and "newton": `gap` is a bound; "decrement": a hundred times an estimate; "none": nothing is known.
    """

    gap: float
    kind: str


NOTHING = Certificate(np.inf, "none")


def absolute_penalty(loss: LinearLoss, theta: Array, l1: Array | None) -> float:
    """Return the part of the objective that `LinearLoss` leaves out: the sum of ``l1 * abs(weight)``."""
    return 0.0 if l1 is None else float(np.sum(l1 * np.abs(loss.split(theta)[0])))


def duality_gap(
    loss: LinearLoss,
    theta: Array,
    value: float,
    gradient: Array,
    l1: Array | None = None,
    *,
    exact: bool = False,
    dual: DualPoint | None = None,
) -> float:
    r"""Return a bound on the objective's distance from its minimum, infinite where the penalty gives none.

    For any distributions :math:`\alpha_i` with :math:`\sum_i s_i (\alpha_i - e_{y_i}) = 0` weak duality says

    .. math:: F^* \ge \sum_i s_i H(\alpha_i) - R^*\Big(\sum_i s_i (\alpha_i - e_{y_i}) x_i^T\Big).

    Taken are the probabilities at `theta`, mixed with a constant distribution so that the equation holds, and with the
    targets where a column has no ridge penalty. `value` and `gradient` are those of `LinearLoss`, without `l1`. The
    entropy of the mixture is bounded from below by concavity; with `exact` it is summed, in one more read of the rows,
    which matters where there is no ridge penalty: the bound is of first order then. `dual` gives other distributions
    instead of the probabilities.
    """
    if not np.all(loss.penalty + (0.0 if l1 is None else l1) > 0):
        return np.inf
    if loss.is_sparse and l1 is None and not exact and dual is None:
        return sparse_gap(loss, theta, value, gradient)
    entropy, loss_gradient, by_bias = _at_point(loss, theta, value, gradient) if dual is None else dual
    unmixed, mixed, constant_entropy = entropy, 0.0, 0.0
    constant = loss.shares
    if loss.intercept:
        slope = np.append(-by_bias.sum(), by_bias) if loss.n_classes == 2 else by_bias
        excess = max(0.0, float(np.max(slope / loss.shares)))
        mixed = excess / (1.0 + excess)
        constant = np.maximum(loss.shares - slope / excess, 0.0) if excess > 0 else loss.shares
        constant_entropy = -float(constant @ np.log(np.where(constant > 0, constant, 1.0)))
    # The columns are centred when there is a bias, so the constant part meets the class sums only.
    moved = (1.0 - mixed) * loss_gradient - (mixed * loss.class_sums if mixed > 0 else 0.0)
    entropy = (1.0 - mixed) * entropy + mixed * constant_entropy
    bound, share = _best_bound(entropy, np.abs(moved), loss.penalty, l1)
    if exact:
        bound += _mixed_entropy(loss, theta, mixed, constant, share) - share * entropy
        loss.passes[0] += 1
    elif mixed > 0 and l1 is None and loss.n_classes > 2:
        bound = max(bound, _shifted_bound(loss, loss_gradient, by_bias, unmixed))
    whole = value + absolute_penalty(loss, theta, l1)
    gap = whole - bound + ROUNDING * whole
    return max(gap, ROUNDING * whole) if np.isfinite(gap) else np.inf


def _at_point(loss: LinearLoss, theta: Array, value: float, gradient: Array) -> DualPoint:
    """Return the dual point of the probabilities at `theta`."""
    weight, bias = loss.split(theta)
    by_weight, by_bias = loss.split(gradient)
    loss_gradient = by_weight - loss.penalty * weight
    bare = value - 0.5 * float(np.vdot(loss.penalty * weight, weight))
    return DualPoint(bare - float(np.vdot(loss_gradient, weight)) - float(by_bias @ bias), loss_gradient, by_bias)


def _shifted_bound(loss: LinearLoss, loss_gradient: Array, by_bias: Array, entropy: float) -> float:
    r"""Return the dual value of probabilities of which classes that have too much give to those with too little.

    Class k with mean probability :math:`\bar p_k` above its share :math:`\pi_k` keeps :math:`\pi_k / \bar p_k` of each
    probability, and what a row loses, :math:`r_i`, is dealt out by one distribution u. So the change is as large as the
    distance of the mean probabilities from the shares, whereas a constant mixed into every row has to be as large as
    the worst ratio of the two, which of thousands of classes some rare one makes large. From the concavity of the
    entropy, :math:`(1 - r) \log(1 - r) \ge -r` and Jensen's inequality the mean entropy is at least

    .. math:: \bar H + \sum_k c_k \bar p_k \log \bar p_k - \sum_k \bar p_k (1 - c_k) \log(1 - c_k) + R (H(u) - 1),

    with :math:`c_k = (1 - \pi_k / \bar p_k)_+` and :math:`R = \sum_k c_k \bar p_k`. Columns are centred.
    """
    means = loss.shares + by_bias
    if not means.min() > 0:
        return -np.inf
    excess = np.maximum(by_bias, 0.0)
    given, lack = excess / means, np.maximum(-by_bias, 0.0)
    total = float(excess.sum())
    if not total > 0 or not lack.sum() > 0:
        return -np.inf
    dealt = lack / lack.sum()
    entropy += float(excess @ np.log(means)) - float(special.xlogy(means * (1.0 - given), 1.0 - given).sum())
    entropy -= total * (1.0 + float(special.xlogy(dealt, dealt).sum()))
    held = loss_gradient + loss.class_sums  # sums of the probabilities times the rows
    moved = loss_gradient - given[:, None] * held + np.outer(dealt, given @ held)
    return _best_bound(entropy, np.abs(moved), loss.penalty, None)[0]


def _mixed_entropy(loss: LinearLoss, theta: Array, mixed: float, constant: Array, share: float) -> float:
    """Return the mean entropy of `share` of (the probabilities mixed with a constant) and the rest of the targets."""
    total = 0.0
    rows = max(16, BLOCK_BYTES // (16 * loss.n_classes))
    for span, block in loss.features.spans():
        for first in range(0, block.shape[0], rows):
            chances = np.asarray(softmax(loss.block_logits(block[first : first + rows], theta)), dtype=np.float64)
            chances *= share * (1.0 - mixed)
            chances += share * mixed * constant
            place = np.arange(len(chances))
            start = span.start + first
            chances[place, loss.targets[start : start + len(place)]] += 1.0 - share
            total -= float(loss.weights[start : start + len(place)] @ special.xlogy(chances, chances).sum(axis=1))
    return total


def _best_bound(entropy: float, sizes: Array, penalty: Array, l1: Array | None) -> tuple[float, float]:
    """Return the best dual value on the way from the targets, share 0, to the dual point, share 1, and its share.

    That is the largest ``share * entropy - sum(max(share * sizes - l1, 0)**2 / (2 * penalty))`` among the shares that
    leave no column above its `l1` which has no `penalty`. By concavity of the entropy it is not below the true one.
    """
    if l1 is None:
        whole = float(np.sum(sizes * sizes / (2.0 * penalty)))
        share = 1.0 if 2.0 * whole <= entropy else max(entropy, 0.0) / (2.0 * whole)
        return share * entropy - share * share * whole, share
    bare = penalty == 0
    most = 1.0
    if bare.any():
        over = sizes[:, bare] > l1[bare]
        most = float(np.min(np.divide(l1[bare], sizes[:, bare], out=np.ones_like(sizes[:, bare]), where=over)))
    sizes, l1, penalty = sizes[:, ~bare], l1[~bare], penalty[~bare]

    def rise(share: float) -> float:
        return entropy - float(np.sum(sizes * np.maximum(share * sizes - l1, 0.0) / penalty))

    share = most
    if rise(most) < 0:
        low, high = 0.0, most
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if rise(middle) > 0 else (low, middle)
        share = low
    return share * entropy - float(np.sum(np.maximum(share * sizes - l1, 0.0) ** 2 / (2.0 * penalty))), share


def newton_bound(loss: LinearLoss, hessian: Array, gradient: Array, common: float = 0.0) -> float:
    r"""Return a bound that needs no penalty, infinite where the point is too far from the minimum to tell.

    Along a direction v the third derivative of the loss is at most the range of :math:`v_k \cdot x_i` over k times the
    second. With :math:`\delta^2 = g^T H^{-1} g`, :math:`\varrho = \max_{i,k,l} \lVert (e_k - e_l) \otimes x_i
    \rVert_{H^{-1}}` and :math:`a = \varrho \delta < 1` it follows that

    .. math:: F - F^* \le \frac{a + (1 - a) \log(1 - a)}{\varrho^2}.

    A finite bound also proves that there is a finite minimum: the classes are not separated. `hessian` is that of
    `LinearLoss` at the same point, made regular for the shift common to all classes; `common` is added to
    :math:`\delta^2`.
    """
    k, c = loss.n_rows, loss.n_columns
    try:
        factor = linalg.cho_factor(hessian, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return np.inf
    pivots = factor[0].diagonal() ** 2
    if not pivots.min() > SMALLEST_PIVOT * pivots.max():  # rounding decides what the inverse is
        return np.inf
    flat = gradient.ravel()
    squared = max(float(flat @ linalg.cho_solve(factor, flat, check_finite=False)), 0.0) + common
    inverse = linalg.cho_solve(factor, np.eye(k * c), check_finite=False).reshape(k, c, k, c)
    blocks = [inverse[row, :, row] for row in range(k)]
    if k > 1:  # less the part of the shift, which contrasts do not meet
        blocks = [block - np.diag(1.0 / (k * (1.0 + loss.extended_penalty()))) for block in blocks]
    reach = _reach(loss, blocks)
    closeness = reach * np.sqrt(squared)
    if not closeness < CLOSE:
        return np.inf
    if closeness < 1e-4:  # the first terms of the series; the closed form cancels
        return float(squared * (0.5 + closeness / 6.0 + closeness * closeness / 11.0))
    return float((closeness + (1.0 - closeness) * np.log1p(-closeness)) / reach**2)


def _reach(loss: LinearLoss, blocks: list[Array]) -> float:
    """Return a bound on the longest contrast of two classes times a row, in the norm of the inverse Hessian."""
    longest = 0.0
    rows = max(16, BLOCK_BYTES // (16 * loss.n_columns))
    for _, block in loss.features.spans():
        for first in range(0, block.shape[0], rows):
            extended = loss.extended(block[first : first + rows]).astype(np.float64, copy=False)
            best, second = np.zeros(len(extended)), np.zeros(len(extended))
            for inverse in blocks:
                length = np.sqrt(np.maximum(np.einsum("ij,ij->i", extended @ inverse, extended), 0.0))
                second = np.maximum(second, np.minimum(best, length))
                best = np.maximum(best, length)
            longest = max(longest, float(np.max(best + second)))
    return longest


def polished_bias(loss: LinearLoss, theta: Array, gradient: Array) -> Array:
    """Return the parameters with a better bias: the gap is of first order in the bias's gradient, of second else.

    Up to 300 classes a Newton step in the bias. Beyond, the shares of the classes are matched, which by Jensen's
    inequality lowers the objective by at least the divergence of the shares from the mean probabilities.
    """
    _, by_bias = loss.split(gradient)
    moved = theta.copy()
    if loss.n_classes > POLISH_CLASSES:
        means = np.maximum(loss.shares + by_bias, 1e-300)
        step = np.log(loss.shares / means)
        moved[:, -1] += step - step.mean()
        return moved
    step = -np.linalg.pinv(loss.bias_curvature(theta), rcond=1e-10, hermitian=True) @ by_bias
    moved[:, -1] += step - (step.mean() if loss.n_rows > 1 else 0.0)
    return moved


def weights_part(loss: LinearLoss, gradient: Array) -> float:
    """Return the gap that would be left if the bias were perfect."""
    if not np.all(loss.penalty > 0):
        return np.inf
    by_weight, _ = loss.split(gradient)
    return float(np.sum(by_weight * by_weight / (2.0 * loss.penalty)))


def dual_certificate(
    loss: LinearLoss, theta: Array, value: float, gradient: Array, goal: float, *, worth: float = WORTH_POLISHING
) -> tuple[float, Array, float, Array]:
    """Return the duality gap, and the point it belongs to: with a polished bias where only the bias is in its way.

    That is, where the weights' part takes no more than `worth` of the goal.
    """
    gap = duality_gap(loss, theta, value, gradient)
    for _ in range(2):
        if gap <= goal or not loss.intercept or weights_part(loss, gradient) > worth * goal:
            break
        better = polished_bias(loss, theta, gradient)
        new_value, new_gradient = loss.value_and_gradient(better)
        new_gap = duality_gap(loss, better, new_value, new_gradient)
        if not new_gap < gap or new_value > value + ROUNDING * value:
            break
        gap, theta, value, gradient = new_gap, better, new_value, new_gradient
    return gap, theta, value, gradient


def confirmed_decrement(
    loss: LinearLoss, theta: Array, gradient: Array, inverse: Callable[[Array], Array]
) -> tuple[float, Array]:
    """Return half the squared Newton decrement as far as a few conjugate gradient steps find it, and their step.

    Each step can only add to the estimate. `inverse` is a symmetric positive approximation of the inverse Hessian; its
    own estimate misses the directions that it has not met, which are the ones along which solvers stop too early.
    """
    rest, step, total, gain = gradient.copy(), np.zeros_like(theta), 0.0, 0.0
    turned = inverse(rest)
    ahead, size = -turned, float(np.vdot(rest, turned))
    for count in range(1, MOST_PRODUCTS + 1):
        product = loss.hessian_product(theta, ahead)
        bend = float(np.vdot(ahead, product))
        if not bend > 0 or not size > 0:
            break
        length = size / bend
        gain = 0.5 * length * size
        total += gain
        step += length * ahead
        rest += length * product
        if count >= LEAST_PRODUCTS and gain <= SMALL_GAIN * total:
            break
        turned = inverse(rest)
        fresh = float(np.vdot(rest, turned))
        ahead = -turned + (fresh / size) * ahead
        size = fresh
    return total + 2.0 * gain, step  # and what further steps may add


def certify(
    loss: LinearLoss, solution: Solution, tolerance: float, l1: Array | None = None
) -> tuple[Certificate, Array | None, Solution]:
    """Return what is known of the solution's distance from the minimum, the Hessian if it was needed, and the solution.

    A bound is taken if it is within `tolerance` of the objective. Where the solver trusted an estimate and no bound is
    within, the solution is improved until one is, or until an estimate by conjugate gradients is a hundredth of that.
    Then the gap is a hundred times the estimate, which is no bound: at a tolerance of 1e-2 the excess was larger for 2
    of 40 tables with far rows, without a Hessian. With `l1` the value of the solution has it, and its gradient is that
    of the rest.
    """
    if solution.reason == "separated":
        return NOTHING, None, solution
    trusted = solution.reason in ("decrement", "duality") and np.isfinite(solution.decrement)
    if l1 is not None:
        return _certify_absolute(loss, solution, tolerance, l1, trusted=trusted)
    goal = max(tolerance, 1e-12) * solution.value
    theta, value, gradient = solution.theta, solution.value, solution.gradient
    gap = duality_gap(loss, theta, value, gradient)
    if gap > goal and trusted:
        gap, theta, value, gradient = dual_certificate(loss, theta, value, gradient, goal, worth=1.0)
    if gap <= goal:
        return Certificate(gap, "duality"), None, _moved(solution, theta, value, gradient)
    if loss.wide and trusted:
        certificate, better = _certify_wide(loss, _moved(solution, theta, value, gradient), gap, goal)
        return certificate, None, better
    lowest, hessian, bound = value - gap, None, np.inf
    is_small = theta.size <= NEWTON_NUMBERS and len(loss.targets) * theta.size**2 <= BOUND_WORK
    before = np.inf
    for _ in range(STEPS if is_small else 0):
        hessian = loss.hessian(theta)
        bound = newton_bound(loss, hessian, gradient) + ROUNDING * value
        if bound <= goal or not trusted:
            break
        step, decrement = _newton_step(hessian, gradient)
        found = line_search(loss, theta, step, value, -2.0 * decrement, first=1.0, curvature=STEEP)
        is_slow = not np.any(loss.penalty) and not decrement < FASTER * before
        if found is None or is_slow or found[1] > value:
            break
        theta, value, gradient = found
        hessian, bound, before = None, np.inf, decrement
    gap = min(duality_gap(loss, theta, value, gradient), value - lowest)
    if bound <= goal or (np.isfinite(bound) and bound <= gap):
        return Certificate(bound, "newton"), hessian, _moved(solution, theta, value, gradient)
    estimate = solution.decrement
    if trusted and gap > goal and not is_small:
        gap, estimate, theta, value, gradient = _sought(loss, theta, value, gradient, goal)
    solution = _moved(solution, theta, value, gradient)
    if gap <= goal:
        return Certificate(gap, "duality"), hessian, solution
    if trusted:
        return Certificate(min(gap, _cautious(estimate, value)), "decrement"), hessian, solution
    return (Certificate(gap, "duality") if np.isfinite(gap) else NOTHING), hessian, solution


def _certify_wide(loss: LinearLoss, solution: Solution, gap: float, goal: float) -> tuple[Certificate, Solution]:
    """Certify by the linearised dual after a few Newton steps.

    Where that fails, far rows decide, for which estimates are too small: the gap is not said to be below the goal.
    """
    theta, value, gradient = solution.theta, solution.value, solution.gradient
    lowest, largest = value - gap, max(solution.decrement, goal / CAUTION)
    for _ in range(WIDE_STEPS):
        step = refined_step(loss, theta, gradient)
        slope = float(np.vdot(step, gradient))
        largest = max(largest, -0.5 * slope)
        lowest = max(lowest, value - duality_gap(loss, theta, value, gradient, dual=linearised_dual(loss, theta, step)))
        found = None
        if value - lowest > goal and slope < 0:
            found = line_search(loss, theta, step, value, slope, first=1.0, curvature=STEEP)
        if found is None or found[1] > value:
            break
        theta, value, gradient = found
    gap = value - lowest
    solution = _moved(solution, theta, value, gradient)
    if gap <= max(goal, _cautious(largest, value)):
        return Certificate(gap, "duality"), solution
    return Certificate(_cautious(largest, value), "decrement"), solution


def _cautious(estimate: float, value: float) -> float:
    """Return the distance to be given for an estimated one."""
    return CAUTION * max(estimate, ROUNDING * value)


def _moved(solution: Solution, theta: Array, value: float, gradient: Array) -> Solution:
    return replace(solution, theta=theta, value=value, gradient=gradient)


def _newton_step(hessian: Array, gradient: Array) -> tuple[Array, float]:
    """Return the Newton step and half its squared length in the Hessian."""
    try:
        factor = linalg.cho_factor(hessian, lower=True, check_finite=False)
    except linalg.LinAlgError:
        return np.zeros_like(gradient), np.inf
    step = _contrast(-linalg.cho_solve(factor, gradient.ravel(), check_finite=False).reshape(gradient.shape))
    return step, -0.5 * float(np.vdot(step, gradient))


def _sought(
    loss: LinearLoss, theta: Array, value: float, gradient: Array, goal: float
) -> tuple[float, float, Array, float, Array]:
    """Return duality gap, estimate, point, value and gradient after steps by conjugate gradients, while they help."""
    gap, estimate = np.inf, np.inf
    curvature = start_curvature(loss) + loss.extended_penalty()
    for _ in range(SEARCHES):
        estimate, step = confirmed_decrement(loss, theta, gradient, lambda rest: _contrast(rest / curvature))
        new_value, new_gradient = loss.value_and_gradient(theta + step)
        if not new_value < value:
            break
        estimate = max(estimate, value - new_value)
        lowest = value - gap
        gap, theta, value, gradient = dual_certificate(loss, theta + step, new_value, new_gradient, goal, worth=1.0)
        gap = min(gap, value - lowest)
        if gap <= goal or CAUTION * estimate <= goal:
            break
    return gap, estimate, theta, value, gradient


def _contrast(step: Array) -> Array:
    """Return the part of a step that is not common to all classes."""
    return step - step.mean(axis=0) if len(step) > 1 else step


def start_curvature(loss: LinearLoss) -> Array:
    """Return the second derivative by each parameter where all weights are zero."""
    variance = np.append(loss.features.variance, 1.0) if loss.intercept else loss.features.variance
    shares = loss.shares[1:] if loss.n_classes == 2 else loss.shares
    return np.outer(shares * (1.0 - shares), variance)


def _certify_absolute(
    loss: LinearLoss, solution: Solution, tolerance: float, l1: Array, *, trusted: bool
) -> tuple[Certificate, Array | None, Solution]:
    """Certify a solution with absolute values in its penalty, as `certify` does."""
    theta, value = solution.theta, solution.value
    goal = max(tolerance, 1e-12) * value
    smooth = value - absolute_penalty(loss, theta, l1)
    gap = duality_gap(loss, theta, smooth, solution.gradient, l1)
    if gap > goal and not np.all(loss.penalty > 0):
        gap = min(gap, duality_gap(loss, theta, smooth, solution.gradient, l1, exact=True))
    if gap <= goal:
        return Certificate(gap, "duality"), None, solution
    if theta.size <= NEWTON_NUMBERS and len(loss.targets) * theta.size**2 <= BOUND_WORK:
        rest, common = contrasting_subgradient(loss, theta, solution.gradient, l1)
        bound = newton_bound(loss, loss.hessian(theta), rest, common) + ROUNDING * value
        if bound <= goal or bound <= gap:
            return Certificate(bound, "newton"), None, solution
    if trusted:
        return Certificate(min(gap, _cautious(solution.decrement, value)), "decrement"), None, solution
    return (Certificate(gap, "duality") if np.isfinite(gap) else NOTHING), None, solution


def contrasting_subgradient(loss: LinearLoss, theta: Array, gradient: Array, l1: Array) -> tuple[Array, float]:
    """Return a short subgradient whose sums over the classes vanish, and the square of the rest in the Hessian.

    Where ``abs(s) <= l1`` and ``s @ weight`` is the penalty, the objective is not below the smooth part plus the linear
    ``s @ weight``, and the same at the point: so `newton_bound` holds with the gradient of that. `gradient` is that of
    the smooth part. The loss knows no shift common to all classes; what is left of it meets the ridge alone.
    """
    weight, _ = loss.split(theta)
    d = weight.shape[1]
    zero = weight == 0
    slope = gradient[:, :d]
    taken = np.where(zero, np.clip(-slope, -l1, l1), l1 * np.sign(weight))
    rest = gradient.copy()
    rest[:, :d] = slope + taken
    if len(weight) == 1:
        return rest, 0.0
    excess = rest[:, :d].sum(axis=0)  # taken back where the penalty leaves the slope free
    inner = zero & (np.abs(slope) < l1)
    moved = taken - np.where(inner, excess / np.maximum(inner.sum(axis=0), 1), 0.0)
    rest[:, :d] = slope + np.where(zero, np.clip(moved, -l1, l1), moved)
    mean = rest.mean(axis=0)
    rest -= mean
    common = mean[:d] * (np.abs(mean[:d]) > 1e-14 * (l1 + np.abs(slope).max(axis=0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.where(common != 0, len(weight) * common * common / loss.penalty, 0.0)
    return rest, float(squares.sum())
