"""From raw data to a model: read this first. The story of the whole product, in the order in which it happens."""

from __future__ import annotations

import inspect
import sys
import time as clock
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass import __version__
from softclass.data.pixels import Constants
from softclass.errors import CheckFailedError, DataError, Notes, UsageError, shown
from softclass.estimators.threads import limited_threads
from softclass.model.backbone import Backbone
from softclass.model.choice import Choosing
from softclass.model.encoded import EncodedRows
from softclass.model.examined import Examined, Training, examine_test_part
from softclass.model.examples import (
    Examples,
    chosen_inputs,
    fingerprint,
    take_inputs,
)
from softclass.model.fitting import Fitted, Fitting, logits_of, n_features_of, outputs_of
from softclass.model.folds import cross_validate
from softclass.model.graph import build_graph
from softclass.model.interrupted_runs import InterruptedRun, held_signals
from softclass.model.limits import check_fail_under
from softclass.model.manifest import Manifest, make_sample
from softclass.model.model import Model
from softclass.model.network_fitting import FittedNet, NetworkFitting
from softclass.model.network_options import network_options
from softclass.model.odds_ratios import odds_ratios
from softclass.model.options import (
    check_types,
    class_weights,
    config_text,
    parse_duration,
    plain_number,
)
from softclass.model.planning import Progress, ToldNotes, TrainingPlan, look_for_leaks, make_plan, quiet
from softclass.model.run import Stopwatch, check_output, metrics_of, write_run
from softclass.model.session import Session
from softclass.model.warned import warn_of
from softclass.trust.temperature import Temperature, fit_temperature

Int64 = npt.NDArray[np.int64]

# The graph computes in float32: this much of the largest logit, no more, may separate it from the estimator.
LOGIT_TOLERANCE = 1e-4
COMPARED_ROWS = 256


def train(
    data: Any,
    target: Any = None,
    *,
    model: str = "auto",
    output: str | Path | None = None,
    overwrite: bool = False,
    report: bool = True,
    predictions: bool = True,
    seed: int = 0,
    rows: int = 0,
    test: float | None = None,
    test_data: Any = None,
    calibration: float | None = None,
    cv: int = 0,
    stratify: bool = True,
    group: str | None = None,
    time: str | None = None,
    split_column: str | None = None,
    number: Sequence[str] = (),
    category: Sequence[str] = (),
    boolean: Sequence[str] = (),
    datetime: Sequence[str] = (),
    drop: Sequence[str] = (),
    id: Sequence[str] = (),
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool = True,
    date_format: str | None = None,
    input_format: str | None = None,
    na_values: Sequence[str] = (),
    max_categories: int = 1000,
    bad_rows: str = "fail",
    drop_missing_target: bool = False,
    force_classes: bool = False,
    image_size: str | tuple[int, int] | None = None,
    channels: int | None = None,
    resize: str | None = None,
    follow_links: bool = False,
    class_weight: str | Mapping[Any, float] | None = None,
    sample_weight: str | npt.ArrayLike | None = None,
    C: float | str = "auto",
    l1_ratio: float = 0.0,
    max_iter: int = 1000,
    tol: float = 1e-4,
    hidden: str | Sequence[int] | None = None,
    architecture: str = "auto",
    augment: str | Sequence[str] | None = None,
    validation: float = 0.1,
    epochs: int | None = None,
    batch_size: int | None = None,
    patience: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    budget: str | float | None = None,
    device: str = "auto",
    backbone: str | Path | None = None,
    resume: str | Path | None = None,
    keep_checkpoints: bool = False,
    path: bool = False,
    odds_ratios: bool = False,
    calibrate: str = "auto",
    time_limit: str | float | None = None,
    memory_limit: str | float | None = None,
    fail_under: str | Mapping[str, float] | None = None,
    strict: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Model:
    """Train a softmax classifier on a table or a set of images, and calibrate and test it.

    The rows are cut into the parts fit, calibration and test. Everything that is learnt about the columns and the
    weights comes from fit; the temperature from calibration; the figures from test, by running the graph that is
    saved.

    Parameters
    ----------
    data : path, sequence of paths, data frame, Arrow table, mapping of columns, array, or images
        A CSV, Parquet or Arrow file; a folder or archive of images, IDX or NPZ files; or the same in memory.
    target : str or array of labels, optional
        Name of the label column; for arrays and images the labels themselves.
    model : {"auto", "softmax", "mlp", "cnn"}, default "auto"
        Softmax regression; a fully connected network, for tables; a convolutional network, for images. "auto" fits
        softmax regression first and then, from 500 fit rows on, the network, and keeps the network if its log loss on
        validation rows is lower by more than one standard error.
    output : path, optional
        Run directory to write; without it nothing is kept on disk.
    overwrite : bool, default False
        Replace the run directory `output` if softclass wrote it.
    report, predictions : bool, default True
        Whether the run directory gets ``report.html`` and ``predictions-test.parquet``.
    seed : int, default 0
        Decides the split and every other draw.
    rows : int, default 0
        Use a seeded sample of so many rows; 0 for all.
    test : float in [0, 1), optional
        Share of all rows kept for the test, by default 0.2.
    test_data : like `data`, optional
        The test rows, instead of a share.
    calibration : float in [0, 1), optional
        Share of the other rows kept for calibration, by default 0.15.
    cv : int, default 0
        Also estimate the metrics by so many folds over all rows but the test part; and judge C by so many folds of the
        fit part, which the report charts.
    stratify : bool, default True
        Whether the parts hold the classes in equal shares.
    group, time, split_column : str, optional
        Column whose equal cells stay in one part; column by which the latest rows become test; column that names the
        part of each row (fit, calibration, test).
    number, category, boolean, datetime, drop, id : sequence of str
        Columns whose kind is forced, that are left out, or that are left out but copied to the predictions.
    delimiter, decimal, thousands, encoding : str, optional
        How the text of a table is written; found out where not given, but for `thousands`, which nothing else shows.
    header : bool, default True
        Whether the first line holds the names of the columns.
    date_format : str, optional
        How dates are written, such as ``"%d/%m/%Y"``.
    input_format : {"csv", "arrow", "parquet"}, optional
        Format of the file, by default told by its content.
    na_values : sequence of str, optional
        Further words for a missing cell: ``"TOKEN"``, or ``"COLUMN=TOKEN"`` for one column.
    max_categories : int, default 1000
        Categories kept in a column; the rest count as other.
    bad_rows : {"fail", "skip"}, default "fail"
        What happens to rows with too many or too few fields.
    drop_missing_target, force_classes : bool, default False
        Leave out rows without a label; take a target that looks continuous.
    image_size : (height, width) or "HxW", optional
        Size of the images in the model.
    channels : {1, 3}, optional
        Grey or colour.
    resize : {"crop", "pad", "stretch"}, optional
        How images of other proportions are fitted; default "crop".
    follow_links : bool, default False
        Follow links that lead out of the image folder.
    class_weight : "balanced", mapping of label to weight, or path of a JSON file, optional
        Weights of the classes in the loss.
    sample_weight : str or array of shape (n_rows,), optional
        Weight of each row, or the column that holds it; counts in the loss and in the metrics.
    C : float > 0 or "auto", default "auto"
        Inverse strength of the penalty, as in scikit-learn; "auto" takes the best of 1e-3 ... 1e3 on held-out fit rows.
    l1_ratio : float in [0, 1], default 0
        Share of the absolute values of the weights in the penalty, as in scikit-learn: 0 squares only (ridge), 1
        absolute values only (lasso), which leaves weights that do not pay for themselves at exactly zero.
    max_iter : int, default 1000
        Largest number of iterations.
    tol : float, default 1e-4
        Relative suboptimality at which the solver stops.
    hidden : str or sequence of int, optional
        Widths of the hidden layers of a table's network, such as "256,256"; by default they follow from the rows.
    architecture : str, default "auto"
        "classic", "two", "two-hidden" or "fast-digits" for images, with PyTorch "deep" or "deep5"; "realmlp" for
        tables.
    augment : str or sequence of str, optional
        "none", or of "flip" and "shift": images are mirrored, or moved by at most two pixels. By default two short runs
        tell whether mirrored images help.
    validation : float, default 0.1
        Share of the fit rows, at most 5,000, by which the epochs of a network are judged.
    epochs, batch_size, patience : int, optional
        Passes over the rows; rows a step; epochs without a better one after which the run ends, by default a fifth of
        20 epochs or more.
    lr, weight_decay : float, optional
        Highest learning rate; weight decay.
    budget : float seconds or str such as "60s", optional
        Time for which the run of a network is planned. "auto" has 30 s for tables and 60 s for images.
    device : {"auto", "cpu", "cuda", "cuda:N", "mps"}, default "auto"
        Where networks are trained; "auto" is the compiled engine on the processor, the last three need PyTorch.
    backbone : path, optional
        A softclass model of images, of other classes as a rule: its layers are kept but for the last, which is fitted
        anew as softmax regression on what they make of these images. Size and channels are the model's.
    resume : path, optional
        Run directory of an interrupted run of the same data and options, to go on with it; instead of `output`.
    keep_checkpoints : bool, default False
        Leave the checkpoints beside the run directory.
    path : bool, default False
        Chart other strengths of the penalty in the report: the held-out log loss, and the strongest weights.
    odds_ratios : bool, default False
        Put a table of odds ratios with confidence intervals into the report, from a fit of their own without penalty.
        Weights of rows count as numbers of rows there, weights of classes not at all.
    calibrate : {"auto", "none", "temperature"}, default "auto"
        Fit a temperature; "auto" keeps it only if it lowers the cross-validated log loss.
    time_limit : float seconds or str such as "10m", optional
        Stop fitting in time and keep the best so far.
    memory_limit : float bytes or str such as "2GiB", optional
        Memory for the cells of the table and their features; beyond it both go to temporary files and are read from
        there in blocks. That changes no bit of the model, but for large tables of 3 to 32 classes of whose features
        most are zero: in memory those take sums of their own, and the weights agree within `tol`. By default half of
        the machine's memory.
    fail_under : mapping of metric to limit, or "accuracy=0.9,...", optional
        Raise if a metric is worse, after everything is written.
    strict : bool, default False
        Unreadable images are an error, and so is any note, after everything is written.
    threads : int, optional
        Threads of every pool.
    progress : callable (event, facts), optional
        Told what happens, step by step.

    Returns
    -------
    Model
        The calibrated model; the same bytes as ``model.onnx`` of the run directory.

    Raises
    ------
    UsageError, DataError, CheckFailedError, MachineError
        SC2xx for options, SC3xx for data, SC5xx for checks that failed, SC6xx for the machine.

    Examples
    --------
    >>> import softclass
    >>> from softclass.data import samples
    >>> model = softclass.train(samples.path("penguins.csv"), "species", calibration=0.25)
    >>> model.classes
    ('Adelie', 'Chinstrap', 'Gentoo')
    >>> model.evaluation.accuracy > 0.95
    True
    """
    given = {name: plain_number(value) for name, value in locals().items()}
    seed, cv, max_iter, max_categories = (given[name] for name in ("seed", "cv", "max_iter", "max_categories"))
    check_types(given, DEFAULTS)
    notes = ToldNotes(progress)
    say = progress or quiet
    watch = Stopwatch()
    limit = None if time_limit is None else clock.monotonic() + parse_duration(time_limit)
    given["output"] = output = resume if output is None else output
    run = None if output is None else check_output(output, overwrite=overwrite)
    with _limited(threads):
        planned = make_plan(given, DEFAULTS, notes, say)
        examples, parts, preprocessing = planned.examples, planned.parts, planned.preprocessing
        watch.lap("read")

        look_for_leaks(planned, notes)
        weights_of_classes = class_weights(class_weight, examples.classes, notes)
        unfinished = None if run is None or planned.kinds == ("softmax",) else InterruptedRun(run)
        choosing = _choosing(planned, given, weights_of_classes, limit, say, unfinished)
        folds = None
        if cv:
            within = np.sort(np.concatenate([parts.fit, parts.calibration]))
            if cv > len(within):
                raise UsageError("SC207", f"--cv must be at most {len(within):,}, the rows there are; got {cv}",
                                 where="train")  # fmt: skip
            fixed = preprocessing if isinstance(preprocessing, Backbone) else None
            folds = cross_validate(examples, within, choosing, cv, max_categories, fixed)
        fitted, choice = _fit(choosing, planned, notes, unfinished)
        constants, layers = fitted.parts
        say("fit", fitted.facts())
        more: dict[str, Any] = {"fit": {**fitted.facts(), "tried": fitted.tried_by_name()}}
        if folds is not None:
            more["cross_validation"] = {"folds": cv, **folds.to_dict(details=False)}
        if choice is not None:
            more["choice"] = choice
        if isinstance(fitted, FittedNet):
            more["learning"] = fitted.curves()
        if fitted.path is not None:
            more["path"] = fitted.path
        if odds_ratios:
            say("phase", {"name": "odds ratios", "done": 0, "total": None})
            more["odds_ratios"] = _odds_ratios(planned, max_iter)
        watch.lap("fit")

        # From here on only the graph speaks.
        def graph(temperature: float) -> bytes:
            names = examples.class_names()
            return build_graph(constants, layers, names, temperature=temperature, image=examples.spec)

        body = graph(1.0)
        session = Session(body, threads=threads)
        _check_same_logits(session, fitted, constants, examples, parts.fit[:COMPARED_ROWS])
        say("phase", {"name": "evaluating", "done": 0, "total": None})
        temperature = _calibrate(session, constants, examples, parts.calibration, calibrate, seed)
        say("calibration", {"temperature": temperature})
        if temperature.temperature != 1.0:
            body = graph(temperature.temperature)
            session = Session(body, threads=threads)
        examined = None
        if planned.tests is not None:
            outputs = outputs_of(session, constants, planned.tests.inputs)
            examined = examine_test_part(
                planned.tests, outputs, temperature.temperature, seed=seed, class_counts=examples.class_counts()
            )
        evaluation = None if examined is None else examined.evaluation
        say("test", {"evaluation": evaluation, "split": "test"})
        watch.lap("evaluate")

        manifest = Manifest.build(
            preprocessing=constants, schema=examples.schema, image=examples.spec, classes=examples.classes,
            layers=layers, temperature=temperature, evaluation=evaluation, notes=notes,
            parts={**planned.sizes, **planned.cut}, fit=fitted.stored(), kind=fitted.kind,
            sample=make_sample(constants, session, examples.spec),
            data={"rows": examples.n_rows, "sha256": fingerprint(examples)},
        )  # fmt: skip
        config = config_text(given, DEFAULTS, fitted.resolved(), __version__)
        training = Training(evaluation, tuple(notes), examined, examples.name, config, more)
        trained = Model.seal(body, manifest, threads=threads, training=training)
        if examined is not None:
            _check_file_repeats(trained, constants, examined)
        if run is not None:
            say("phase", {"name": "writing", "done": 0, "total": None})
            files = write_run(
                run, trained, overwrite=overwrite, config=config,
                metrics=metrics_of(trained, more), history=fitted.history, table=examples.table,
                predictions=None if examined is None or not predictions else examined.predictions(),
                with_report=report, command=" ".join(sys.argv), watch=watch,
            )  # fmt: skip
            if unfinished is not None and not keep_checkpoints:
                unfinished.remove()
            say("wrote", {"path": run, "files": files, "seconds": watch.total()})

    if progress is None:
        warn_of(notes)
    check_fail_under(None if evaluation is None else evaluation.to_dict(), fail_under)
    if strict and len(notes):
        raise CheckFailedError("SC503", f"no notes are allowed with strict; there were {len(notes)}", where="train")
    return trained


def plan(data: Any, target: Any = None, **options: Any) -> TrainingPlan:
    """Read and split as `train` would with the same options, and stop there: what ``--dry-run`` shows."""
    given = {**DEFAULTS, **options, "data": data, "target": target}
    check_types(given, DEFAULTS)
    progress = given["progress"]
    return make_plan(given, DEFAULTS, ToldNotes(progress), progress or quiet)


def _odds_ratios(planned: TrainingPlan, max_iter: int) -> dict[str, Any]:
    """Odds ratios on the rows of the fit part."""
    examples, rows = planned.examples, planned.parts.fit
    n_features = n_features_of(examples, planned.preprocessing)
    encoded = EncodedRows(planned.preprocessing, examples.inputs, rows, n_features)
    weights = None if examples.weights is None else examples.weights[rows]
    names = tuple(examples.class_names())
    return odds_ratios(encoded, examples.targets[rows], weights, names, max_iter=max_iter)


# Name and default of every option: what the command line repeats and a run records.
DEFAULTS: dict[str, Any] = {
    name: parameter.default
    for name, parameter in inspect.signature(train).parameters.items()
    if name not in ("data", "target")
}


def _limited(threads: int | None) -> AbstractContextManager[Any]:
    """Bound the threads of the linear algebra that NumPy calls."""
    if threads is None:
        return nullcontext()
    return limited_threads(threads)


def _choosing(
    planned: TrainingPlan,
    given: Mapping[str, Any],
    weights: Any,
    deadline: float | None,
    say: Progress,
    unfinished: InterruptedRun | None,
) -> Choosing:
    """How the classifier of this run is found."""
    softmax = Fitting(
        given["C"], given["tol"], given["max_iter"], weights, given["seed"], deadline, say,
        l1_ratio=given["l1_ratio"], memory_limit=planned.left_for_features, folds=given["cv"], with_path=given["path"],
    )  # fmt: skip
    task = "images" if planned.examples.images is not None else "table"
    options = network_options(given, task, planned=len(planned.kinds) > 1)
    if unfinished is not None and given["resume"] is not None:
        options = unfinished.planned(options)
    elif unfinished is not None:
        unfinished.begin(config_text(given, DEFAULTS, {}, __version__))
    network = NetworkFitting(
        options, weights, given["seed"], given["stratify"], deadline, given["threads"] or 0, say,
        checkpoints=None if unfinished is None else unfinished.folder, resume=given["resume"] is not None,
        keep_plan=None if unfinished is None else unfinished.keep_plan,
    )  # fmt: skip
    return Choosing(planned.kinds, softmax, network)


def _fit(
    choosing: Choosing, planned: TrainingPlan, notes: Notes, unfinished: InterruptedRun | None
) -> tuple[Fitted | FittedNet, dict[str, Any] | None]:
    """Fit; a run that can go on later is saved when it is interrupted."""
    if unfinished is None:
        return choosing.fit(planned.examples, planned.parts.fit, planned.preprocessing, notes)
    with held_signals() as interrupted:
        saved = replace(choosing, network=replace(choosing.network, interrupted=interrupted))
        found = saved.fit(planned.examples, planned.parts.fit, planned.preprocessing, notes)
        if interrupted():
            choosing.say("saved", {"run": unfinished.run, "folder": unfinished.folder})
    return found


def _check_same_logits(
    session: Session, fitted: Fitted | FittedNet, constants: Constants, examples: Examples, rows: Int64
) -> None:
    """The graph must give the logits of the estimator, up to the rounding of float32 (SC502)."""
    inputs = take_inputs(examples.inputs, rows)
    expected = fitted.logits(inputs)
    found = logits_of(session, constants, inputs)
    worst = float(np.max(np.abs(found - expected), initial=0.0))
    allowed = LOGIT_TOLERANCE * (1 + float(np.max(np.abs(expected), initial=0.0)))
    if not worst <= allowed:
        raise CheckFailedError(
            "SC502", f"the graph and the estimator must give the same logits; they differ by {worst:.3g}", where="train"
        )


def _check_file_repeats(model: Model, preprocessing: Constants, examined: Examined) -> None:
    """The sealed file must give the very logits that the figures were computed from (SC502)."""
    assert examined.inputs is not None  # noqa: S101 - in training they are there
    again = logits_of(model.session, preprocessing, examined.inputs)
    if again.tobytes() != examined.logits.tobytes():
        raise CheckFailedError("SC502", "the sealed file must repeat the tested logits bit for bit", where="train")


def _calibrate(
    session: Session, preprocessing: Constants, examples: Examples, rows: Int64, method: str, seed: int
) -> Temperature:
    if not len(rows):
        if method == "temperature":
            raise DataError(
                "SC371", "a temperature needs rows of its own, and none were kept for calibration",
                where=shown(examples.name), hint="Pass a share, such as --calibration 0.2",
            )  # fmt: skip
        reason = "no rows were kept for calibration; the logits stay as they are"
        return Temperature(1.0, "none", 0, {}, reason)
    logits = logits_of(session, preprocessing, chosen_inputs(examples.inputs, rows))
    weights = None if examples.weights is None else examples.weights[rows]
    return fit_temperature(logits, examples.targets[rows], sample_weight=weights, method=method, seed=seed)
