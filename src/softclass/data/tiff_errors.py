"""What libtiff complains of: counted for each image, never printed.

libtiff writes its complaints to standard error, and its fax decoder goes on after them with lines that it made up.
While images are decoded its complaints come here instead; a TIFF file that caused one counts as damaged.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any


class TiffErrors:
    """The complaints of one copy of libtiff.

    Parameters
    ----------
    library : str or None
        A shared library that is libtiff, or is linked to it; None for this process. Where libtiff cannot be reached
        through it, nothing is counted and nothing changes.

    Examples
    --------
    >>> errors = TiffErrors("no-such-library")
    >>> errors.listen(), errors.count(), errors.leave()
    (None, 0, None)
    """

    def __init__(self, library: str | None) -> None:
        self._heard = threading.local()
        self._before: Any = None
        self._exchange: Any = None
        # The third argument is a va_list, which every platform passes as an address.
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self._handler = kind(self._hear)
        try:
            self._exchange = ctypes.CDLL(library).TIFFSetErrorHandler
        except (OSError, AttributeError):
            return
        self._exchange.argtypes, self._exchange.restype = [ctypes.c_void_p], ctypes.c_void_p

    def listen(self) -> None:
        """Take the place of whoever hears the complaints now."""
        if self._exchange is not None:
            self._before = self._exchange(ctypes.cast(self._handler, ctypes.c_void_p))

    def leave(self) -> None:
        """Give the place back."""
        if self._exchange is not None:
            self._exchange(self._before)

    def count(self) -> int:
        """Return the complaints about images that this thread decoded."""
        return getattr(self._heard, "count", 0)

    def _hear(self, module: int | None, text: int | None, arguments: int | None) -> None:
        self._heard.count = self.count() + 1
