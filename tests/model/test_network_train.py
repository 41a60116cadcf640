"""Networks from raw data to the sealed file: the choice, the plan, interruption and resumption."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import softclass
from softclass.data import samples
from softclass.errors import DeviceError, UsageError
from softclass.model.interrupted_runs import InterruptedRun, held_signals
from softclass.model.layers import read_layers
from softclass.model.network_options import candidates, network_options
from softclass.model.train import DEFAULTS, train
from softclass.networks.architecture import Dense
from softclass.networks.fitted_layers import FittedConvolution

QUIET = {"report": False, "predictions": False}


@pytest.fixture(scope="module")
def digits():
    """Images of 8 x 8 pixels in bytes, and their classes."""
    bunch = load_digits()
    return (bunch.images * 15.9).astype(np.uint8)[:, :, :, None], bunch.target


@pytest.fixture(scope="module")
def rings():
    """A table whose classes are rings: no plane tells them apart, a category shifts the radius."""
    random = np.random.default_rng(0)
    n_rows = 1500
    colour = random.integers(0, 3, n_rows)
    x, y = random.normal(size=(2, n_rows))
    radius = np.hypot(x, y) + 0.4 * colour
    ring = np.digitize(radius, [1.0, 1.8])
    x[::50] = np.nan
    return {"x": x, "y": y, "colour": np.array(["red", "green", "blue"])[colour], "ring": np.array(list("abc"))[ring]}


def test_a_network_on_a_table_beats_planes_where_classes_are_rings(rings):
    network = train(rings, "ring", model="mlp", epochs=40)
    plane = train(rings, "ring", model="softmax")

    assert network.kind == "mlp"
    assert network.evaluation.accuracy > 0.85 > 0.75 > plane.evaluation.accuracy
    first, last = read_layers(network.body, network.manifest.preprocessing())
    assert (first.activation, last.activation) == ("relu", "")


def test_auto_keeps_the_network_where_it_is_better_and_says_so(rings):
    told = []
    model = train(rings, "ring", epochs=None, budget=None, progress=lambda event, facts: told.append((event, facts)))

    tried = [facts["kind"] for event, facts in told if event == "candidate"]
    (choice,) = [facts for event, facts in told if event == "choice"]
    assert tried == ["softmax", "mlp"]
    assert (choice["chosen"], model.kind) == ("mlp", "mlp")
    assert choice["tried"]["mlp"]["log_loss"] + choice["standard_error"] < choice["tried"]["softmax"]["log_loss"]


def test_auto_keeps_softmax_regression_on_a_tie():
    random = np.random.default_rng(4)
    x = random.normal(size=(1200, 3))
    labels = (x @ [1.0, -1.0, 0.5] + random.logistic(size=1200) > 0).astype(int)
    table = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": labels}
    told = []

    model = train(table, "y", budget="5s", progress=lambda event, facts: told.append((event, facts)))

    (choice,) = [facts for event, facts in told if event == "choice"]
    assert choice["chosen"] == model.kind == "softmax"
    assert "not lower by more" in choice["reason"]
    # The validation rows go back to the fit: the weights are those of softmax regression alone, at the same C.
    alone = train(table, "y", model="softmax", C=model.manifest.fit["C"])
    assert read_layers(model.body, model.manifest.preprocessing())[0].weight.tolist() == (
        read_layers(alone.body, alone.manifest.preprocessing())[0].weight.tolist()
    )


def test_few_rows_are_left_to_softmax_regression(rings):
    few = {name: column[:600] for name, column in rings.items()}
    told = []

    assert train(few, "ring", progress=lambda event, facts: told.append(event)).kind == "softmax"
    assert "candidate" not in told


def test_a_convolutional_network_on_digits(digits):
    model = train(*digits, model="cnn", epochs=12)

    assert model.evaluation.accuracy > 0.96
    convolution, dense = read_layers(model.body, model.manifest.preprocessing())
    assert isinstance(convolution, FittedConvolution)
    assert isinstance(dense, Dense)
    assert model.manifest.fit["name"] == "classic"
    assert model.manifest.fit["architecture"]["input"] == {"kind": "Pixels", "height": 8, "width": 8, "channels": 1}


def test_a_deep_network_is_trained_by_pytorch_and_runs_without_it(digits, tmp_path):
    pytest.importorskip("torch", reason="deep networks are PyTorch's")
    model = train(*digits, model="cnn", architecture="deep", epochs=5, threads=1, output=tmp_path / "run")

    assert model.evaluation.accuracy > 0.96
    assert [type(layer) for layer in read_layers(model.body, model.manifest.preprocessing())] == [
        FittedConvolution, FittedConvolution, FittedConvolution, Dense,
    ]  # fmt: skip
    again = softclass.load(tmp_path / "run" / "model.onnx")
    assert again.predict_proba(digits[0][:9]).tolist() == model.predict_proba(digits[0][:9]).tolist()


def test_an_interrupted_deep_run_goes_on_to_the_same_bytes(digits, tmp_path):
    pytest.importorskip("torch", reason="deep networks are PyTorch's")
    run = InterruptedRun(tmp_path / "run")
    asked = {"model": "cnn", "architecture": "deep5", "epochs": 2, "threads": 1, "rows": 900}
    model = train(*digits, **asked, output=tmp_path / "run", keep_checkpoints=True, **QUIET)
    shutil.rmtree(tmp_path / "run")
    shutil.rmtree(max(run.folder.glob("state-*"), key=lambda path: path.name))  # the first epoch is all there is

    assert train(*digits, **asked, resume=tmp_path / "run", **QUIET).digest == model.digest


def test_pytorch_may_ask_for_pandas_on_the_command_line(tmp_path):
    pytest.importorskip("torch", reason="deep networks are PyTorch's")
    options = ["--model=cnn", "--architecture=deep", "--epochs=1", "--rows=200", f"--output={tmp_path / 'run'}"]
    run = [sys.executable, "-m", "softclass", "train", str(samples.path("digits.npz")), *options]
    done = subprocess.run(run, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, check=False)

    assert (done.returncode, b"SC100" in done.stderr) == (0, False), done.stderr


def test_weights_of_classes_and_rows_reach_the_network(rings):
    weights = np.where(rings["ring"] == "a", 1e-6, 1.0)
    without = train(rings, "ring", model="mlp", epochs=3, sample_weight=weights, test=0.0, calibration=0.0)
    probabilities = without.predict_proba(rings)

    assert probabilities[:, 0].mean() < 0.05
    heavy = train(rings, "ring", model="mlp", epochs=3, class_weight={"a": 50.0}, test=0.0, calibration=0.0)
    assert "SC845" in {note.code for note in heavy.notes}
    assert heavy.predict_proba(rings)[:, 0].mean() > 0.5


def test_an_extreme_number_does_not_spoil_a_network(rings):
    spoiled = {name: column.copy() for name, column in rings.items()}
    spoiled["x"][::97] = 1e12
    model = train(spoiled, "ring", model="mlp", epochs=40)

    assert model.manifest.preprocessing().smooth
    assert model.evaluation.accuracy > 0.8


def test_the_configuration_of_a_run_repeats_it_to_the_byte(rings, tmp_path):
    first = train(rings, "ring", budget="3s", output=tmp_path / "first", **QUIET)
    text = (tmp_path / "first" / "config.toml").read_text(encoding="utf-8")
    chosen = dict(re.findall(r'^(\w+) = "?([^"\n]*?)"?  # chosen$', text, re.MULTILINE))

    again = train(
        rings, "ring", model=chosen["model"], hidden=chosen["hidden"], epochs=int(chosen["epochs"]),
        batch_size=int(chosen["batch_size"]), lr=float(chosen["lr"]), weight_decay=float(chosen["weight_decay"]),
    )  # fmt: skip

    assert again.digest == first.digest


def test_a_budget_becomes_epochs_and_ends_in_time(digits):
    began = time.monotonic()
    model = train(*digits, model="cnn", budget="4s", architecture="two")

    assert 1 <= model.manifest.fit["epochs"] <= 60
    assert time.monotonic() - began < 60  # reading, planning and the graph are not part of it, nor is a busy machine


def test_a_trial_of_mirrored_images_counts_to_the_budget(digits, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            self.now += 0.01
            return self.now

    planned = []
    for seconds in (0.0, 20.0):
        clock = Clock()
        monkeypatch.setattr("softclass.model.network_fitting.time", clock)

        def trial(*_, clock=clock, seconds=seconds, should_stop, **__):
            assert not should_stop()
            clock.now += seconds
            assert should_stop() == (seconds > 0.2 * 30)
            return False, 0

        monkeypatch.setattr("softclass.model.network_fitting.chosen_augmentation", trial)
        model = train(*digits, model="cnn", budget="30s", architecture="classic", batch_size=8)
        planned.append(model.manifest.fit["epochs"])

    # One step of a hundredth of a second in three timed ones: 27 seconds were for epochs, and then 7.
    assert 0 < planned[1] < 0.3 * planned[0]


def test_history_and_metrics_of_a_run(rings, tmp_path):
    train(rings, "ring", model="mlp", epochs=4, output=tmp_path / "run", predictions=False)

    rows = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert metrics["learning"]["learned_from"] == [row["train_loss"] for row in rows]
    assert metrics["fit"]["best_epoch"] == min(rows, key=lambda row: row["validation_log_loss_scaled"])["epoch"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "How the network learned" in page
    assert not (tmp_path / "run.checkpoints").exists()


def test_folds_are_judged_with_networks_too(rings):
    told = []
    train(rings, "ring", model="mlp", epochs=2, cv=3, progress=lambda event, facts: told.append(event))

    assert told.count("network") == 1  # the folds are quiet


@pytest.mark.parametrize(
    ("options", "task", "kinds"),
    [
        ({}, "table", ("softmax", "mlp")),
        ({}, "images", ("softmax", "cnn")),
        ({"C": 2.0}, "table", ("softmax",)),
        ({"hidden": "64"}, "table", ("mlp",)),
        ({"augment": "none"}, "images", ("cnn",)),
        ({"model": "softmax"}, "images", ("softmax",)),
        ({"budget": "5s", "validation": 0.2}, "table", ("softmax", "mlp")),
    ],
)
def test_options_leave_candidates(options, task, kinds):
    assert candidates({**DEFAULTS, **options}, task, DEFAULTS) == kinds


@pytest.mark.parametrize(
    ("options", "task", "message"),
    [
        ({"C": 2.0, "epochs": 3}, "table", "[SC203] train: --C asks for softmax regression and --epochs for a network"),
        ({"model": "softmax", "epochs": 3}, "table", "[SC202] train: --epochs does not apply to --model softmax"),
        ({"model": "softmax", "budget": "3s"}, "table", "[SC202] train: --budget does not apply to --model softmax"),
        ({"model": "mlp", "C": 1.0}, "table", "[SC202] train: --C does not apply to --model mlp (applies to softmax)"),
        ({"model": "mlp"}, "images", "[SC202] train: --model mlp does not apply to images (applies to tables)"),
        ({"model": "cnn"}, "table", "[SC202] train: --model cnn does not apply to a table (applies to images)"),
        ({"hidden": "64"}, "images", "[SC202] train: --hidden does not apply to images (applies to tables)"),
        ({"augment": "flip"}, "table", "[SC202] train: --augment does not apply to a table (applies to images)"),
        ({"epochs": 0}, "table", "[SC207] train: --epochs must be at least 1; got 0"),
        ({"batch_size": -1}, "table", "[SC207] train: --batch-size must be at least 1; got -1"),
        ({"lr": 0.0}, "table", "[SC207] train: --lr must be positive and finite; got 0.0"),
        ({"weight_decay": -1.0}, "table", "[SC207] train: --weight-decay must be 0 or more, and finite; got -1.0"),
        ({"validation": 1.0}, "table", "[SC207] train: --validation must be between 0 and 1; got 1.0"),
        ({"hidden": "64,x"}, "table", "[SC207] train: --hidden must be one to four widths from 1 to 4096"),
        ({"hidden": "1,2,3,4,5"}, "table", "[SC207] train: --hidden must be one to four widths from 1 to 4096"),
        ({"augment": "spin"}, "images", "[SC207] train: --augment must be none, or of flip,shift; got spin"),
        ({"architecture": "clasic"}, "images", '[SC207] train: --architecture must be one of auto, classic, two,'),
        ({"architecture": "two"}, "table", "[SC207] train: --architecture must be one of auto, realmlp"),
        ({"architecture": "realmlp", "hidden": "9"}, "table", "[SC203] train: --hidden and --architecture both say"),
        ({"budget": "9s", "epochs": 3}, "table", "[SC203] train: --budget and --epochs both say how long to train"),
        ({"budget": "9s", "time_limit": "3s"}, "table", "[SC203] train: --time-limit cuts what --budget plans"),
        ({"device": "gpu"}, "table", "[SC207] train: --device must be auto, cpu, cuda, cuda:N or mps; got gpu"),
        ({"budget": "soon"}, "table", "[SC207] train: --budget must be a positive time"),
        ({"keep_checkpoints": True}, "table", "[SC202] train: --keep-checkpoints has no effect without an output"),
        ({"resume": "a", "output": "b"}, "table", "[SC203] train: --resume names the run directory, and --output"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, task, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        candidates({**DEFAULTS, **options}, task, DEFAULTS)


def test_a_budget_is_given_where_two_classifiers_compete():
    assert network_options(DEFAULTS, "images", planned=True).budget == 60
    assert network_options(DEFAULTS, "images", planned=False).budget is None
    assert network_options({**DEFAULTS, "epochs": 3}, "images", planned=True).budget is None


RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
import numpy as np
from sklearn.datasets import load_digits
from softclass.model.train import train
bunch = load_digits()
pixels = (bunch.images * 15.9).astype(np.uint8)[:, :, :, None]
where = {sys.argv[1]: sys.argv[2]}
train(pixels, bunch.target, model="cnn", architecture="two", epochs=10, report=False, predictions=False, **where)
"""


def start(option: str, run: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", RUN, option, str(run)], env=environment, stderr=subprocess.PIPE)


def wait_for(condition, process: subprocess.Popen[bytes]) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.005)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupts."""
    run = tmp_path_factory.mktemp("whole") / "run"
    process = start("output", run)
    _, said = process.communicate()
    assert process.returncode == 0, said
    return run


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(whole, tmp_path, number):
    cut = start("output", tmp_path / "cut")
    folder = InterruptedRun(tmp_path / "cut").folder
    wait_for(lambda: any(folder.glob("state-*")), cut)
    cut.send_signal(number)
    _, said = cut.communicate()
    assert cut.returncode != 0, said
    assert not (tmp_path / "cut").exists()
    assert any(folder.glob("state-*"))

    resumed = start("resume", tmp_path / "cut")
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said

    assert (tmp_path / "cut" / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
    assert not folder.exists()
    lines = [(run / "history.jsonl").read_text().splitlines() for run in (whole, tmp_path / "cut")]
    clock = {"seconds", "rows_per_s"}
    first, again = ([{k: v for k, v in json.loads(one).items() if k not in clock} for one in run] for run in lines)
    assert again == first


def test_resuming_what_was_never_interrupted_is_refused(rings, tmp_path):
    with pytest.raises(UsageError, match="--resume must name a run that was interrupted"):
        train(rings, "ring", model="mlp", resume=tmp_path / "none")


def test_the_folder_of_the_checkpoints_is_told_from_the_run(tmp_path):
    (tmp_path / "run.checkpoints").mkdir()
    (tmp_path / "run.checkpoints" / "config.toml").write_text("")

    with pytest.raises(UsageError, match=r"Name the run: --resume .*run$"):
        InterruptedRun(tmp_path / "run.checkpoints").planned(network_options(DEFAULTS, "images", planned=False))


def test_resuming_with_other_data_is_refused(digits, tmp_path):
    run = InterruptedRun(tmp_path / "run")
    model = train(*digits, model="cnn", epochs=2, output=tmp_path / "run", keep_checkpoints=True, **QUIET)
    assert any(run.folder.glob("state-*"))
    shutil.rmtree(tmp_path / "run")
    pixels = digits[0].copy()
    pixels[:, 3, 3, 0] ^= 1

    with pytest.raises(Exception, match="SC412"):
        train(pixels, digits[1], model="cnn", epochs=2, resume=tmp_path / "run", **QUIET)
    assert train(*digits, model="cnn", epochs=2, resume=tmp_path / "run", **QUIET).digest == model.digest


def test_a_device_that_is_not_there_is_named(rings):
    torch = pytest.importorskip("torch")
    number = torch.cuda.device_count()

    with pytest.raises(DeviceError, match=r"^\[SC602\] train: `device` must be one that PyTorch can use"):
        train(rings, "ring", model="mlp", device=f"cuda:{number}")


def test_a_device_that_is_not_there_is_told_before_any_data_are_read(tmp_path):
    number = pytest.importorskip("torch").cuda.device_count()
    data = tmp_path / "rows.csv"
    data.write_text("this,is,no\ntable\n")
    told = []

    with pytest.raises(DeviceError, match="SC602"):
        train(data, model="mlp", device=f"cuda:{number}", progress=lambda event, facts: told.append(event))

    assert told == []


@pytest.mark.parametrize(
    ("options", "trained"),
    [({"hidden": "7,5"}, 7 * 8 + 7 + 5 * 7 + 5 + 3 * 5 + 3), ({"architecture": "realmlp"}, None)],
)
def test_the_parameters_that_are_announced_are_those_of_training_and_of_the_file(rings, options, trained):
    told = []
    model = train(rings, "ring", epochs=1, progress=lambda event, facts: told.append((event, facts)), **options)

    (network,) = [facts for event, facts in told if event == "network"]
    assert network["in_file"] == model.manifest.n_parameters
    if trained is not None:  # 2 numbers, a flag, and 5 indicators of a category; no embedding or wave is folded
        assert (network["parameters"], network["in_file"]) == (trained, trained)
    else:
        assert network["parameters"] != network["in_file"]


def test_test_data_beside_a_test_part_of_the_data_are_refused_by_their_own_name(rings):
    marked = {**rings, "part": np.where(np.arange(1500) < 1000, "fit", "test")}

    with pytest.raises(UsageError) as caught:
        train(marked, "ring", split_column="part", test_data=rings)

    assert str(caught.value) == (
        "[SC202] train: --test-data has no effect: the data bring their own test part (500 rows). "
        "Leave --test-data out, or train on the other rows alone"
    )


def test_a_folder_that_is_not_ours_is_not_touched(rings, tmp_path):
    folder = InterruptedRun(tmp_path / "run").folder
    folder.mkdir()
    (folder / "thesis.txt").write_text("all of it")

    with pytest.raises(UsageError, match="SC204"):
        train(rings, "ring", model="mlp", output=tmp_path / "run")
    assert (folder / "thesis.txt").read_text() == "all of it"


def test_signals_that_are_ignored_stay_so():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_signals() as came:
            signal.raise_signal(signal.SIGINT)
            assert not came()
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.fixture
def interruptible():
    """SIGINT raises KeyboardInterrupt, which it does not in what was started in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_acts_at_once():
    def twice():
        with held_signals() as came:
            signal.raise_signal(signal.SIGINT)
            assert came()
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second signal was held back too")

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_sealed_network_opens_and_predicts_elsewhere(digits, tmp_path):
    model = train(*digits, model="cnn", epochs=3)
    model.save(tmp_path / "model.onnx")
    code = "import sys, softclass; print(softclass.load(sys.argv[1]).kind, *({'torch', 'onnx'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.onnx"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.split() == ["cnn"]
