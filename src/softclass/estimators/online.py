"""Learning from one batch of rows after the other in constant memory: recursive Laplace with a reservoir.

As long as few rows have come they are all kept, and each call fits them exactly. Then the past is remembered twice: as
a quadratic around the optimum (the sum of the Hessians of all rows so far, each taken when its row came), in which a
new batch is fitted, and as a uniform sample of the rows, on which the quadratic is checked. Where the sample says that
the quadratic misleads, sample and batch are fitted afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize, sparse

from softclass.estimators.linear_loss import LinearLoss, row_losses
from softclass.estimators.scaling import Array, ScaledFeatures
from softclass.functions.cross_entropy import cross_entropy

FEWEST_HELD = 4000  # rows that are kept at least
HELD_PER_PARAMETER = 20  # half of it made the sorted letters 4 to 6 % worse than the optimum, this 1.5 %
HELD_SPARSE = 20_000  # sparse rows that are kept at most: parameters are too many to count them by
HELD_BYTES = 512 * 2**20  # of the rows that are kept, unless that is fewer than FEWEST_HELD
SCALING_ROWS = 4000  # rows whose spread scales the columns
FULL_MOST = 1500  # parameters up to which the whole quadratic is kept
BLOCK_NUMBERS = 16_000_000  # numbers up to which it is kept in a block a class; beyond, its diagonal
FREE = 1e-6  # curvature of the intercept and, with C=inf, of the weights before any row has come
EXCESS = 3.0  # times what the quadratic predicts may the loss of the sample rise
SLACK = 0.02  # and this share of itself
FEW_CALLS = 4  # calls before anything is said about the order of the rows
LIMITS = {"maxiter": 200, "ftol": 1e-13, "gtol": 1e-7}  # whitened: a few iterations reach them

Targets = npt.NDArray[np.int64]
Fit = Callable[[Array, Targets, Array], tuple[Array, Array]]  # features, targets, weights -> weight, bias

SORTED_CODE = "SC848"
SORTED = (
    f"[{SORTED_CODE}] SoftmaxRegression.partial_fit: most batches differ from all rows before them, as if rows came"
    " sorted; each is fitted again with a sample of the others. Shuffle the rows, or use fit_batches, which is exact in"
    " any order"
)


def remembers(model: Any) -> bool:
    """Whether a model has `partial_fit`; the error, if not, is that of an attribute that is not there."""
    if model.l1_ratio > 0:
        raise AttributeError(
            "SoftmaxRegression.partial_fit: `l1_ratio` must be 0; a quadratic has no corners to remember"
        )
    if isinstance(model.class_weight, str):
        raise AttributeError(
            'SoftmaxRegression.partial_fit: `class_weight` "balanced" needs the counts of all rows; give numbers'
        )
    return True


def refuse_partial_fit(classes: Any, *, is_first: bool) -> None:
    """Raise an error for what cannot be learned from one batch after the other."""
    if is_first and classes is None:
        raise ValueError("SoftmaxRegression.partial_fit: the first call needs `classes`, all labels that will come")


@dataclass(eq=False)
class OnlineState:
    """What `partial_fit` remembers.

    Attributes
    ----------
    n_features, n_classes : int
        D and K.
    strength : float
        C.
    intercept : bool
        Whether there is a bias.
    random : Generator
        Draws the sample.
    is_sparse : bool
        Whether rows are CSR.
    weight, bias : float64 arrays of shape (rows, D) and (rows,)
        In the caller's units; one row for two classes.
    is_exact : bool
        Whether they are the optimum of all rows.
    n_seen, n_calls, n_refits : int
        Rows, calls in which the quadratic was used, and those in which it misled.
    """

    n_features: int
    n_classes: int
    strength: float
    intercept: bool
    random: np.random.Generator
    is_sparse: bool = False
    weight: Array = field(init=False)
    bias: Array = field(init=False)
    is_exact: bool = True
    n_seen: int = 0
    n_calls: int = 0
    n_refits: int = 0

    def __post_init__(self) -> None:
        parameters = self.n_classes * (self.n_features + 1)
        if self.is_sparse:
            by_bytes = HELD_SPARSE
            self._features: Any = sparse.csr_matrix((0, self.n_features))
        else:
            by_bytes = HELD_BYTES // (8 * self.n_features + 16)
            self._features = np.empty((0, self.n_features))
        self.most_held = max(FEWEST_HELD, min(HELD_PER_PARAMETER * parameters, by_bytes))
        self._rows = 1 if self.n_classes == 2 else self.n_classes
        self._targets, self._weights = np.empty(0, np.int64), np.empty(0)
        self._seen_weight, self._has_warned = 0.0, False
        self._known = np.zeros(self.n_classes, dtype=bool)
        self._mean, self._scale = np.zeros(self.n_features), np.ones(self.n_features)
        self._theta = np.zeros((self._rows, self.n_features + self.intercept))  # in scaled columns
        self._precision: Array | None = None  # None while all rows are held

    @property
    def warns(self) -> bool:
        """Whether this call is the one in which to say that the rows come sorted."""
        sorted_now = self.n_calls >= FEW_CALLS and 2 * self.n_refits > self.n_calls
        if sorted_now and not self._has_warned:
            self._has_warned = True
            return True
        return False

    def learn(self, features: Any, targets: Targets, weights: Array, fit: Fit) -> None:
        """Take a batch; rows of weight zero count for nothing."""
        if sparse.issparse(features) != self.is_sparse:
            raise TypeError("SoftmaxRegression: all batches must be of one kind; got sparse and dense ones")
        features = features.tocsr() if self.is_sparse else features
        used = weights > 0
        features, targets, weights = features[used].astype(np.float64), targets[used], weights[used]
        if not len(targets):
            return
        self._known[targets] = True
        if self._precision is None and (self.n_seen == 0 or self.n_seen + len(targets) <= self.most_held):
            features = _stacked([self._features, features])
            targets = np.concatenate([self._targets, targets])
            weights = np.concatenate([self._weights, weights])
            self.weight, self.bias = fit(features, targets, weights)
            self.n_seen, self._seen_weight = len(targets), float(weights.sum())
            if len(targets) <= self.most_held:
                self._features, self._targets, self._weights = features, targets, weights
                return
            self._precision = self._settle(features, targets, weights)
            self.n_seen = 0
            self._keep_some(features, targets, weights)
            return
        if self._precision is None:
            self._precision = self._settle(self._features, self._targets, self._weights)
        self._advance(features, targets, weights, self._precision, fit)
        self._seen_weight += float(weights.sum())
        self._keep_some(features, targets, weights)

    def _settle(self, features: Any, targets: Targets, weights: Array) -> Array:
        """Scale the columns and return the quadratic at the optimum of some rows."""
        if not self.is_sparse:  # those of sparse rows stay as they are: centred, they would be dense
            first = features[:SCALING_ROWS]
            spread = first.std(axis=0)
            self._mean = first.mean(axis=0) if self.intercept else self._mean
            self._scale = np.where(spread > 0, spread, 1.0)
        return self._anchored(features, targets, weights)

    def _anchored(self, features: Any, targets: Targets, weights: Array) -> Array:
        """Start from the present weights, and return the quadratic that some rows make around them."""
        theta = self.weight * self._scale
        if self.intercept:
            bias = self.bias + self.weight @ self._mean
            known = np.isfinite(bias)
            faint = np.log(2 * self._seen_weight + 2)  # a class without rows has had about half of one
            if self._rows == 1:
                bias = np.clip(bias, -faint, faint)
            else:
                bias = np.where(known, bias, np.logaddexp.reduce(bias[known]) - faint)
                bias -= bias.mean()
            theta = np.concatenate([theta, bias[:, None]], axis=1)
        self._theta = theta
        strength = FREE if np.isinf(self.strength) else 1.0 / self.strength
        prior = strength / self._scale**2
        prior = np.append(prior, FREE) if self.intercept else prior
        before = self._shaped(np.tile(prior, (self._rows, 1)))
        return before + self._curvature(self._loss(features, targets, weights), float(weights.sum()), theta)

    def _shaped(self, diagonal: Array) -> Array:
        """Return a diagonal of shape (rows, columns) as a quadratic of the kind that is kept."""
        rows, columns = diagonal.shape
        if rows * columns <= FULL_MOST:
            return np.diag(diagonal.ravel())
        if self._keeps_blocks(rows * columns, columns):
            return diagonal[:, :, None] * np.eye(columns)
        return diagonal

    def _keeps_blocks(self, parameters: int, columns: int) -> bool:
        """Whether the quadratic of many parameters is kept in a block a class."""
        return not self.is_sparse and parameters * columns <= BLOCK_NUMBERS

    def _loss(self, features: Any, targets: Targets, weights: Array) -> LinearLoss:
        """Return the mean loss of some rows in scaled columns, without penalty."""
        scaled = features if self.is_sparse else np.ascontiguousarray((features - self._mean) / self._scale)
        body = ScaledFeatures((scaled,), None, None, self._mean, self._scale, np.ones(self.n_features))
        nothing = np.zeros(self.n_features)
        return LinearLoss(body, targets, weights / weights.sum(), self.n_classes, nothing, self.intercept)

    def _curvature(self, loss: LinearLoss, total: float, theta: Array) -> Array:
        """Return the Hessian of the rows' summed loss, as much of it as is kept."""
        if theta.size <= FULL_MOST:
            return total * loss.hessian(theta)
        block = loss.features.blocks[0]
        chances = loss.probabilities(block, theta)
        weights = total * loss.weights[:, None] * chances * (1 - chances)
        if self.is_sparse:
            squares = np.asarray((block.multiply(block).T @ weights).T)
            return np.column_stack([squares, weights.sum(axis=0)]) if self.intercept else squares
        extended = loss.extended(block)
        if self._keeps_blocks(theta.size, theta.shape[1]):
            roots = (extended * np.sqrt(weight)[:, None] for weight in weights.T)
            return np.stack([root.T @ root for root in roots])
        return np.asarray(weights.T @ (extended * extended))

    def _advance(self, features: Any, targets: Targets, weights: Array, precision: Array, fit: Fit) -> None:
        """Fit a batch in the quadratic; where the sample says that this misleads, sample and batch afresh."""
        loss, total, start = self._loss(features, targets, weights), float(weights.sum()), self._theta
        root = self._root(precision)

        def objective(flat: Array) -> tuple[float, Array]:
            value, gradient = loss.value_and_gradient(start + self._unwhitened(root, flat.reshape(start.shape)))
            slope = self._whitened(root, gradient)
            return total * value + 0.5 * float(flat @ flat), total * slope.ravel() + flat

        found = optimize.minimize(objective, np.zeros(start.size), jac=True, method="L-BFGS-B", options=LIMITS)
        theta = start + self._unwhitened(root, found.x.reshape(start.shape))
        theta = theta - theta.mean(axis=0) if self._rows > 1 else theta
        self.n_calls += 1
        before, after = self._sampled_loss(start), self._sampled_loss(theta)
        predicted = 0.5 * float(found.x @ found.x) / self._seen_weight
        if after - before <= EXCESS * predicted + SLACK * before:
            self._theta = theta
            self._precision = precision + self._curvature(loss, total, theta)
        else:
            self.n_refits += 1
            share = self._seen_weight / float(self._weights.sum())
            all_features = _stacked([self._features, features])
            all_targets = np.concatenate([self._targets, targets])
            all_weights = np.concatenate([self._weights * share, weights])
            self.weight, self.bias = fit(all_features, all_targets, all_weights)
            self._precision = self._anchored(all_features, all_targets, all_weights)
        self._publish()

    def _root(self, precision: Array) -> Array:
        """Return the root of the quadratic: upper triangles, or a diagonal."""
        if precision.shape == self._theta.shape:
            return np.asarray(np.sqrt(precision))
        if precision.ndim == 2:
            return np.asarray(linalg.cholesky(precision, check_finite=False))
        return np.stack([linalg.cholesky(block, check_finite=False) for block in precision])

    @staticmethod
    def _unwhitened(root: Array, whitened: Array) -> Array:
        """Return the step whose length in the quadratic is the length of `whitened`."""
        if root.shape == whitened.shape:
            return whitened / root
        if root.ndim == 2:
            flat = linalg.solve_triangular(root, whitened.ravel(), check_finite=False)
            return np.asarray(flat).reshape(whitened.shape)
        rows = zip(root, whitened, strict=True)
        return np.stack([linalg.solve_triangular(block, row, check_finite=False) for block, row in rows])

    @staticmethod
    def _whitened(root: Array, gradient: Array) -> Array:
        """Return the gradient by what `_unwhitened` takes."""
        if root.shape == gradient.shape:
            return gradient / root
        if root.ndim == 2:
            flat = linalg.solve_triangular(root, gradient.ravel(), trans="T", check_finite=False)
            return np.asarray(flat).reshape(gradient.shape)
        rows = zip(root, gradient, strict=True)
        return np.stack([linalg.solve_triangular(block, row, trans="T", check_finite=False) for block, row in rows])

    def _publish(self) -> None:
        """Bring the weights to the caller's units; a class without rows has probability zero."""
        weight = self._theta[:, : self.n_features] / self._scale
        bias = np.zeros(self._rows)
        if self.intercept:
            bias = self._theta[:, -1] - weight @ self._mean
            if self._rows == 1:
                bias = bias if self._known.all() else np.where(self._known[1], np.inf, -np.inf) * np.ones(1)
            else:
                bias = np.where(self._known, bias - bias[self._known].mean(), -np.inf)
                weight = np.where(self._known[:, None], weight, 0.0)
        self.weight, self.bias, self.is_exact = weight, bias, False

    def _sampled_loss(self, theta: Array) -> float:
        """Return the mean loss of the sample."""
        weight = theta[:, : self.n_features] / self._scale
        bias = theta[:, -1] - weight @ self._mean if self.intercept else np.zeros(self._rows)
        if self.is_sparse:
            logits = np.asarray(self._features @ weight.T) + bias
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1) if self._rows == 1 else logits
            losses: Array = cross_entropy(logits, self._targets, reduction="none")
        else:
            losses = row_losses(self._features, self._targets, weight, bias)
        return float(losses @ self._weights / self._weights.sum())

    def _keep_some(self, features: Any, targets: Targets, weights: Array) -> None:
        """Replace rows of the sample so that every row so far is in it with one probability (Vitter's algorithm R)."""
        held = len(self._targets)
        free = min(len(targets), max(0, self.most_held - held))
        place = self.random.integers(0, np.arange(self.n_seen + free + 1, self.n_seen + len(targets) + 1))
        self.n_seen += len(targets)
        late = np.flatnonzero(place < self.most_held)
        source = np.arange(held + free)
        source[place[late]] = held + free + late  # of two for one place the later one stays
        stays = source < held
        fresh = source[~stays] - held
        if self.is_sparse:
            self._features = _stacked([self._features, features])[source]
        else:
            grown = np.empty((free, self.n_features))
            self._features = np.concatenate([self._features, grown]) if free else self._features
            self._features[~stays] = features[fresh]
        self._targets = np.concatenate([self._targets, targets])[source]
        self._weights = np.concatenate([self._weights, weights])[source]


def _stacked(parts: list[Any]) -> Any:
    """Return rows below one another."""
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
