"""The data sets that come with softclass, for the demo and for trying things out."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from softclass.errors import PathError, nearest, shown

NAMES = ("digits.npz", "penguins.csv")


def path(name: str) -> Path:
    """
    Return where a sample lies on this machine.

    Parameters
    ----------
    name : {"digits.npz", "penguins.csv"}
        1,797 grey digits of 8x8 pixels, and 344 penguins of three species.

    Returns
    -------
    Path
        A regular file, to be read only.

    Raises
    ------
    PathError
        SC603, if there is no such sample.

    Examples
    --------
    >>> path("penguins.csv").name
    'penguins.csv'
    """
    if name not in NAMES:
        hint = f"Did you mean {nearest(name, NAMES)[0]}?" if nearest(name, NAMES) else ""
        raise PathError("SC603", f"samples are {' and '.join(NAMES)}; got {shown(name)}", where="samples", hint=hint)
    return Path(str(resources.files(__name__).joinpath(name)))
