"""Threads over blocks of rows, each with single-threaded linear algebra underneath.

Pools of BLAS threads wait for each other by spinning: on a machine that does other work too, products of a few classes
become a hundred times slower. Threads of our own that take whole blocks do not wait, and add up in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

LANES = 16  # sums are made per lane and added lane by lane, so bits do not depend on the number of threads
LANE_BYTES = 512 * 2**20  # memory that all lanes' sums may take together

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """Threads that run a function over items; one thread: a plain loop.

    Attributes
    ----------
    threads : int
        How many, also for the compiled passes, which have threads of their own.
    """

    def __init__(self, executor: ThreadPoolExecutor | None = None, threads: int = 1) -> None:
        self._executor = executor
        self.threads = threads

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Yield the results in the order of the items."""
        if self._executor is None or len(items) < 2:
            return map(function, items)
        return self._executor.map(function, items)

    def lanes(self, items: Sequence[Item], result_bytes: int) -> list[Sequence[Item]]:
        """Deal items out into lanes, independently of the number of threads."""
        n = max(1, min(LANES, len(items), LANE_BYTES // max(result_bytes, 1)))
        return [items[lane::n] for lane in range(n)]


ONE = Workers()


@cache
def _controller() -> Any:
    return ThreadpoolController()  # looks through all loaded libraries once, 7 ms


@contextmanager
def workers(most: int | None = None) -> Iterator[Workers]:
    """Give as many threads as the linear algebra may use now, or at most so many, and let it use one meanwhile."""
    controller = _controller().select(user_api="blas")
    threads = max((pool["num_threads"] for pool in controller.info()), default=1)
    threads = threads if most is None else min(threads, most)
    with controller.limit(limits=1):
        if threads == 1:
            yield ONE
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="softclass") as executor:
            yield Workers(executor, threads)
