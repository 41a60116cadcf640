"""What every reader of tables hands on: blocks of rows, and what they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from softclass.data.dialect import Dialect

MOST_ROWS, FEWEST_ROWS = 65_536, 256
BLOCK_NUMBERS = 2**21  # of 8 bytes: 16 MiB


def rows_of_block(n_columns: int) -> int:
    """
    Return how many rows of so many columns are worked on at once where not all fit into memory.

    Examples
    --------
    >>> rows_of_block(8), rows_of_block(10_000)
    (65536, 256)
    """
    return max(FEWEST_ROWS, min(MOST_ROWS, BLOCK_NUMBERS // max(1, n_columns)))


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a source, with their line (or row) numbers, and the lines that were left out among them."""

    cells: pa.Table
    numbers: npt.NDArray[np.int64] | None = None  # (n_rows,), counted from 1; None: they follow on
    rejected: tuple[tuple[int, str], ...] = ()
    file: int = 0

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.cells.num_rows)

    def split(self, n_rows: int) -> tuple[Block, Block]:
        """Return the first rows and the others; what was left out goes with the first."""
        front = None if self.numbers is None else self.numbers[:n_rows]
        back = None if self.numbers is None else self.numbers[n_rows:]
        return (
            replace(self, cells=self.cells.slice(0, n_rows), numbers=front),
            replace(self, cells=self.cells.slice(n_rows), numbers=back, rejected=()),
        )


@dataclass(frozen=True, eq=False)
class Reader:
    """A source that was opened: its columns are known, its rows come as blocks, once."""

    name: str
    empty: pa.Table  # the columns, without rows
    blocks: Iterator[Block]
    is_text: bool = False
    dialect: Dialect | None = None
    mixed: frozenset[str] = frozenset()
    files: tuple[str, ...] = field(default=())
    close: Callable[[], object] = lambda: None
