"""Give results back in the kind of frame that the caller brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import pyarrow as pa


def like_given(blocks: Sequence[pa.Table], given: Any) -> Any:
    """
    Return one frame of the kind of `given`.

    Parameters
    ----------
    blocks : sequence of pyarrow.Table
        The rows, in order; at least one block.
    given : object
        What the caller passed as data.

    Returns
    -------
    data frame
        pandas with the index of `given`, polars and others likewise; an Arrow table where `given` is no frame.

    Examples
    --------
    >>> like_given([pa.table({"a": [1]}), pa.table({"a": [2]})], "rows.csv").to_pydict()
    {'a': [1, 2]}
    """
    whole = pa.concat_tables(blocks)
    frame = nw.from_native(given, pass_through=True)
    if not isinstance(frame, nw.DataFrame | nw.LazyFrame) or frame.implementation.is_pyarrow():
        return whole
    if frame.implementation.is_pandas():
        found = whole.to_pandas()
        found.index = given.index
        return found
    backend = frame.implementation
    return nw.from_arrow(whole, backend=backend).to_native()
