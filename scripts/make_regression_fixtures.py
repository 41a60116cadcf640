"""Write the fixtures of SoftmaxRegression: exact tiny cases by mpmath, unpenalised fits by statsmodels.

Run it by hand with both installed; the tests read what it wrote and need neither. For the numbers of R's glmnet in the
tests: ``f <- glmnet(x, y, family="multinomial", alpha=a, lambda=c(0.1, 0.02), standardize=FALSE, thresh=1e-16,
maxit=1e7); coef(f, s=l)``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"
DIGITS = 50
SHOWN = 25

TINY = [[1, 0], [0, 2], [-1, 1], [2, -1], [0.5, 0.5]]
CASES = {
    "T1": {"X": [[0], [1], [2], [3]], "y": [0, 1, 2, 1], "weights": [1, 1, 1, 1], "C": 1, "intercept": True},
    "T2": {"X": TINY, "y": [0, 1, 2, 0, 1], "weights": [1, 2, 0.5, 1, 3], "C": 0.5, "intercept": False},
    "T2i": {"X": TINY, "y": [0, 1, 2, 0, 1], "weights": [1, 2, 0.5, 1, 3], "C": 0.5, "intercept": True},
    "T3": {"X": [[0], [1], [2], [4]], "y": [0, 1, 0, 1], "weights": [1, 1, 1, 1], "C": 1, "intercept": True},
}


def solved(case: dict[str, Any]) -> dict[str, Any]:
    """Return the optimum of a case by Newton's method with many digits; sums, as in scikit-learn."""
    mpmath.mp.dps = DIGITS
    X, y, k = case["X"], case["y"], max(case["y"]) + 1
    rows, d = (1 if k == 2 else k), len(X[0])
    size = rows * (d + case["intercept"])
    theta = mpmath.zeros(size, 1)
    width = d + case["intercept"]
    extended = [[mpmath.mpf(v) for v in row] + [mpmath.mpf(1)] * case["intercept"] for row in X]
    for _ in range(100):
        gradient, hessian, value = mpmath.zeros(size, 1), mpmath.zeros(size), mpmath.mpf(0)
        for x, target, weight in zip(extended, y, case["weights"], strict=True):
            logits = [sum(theta[r * width + j] * x[j] for j in range(width)) for r in range(rows)]
            logits = [mpmath.mpf(0), *logits] if rows == 1 else logits
            rest = mpmath.log(sum(mpmath.exp(z) for z in logits))
            chances = [mpmath.exp(z - rest) for z in logits]
            strength = mpmath.mpf(case["C"]) * mpmath.mpf(weight)
            value += strength * (rest - logits[target])
            for r in range(rows):
                one = r + (rows == 1)
                error = chances[one] - (one == target)
                for j in range(width):
                    gradient[r * width + j] += strength * error * x[j]
                    for s in range(rows):
                        two = s + (rows == 1)
                        bend = strength * chances[one] * ((one == two) - chances[two])
                        for i in range(width):
                            hessian[r * width + j, s * width + i] += bend * x[j] * x[i]
        for r in range(rows):
            for j in range(width):
                if j < d:
                    value += theta[r * width + j] ** 2 / 2
                    gradient[r * width + j] += theta[r * width + j]
                    hessian[r * width + j, r * width + j] += 1
                elif rows > 1:  # the classes share one shift of the intercepts: keep their sum at zero
                    for s in range(rows):
                        hessian[r * width + j, s * width + j] += 1
        theta -= mpmath.lu_solve(hessian, gradient)
        if max(abs(g) for g in gradient) < mpmath.mpf(10) ** (5 - DIGITS):
            break
    text = [[mpmath.nstr(theta[r * width + j], SHOWN) for j in range(width)] for r in range(rows)]
    bias = [row[d] if case["intercept"] else "0" for row in text]
    return {**case, "objective": mpmath.nstr(value, SHOWN), "coef": [row[:d] for row in text], "intercept_": bias}


def drawn(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return standard normal columns and labels of a softmax model."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((rows, 3))
    weight = np.array([[0, 0, 0], [1, -0.5, 0.3], [-0.7, 0.2, 0.9]])
    return Z, np.argmax(Z @ weight.T + [0, 0.3, -0.2] + rng.gumbel(size=(rows, 3)), axis=1)


def multinom() -> dict[str, Any]:
    """Return what statsmodels says about unpenalised fits."""
    import statsmodels.api as sm

    X, y = drawn(400, 1)
    Z, t = drawn(150, 2)
    sets = {"drawn": (X, y), "two_classes": (X, np.minimum(y, 1)), "offsets": (Z * [100.0, 0.01, 1.0] + [500, 0, 3], t)}
    twice = np.repeat(np.arange(150), 1 + np.arange(150) % 3)
    sets["weighted"] = (Z[twice], t[twice])
    cases = {}
    for name, (features, labels) in sets.items():
        deviation, mean = features.std(axis=0), features.mean(axis=0)
        scaled = (features - mean) / deviation  # statsmodels' Newton needs columns of one size
        fit = sm.MNLogit(labels, np.c_[scaled, np.ones(len(labels))]).fit(method="newton", tol=1e-14, disp=0)
        change = np.diag(np.r_[1 / deviation, 1.0])
        change[-1, :-1] = -mean / deviation
        contrasts = fit.params.shape[1]
        whole = np.kron(np.eye(contrasts), change)
        values = whole @ fit.params.T.ravel()
        errors = np.sqrt((whole @ fit.cov_params() @ whole.T).diagonal())
        from scipy.stats import norm

        cases[name] = {
            "X": features.tolist(), "y": labels.tolist(), "coefficients": values.tolist(),
            "standard_errors": errors.tolist(), "p_values": (2 * norm.sf(np.abs(values / errors))).tolist(),
            "log_likelihood": float(fit.llf), "null_log_likelihood": float(fit.llnull), "aic": float(fit.aic),
            "bic": float(fit.bic),
        }  # fmt: skip
    return cases


def main() -> None:
    """Write both files; the second only where statsmodels is installed."""
    exact = {name: solved(case) for name, case in CASES.items()}
    (FOLDER / "softmax_regression.json").write_text(json.dumps({"cases": exact}, indent=1) + "\n")
    try:
        import statsmodels
    except ImportError:
        print("statsmodels is not installed: multinom.json stays as it is", file=sys.stderr)
        return
    made = {"statsmodels": statsmodels.__version__, "cases": multinom()}
    (FOLDER / "multinom.json").write_text(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
