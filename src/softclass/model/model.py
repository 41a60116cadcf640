"""The model: one sealed ONNX file that answers, evaluates and explains itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from softclass.data.files import check_local_path
from softclass.data.likeness import like_given
from softclass.data.schema import Schema
from softclass.data.table import ReadOptions
from softclass.errors import (
    ModelFileError,
    Note,
    Notes,
    TableError,
    UsageError,
    shown,
)
from softclass.model.card import card_text
from softclass.model.examined import Training, examine_data, examined_of_run, told_of_run
from softclass.model.file import SEAL_BYTES, OpenedModel, open_model, refuse_unfinished, save_bytes, seal
from softclass.model.manifest import Manifest
from softclass.model.predictions import check_prediction_options, check_whole, prediction_table
from softclass.model.rows import RowBlock, read_rows, refuse_table_options
from softclass.model.run_files import CONFIG_FILE, METRICS_FILE, MODEL_FILE, PREDICTIONS_FILE
from softclass.model.session import Session
from softclass.model.warned import tell, warn_of
from softclass.trust.evaluation import Evaluation, evaluate
from softclass.trust.temperature import Temperature


def load(
    path: str | Path, *, digest: str | None = None, threads: int | None = None, notes: Notes | None = None
) -> Model:
    """
    Open a model file, or the model of a run directory.

    Parameters
    ----------
    path : path
        ``model.onnx``, or a directory that holds one.
    digest : str, optional
        The SHA-256 that the file must have, as ``softclass inspect`` shows it.
    threads : int, optional
        Threads of the runtime.
    notes : Notes, optional
        Collects what there is to say about the file; without it that becomes a warning.

    Returns
    -------
    Model
        Ready to predict.

    Raises
    ------
    PathError
        SC603, if there is no such file.
    ModelFileError
        SC401-SC407, if the file is not ours, damaged, newer or hostile; nothing of it is run.

    Examples
    --------
    >>> import softclass
    >>> softclass.load("no-such-model.onnx")
    Traceback (most recent call last):
    ...
    softclass.errors.PathError: [SC603] no-such-model.onnx: ...
    """
    if not isinstance(path, str | Path):
        message = f"a model is opened by its path; got the type {type(path).__name__}"
        raise UsageError("SC207", message, where="load")
    where = Path(path)
    if where.is_dir():
        if not (where / MODEL_FILE).exists():
            raise ModelFileError(
                "SC401", f"the directory holds no {MODEL_FILE}", where=shown(str(path)),
                hint="Pass a model file or a run directory of softclass train",
            )  # fmt: skip
        where = where / MODEL_FILE
    else:
        refuse_unfinished(where)
        check_local_path(path)
    opened = open_model(where, digest=digest)
    if notes is None:
        collected = Notes()
        tell(opened.notes, collected)
        warn_of(collected)
    else:
        tell(opened.notes, notes)
    model = Model(opened, threads=threads)
    model._belongs_to(where)
    return model


class Model:
    """A calibrated softmax classifier in one ONNX file.

    Made by :func:`softclass.train` and :func:`softclass.load`. Every probability comes out of the graph in the file;
    Python before and after it only reads, selects and formats.

    Attributes
    ----------
    classes : tuple of str, int or bool
        In the order of the probabilities.
    schema : Schema or None
        The columns of the table, None for images.
    kind : str
        The classifier, ``"softmax"``.
    evaluation : Evaluation or None
        Figures of the test part, None if nothing was held out.
    temperature : Temperature
        The calibration.
    notes : tuple of Note
        What was filled, merged, dropped or guessed in training.
    digest : str
        SHA-256 of the file's content, in hexadecimal.
    manifest : Manifest
        All facts in the file.

    Examples
    --------
    >>> import softclass
    >>> from softclass.data import samples
    >>> model = softclass.train(samples.path("digits.npz"), C=1.0)
    >>> model
    <softclass.Model softmax, 10 classes, digest ...>
    >>> model.predict_proba(samples.path("digits.npz")).shape
    (1797, 10)
    """

    def __init__(self, opened: OpenedModel, *, threads: int | None = None, training: Training | None = None) -> None:
        self.manifest = opened.manifest
        self.digest = opened.digest
        self._data = opened.data
        self._threads = threads
        self._session: Session | None = None
        # What training knew and the file does not hold; nothing of it if the file was read.
        self._evaluation = None if training is None else training.evaluation
        self._notes = None if training is None else training.notes
        self._examined = None if training is None else training.examined
        self._title = "model" if training is None else training.title
        self._config = None if training is None else training.config
        self._told = None if training is None else training.told
        self._run: Path | None = None
        self._file: Path | None = None

    @classmethod
    def seal(
        cls, body: bytes, manifest: Manifest, *, threads: int | None = None, training: Training | None = None
    ) -> Model:
        """
        Put the facts beside the graph, close the file and open it again as anyone would.

        Parameters
        ----------
        body : bytes
            The graph.
        manifest : Manifest
            Its facts.
        threads : int, optional
            Threads of the runtime.
        training : Training, optional
            What is known beyond the file.

        Returns
        -------
        Model
            Ready to predict.
        """
        return cls(open_model(seal(body, manifest)), threads=threads, training=training)

    def __reduce__(self) -> tuple[object, ...]:
        return _from_bytes, (self._data,)

    def __repr__(self) -> str:
        return f"<softclass.Model {self.kind}, {len(self.classes)} classes, digest {self.digest[:12]}>"

    @property
    def classes(self) -> tuple[str | int | bool, ...]:
        """Labels in the order of the probabilities, in the type they had in training."""
        return tuple(label.value for label in self.manifest.classes)

    @property
    def schema(self) -> Schema | None:
        """The columns of the table; None for images."""
        return self.manifest.schema() if self.manifest.task == "table" else None

    @property
    def kind(self) -> str:
        """The classifier."""
        return self.manifest.kind

    @property
    def temperature(self) -> Temperature:
        """The calibration."""
        return self.manifest.temperature()

    @property
    def evaluation(self) -> Evaluation | None:
        """Figures of the test part as training found them; None if nothing was held out.

        Of a model of more than 100 classes that was read from a file, the figures stand in ``manifest.evaluation``.
        """
        facts = self.manifest.evaluation
        if self._evaluation is None and facts is not None and "reliability" in facts:
            self._evaluation = Evaluation.from_dict(dict(facts))
        return self._evaluation

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was filled, merged, dropped or guessed in training."""
        return self._notes if self._notes is not None else tuple(self.manifest.notes_read())

    def _belongs_to(self, path: Path) -> None:
        """Remember the run directory that the file stands in, whose tested rows and configuration a report shows."""
        self._file, self._title = path, path.stem
        run = path.absolute().parent
        if path.name == MODEL_FILE and (run / CONFIG_FILE).is_file():
            self._run, self._title = run, run.name
            self._config = (run / CONFIG_FILE).read_text(encoding="utf-8")

    @property
    def body(self) -> bytes:
        """The ONNX model with its facts, without the seal."""
        return self._data[:-SEAL_BYTES]

    @property
    def session(self) -> Session:
        """The graph, ready to run; made on first use."""
        if self._session is None:
            self._session = Session(self._data, threads=self._threads)
        return self._session

    def predict(self, data: Any) -> npt.NDArray[Any]:
        """
        Return the most probable label of each row.

        Parameters
        ----------
        data : path, data frame, mapping of columns, array or images
            As in training; columns are matched by name, and a label column may be there or not.

        Returns
        -------
        array of shape (n_rows,)
            Labels in the type they had in training.

        Raises
        ------
        DataError
            SC3xx, if the rows do not fit the model.
        """
        best = self.predict_logits(data).argmax(axis=1)
        labels: npt.NDArray[Any] = np.array(self.classes, dtype=object if isinstance(self.classes[0], str) else None)
        found: npt.NDArray[Any] = labels[best]
        return found

    def predict_proba(self, data: Any) -> npt.NDArray[np.float32]:
        """
        Return the calibrated probability of each class.

        Parameters
        ----------
        data : path, data frame, mapping of columns, array or images
            As in :meth:`predict`.

        Returns
        -------
        float32 array of shape (n_rows, n_classes)
            Rows sum to 1; the order is that of `classes`.

        Raises
        ------
        DataError
            SC3xx, if the rows do not fit the model.
        """
        return self._outputs(data)[1]

    def predict_logits(self, data: Any) -> npt.NDArray[np.float32]:
        """
        Return the calibrated logits, of which the probabilities are the softmax.

        Parameters
        ----------
        data : path, data frame, mapping of columns, array or images
            As in :meth:`predict`.

        Returns
        -------
        float32 array of shape (n_rows, n_classes)
            In the order of `classes`.

        Raises
        ------
        DataError
            SC3xx, if the rows do not fit the model.
        """
        return self._outputs(data)[0]

    def _outputs(self, data: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        notes = Notes()
        outputs = [self.session.run(rows.feeds) for rows in read_rows(data, self.manifest, ReadOptions(), notes)]
        warn_of(notes)
        empty = np.zeros((0, len(self.classes)), dtype=np.float32)
        logits = np.concatenate([output.logits for output in outputs] or [empty])
        return logits, np.concatenate([output.probabilities for output in outputs] or [empty])

    def predict_batches(
        self,
        data: Any,
        *,
        batch_rows: int | None = None,
        proba: bool = True,
        top_k: int | None = None,
        logits: bool = False,
        ids: Sequence[str] | None = None,
        keep: str | Sequence[str] = "none",
        rename: Mapping[str, str] | None = None,
        unseen: str = "other",
        read: ReadOptions | None = None,
        notes: Notes | None = None,
        rejects: list[tuple[int, str]] | None = None,
    ) -> Iterator[Any]:
        """
        Yield predictions block by block as Arrow tables, without holding the data in memory.

        Parameters
        ----------
        data : path, data frame, mapping of columns, array or images
            As in :meth:`predict`; ``"-"`` is standard input.
        batch_rows : int, optional
            Rows in a block; never changes a value. Default 8192, images 256.
        proba : bool, default True
            Whether ``proba_<class>`` is among the columns.
        top_k : int, optional
            The best classes instead of all.
        logits : bool, default False
            Whether ``logit_<class>`` is among the columns.
        ids : sequence of str, optional
            Columns that name the rows; by default those of the model that the data have.
        keep : "none", "all", or names
            Further columns to copy.
        rename : mapping of name in the data to name in the model, optional
            Columns that are called otherwise.
        unseen : {"other", "fail"}
            What a category never seen in training means.
        read : ReadOptions, optional
            How to read a file; found out where not given.
        notes : Notes, optional
            Collects the notes; without it they become warnings.
        rejects : list, optional
            Receives line and text of rows left out by ``bad_rows="skip"`` of `read`.

        Yields
        ------
        pyarrow.Table
            One row an input row, in order.

        Raises
        ------
        DataError
            SC3xx, if the rows do not fit the model.
        """
        check_prediction_options(top_k, proba, unseen, batch_rows, rename)
        collected = Notes() if notes is None else notes
        if self.manifest.task == "images":
            refuse_table_options(id=ids, keep=None if keep == "none" else keep)
        for rows in read_rows(
            data, self.manifest, read or ReadOptions(), collected,
            batch_rows=batch_rows, rename=rename, unseen=unseen, rejects=rejects,
        ):  # fmt: skip
            outputs = self.session.run(rows.feeds)
            yield prediction_table(
                outputs.logits, outputs.probabilities, [label.name for label in self.manifest.classes],
                rows.leading(self._ids(rows, ids), keep), proba=proba, top_k=top_k, with_logits=logits,
            )  # fmt: skip
        if notes is None:
            warn_of(collected)

    def _ids(self, rows: RowBlock, ids: Sequence[str] | None) -> Sequence[str]:
        if ids is not None or rows.table is None:
            return ids or ()
        return [name for name in self.manifest.schema().ids if name in rows.table.columns]

    def predict_frame(self, data: Any, **options: Any) -> Any:
        """
        Return the columns of the prediction file as a frame of the kind that was given.

        Parameters
        ----------
        data : path, data frame, mapping of columns, array or images
            As in :meth:`predict`.
        **options
            As in :meth:`predict_batches`.

        Returns
        -------
        data frame
            Of pandas (with its index), polars or Arrow as given; an Arrow table for everything else.

        Raises
        ------
        DataError
            SC3xx, if the rows do not fit the model.
        """
        blocks = list(self.predict_batches(data, **options))
        return like_given(blocks, data)

    def evaluate(
        self,
        data: Any,
        *,
        target: str | None = None,
        by: str | None = None,
        bootstrap: int = 1000,
        seed: int = 0,
        read: ReadOptions | None = None,
        notes: Notes | None = None,
        keep_predictions: list[Any] | None = None,
    ) -> Evaluation:
        """
        Measure the model on labelled rows.

        Parameters
        ----------
        data : path, data frame, mapping of columns or images
            With labels; a label the model does not know counts as wrong, with probability 0.
        target : str, optional
            Name of the label column if it is not that of training.
        by : str, optional
            Also give the figures for each value of this column.
        bootstrap : int, default 1000
            Resamples behind the intervals; 0 for none.
        seed : int, default 0
            Of the resamples.
        read : ReadOptions, optional
            How to read a file; found out where not given.
        notes : Notes, optional
            Collects the notes; without it they become warnings.
        keep_predictions : list, optional
            Receives one Arrow table a block, with the columns `target` and `loss`.

        Returns
        -------
        Evaluation
            All figures, with 95 % intervals.

        Raises
        ------
        DataError
            SC3xx, if the rows do not fit the model or have no label; SC301 if there are none.
        """
        check_whole("--bootstrap", bootstrap, lowest=0)
        for option, name in (("target", target), ("by", by)):
            if name is not None and not isinstance(name, str):
                message = f"--{option} must be the name of a column; got the type {type(name).__name__}"
                raise UsageError("SC207", message, where="evaluate")
        collected = Notes() if notes is None else notes
        if self.manifest.task == "images":
            refuse_table_options(by=by)
        logits, targets, groups = [], [], []
        names = [label.name for label in self.manifest.classes]
        for rows in read_rows(data, self.manifest, read or ReadOptions(), collected, target=target, labelled=True):
            outputs = self.session.run(rows.feeds)
            assert rows.targets is not None  # noqa: S101 - asked for
            logits.append(outputs.logits)
            targets.append(rows.targets)
            if by is not None:
                groups.append(np.array(rows.cells(by), dtype=object))
            if keep_predictions is not None:
                keep_predictions.append(prediction_table(
                    outputs.logits, outputs.probabilities, names, rows.leading(self._ids(rows, None), "none"),
                    targets=rows.targets, target_names=rows.target_names,
                ))  # fmt: skip
        if notes is None:
            warn_of(collected)
        if not sum(map(len, targets)):
            raise TableError("SC301", "there are no rows to evaluate", where=_title_of(data))
        return evaluate(
            np.concatenate(logits), np.concatenate(targets), names, temperature=self.temperature.temperature,
            bootstrap=bootstrap, seed=seed, split="evaluate", by=np.concatenate(groups) if groups else None,
        )  # fmt: skip

    def report(
        self,
        path: str | Path,
        *,
        data: Any = None,
        lang: str = "en",
        examples: bool = True,
        overwrite: bool = True,
        notes: Notes | None = None,
    ) -> Path:
        """
        Write the report: one HTML file that needs nothing else.

        Parameters
        ----------
        path : path
            Where to write it.
        data : path, data frame or images, optional
            Labelled rows to report on; without it, the figures of training.
        lang : {"en", "zh"}, default "en"
            Language of the page.
        examples : bool, default True
            Whether rows or images of the data are shown.
        overwrite : bool, default True
            Replace a file that is there.
        notes : Notes, optional
            Collects the notes about `data`; without it they become warnings.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        UsageError, PathError
            SC205, if it would replace the model or the data; SC604, if it cannot be written.
        """
        from softclass.model.story import report_facts  # the report room loads when a report is wanted
        from softclass.report.html import write_report

        examined, title = self._examined, self._title
        if data is not None:
            examined, title = examine_data(self.session, self.manifest, data, _title_of(data), notes), _title_of(data)
        elif examined is None and self._run is not None and (self._run / PREDICTIONS_FILE).is_file():
            names = [label.name for label in self.manifest.classes]
            examined = examined_of_run(
                self._run / PREDICTIONS_FILE, names, self.evaluation, self.temperature.temperature
            )
        told = told_of_run(self._run / METRICS_FILE) if self._told is None and self._run is not None else self._told
        facts = report_facts(self, examined, examples=examples, title=title, config=self._config, told=told or {})
        inputs = [name for name in (self._file, data) if isinstance(name, str | Path)]
        return write_report(facts, path, lang=lang, overwrite=overwrite, inputs=inputs)

    def card(self) -> str:
        """
        Return the facts of the model as text for people, in Markdown.

        Returns
        -------
        str
            Markdown.
        """
        return card_text(self)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """
        Write the model file; what stood there stays intact until the new file is complete.

        Parameters
        ----------
        path : path
            Of the file; the suffix is usually ``.onnx``.
        overwrite : bool, default False
            Replace a file that is there.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        UsageError
            SC204, if something is there and may not be replaced.
        PathError
            SC604, if it cannot be written.
        """
        return save_bytes(path, self._data, overwrite=overwrite)

    def to_bytes(self) -> bytes:
        """
        Return the bytes of the model file.

        Returns
        -------
        bytes
            What :meth:`save` writes.
        """
        return self._data


def _title_of(data: Any) -> str:
    """What a page calls data that may be a path or an object in memory."""
    return Path(data).name if isinstance(data, str | Path) else type(data).__name__


def _from_bytes(data: bytes) -> Model:
    return Model(open_model(data))
