"""The last linear layer of a PyTorch network together with its loss, for training loops of one's own."""

from __future__ import annotations

from typing import Any

from softclass.errors import MissingExtraError, ShapeError
from softclass.functions import formula, reference
from softclass.functions.checks import check_reduction
from softclass.functions.linear_cross_entropy import Checked, checked_linear, linear_cross_entropy
from softclass.functions.namespaces import TORCH, wide_float

try:
    import torch
except ModuleNotFoundError as _reason:
    raise MissingExtraError(
        "SC601",
        "LastLayer is a PyTorch module; PyTorch is not installed",
        where="LastLayer",
        hint="Install it: pip install 'softclass[torch]'",
    ) from _reason

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BLOCK_LOGITS = 1 << 24  # of a block, where there is no compiled pass


class LastLayer(nn.Module):
    r"""
    A linear layer and its cross-entropy in one module: the logits of a batch are never stored while it trains.

    Called with targets it returns the loss, without them the logits. Parameters have the names, shapes and start
    values of `torch.nn.Linear`, so that the state of a trained `Linear` head loads, and the other way round.

    Parameters
    ----------
    in_features : int
        Features of a row.
    out_features : int
        Classes.
    bias : bool, default=True
        Whether a learned number is added to every logit.
    class_weight : array of shape (out_features,), optional
        Weights of the classes, kept in the type of the parameters; not part of the state.
    ignore_index : int, optional
        Rows with this class index are not there.
    label_smoothing : float, default=0.0
        Share of every target that is spread evenly over the classes. It spoils the probabilities.
    reduction : {"mean", "sum", "none"}, default="mean"
        How the losses of the rows are put together; "mean" divides by the sum of their weights.
    device : torch.device, optional
        Where the parameters lie.
    dtype : torch.dtype, optional
        Type of the parameters.

    Attributes
    ----------
    weight : Parameter of shape (out_features, in_features)
        One row a class.
    bias : Parameter of shape (out_features,), or None
        Added to the logits.

    Raises
    ------
    OptionError
        SC141, for another `reduction`.
    ShapeError
        SC101, if there is not one class weight a class.

    See Also
    --------
    linear_cross_entropy : The loss as a function.

    Notes
    -----
    Memory is that of parameters, features, their gradients, and blocks of bounded size: no array of shape
    (rows, out_features) is made, neither forward nor backward. On the CPU that is the work of one compiled pass; on
    other devices the logits of a block of rows are made a second time on the way back. Under `torch.autocast` the layer
    computes in the type of its parameters: half-precision features are widened.

    Examples
    --------
    >>> import torch
    >>> from softclass import LastLayer
    >>> head = LastLayer(4, 50_000)
    >>> features, targets = torch.ones(8, 4), torch.arange(8)
    >>> head(features, targets).backward()
    >>> head.weight.grad.shape, head(features).shape
    (torch.Size([50000, 4]), torch.Size([8, 50000]))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        class_weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_reduction("LastLayer", reduction)
        self.in_features, self.out_features = in_features, out_features
        self.ignore_index, self.label_smoothing, self.reduction = ignore_index, label_smoothing, reduction
        # Its parameters are taken over: they start where those of a `Linear` start, drawn in the same order.
        linear = nn.Linear(in_features, out_features, bias=bias, device=device, dtype=dtype)
        self.weight, self.bias = linear.weight, linear.bias
        # An array of NumPy holds float64 where nobody chose it, which not every device has.
        kind = self.weight.dtype
        weights = None if class_weight is None else torch.as_tensor(class_weight, dtype=kind, device=device)
        if weights is not None and weights.shape != (out_features,):
            rule = f"`class_weight` must hold one number a class, {out_features}; got the shape {tuple(weights.shape)}"
            raise ShapeError("SC101", rule, where="LastLayer")
        self.register_buffer("class_weight", weights, persistent=False)

    def forward(self, features: Tensor, targets: Tensor | None = None, sample_weight: Tensor | None = None) -> Tensor:
        """
        Return the loss, or without targets the logits.

        Parameters
        ----------
        features : float tensor of shape (..., in_features)
            In the type of the parameters.
        targets : int tensor of shape (...) or float tensor of shape (..., out_features), optional
            Class indices in [0, out_features), or distributions.
        sample_weight : tensor of shape (...), optional
            Weights of the rows. A row of weight 0 has no influence.

        Returns
        -------
        Tensor
            With targets a loss: one number, or of shape (...) with the reduction "none". Without them logits of shape
            (..., out_features).

        Raises
        ------
        ShapeError, DTypeError, TargetError, OptionError
            As `linear_cross_entropy` does; SC101 also for sample weights without targets.
        """
        if targets is None:
            if sample_weight is not None:
                raise ShapeError("SC101", "`sample_weight` weighs losses; got no `targets`", where="LastLayer")
            return nn.functional.linear(features, self.weight, self.bias)
        leading, kind = features.shape[:-1], features.device.type
        is_mixed = torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False):
            loss = self._loss(
                (features.to(self.weight.dtype) if is_mixed else features).reshape(-1, features.shape[-1]),
                targets.reshape(-1, *targets.shape[len(leading) :]),
                None if sample_weight is None else sample_weight.reshape(-1),
            )
        return loss.reshape(leading) if self.reduction == "none" else loss

    def _loss(self, features: Tensor, targets: Tensor, sample_weight: Tensor | None) -> Tensor:
        """Return the loss of rows; the compiled pass of the CPU has blocks of its own."""
        at_once = max(1, BLOCK_LOGITS // self.out_features)
        if features.device.type != "cpu" and len(features) > at_once:
            where, weights = "LastLayer", (sample_weight, self.class_weight)
            options = (self.ignore_index, self.label_smoothing, self.reduction)
            checked = checked_linear(where, features, self.weight, targets, self.bias, *weights, *options)
            return loss_in_blocks(checked, at_once)
        loss: Tensor = linear_cross_entropy(
            features,
            self.weight,
            targets,
            bias=self.bias,
            sample_weight=sample_weight,
            class_weight=self.class_weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )
        return loss

    def extra_repr(self) -> str:
        """
        Return what stands between the brackets when the module is printed.

        Returns
        -------
        str
            Sizes, and the options that are not at their defaults.
        """
        facts = [f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"]
        if self.class_weight is not None:
            facts.append("class_weight=given")
        for name, default in (("ignore_index", None), ("label_smoothing", 0.0), ("reduction", "mean")):
            if (value := getattr(self, name)) != default:
                facts.append(f"{name}={value!r}")
        return ", ".join(facts)


def loss_in_blocks(checked: Checked, at_once: int) -> Tensor:
    """
    Return a linear loss made of blocks of rows, each of which forgets its logits and makes them again when needed.

    Parameters
    ----------
    checked : Checked
        The arguments of `linear_cross_entropy`.
    at_once : int
        Rows of a block.

    Returns
    -------
    Tensor
        The loss, as `linear_cross_entropy` gives it.
    """
    features, targets, sample_weight = checked.features, checked.targets, checked.sample_weight
    reduction, n_classes = checked.reduction, checked.weight.shape[0]

    def block(x: Tensor, t: Tensor, w: Tensor | None) -> Tensor:
        part = checked._replace(features=x, targets=t, sample_weight=w)
        found: Tensor = reference.linear_cross_entropy(
            *part._replace(reduction="none" if reduction == "none" else "sum")
        )
        return found

    def omega_of(x: Tensor, t: Tensor, w: Tensor | None) -> Tensor:
        rest = (w, checked.class_weight, checked.ignore_index)
        found: Tensor = formula.weighed(TORCH, x, n_classes, t, -1, *rest).omega
        return found

    weights = [None] * -(-len(features) // at_once) if sample_weight is None else sample_weight.split(at_once)
    blocks = list(zip(features.split(at_once), targets.split(at_once), weights, strict=True))
    parts = [checkpoint(block, *rows, use_reentrant=False, preserve_rng_state=False) for rows in blocks]
    if reduction == "none":
        return torch.cat(parts)
    sums, omega = torch.stack(parts).to(wide_float(TORCH, features)), torch.cat([omega_of(*rows) for rows in blocks])
    loss: Tensor = formula.reduced(TORCH, sums, omega, reduction, parts[0].dtype)
    return loss
