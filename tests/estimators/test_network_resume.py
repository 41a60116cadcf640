"""A run that was killed goes on to the same bytes, wherever the kill fell."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from softclass.errors import ModelFileError, UsageError
from softclass.estimators import checkpoint
from softclass.estimators.softmax_cnn import SoftmaxCNN
from softclass.estimators.softmax_mlp import SoftmaxMLP

X, Y = load_digits(return_X_y=True)
EPOCHS = 12

# Trains with a checkpoint after every epoch and writes all weights and curves; goes on from what it finds.
SCRIPT = f"""
import sys
from pathlib import Path
import numpy as np
from sklearn.datasets import load_digits
from softclass.estimators import checkpoint
from softclass.estimators.softmax_mlp import SoftmaxMLP
checkpoint.EVERY_S = 0.0
X, y = load_digits(return_X_y=True)
print("begun", flush=True)
model = SoftmaxMLP(hidden_layer_sizes=(64,), epochs={EPOCHS}, dropout=0.1, patience=None, n_jobs=1)
model.fit_watched(X, y, checkpoints=sys.argv[1], resume=True)
rows = [[row[name] for name in sorted(row) if name not in ("seconds", "rows_per_s")] for row in model.history_]
result = b"".join(array.tobytes() for array in model.parameters().values()) + repr((rows, model.best_epoch_)).encode()
Path(sys.argv[2]).write_bytes(result)
"""


def _run(folder: Path, result: Path, kill_after: float | None = None) -> float | None:
    """Train in a process of its own; return the seconds that training took, None if it did not come to its end."""
    command = [sys.executable, "-c", SCRIPT, str(folder), str(result)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        began = time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            process.kill()
        process.wait()
    return time.monotonic() - began if process.returncode == 0 else None


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """What an undisturbed run gives, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole")
    seconds = _run(folder / "checkpoints", folder / "result")
    assert seconds is not None
    return (folder / "result").read_bytes(), seconds


def _killed_and_resumed(tmp_path: Path, moments: list[float]) -> tuple[bytes, int]:
    """Kill a run at each of the moments, then let it end; return its result and how many kills fell into training."""
    kills = 0
    for moment in moments:
        if _run(tmp_path / "checkpoints", tmp_path / "result", moment) is None:
            kills += (tmp_path / "checkpoints").is_dir()
    (tmp_path / "result").unlink(missing_ok=True)
    assert _run(tmp_path / "checkpoints", tmp_path / "result") is not None
    return (tmp_path / "result").read_bytes(), kills


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, whole):
    expected, seconds = whole
    draws = random.Random(1)
    moments = [draws.uniform(0.1, 0.5) * seconds for _ in range(2)]

    result, kills = _killed_and_resumed(tmp_path, moments)

    assert result == expected
    assert kills > 0


@pytest.mark.slow
def test_fifty_killed_runs_go_on_to_the_same_bytes(tmp_path, whole):
    expected, seconds = whole
    draws = random.Random(2)
    results, kills = [], 0
    for attempt in range(50):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        result, fell = _killed_and_resumed(folder, [draws.uniform(0.0, 1.0) * seconds])
        results.append(result == expected)
        kills += fell

    assert results == [True] * 50
    assert kills > 10  # about 40, fewer where the machine is faster now than when `whole` was timed


def _stop_after(polls: int):
    asked = []
    return lambda: len(asked.append(None) or asked) > polls


@pytest.mark.parametrize("model", [SoftmaxMLP(epochs=6, n_jobs=1), SoftmaxCNN(epochs=6, n_jobs=1)], ids=["mlp", "cnn"])
@pytest.mark.parametrize("polls", [0, 2, 4])
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path, model, polls):
    pixels = X.reshape(-1, 8, 8).astype(np.uint8) if isinstance(model, SoftmaxCNN) else X
    expected = model.fit(pixels, Y).parameters()

    model.fit_watched(pixels, Y, checkpoints=tmp_path, should_stop=_stop_after(polls))
    stopped = len(model.history_)
    model.fit_watched(pixels, Y, checkpoints=tmp_path, resume=True)

    assert stopped < 6 == len(model.history_)
    assert {name: array.tobytes() for name, array in expected.items()} == {
        name: array.tobytes() for name, array in model.parameters().items()
    }


def test_without_resume_a_run_begins_anew(tmp_path):
    model = SoftmaxMLP(epochs=3, n_jobs=1)
    seen = []
    model.fit_watched(X, Y, checkpoints=tmp_path)

    model.set_params(callbacks=[lambda row: seen.append(row["epoch"])]).fit_watched(X, Y, checkpoints=tmp_path)

    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"epochs": 4},
        {"learning_rate": 0.1},
        {"hidden_layer_sizes": (7,)},
        {"class_weight": {1: 2}},
    ],
    ids=str,
)
def test_a_run_of_other_settings_is_not_gone_on_with(tmp_path, change):
    SoftmaxMLP(epochs=3, n_jobs=1).fit_watched(X, Y, checkpoints=tmp_path)

    with pytest.raises(ModelFileError, match=re.escape("the checkpoint belongs to other data or other settings")):
        SoftmaxMLP(**({"epochs": 3, "n_jobs": 1} | change)).fit_watched(X, Y, checkpoints=tmp_path, resume=True)


def test_resume_without_checkpoints_is_refused():
    with pytest.raises(UsageError, match=re.escape("[SC202] SoftmaxMLP: `resume` has no effect without `checkpoints`")):
        SoftmaxMLP(epochs=3, n_jobs=1).fit_watched(X, Y, resume=True)


def test_threads_are_no_setting(tmp_path):
    SoftmaxMLP(epochs=3, n_jobs=1).fit_watched(X, Y, checkpoints=tmp_path)

    model = SoftmaxMLP(epochs=3, n_jobs=2).fit_watched(X, Y, checkpoints=tmp_path, resume=True)

    assert model.n_iter_ == 3


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    model = SoftmaxMLP(epochs=5, n_jobs=1).fit_watched(X, Y, checkpoints=tmp_path)
    expected = model.predict_proba(X)
    newest = max(tmp_path.iterdir()) / checkpoint.ARRAYS
    newest.write_bytes(newest.read_bytes()[:-40])

    again = SoftmaxMLP(epochs=5, n_jobs=1).fit_watched(X, Y, checkpoints=tmp_path, resume=True)

    assert again.predict_proba(X).tobytes() == expected.tobytes()
