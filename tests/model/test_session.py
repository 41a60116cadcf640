from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from asserts import assert_bit_equal
from made_models import STEPS, make, make_images, make_table, rows_of
from softclass.data.preprocessing import NumberStep, Preprocessing
from softclass.errors import InternalError, MachineError, ModelFileError
from softclass.model import session as session_room
from softclass.model.graph import build_graph
from softclass.model.session import MAX_BLOCK_NUMBERS, MAX_BLOCK_ROWS, Session
from softclass.networks.architecture import Dense

ROOT = Path(__file__).resolve().parents[2]
BATCHES = (1, 2, 3, 7, 8, 64, 256, 515)


def in_child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a fresh process with our paths and nothing else of ours."""
    paths = ":".join([str(ROOT / "tests"), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": paths, "PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def in_batches(session, feeds, size):
    n_rows = len(next(iter(feeds.values())))
    parts = [
        session.run({name: array[i : i + size] for name, array in feeds.items()}).logits for i in range(0, n_rows, size)
    ]
    return np.concatenate(parts)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", BATCHES)
def test_logits_of_a_row_do_not_depend_on_the_batch(size, threads):
    model = make_table()
    feeds = model.feeds(rows_of(STEPS, 515))
    expected = Session(model.body, threads=1).run(feeds).logits

    assert_bit_equal(expected, in_batches(Session(model.body, threads=threads), feeds, size))


@pytest.mark.parametrize("n_features", [5, 784, 3000])
@pytest.mark.parametrize("size", BATCHES)
def test_wide_products_do_not_depend_on_the_batch(size, n_features):
    steps = tuple(NumberStep(f"x{i}", 0.0, 0.0, 1.0, False, 0) for i in range(n_features))
    model = make(Preprocessing(steps, "matrix"), n_features)
    feeds = {"numbers": np.random.default_rng(0).normal(size=(515, n_features))}
    expected = Session(model.body, threads=2).run(feeds).logits

    assert_bit_equal(expected, in_batches(Session(model.body, threads=1), feeds, size))


def test_shuffled_rows_have_the_same_outputs():
    model = make_images()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 6, 5, 3), dtype=np.uint8)
    order = np.random.default_rng(1).permutation(300)
    session = Session(model.body)

    found, shuffled = session.run({"image": pixels}), session.run({"image": pixels[order]})

    assert_bit_equal(found.probabilities[order], shuffled.probabilities)
    assert found.labels[order].tolist() == shuffled.labels.tolist()


def test_many_rows_run_in_blocks():
    model = make_table()
    feeds = model.feeds(rows_of(STEPS, 2 * MAX_BLOCK_ROWS + 5))

    found = Session(model.body).run(feeds)

    assert (found.logits.shape, found.probabilities.shape, found.labels.shape) == ((16389, 3), (16389, 3), (16389,))
    assert_bit_equal(in_batches(Session(model.body), feeds, 1000), found.logits)


def test_blocks_of_wide_rows_are_short():
    steps = tuple(NumberStep(f"x{i}", 0.0, 0.0, 1.0, False, 0) for i in range(10_000))
    body = build_graph(Preprocessing(steps, "matrix"), [Dense(np.zeros((2, 10_000)), np.zeros(2))], ["a", "b"])

    assert 300 < Session(body).block_rows < MAX_BLOCK_NUMBERS / 10_000


@pytest.mark.parametrize("made", [make_table, lambda: make_table("matrix")], ids=["columns", "matrix"])
def test_zero_rows_in_zero_rows_out(made):
    model = made()

    found = Session(model.body).run(model.feeds(rows_of(STEPS, 0)))

    assert (found.logits.shape, found.probabilities.shape, found.labels.shape) == ((0, 3), (0, 3), (0,))
    assert (found.logits.dtype, found.probabilities.dtype, found.labels.dtype) == (np.float32, np.float32, object)


def test_columns_may_be_flat_or_stand_upright():
    model = make_table()
    columns = rows_of(STEPS, 10)
    session = Session(model.body)

    assert_bit_equal(session.run(model.feeds(columns)).logits, session.run(columns).logits)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, ">f8", bool])
def test_numbers_of_other_types_become_doubles(dtype):
    model = make_table()
    session = Session(model.body)
    feeds = {**model.feeds(rows_of(STEPS, 6)), "mass": np.array([[0], [1], [1], [0], [0], [1]], dtype=dtype)}
    expected = session.run({**feeds, "mass": feeds["mass"].astype(np.float64)})

    assert_bit_equal(expected.logits, session.run(feeds).logits)


def test_one_session_serves_several_threads():
    model = make_table()
    session = Session(model.body)
    blocks = [model.feeds(rows_of(STEPS, 50, seed)) for seed in range(16)]
    expected = [session.run(feeds).logits for feeds in blocks]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda feeds: session.run(feeds).logits, blocks * 8))

    assert_bit_equal(np.stack(expected * 8), np.stack(found))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda feeds: feeds.pop("mass"), "the graph has the inputs bill length (mm), resident, 岛屿, seen, mass"),
        (lambda feeds: feeds.update(more=feeds["mass"]), "the graph has the inputs bill length (mm), resident"),
        (
            lambda feeds: feeds.update(mass=np.zeros((4, 2))),
            'input "mass" must have the shape (rows, 1); got (4, 2)',
        ),
        (lambda feeds: feeds.update(mass=np.zeros((3, 1))), "all inputs must have the same number of rows"),
    ],
    ids=["absent", "extra", "shape", "rows"],
)
def test_feeds_that_do_not_fit_are_a_bug(change, message):
    model = make_table()
    feeds = model.feeds(rows_of(STEPS, 4))
    change(feeds)

    with pytest.raises(InternalError, match=re.escape(f"[SC100] Session.run: {message}")):
        Session(model.body).run(feeds)


@pytest.mark.parametrize("version", ["1.22.9", "0.9", "1.2.0rc1"])
def test_old_runtime_is_refused(monkeypatch, version):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "__version__", version)
    message = f'[SC608] the model needs onnxruntime >= 1.23; got {version}. Upgrade it: pip install "onnxruntime>=1.23"'
    with pytest.raises(MachineError, match=f"^{re.escape(message)}$"):
        Session(make_table().body)


def test_opset_beyond_the_runtime_asks_for_a_newer_one():
    import onnx

    model = onnx.load_from_string(make_table().body)
    model.opset_import[0].version = 9999

    with pytest.raises(MachineError, match=r"^\[SC608\] the model needs a newer onnxruntime; got 1\."):
        Session(model.SerializeToString())


def test_graph_that_cannot_run_is_refused_with_a_sentence(capfd):
    import onnx

    model = onnx.load_from_string(make_table().body)
    model.graph.node[0].op_type = "NoSuchOperator"

    with pytest.raises(ModelFileError, match=r"^\[SC404\] onnxruntime cannot run the graph; "):
        Session(model.SerializeToString())
    assert capfd.readouterr() == ("", "")


def test_missing_runtime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MachineError, match=r"^\[SC608\] onnxruntime cannot be loaded; .*pip install onnxruntime$"):
        Session(make_table().body)


def test_runtime_prints_nothing():
    done = in_child(
        "import numpy as np\nfrom made_models import *\nm = make_table()\n"
        "for threads in (None, 1, 3):\n    Session(m.data, threads=threads).run(m.feeds(rows_of(STEPS, 600)))\n"
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


TELEMETRY = """
import os, sys
from made_models import make_small
from softclass.model.graph import build_graph
from softclass.model.session import Session
model = make_small()
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1", "telemetry"
"""


def test_telemetry_is_off_before_the_runtime_is_imported(tmp_path):
    done = in_child(TELEMETRY, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))

    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("*")) == []


def test_telemetry_is_off_even_if_the_runtime_was_imported_before(monkeypatch):
    import onnxruntime

    called = []
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setattr(onnxruntime, "disable_telemetry_events", lambda: called.append(True))

    Session(make_table().body)

    assert called == [True]


def test_settings_in_the_model_are_not_obeyed(tmp_path, monkeypatch):
    import onnx

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORT_LOAD_CONFIG_FROM_MODEL", "1")
    model = make_table()
    proto = onnx.load_from_string(model.body)
    proto.metadata_props.add(key="ort_config", value='{"session_options": {"enable_profiling": 1}}')

    Session(proto.SerializeToString()).run(model.feeds(rows_of(STEPS, 2)))

    assert list(tmp_path.iterdir()) == []


def test_private_format_of_the_runtime_is_not_read():
    with pytest.raises(ModelFileError, match=r"^\[SC404\] onnxruntime cannot run the graph; "):
        Session(b"\x1c\x00\x00\x00ORTM" + bytes(200))


def test_processors_are_those_of_this_process(monkeypatch):
    monkeypatch.setattr(session_room.os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)

    assert session_room._usable_processors() == 3


def test_oldest_runtime_is_the_one_that_is_asked_for():
    import tomllib

    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    assert "onnxruntime>=" + ".".join(map(str, session_room.OLDEST_RUNTIME)) in wanted
