"""A data matrix and a loss as one function of the weights: value, gradient, Hessian. All solvers meet here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.estimators.compact_rows import CompactBlocks, CompactPass, first_of_equals
from softclass.estimators.dense_pass import (
    DenseRows,
    LossSums,
    curvatures,
    full_hessian,
    hessian_product,
    joined_hessian,
    loss_and_gradient,
    squared_lengths,
)
from softclass.estimators.parallel import ONE, Workers
from softclass.estimators.scaling import BLOCK_BYTES, Array, ScaledFeatures
from softclass.estimators.sparse_rows import SparsePass
from softclass.functions.cross_entropy import cross_entropy
from softclass.functions.softmax import softmax

PIECE_NUMBERS = 2**17  # probabilities that are looked at together
LEAST_TERM = 1e-18  # of all weights: what a row and two classes must have to count in the Hessian of compact rows


@dataclass(frozen=True, eq=False)
class LinearLoss:
    """Mean cross-entropy of ``weight @ x + bias`` plus a ridge penalty, in scaled columns.

    The parameters `theta` have shape (rows, n_features + 1), the bias last, or (rows, n_features) without intercept.
    Two classes have one row, the logit of class 1, as in scikit-learn; more have one row a class.

    Attributes
    ----------
    features : ScaledFeatures
        N rows, D columns.
    targets : int64 array of shape (N,)
        Class indices.
    weights : float64 array of shape (N,)
        Sum to one.
    n_classes : int
        K.
    penalty : float64 array of shape (D,)
        The penalty is half the sum of ``penalty * weight**2``.
    intercept : bool
        Whether there is a bias.
    watch_margin : bool
        Whether each value also finds the smallest margin of a row.
    workers : Workers
        Threads for the passes over the rows.
    wide : bool
        Whether compact rows are worked on in float64, though their numbers are float32.
    """

    features: ScaledFeatures
    targets: npt.NDArray[np.int64]
    weights: Array
    n_classes: int
    penalty: Array
    intercept: bool
    watch_margin: bool = False
    workers: Workers = ONE
    wide: bool = False
    margin: list[float] = field(default_factory=lambda: [-np.inf])  # of the last value; positive means separated
    passes: list[int] = field(default_factory=lambda: [0])  # reads of all rows so far

    @property
    def n_rows(self) -> int:
        """Rows of the parameters: one for two classes, else K."""
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    def n_columns(self) -> int:
        """Columns of the parameters: D, and one for the bias."""
        return self.features.n_features + self.intercept

    @cached_property
    def single(self) -> bool:
        """Whether the working copy is float32, so that values are sure to about 1e-8 of themselves only."""
        return not self.wide and bool(self.features.dtype == np.float32)

    @cached_property
    def shares(self) -> Array:
        """Weight of each class; sums to one."""
        return np.asarray(np.bincount(self.targets, self.weights, minlength=self.n_classes), dtype=np.float64)

    def start(self) -> Array:
        """Return the parameters of the best constant answer."""
        theta = np.zeros((self.n_rows, self.n_columns), order="F" if self.is_sparse else "C")
        if self.intercept:
            logs = np.log(self.shares)
            theta[:, -1] = logs[1] - logs[0] if self.n_classes == 2 else logs - logs.mean()
        return theta

    def split(self, theta: Array) -> tuple[Array, Array]:
        """Return weight and bias of parameters."""
        if self.intercept:
            return theta[:, :-1], theta[:, -1]
        return theta, np.zeros(len(theta))

    def block_logits(self, block: Any, theta: Array) -> Array:
        """Return the logits of a block, one column a class."""
        logits = self.features.logits(block, *self.split(theta))
        return np.concatenate([np.zeros_like(logits), logits], axis=1) if self.n_classes == 2 else logits

    @cached_property
    def is_sparse(self) -> bool:
        """Whether the blocks are CSR."""
        return self.features.is_sparse

    @cached_property
    def unit_weight(self) -> float | None:
        """The weight of every row where all weigh the same, which is the ordinary case."""
        first = float(self.weights[0])
        return first if bool((self.weights == first).all()) else None

    @cached_property
    def dense_rows(self) -> DenseRows:
        """The rows as the compiled pass takes them; weights that are all the same are multiplied in at the end."""
        weights = self.weights if self.unit_weight is None else None
        return DenseRows(self.features.blocks, self.targets, weights, self.features.n_features, self.workers.threads)

    @cached_property
    def compact(self) -> CompactPass | None:
        """The rows without the numbers that are at rest, where they are kept so."""
        blocks = self.features.blocks
        if not isinstance(blocks, CompactBlocks):
            return None
        weights = self.weights if self.unit_weight is None else None
        return CompactPass(blocks.rows, self.targets, weights, self.workers.threads, self.wide)

    def own_columns(self, weight: Array, bias: Array) -> tuple[Array, Array]:
        """Return coefficients in the numbers of the blocks, which may not be centred and scaled."""
        factor, shift = self.features.factor, self.features.shift
        if factor is None or shift is None:
            return weight, bias
        weight = weight * factor
        return weight, bias - weight @ shift

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """Return the objective and its gradient, in float64."""
        self.passes[0] += 1
        weight, bias = self.split(theta)
        if self.is_sparse:
            value, gradient, self.margin[0] = self.sparse_pass.value_and_gradient(
                theta, wants_margin=bool(self.watch_margin)
            )
            return value, gradient
        with_margin = bool(self.watch_margin)
        if self.compact is not None:
            sums = self.compact.loss_and_gradient(weight, bias, with_margin=with_margin)
        else:
            sums = loss_and_gradient(self.dense_rows, *self.own_columns(weight, bias), with_margin=with_margin)
        sums = self._weighed(sums)
        penalised = self.penalty * weight
        gradient = self.features.finished(sums.weight, sums.bias) + penalised
        self.margin[0] = sums.margin
        return sums.loss + 0.5 * float(np.vdot(penalised, weight)), self._joined(gradient, sums.bias)

    def _weighed(self, sums: LossSums) -> LossSums:
        if self.unit_weight is None:
            return sums
        return LossSums(
            sums.loss * self.unit_weight, sums.weight * self.unit_weight, sums.bias * self.unit_weight, sums.margin
        )

    def _joined(self, by_weight: Array, by_bias: Array) -> Array:
        """Return derivatives as an array like the parameters."""
        gradient = by_weight
        if self.intercept:
            gradient = np.empty((len(by_weight), by_weight.shape[1] + 1))
            gradient[:, :-1], gradient[:, -1] = by_weight, by_bias
        if self.n_rows > 1:  # zero but for rounding: the classes share one shift
            gradient -= np.add.reduce(gradient) / len(gradient)
        return gradient

    @cached_property
    def sparse_pass(self) -> SparsePass:
        """The rows as the compiled pass takes sparse ones."""
        d, factor, shift = self.features.n_features, self.features.factor, self.features.shift
        return SparsePass(
            self.features.blocks,
            self.targets,
            self.weights,
            self.n_classes,
            np.ones(d) if factor is None else factor,
            np.zeros(d) if shift is None else shift,
            self.penalty,
            self.workers.threads,
        )

    def hessian_product(self, theta: Array, direction: Array) -> Array:
        """Return the Hessian at `theta` times a direction, which sums to zero over the classes."""
        self.passes[0] += 1
        if self.is_sparse:
            return self.sparse_pass.product(theta, direction)
        weight, bias = self.split(direction)
        unit = 1.0 if self.unit_weight is None else self.unit_weight
        if self.compact is not None:
            by_weight, by_bias = self.compact.hessian_product(*self.split(theta), weight, bias)
        else:
            by_weight, by_bias = hessian_product(
                self.dense_rows, *self.own_columns(*self.split(theta)), *self.own_columns(weight, bias)
            )
        by_weight, by_bias = by_weight * unit, by_bias * unit
        return self._joined(self.features.finished(by_weight, by_bias) + self.penalty * weight, by_bias)

    def bias_curvature(self, theta: Array) -> Array:
        """Return the Hessian by the bias."""
        if self.compact is not None:
            unit = 1.0 if self.unit_weight is None else self.unit_weight
            return self.compact.bias_curvature(*self.split(theta)) * unit
        found = np.zeros((self.n_rows, self.n_rows))
        rows = max(16, PIECE_NUMBERS // self.n_classes)  # whose probabilities stay in the second cache

        def add_up(piece: tuple[Any, Array]) -> Array:
            chances = self.probabilities(piece[0], theta)
            weighted = chances * piece[1][:, None]
            return np.asarray(np.diag(weighted.sum(axis=0)) - chances.T @ weighted)

        for span, block in self.features.spans():
            weights = self.weights[span]
            pieces = [slice(first, first + rows) for first in range(0, len(weights), rows)]
            for part in self.workers.map(add_up, [(block[piece], weights[piece]) for piece in pieces]):
                found += part
        return found

    def probabilities(self, block: Any, theta: Array) -> Array:
        """Return the probabilities of the classes that have a row of parameters."""
        probabilities = np.asarray(softmax(self.block_logits(block, theta)), dtype=np.float64)
        return probabilities[:, 1:] if self.n_classes == 2 else probabilities

    def extended(self, block: Any) -> npt.NDArray[Any]:
        """Return the scaled rows, with a one for the bias."""
        rows = self.features.dense(block)
        return np.concatenate([rows, np.ones((len(rows), 1), rows.dtype)], axis=1) if self.intercept else rows

    def wide_rows(self, span: slice) -> Array:
        """Return compact rows as the wide pass sees them, with a one for the bias."""
        assert self.compact is not None  # noqa: S101 - asked for where there are such rows
        rows = self.compact.rows.widened(span.start, span.stop)
        return np.concatenate([rows, np.ones((len(rows), 1))], axis=1) if self.intercept else rows

    def extended_penalty(self) -> Array:
        """Return the penalty of each column of the parameters."""
        return np.append(self.penalty, 0.0) if self.intercept else self.penalty

    def hessian(self, theta: Array, least: float = 0.0) -> Array:
        """Return the Hessian over the flattened parameters, with the shift common to all classes made regular.

        In the wide pass over compact rows, terms up to `least`, a weight times two probabilities, are left out.
        """
        self.passes[0] += 1
        gauge = 1.0 / len(theta) if len(theta) > 1 else 0.0  # a step never has such a part: sums are zero
        if self.wide and self.compact is not None:
            unit = 1.0 if self.unit_weight is None else self.unit_weight
            return joined_hessian(
                self.compact.hessian(*self.split(theta), max(least, LEAST_TERM) / unit),
                self.split(theta)[0].shape,
                unit=unit,
                penalty=self.extended_penalty(),
                gauge=gauge,
                with_bias=self.intercept,
            )
        if not self.is_sparse and self.features.factor is None:
            return full_hessian(
                self.dense_rows,
                *self.split(theta),
                unit=1.0 if self.unit_weight is None else self.unit_weight,
                penalty=self.extended_penalty(),
                gauge=gauge,
                with_bias=self.intercept,
            )
        hessian = self._sparse_hessian(theta) if self.is_sparse else self._centred_hessian(theta)
        k, c = theta.shape
        columns = np.arange(c)
        for row in range(k):
            hessian[row, columns, row, columns] += self.extended_penalty()
            for other in range(k):
                hessian[row, columns, other, columns] += gauge
        return hessian.reshape(k * c, k * c)

    def _centred_hessian(self, theta: Array) -> Array:
        """Return the Hessian of the loss where the blocks are neither centred nor scaled."""
        assert self.features.factor is not None and self.features.shift is not None  # noqa: S101, PT018 - asked above
        unit = 1.0 if self.unit_weight is None else self.unit_weight
        k, c = len(theta), self.features.n_features + 1
        hessian = full_hessian(self.dense_rows, *self.own_columns(*self.split(theta)), unit=unit).reshape(k, c, k, c)
        change = np.diag(np.append(self.features.factor, 1.0))  # (x, 1) of the blocks to scaled ones
        change[:-1, -1] = -self.features.shift * self.features.factor
        hessian = np.einsum("ab,kbld,cd->kalc", change, hessian, change, optimize=True)
        return np.ascontiguousarray(hessian if self.intercept else hessian[:, :-1, :, :-1])

    def _sparse_hessian(self, theta: Array) -> Array:
        k, c = theta.shape
        rows = max(16, BLOCK_BYTES // (8 * k * c))
        pieces = [
            (span.start + first, block[first : first + rows])
            for span, block in self.features.spans()
            for first in range(0, block.shape[0], rows)
        ]

        def run(lane: Sequence[tuple[int, Any]]) -> Array:
            part = np.zeros((k, c, k, c))
            for first, block in lane:
                weights = self.weights[first : first + block.shape[0], None]
                extended = self.extended(block).astype(np.float64, copy=False)
                chances = self.probabilities(block, theta)
                if k == 1:
                    root = extended * np.sqrt(weights * chances * (1 - chances))
                    part[0, :, 0] += root.T @ root
                    continue
                outer = ((np.sqrt(weights) * chances)[:, :, None] * extended[:, None, :]).reshape(len(extended), -1)
                part.reshape(k * c, k * c)[...] -= outer.T @ outer  # one symmetric update
                for row in range(k):
                    root = extended * np.sqrt(weights * chances[:, row, None])
                    part[row, :, row] += root.T @ root
            return part

        hessian = np.zeros((k, c, k, c))
        for part in self.workers.map(run, self.workers.lanes(pieces, 8 * theta.size**2)):
            hessian += part
        return hessian

    def user_gradient(self, gradient: Array, *, in_place: bool = False) -> tuple[Array, Array]:
        """Return the derivatives by the weights and the bias of the caller's own columns."""
        by_weight, by_bias = self.split(gradient)
        user = by_weight if in_place else np.empty_like(by_weight)
        step = max(1, BLOCK_BYTES // (64 * len(user)))
        for first in range(0, user.shape[1], step):  # no second array of that size
            part = slice(first, first + step)
            with np.errstate(over="ignore"):
                np.multiply(by_weight.T[part], self.features.scale[part, None], out=user.T[part])
            if self.intercept:
                user.T[part] += self.features.mean[part, None] * by_bias
        return user, by_bias

    def user_gradient_norm(self, gradient: Array) -> float:
        """Return the largest derivative by the caller's own weights and bias."""
        return float(max(np.max(np.abs(part), initial=0.0) for part in self.user_gradient(gradient)))

    def sample(self, size: int, rng: np.random.Generator) -> LinearLoss:
        """Return the loss on about `size` rows, reweighted to match.

        Rare classes have at least 50 rows of theirs, or their part of `size` where classes are many.
        """
        n = len(self.targets)
        if n <= size:
            rows, weights = np.arange(n), self.weights
        else:
            chosen = np.zeros(n, dtype=bool)
            chosen[rng.choice(n, size, replace=False)] = True
            counts = np.bincount(self.targets, minlength=self.n_classes)
            wanted = np.minimum(
                counts, min(50, max(1, size // self.n_classes))
            )  # of thousands of classes: not all rows
            by_class = np.split(np.argsort(self.targets, kind="stable"), np.cumsum(counts)[:-1])
            for k in np.flatnonzero(np.bincount(self.targets[chosen], minlength=self.n_classes) < wanted):
                mine = by_class[k]
                chosen[mine] = False
                chosen[rng.choice(mine, wanted[k], replace=False)] = True
            rows = np.flatnonzero(chosen)
            sampled = self.weights[rows]
            drawn = np.bincount(self.targets[rows], sampled, minlength=self.n_classes)
            factor = np.divide(self.shares, drawn, out=np.zeros_like(drawn), where=drawn > 0)
            weights = sampled * factor[self.targets[rows]]
        return self.subset(rows, weights)

    @cached_property
    def squared_lengths(self) -> Array:
        """Squared length of each scaled row, with its one for the bias."""
        if self.compact is not None:
            lengths = self.compact.rows.squared_lengths(self.workers.threads)
            lengths += 1.0
            return lengths
        if not self.is_sparse and self.features.factor is None:
            return squared_lengths(self.dense_rows) + 1.0
        lengths = np.empty(len(self.targets))
        step = max(16, BLOCK_BYTES // (8 * self.features.n_features + 8))
        for span, block in self.features.spans():
            for first in range(0, block.shape[0], step):
                rows = self.features.dense(block[first : first + step])
                place = span.start + first
                lengths[place : place + len(rows)] = np.einsum("ij,ij->i", rows, rows) + 1.0
        return lengths

    def curved_sample(self, theta: Array, size: int, rng: np.random.Generator, *, one_block: bool = True) -> LinearLoss:
        """Return the loss on about `size` rows drawn by their share in the curvature at `theta`, reweighted to match.

        Where most rows are classified well, few carry the Hessian, and a uniform sample would miss them.
        """
        block_rows = None if one_block else self.features.block_rows
        n = len(self.targets)
        if n <= size:
            return self.subset(np.arange(n), self.weights, block_rows)
        chance = self.curvatures(theta)
        chance *= self.squared_lengths
        if self.unit_weight is None:
            chance *= self.weights
        chance *= 0.6 * size / max(float(chance.sum()), 1e-300)
        least, drawn = self._drawing_room  # fresh pages would take longer than the numbers in them
        chance += self._least_shares(size, least)
        rows = np.flatnonzero(rng.random(out=drawn) < chance)
        return self.subset(rows, self.weights[rows] / np.minimum(1.0, chance[rows]), block_rows)

    @cached_property
    def _drawing_room(self) -> Array:
        return np.empty((2, len(self.targets)))

    @cached_property
    def _class_sizes(self) -> npt.NDArray[np.int64]:
        return np.bincount(self.targets, minlength=self.n_classes)

    def _least_shares(self, size: int, out: Array) -> Array:
        """Return what a row's share of a sample is at least: by its weight, and so that rare classes stay whole."""
        own = 0.2 * size / (self.n_classes * np.maximum(self._class_sizes, 1))
        if self.unit_weight is not None:
            return np.take(own + 0.2 * size * self.unit_weight, self.targets, out=out, mode="clip")
        least = np.take(own, self.targets, out=out, mode="clip")
        least += 0.2 * size * self.weights
        return least

    def curvatures(self, theta: Array) -> Array:
        """Return one minus the sum of the squared probabilities of each row."""
        if self.compact is not None:
            return self.compact.curvatures(*self.split(theta))
        if not self.is_sparse:
            return curvatures(self.dense_rows, *self.own_columns(*self.split(theta)))
        curvature = np.empty(len(self.targets))

        def run(item: tuple[slice, Any]) -> None:
            chances = softmax(self.block_logits(item[1], theta))
            curvature[item[0]] = 1.0 - np.einsum("ik,ik->i", chances, chances)

        list(self.workers.map(run, list(self.features.spans())))
        return np.maximum(curvature, 0.0)

    def subset(self, rows: npt.NDArray[np.int64], weights: Array, block_rows: int | None = None) -> LinearLoss:
        """Return the loss on some rows, in ascending order, with other weights."""
        return replace(
            self,
            features=self.features.take(rows, block_rows),
            targets=self.targets[rows],
            weights=weights,
            watch_margin=False,
            margin=[-np.inf],
            passes=[0],
        )

    def condensed(self) -> LinearLoss:
        """Return the same loss on compact rows in float64 arithmetic, rows that are equal as one with all their weight.

        Sums, and bits, are those of one order of the rows.
        """
        if self.compact is None:
            return self
        first = first_of_equals(self.compact.rows, self.targets)
        rows = np.unique(first)
        weights = np.asarray(np.bincount(first, self.weights, minlength=len(first)), dtype=np.float64)[rows]
        found = self.subset(rows, weights, self.features.block_rows)
        return replace(found, watch_margin=self.watch_margin, passes=self.passes, wide=True)

    @cached_property
    def class_sums(self) -> Array:
        """Weighted sums of the scaled columns over the rows of each class, one row a row of the parameters."""
        if self.intercept and not self.is_sparse:  # columns are centred: at the start only the targets leave a gradient
            if self.compact is not None:
                return -self._weighed(self.compact.loss_and_gradient(*self.split(self.start()))).weight
            start = self.own_columns(*self.split(self.start()))
            found = self._weighed(loss_and_gradient(self.dense_rows, *start))
            return -self.features.finished(found.weight, found.bias)
        product, sums = np.zeros((self.n_rows, self.features.n_features)), np.zeros(self.n_rows)
        for span, block in self.features.spans():
            hot = np.zeros((block.shape[0], self.n_classes))
            hot[np.arange(len(hot)), self.targets[span]] = self.weights[span]
            hot = hot[:, 1:] if self.n_classes == 2 else hot
            product += self.features.product(hot, block)
            sums += hot.sum(axis=0)
        return self.features.finished(product, sums)


def row_losses(features: Any, targets: npt.NDArray[np.int64], weight: Array, bias: Array) -> Array:
    """Return the loss of each row at weights in the units of the features; one row of weights for two classes."""
    losses = np.empty(len(targets))
    rows = max(16, BLOCK_BYTES // (8 * features.shape[1] + 16 * len(weight)))
    for first in range(0, len(targets), rows):
        logits = np.asarray(features[first : first + rows].astype(np.float64, copy=False) @ weight.T) + bias
        if len(weight) == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        losses[first : first + rows] = cross_entropy(logits, targets[first : first + rows], reduction="none")
    return losses
