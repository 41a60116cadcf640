"""The constants of a run: those of the design for the sizes of its data sets, the shape of the schedules."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from asserts import assert_close
from softclass.networks.engine import Plan
from softclass.networks.known_architectures import image_architecture, realmlp, table_architecture
from softclass.networks.layers import Columns, Pixels
from softclass.networks.plans import Chosen, image_plan, table_dropout, table_plan, table_widths


# Epochs: clamp(ceil(e * 50,000 / n), 3, 60); rate times sqrt(batch / 128).
@pytest.mark.parametrize(
    ("name", "n", "epochs", "batch", "rate"),
    [
        ("classic", 50_000, 6, 128, 5e-3),
        ("classic", 60_000, 5, 128, 5e-3),
        ("classic", 1_000, 60, 64, 5e-3 / math.sqrt(2)),
        ("classic", 4_999, 60, 64, 5e-3 / math.sqrt(2)),
        ("classic", 1_000_000, 3, 128, 5e-3),
        ("two", 50_000, 12, 128, 3e-3),
        ("two-hidden", 50_000, 8, 128, 3e-3),
        ("fast-digits", 50_000, 4, 128, 3e-3),
    ],
)
def test_constants_of_images(name, n, epochs, batch, rate):
    plan = image_plan(image_architecture(name, Pixels(28, 28), 10), n, Chosen())

    assert (plan.epochs, plan.batch, plan.decay, plan.beta2) == (epochs, batch, 0.01, 0.99)
    assert math.isclose(plan.peak_rate, rate)


@pytest.mark.parametrize(
    ("n", "widths", "epochs", "batch", "rate"),
    [
        (100, (100,), 100, 32, 1.5e-2 / 2),
        (9_000, (100,), 100, 64, 1.5e-2 / math.sqrt(2)),
        (16_000, (256, 256), 40, 128, 5e-3),
        (43_152, (256, 256), 25, 512, 1e-2),
        (400_000, (256, 256), 3, 512, 1e-2),
        (2_000_000, (512, 512), 3, 512, 1e-2),
    ],
)
def test_constants_of_tables(n, widths, epochs, batch, rate):
    assert table_widths(n) == widths

    plan = table_plan(table_architecture(Columns(16), 26, widths), n, Chosen())

    assert (plan.epochs, plan.batch, plan.decay, plan.beta2, plan.unknown) == (epochs, batch, 0.02, 0.95, 0.0)
    assert math.isclose(plan.peak_rate, rate)


def test_constants_of_realmlp():
    plan = table_plan(realmlp(Columns(3, (4,)), 5), 43_152, Chosen())

    assert (plan.schedule, plan.batch, plan.peak_rate, plan.epochs) == ("coslog4", 256, 0.04, 30)
    assert plan.unknown == 0.01


def test_what_is_chosen_is_taken():
    plan = table_plan(table_architecture(Columns(16), 26, (9,)), 500, Chosen(7, 10, 0.5, 0.0))

    assert (plan.epochs, plan.batch, plan.peak_rate, plan.decay) == (7, 10, 0.5, 0.0)


def test_networks_larger_than_their_data_get_dropout():
    assert (table_dropout(100, 101), table_dropout(100, 100)) == (0.1, 0.0)


PLAN = Plan(n_rows=100, batch=10, epochs=10, peak_rate=2.0, decay=0.5)


def test_one_cycle_rises_for_a_fifth_and_falls_to_nearly_nothing():
    constants = PLAN.constants(0, 100)

    # Straight lines through (0, 1/25), (20, 1), (100, 0), the last never below a thousandth.
    expected = 2 * np.interp(np.arange(100), [0, 20, 100], [0.04, 1, 0])
    assert_close(np.maximum(expected, 2e-3), constants.rate, rtol=1e-12, atol=0)
    assert np.unique(constants.decay).tolist() == [0.5]
    assert np.unique(constants.dropout).tolist() == [1.0]


def test_coslog4_has_four_peaks_and_ends_where_it_began():
    constants = replace(PLAN, schedule="coslog4").constants(0, 100)

    share = constants.rate / 2
    t = np.array(
        [0, (2**0.5 - 1) / 15, 1 / 15, (2**1.5 - 1) / 15, 3 / 15, (2**2.5 - 1) / 15, 7 / 15, (2**3.5 - 1) / 15]
    )
    assert_close(np.interp(100 * t, np.arange(100), share), [0, 1] * 4, rtol=0, atol=0.2)  # between whole steps
    assert share[0] == 0


def test_decay_and_dropout_of_coslog4_fade_from_the_middle_on():
    constants = replace(PLAN, schedule="coslog4").constants(0, 100)

    assert set(constants.dropout[:51]) == {1.0}
    assert math.isclose(constants.dropout[75], 0.5)
    assert_close(0.5 * constants.dropout, constants.decay, rtol=1e-15, atol=0)
    assert constants.dropout[-1] < 0.001


@pytest.mark.parametrize("schedule", ["one-cycle", "coslog4", "constant"])
def test_constants_of_a_part_are_a_part_of_the_constants(schedule):
    plan = replace(PLAN, schedule=schedule)

    assert plan.constants(0, 100).rate[37:41].tolist() == plan.constants(37, 41).rate.tolist()


def test_the_last_batch_is_shorter():
    plan = replace(PLAN, n_rows=101, first_epoch=5)

    assert (plan.steps_per_epoch, plan.steps) == (11, 110)
    assert [plan.epoch_of(step) for step in (0, 10, 11)] == [5, 5, 6]
