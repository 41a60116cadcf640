"""One small generator of random numbers, the same in the browser: a link, a test and a figure show one picture."""

from __future__ import annotations

import math

from softclass.functions.experiment_checks import check_seed

_MASK = 0xFFFFFFFF


class Generator:
    """
    The generator mulberry32: 32 bits of state, whole numbers only, so that no machine can differ.

    It is for pictures and experiments that anybody can repeat; for statistics use NumPy's.

    Parameters
    ----------
    seed : int
        The first state, in [0, 2**32).

    Raises
    ------
    OptionError
        SC141, if `seed` is no integer in that range.

    Examples
    --------
    >>> generator = Generator(7)
    >>> generator.next(), generator.next()
    (0.011704753153026104, 0.06195825757458806)
    """

    def __init__(self, seed: int) -> None:
        self._state = check_seed("Generator", seed)

    def next(self) -> float:
        """
        Return the next number, uniform in [0, 1).

        Returns
        -------
        float
            A multiple of 2**-32.

        Examples
        --------
        >>> Generator(0).next()
        0.26642920868471265
        """
        self._state = (self._state + 0x6D2B79F5) & _MASK
        word = ((self._state ^ self._state >> 15) * (self._state | 1)) & _MASK
        word ^= (word + (word ^ word >> 7) * (word | 61)) & _MASK
        return (word ^ word >> 14) / 2**32

    def normal(self) -> float:
        """
        Return a standard normal number, made of two uniform ones (Box and Muller, 1958).

        Returns
        -------
        float
            One of the pair; the other is not kept.

        Examples
        --------
        >>> round(Generator(7).normal(), 12)
        2.759372987029
        """
        uniform = self.next()
        while uniform == 0:
            uniform = self.next()
        return math.sqrt(-2 * math.log(uniform)) * math.cos(2 * math.pi * self.next())

    def permutation(self, n: int) -> list[int]:
        """
        Return 0 to n - 1 in another order (Fisher and Yates, from the end).

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        list of int
            Each of them once.

        Examples
        --------
        >>> Generator(7).permutation(10)
        [6, 5, 8, 1, 2, 3, 4, 7, 9, 0]
        """
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            chosen = int(self.next() * (last + 1))
            order[last], order[chosen] = order[chosen], order[last]
        return order
