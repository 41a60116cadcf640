"""The figures that the READMEs quote of tables are true."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pytest
from sklearn.linear_model import LogisticRegression

from softclass.estimators.softmax_regression import SoftmaxRegression

ROOT = Path(__file__).parents[2]
BEANS = ROOT.parent / "shared" / "data" / "dry_bean" / "dry_bean.csv"


def mean_objective(model: Any, features: Any, targets: Any) -> float:
    losses = -model.predict_log_proba(features)[np.arange(len(targets)), targets]
    return float(losses.mean() + 0.5 * (model.coef_**2).sum() / (model.C * len(targets)))


@pytest.mark.skipif(not BEANS.exists(), reason="the data sets of ../shared/data are absent")
def test_the_table_of_dry_beans() -> None:
    table = pyarrow.csv.read_csv(BEANS)
    names = [name for name in table.column_names if name not in ("Bean ID", "Class")]
    features = np.column_stack([table.column(name).to_numpy().astype(float) for name in names])
    targets = np.unique(table.column("Class").to_numpy(zero_copy_only=False).astype(str), return_inverse=True)[1]
    held = np.arange(len(targets)) % 5 == 0
    models = [LogisticRegression(), LogisticRegression(solver="newton-cholesky"), SoftmaxRegression()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in models:
            model.fit(features[~held], targets[~held])
    reached = [mean_objective(model, features[~held], targets[~held]) for model in models]
    right = [float(np.mean(model.predict(features[held]) == targets[held])) for model in models]
    ours = models[-1]

    assert features.shape == (13_611, 16)
    assert ours.gap_ < 1e-10 * ours.objective_
    for readme in ("README.md", "README.zh-CN.md"):
        rows = re.findall(r"^\| `(?:Log|Soft)\w+Regression\(.*?\)` \| ([\d.]+) \| ([\d.]+)[^|]* \| ([\d.]+) \|$",
                          (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE)  # fmt: skip
        assert [float(row[0]) for row in rows] == [round(one, 4) for one in reached]
        assert [float(row[2]) for row in rows] == [round(one, 3) for one in right]
        excess = [100 * (one - reached[-1]) / reached[-1] for one in reached[:-1]]
        assert [float(row[1]) for row in rows[:-1]] == [round(excess[0]), round(excess[1], 1)]
