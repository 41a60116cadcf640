"""Checkpoints: every bit comes back, the newest two stay, damage and other data are told."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from asserts import assert_bit_equal
from softclass.errors import ModelFileError
from softclass.estimators.checkpoint import CheckpointFolder, digest_of_run, packed_arrays, unpacked_arrays
from softclass.networks.engine import EngineState, Plan, Rows
from softclass.networks.known_architectures import table_architecture
from softclass.networks.layers import Columns
from softclass.networks.training import Best, Restart, TrainingState

PLAN = Plan(n_rows=10, batch=3, epochs=4, peak_rate=0.1)


def _arrays(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in (("a.b", (2, 3)), ("c", (1,)))}


def _engine(seed: int) -> EngineState:
    return EngineState(_arrays(seed), _arrays(seed + 1), _arrays(seed + 2), seed, 0.1 + seed / 3, 0.2 + seed / 7)


def _state(step: int = 5, **changes) -> TrainingState:
    state = TrainingState(
        plan=PLAN, step=step, engine=_engine(1), epoch_start=_engine(5), loss_sum=1 / 3, weight_sum=7.1, correct=2 / 7,
        gradient_norm=1e-40, seconds=0.3, best=Best(0.1 + 0.2, 1, _arrays(9)),
        history=({"epoch": 1, "train_loss": 0.1 + 0.2, "validation_log_loss": None},),
        restarts=(Restart(1, 2, 0.03),),
    )  # fmt: skip
    return replace(state, **changes)


def _assert_same_engine(one: EngineState, two: EngineState) -> None:
    for kind in ("parameters", "first_moments", "second_moments"):
        assert getattr(one, kind).keys() == getattr(two, kind).keys()
        for name, array in getattr(one, kind).items():
            assert_bit_equal(array, getattr(two, kind)[name])
    assert (one.step, one.beta1_product, one.beta2_product) == (two.step, two.beta1_product, two.beta2_product)


def _folder(path, run="data", every_s=0.0) -> CheckpointFolder:
    return CheckpointFolder(path / "checkpoints", run, every_s=every_s)


def test_every_bit_of_a_state_comes_back(tmp_path):
    state = _state()
    _folder(tmp_path).save(state)

    read = _folder(tmp_path).newest()

    _assert_same_engine(state.engine, read.engine)
    _assert_same_engine(state.epoch_start, read.epoch_start)
    assert_bit_equal(state.best.parameters["a.b"], read.best.parameters["a.b"])
    names = ("plan", "step", "loss_sum", "weight_sum", "correct", "gradient_norm", "seconds", "history", "restarts")
    assert [getattr(state, name) for name in names] == [getattr(read, name) for name in names]
    assert (state.best.value, state.best.epoch) == (read.best.value, read.best.epoch)


def test_a_state_at_the_end_of_an_epoch_holds_its_engine_once(tmp_path):
    now = _engine(1)
    _folder(tmp_path).save(_state(engine=now, epoch_start=now, best=None))

    read = _folder(tmp_path).newest()

    assert read.epoch_start is read.engine
    assert read.best is None


def test_the_newest_two_stay_and_a_restart_is_newer_than_any_step(tmp_path):
    folder = _folder(tmp_path)
    for step in (3, 6, 9):
        folder.save(_state(step, restarts=()))
    folder.save(_state(6))

    assert sorted(path.name for path in folder.folder.iterdir()) == ["state-0-000000000009", "state-1-000000000006"]
    assert (folder.newest().step, len(folder.newest().restarts)) == (6, 1)


def test_saves_keep_their_distance_but_the_last_state_is_always_written(tmp_path):
    folder = _folder(tmp_path, every_s=1e9)
    for step in (3, 6, PLAN.steps):
        folder.save(_state(step))

    assert [path.name[-2:] for path in sorted(folder.folder.iterdir())] == ["03", f"{PLAN.steps}"]


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
@pytest.mark.parametrize("damage", [lambda old: old[:-9], lambda old: old[:40] + b"x" + old[41:], lambda old: b""])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, name, damage):
    folder = _folder(tmp_path)
    folder.save(_state(3))
    folder.save(_state(6))
    file = max(folder.folder.iterdir()) / name
    file.write_bytes(damage(file.read_bytes()))

    assert folder.newest().step == 3


def test_a_file_that_is_gone_is_damage(tmp_path):
    folder = _folder(tmp_path)
    folder.save(_state(3))
    folder.save(_state(6))
    (max(folder.folder.iterdir()) / "state.safetensors").unlink()

    assert folder.newest().step == 3


def test_when_all_are_damaged_it_says_so(tmp_path):
    folder = _folder(tmp_path)
    folder.save(_state(3))
    (max(folder.folder.iterdir()) / "state.json").write_text("{}")

    with pytest.raises(ModelFileError, match=re.escape("[SC411] ") + ".*every checkpoint is damaged. Begin anew$"):
        folder.newest()


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    _folder(tmp_path).save(_state())
    message = (
        "state-1-000000000005: the checkpoint belongs to other data or other settings. Go on with the data and settings"
        " of then, or begin in another folder"
    )

    with pytest.raises(ModelFileError, match=r"^\[SC412\] .*" + re.escape(message) + "$"):
        _folder(tmp_path, "other data").newest()


def test_without_a_folder_there_is_no_checkpoint(tmp_path):
    assert _folder(tmp_path).newest() is None


def test_arrays_are_in_the_format_of_safetensors():
    packed = packed_arrays({"b": np.array([[1.5, 2.0]], np.float32), "a": np.zeros(0, np.float32)})

    length = int.from_bytes(packed[:8], "little")
    assert json.loads(packed[8 : 8 + length]) == {
        "b": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
        "a": {"dtype": "F32", "shape": [0], "data_offsets": [8, 8]},
    }
    assert packed[8 + length :] == np.array([1.5, 2.0], "<f4").tobytes()
    assert length % 8 == 0


def test_arrays_come_back():
    [scalar] = unpacked_arrays(packed_arrays({"x": np.array(3.0, np.float32)})).values()

    assert_bit_equal(np.array(3.0, np.float32), scalar)


ROWS = Rows(targets=np.array([0, 1], np.int32), numbers=np.array([[1.0], [2.0]], np.float32))
NETWORK = table_architecture(Columns(1), 2, (3,))


@pytest.mark.parametrize(
    "other",
    [
        (table_architecture(Columns(1), 2, (4,)), PLAN, 0, ROWS, None),
        (NETWORK, replace(PLAN, epochs=5), 0, ROWS, None),
        (NETWORK, PLAN, 1, ROWS, None),
        (NETWORK, PLAN, 0, replace(ROWS, numbers=np.array([[1.0], [2.5]], np.float32)), None),
        (NETWORK, PLAN, 0, replace(ROWS, targets=np.array([1, 1], np.int32)), None),
        (NETWORK, PLAN, 0, replace(ROWS, weight=np.ones(2, np.float32)), None),
        (NETWORK, PLAN, 0, ROWS, ROWS),
    ],
)
def test_the_digest_of_a_run_changes_with_all_that_it_follows_from(other):
    digest = digest_of_run(NETWORK, PLAN, 0, ROWS, None)

    assert digest == digest_of_run(NETWORK, PLAN, 0, replace(ROWS), None)
    assert digest != digest_of_run(*other)
