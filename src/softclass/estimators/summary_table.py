"""The table of `SoftmaxRegression.summary`: numbers, and how they are printed."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

COLUMNS = (
    "class", "column", "coefficient", "standard_error", "z", "p_value", "low", "high", "odds_ratio", "odds_low",
    "odds_high",
)  # fmt: skip


@dataclass(frozen=True)
class Coefficient:
    """One row of the table; what cannot be known is None, and `reason` says why.

    Attributes
    ----------
    label : str
        Class.
    column : str
        Name of the column, or "(intercept)".
    coefficient : float or None
        Contrast with the reference class, or sum-to-zero coefficient.
    standard_error, z, p_value, log_p : float or None
        `log_p` is the natural logarithm of `p_value`, exact where that vanishes.
    low, high : float or None
        Ends of the confidence interval.
    reason : str
        Why numbers are missing; empty if none is.
    """

    label: str
    column: str
    coefficient: float | None
    standard_error: float | None
    z: float | None
    p_value: float | None
    log_p: float | None
    low: float | None
    high: float | None
    reason: str

    @property
    def odds(self) -> tuple[float | None, float | None, float | None]:
        """Odds ratio and the ends of its interval: exponentials of coefficient, `low` and `high`."""
        with np.errstate(over="ignore"):
            ratio, low, high = (None if one is None else float(np.exp(one)) for one in
                                (self.coefficient, self.low, self.high))  # fmt: skip
        return ratio, low, high

    def to_dict(self) -> dict[str, Any]:
        """Return the row with the names of the columns."""
        odds_ratio, odds_low, odds_high = self.odds
        named = {"class": self.label, "column": self.column, "coefficient": self.coefficient}
        named |= {"standard_error": self.standard_error, "z": self.z, "p_value": self.p_value}
        named |= {"low": self.low, "high": self.high}
        named |= {"odds_ratio": odds_ratio, "odds_low": odds_low, "odds_high": odds_high}
        return {**named, "log_p": self.log_p, "reason": self.reason}

    def cells(self) -> list[str]:
        """Return the row as text."""
        logs = (self.coefficient, self.low, self.high)
        return [
            self.label,
            self.column,
            _number(self.coefficient),
            _number(self.standard_error),
            "" if self.z is None else f"{self.z:.2f}",
            "" if self.log_p is None else power_text(self.log_p),
            _number(self.low),
            _number(self.high),
            *("" if one is None else power_text(one) for one in logs),
        ]


@dataclass(frozen=True)
class ColumnTest:
    """Wald test that all contrasts of a column are zero.

    Attributes
    ----------
    column : str
        Its name.
    statistic : float or None
        Chi-squared with `degrees` of freedom if the column has no effect.
    degrees : int
        Number of contrasts.
    p_value, log_p : float or None
        And its logarithm.
    reason : str
        Why there is none.
    """

    column: str
    statistic: float | None
    degrees: int
    p_value: float | None
    log_p: float | None
    reason: str


@dataclass(frozen=True, eq=False)
class Summary:
    """
    Coefficients with standard errors, tests and odds ratios.

    Attributes
    ----------
    coefficients : tuple of Coefficient
        Class after class.
    column_tests : tuple of ColumnTest
        One a column.
    reference : str or None
        The class that the others are compared with; None: coefficients sum to zero over the classes.
    covariance : str
        "fisher" or "robust".
    coverage : float
        Of the intervals.
    notes : tuple of str
        Why numbers are missing.
    n_samples : float
        Sum of the weights.
    log_likelihood, null_log_likelihood, mcfadden_r2, aic, bic : float or None
        Of the fit and of the best constant answer; None with a penalty.
    rank : int or None
        Linearly independent columns.
    n_parameters : int or None
        Free parameters.
    likelihood_ratio, likelihood_ratio_log_p : float or None
        Test of all columns at once, and the logarithm of its p value.
    n_clusters : int or None
        Clusters of the robust covariance.
    """

    coefficients: tuple[Coefficient, ...]
    column_tests: tuple[ColumnTest, ...]
    reference: str | None
    covariance: str
    coverage: float
    notes: tuple[str, ...]
    n_samples: float
    log_likelihood: float | None = None
    null_log_likelihood: float | None = None
    mcfadden_r2: float | None = None
    aic: float | None = None
    bic: float | None = None
    rank: int | None = None
    n_parameters: int | None = None
    likelihood_ratio: float | None = None
    likelihood_ratio_log_p: float | None = None
    n_clusters: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return the numbers below the table."""
        skipped = ("coefficients", "column_tests", "notes")
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in skipped}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as lists, texts, numbers and None."""
        return {
            "coefficients": [one.to_dict() for one in self.coefficients],
            "column_tests": [asdict(one) for one in self.column_tests],
            **self.facts(),
            "notes": list(self.notes),
        }

    def to_frame(self) -> Any:
        """
        Return the coefficients as a pandas frame, one row a class and column; needs pandas.

        Returns
        -------
        pandas.DataFrame
            What is missing is NaN, and the last column says why.
        """
        import pandas

        rows = [one.to_dict() for one in self.coefficients]
        frame = pandas.DataFrame(rows, columns=[*COLUMNS, "log_p", "reason"])
        return frame.astype(dict.fromkeys([*COLUMNS[2:], "log_p"], "float64"))

    def __str__(self) -> str:
        head = list(COLUMNS)
        body = [one.cells() for one in self.coefficients]
        used = [i for i in range(len(head)) if i < 2 or any(row[i] for row in body)]
        lines = [_aligned([head, *body], used), ""]
        lines += [f"{name}  {text}" for name, text in self._below()]
        if self.column_tests:
            tests = [["column", "wald", "degrees", "p_value"]]
            tests += [[t.column, _number(t.statistic), str(t.degrees), _p(t.log_p)] for t in self.column_tests]
            lines += ["", _aligned(tests, [0, 1, 2, 3])]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _below(self) -> list[tuple[str, str]]:
        against = "coefficients sum to zero over the classes" if self.reference is None else self.reference
        below = [("reference class", against), ("rows", f"{self.n_samples:g}")]
        if self.log_likelihood is None:
            return below
        clustered = "" if self.n_clusters is None else f", {self.n_clusters:,} clusters"
        below.append(("covariance", f"{self.covariance}{clustered}; intervals cover {100 * self.coverage:g} %"))
        below += [
            (name.replace("_", " "), f"{getattr(self, name):.6g}")
            for name in ("log_likelihood", "null_log_likelihood", "mcfadden_r2", "aic", "bic", "rank")
            if getattr(self, name) is not None
        ]
        ratio = f"{self.likelihood_ratio:.6g}, p {_p(self.likelihood_ratio_log_p)}"
        return [*below, ("likelihood ratio", ratio)]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in one.cells()) + "</tr>"
            for one in self.coefficients
        )
        below = "".join(f"<br>{html.escape(name)}: {html.escape(text)}" for name, text in self._below())
        notes = "".join(f"<br>{html.escape(note)}" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{below[4:]}{notes}</p>"


def power_text(log_value: float) -> str:
    """Return the text of ``exp(log_value)``, which may be beyond the range of a float.

    Examples
    --------
    >>> power_text(-1000.0), power_text(0.5), power_text(1000.0)
    ('5.1e-435', '1.649', '2e+434')
    """
    if np.isinf(log_value):
        return "inf" if log_value > 0 else "0"
    if -7.0 < log_value < 11.5:
        return f"{np.exp(log_value):.4g}"
    exponent = int(np.floor(log_value / np.log(10.0)))
    mantissa = np.exp(log_value - exponent * np.log(10.0))
    if f"{mantissa:.1f}" == "10.0":
        mantissa, exponent = 1.0, exponent + 1
    return f"{mantissa:.2g}e{exponent:+03d}"


def _p(log_p: float | None) -> str:
    return "" if log_p is None else power_text(log_p)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _aligned(rows: list[list[str]], used: list[int]) -> str:
    """Return rows as text in columns, names to the left and numbers to the right."""
    widths = {i: max(len(row[i]) for row in rows) for i in used}
    names = 2 if len(rows[0]) == len(COLUMNS) else 1
    lines = []
    for row in rows:
        cells = [row[i].ljust(widths[i]) if i < names else row[i].rjust(widths[i]) for i in used]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
