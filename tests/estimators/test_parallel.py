"""Threads over blocks."""

from __future__ import annotations

from softclass.estimators.parallel import LANES, ONE, _controller, workers


def test_lanes_hold_every_item_once_and_depend_on_nothing_else():
    items = list(range(100))

    lanes = ONE.lanes(items, 8)

    assert len(lanes) == LANES
    assert sorted(item for lane in lanes for item in lane) == items


def test_large_results_get_fewer_lanes():
    assert len(ONE.lanes(list(range(100)), 2**30)) == 1


def test_results_come_in_order():
    with workers() as team:
        assert list(team.map(lambda x: x * x, range(10))) == [x * x for x in range(10)]


def test_linear_algebra_has_one_thread_meanwhile_and_its_own_afterwards():
    controller = _controller().select(user_api="blas")
    before = [pool["num_threads"] for pool in controller.info()]

    with workers():
        inside = {pool["num_threads"] for pool in controller.info()}

    assert inside == {1}
    assert [pool["num_threads"] for pool in controller.info()] == before
