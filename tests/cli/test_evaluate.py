from __future__ import annotations

import json
from pathlib import Path

import pytest

from softclass.cli.evaluation_text import evaluation_lines

TEXT = """\
data     x.csv · 10 rows · 2 classes
test     accuracy 0.900 [0.700, 1.000] · log loss 0.25 [0.1, 0.4], prior 0.69 · Brier 0.1
         ECE 0.050; on 10 rows a perfectly calibrated model would show up to 0.200

class  rows  precision  recall     F1  log loss
a         6      1.000   0.833  0.900       0.2
b         4      0.800   1.000  0.890       0.3
"""


def test_what_evaluate_says(command, fake):
    ran = command("evaluate", "m", "x.csv")

    assert (ran.status, ran.out, ran.err) == (0, TEXT, "")


def test_the_figures_as_json(command, fake):
    document = json.loads(command("evaluate", "m", "x.csv", "--json").out)

    assert (document["accuracy"], document["run"]) == (0.9, "m")


def test_the_figures_in_a_file(command, fake):
    command("evaluate", "m", "x.csv", "-o", "e.json")

    assert json.loads(Path("e.json").read_text())["log_loss"] == 0.25
    assert command("evaluate", "m", "x.csv", "-o", "e.json").status == 2


@pytest.mark.parametrize(
    ("limit", "status"),
    [("accuracy=0.9", 0), ("accuracy=0.91", 5), ("log_loss=0.2", 5), ("log_loss=0.3,brier=0.2", 0), ("acuracy=1", 2)],
)
def test_fail_under(command, fake, limit, status):
    ran = command("evaluate", "m", "x.csv", "--fail-under", limit)

    assert ran.status == status


def test_unknown_classes_are_told():
    facts = {"n": 3, "log_loss": None, "log_loss_known_rows": 0.5, "unknown_class_rows": 1, "accuracy": 0.5}
    lines = evaluation_lines(facts, 80)

    assert "log loss of the known classes 0.5" in lines[0]
    assert lines[-1] == "1 row with a label that the model does not know: counted as wrong"


def test_of_many_classes_the_worst_are_listed():
    per_class = {f"c{i}": {"n": 5, "recall": i / 20} for i in range(20)}
    line = evaluation_lines({"n": 100, "per_class": per_class}, 80)[-1]

    assert line.startswith("lowest recall of 20 classes  c0 0.000 (5) · c1 0.050 (5)")
    assert "c19" not in line
