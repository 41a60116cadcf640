"""Which classifier is fitted: softmax regression, a network, or the better of both, the simpler one on a tie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.pixels import Constants
from softclass.errors import Notes
from softclass.estimators.network_fitting import scaled_log_loss
from softclass.model.backbone import Backbone
from softclass.model.encoded import AnyPreprocessing
from softclass.model.examples import Examples, take_inputs
from softclass.model.fitting import Fitted, Fitting
from softclass.model.network_fitting import FittedNet, NetworkFitting
from softclass.model.warned import tell
from softclass.networks.engine import Rows
from softclass.trust.metrics import row_log_losses

Int64 = npt.NDArray[np.int64]

CHOICE_SHARE = 0.15  # of the budget of a network, for the choice of C of softmax regression before it


@dataclass(frozen=True)
class Candidate:
    """A classifier that was tried, judged on rows that it has not seen.

    Attributes
    ----------
    kind : str
        "softmax", "mlp" or "cnn".
    log_loss : float
        After the single best temperature, in nats.
    accuracy : float
        Share of the rows whose class it names.
    seconds : float
        Wall time.
    """

    kind: str
    log_loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class Choosing:
    """
    How this run finds its classifier.

    Attributes
    ----------
    kinds : tuple of str
        What is tried, the simpler first.
    softmax : Fitting
        How softmax regression is fitted.
    network : NetworkFitting
        How networks are fitted.
    """

    kinds: tuple[str, ...]
    softmax: Fitting
    network: NetworkFitting

    @property
    def seed(self) -> int:
        """Decides every draw."""
        return self.softmax.seed

    def say(self, event: str, facts: dict[str, Any]) -> None:
        """Tell what happens."""
        self.softmax.say(event, facts)

    def fit(
        self, examples: Examples, rows: Int64, preprocessing: AnyPreprocessing, notes: Notes
    ) -> tuple[Fitted | FittedNet, dict[str, Any] | None]:
        """
        Fit, and if there are two to choose from say how each did.

        Parameters
        ----------
        examples : Examples
            The data.
        rows : int64 array
            The fit part.
        preprocessing : Preprocessing or PixelPreprocessing
            With its constants.
        notes : Notes
            Told of what happened.

        Returns
        -------
        fitted : Fitted or FittedNet
            The classifier.
        choice : dict or None
            What was tried and why this one was taken.
        """
        if self.kinds == ("softmax",):
            return self.softmax.fit(examples, rows, preprocessing, notes), None
        assert not isinstance(preprocessing, Backbone)  # noqa: S101 - only softmax regression stands behind one
        if len(self.kinds) == 1:
            return self.network.fit(examples, rows, preprocessing, notes), None
        return self._better(examples, rows, preprocessing, notes)

    def quiet(self) -> Choosing:
        """Return the same without words to the user, checkpoints and charts."""
        return replace(self, softmax=self.softmax.quiet(), network=self.network.quiet())

    def _better(
        self, examples: Examples, rows: Int64, preprocessing: Constants, notes: Notes
    ) -> tuple[Fitted | FittedNet, dict[str, Any] | None]:
        """Fit softmax regression without the validation rows, then a network; keep the network if it is better."""
        own = self.network.preprocessing(examples, rows, preprocessing)
        cut = self.network.rows(examples, rows, own)
        if cut.validation is None:
            return self.softmax.fit(examples, rows, preprocessing, notes), None
        say = self.network.say
        inside = rows[~np.isin(rows, cut.kept)]
        simple_notes, network_notes = Notes(), Notes()
        budget = self.network.options.budget
        seconds = None if budget is None else CHOICE_SHARE * budget
        quick = replace(self.softmax, folds=0, with_path=False, seconds_for_choice=seconds)
        simple = quick.fit(examples, inside, preprocessing, simple_notes)
        logits = simple.logits(take_inputs(examples.inputs, cut.kept))
        first, losses = _judged("softmax", logits, cut.validation, simple.seconds)
        say("candidate", {**vars(first), "rows": len(cut.kept)})
        network = self.network.fit_rows(cut, examples, own, network_notes)
        found = network.logits_of_rows(cut.validation)
        second, network_losses = _judged(self.kinds[1], found, cut.validation, network.seconds)
        say("candidate", {**vars(second), "rows": len(cut.kept)})
        weight = cut.validation.weight
        gain, error = _mean_and_error(losses - network_losses, weight)
        is_network = gain > error
        verdict = "lower by more" if is_network else "not lower by more"
        choice = {
            "tried": {one.kind: dict(vars(one)) for one in (first, second)},
            "chosen": second.kind if is_network else "softmax",
            "gain": gain,
            "standard_error": error,
            "reason": f"the log loss of {second.kind} on {len(cut.kept):,} validation rows is {verdict} than one "
            f"standard error, {error:.2g}",
        }
        say("choice", choice)
        if is_network:
            tell(network_notes, notes)
            return network, choice
        # The validation rows are no longer needed for judging.
        again = replace(self.softmax, C=simple.C)
        return replace(again.fit(examples, rows, preprocessing, notes), tried=simple.tried), choice


def _judged(
    kind: str, logits: npt.NDArray[Any], rows: Rows, seconds: float
) -> tuple[Candidate, npt.NDArray[np.float64]]:
    """Return what logits are worth, and the loss of each row after the temperature."""
    score = scaled_log_loss(logits.astype(np.float32), rows.targets, rows.weight)
    losses = row_log_losses(logits.astype(np.float64) / score.temperature, rows.targets.astype(np.int64))
    return Candidate(kind, score.value, score.accuracy, seconds), losses


def _mean_and_error(values: npt.NDArray[np.float64], weight: npt.NDArray[Any] | None) -> tuple[float, float]:
    """Return the weighted mean and its standard error."""
    weights = np.ones(len(values)) if weight is None else weight.astype(np.float64)
    share = weights / weights.sum()
    mean = float(share @ values)
    return mean, float(np.sqrt(np.square(share) @ np.square(values - mean)))
