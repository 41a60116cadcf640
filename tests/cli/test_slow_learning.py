"""`softclass demo slow-learning`: tables with theory beside the measurement, figures, and the numbers as files."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.datasets import load_digits

from softclass.cli.slow_experiments import cell, digits
from softclass.report.slow_figure_words import WORDS
from softclass.report.slow_figures import figures

FOLDER = Path("runs/slow-learning")


def curves():
    """Made-up curves: what the figures do with them is the point."""
    heads = ("softmax_ce", "softmax_se", "sigmoid_ce", "sigmoid_se")
    return [{"start_scale": 10.0, "head": head, "accuracy": [0.5 + 0.01 * n for n in range(30)]} for head in heads]


@pytest.fixture
def quick(monkeypatch):
    """The same demo with fewer seeds, epochs, rates and steps: seconds in the place of half a minute."""
    monkeypatch.setattr("softclass.cli.slow_learning.SEEDS", (0,))
    monkeypatch.setattr("softclass.cli.slow_experiments.SEEDS", (0,))
    monkeypatch.setattr("softclass.cli.slow_experiments.NETWORK_RATES", (0.5, 4.0))
    monkeypatch.setattr("softclass.cli.slow_experiments.NETWORK_EPOCHS", 3)
    monkeypatch.setattr("softclass.cli.slow_experiments.PLANE_SCALES", (0.5, 2.0))
    monkeypatch.setattr("softclass.cli.slow_experiments.MIXED_SCALES", (2.0,))


def table(path):
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def test_the_demo_writes_tables_figures_and_numbers(command, quick):
    ran = command("demo", "slow-learning")

    tables = {path.stem: table(path) for path in FOLDER.glob("*.csv")}
    numbers = json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8"))["experiments"]
    steps = {row[0]: row for row in numbers["s2"]["rows"]}
    assert ran.status == 0
    assert sorted(path.name for path in FOLDER.glob("*.svg")) == sorted(f"{name}.svg" for name in WORDS["en"])
    assert [steps[12][at] for at in (1, 3, 7)] == [13, 28991, 13]
    assert [steps[30][at] for at in (1, 5, 7)] == [31, 10722, None]
    assert " 12  13    12.0  28,991   28,941.2" in ran.out
    assert "trained by softclass's own engine: 90.7% after one epoch" in ran.out
    assert "squared error reaches 90 % within 3 epochs at 0 of 2 rates" in ran.out
    assert sorted(tables) == sorted(numbers) == ["s1", "s2", "s3a", "s3b", "s3c", "s4", "s4b", "s5", "s6"]
    assert [name for name, rows in tables.items() if len(set(rows[0])) < len(rows[0])] == []
    assert [name for name, rows in tables.items() if {len(row) for row in rows} != {len(rows[0])}] == []
    assert tables["s3a"][-1][2:] == ["15", "586", "11", "333"]
    assert tables["s2"][-1][-1] == "never"


def test_the_demo_as_json_replaces_what_an_older_one_wrote(command, quick):
    Path("here/slow-learning").mkdir(parents=True)
    Path("here/slow-learning/numbers.json").write_text("{}")
    Path("here/slow-learning/old.svg").write_text("old")

    ran = command("demo", "slow-learning", "--json", "--quiet", "--output", "here")

    document = json.loads(ran.out)
    assert (ran.status, ran.err) == (0, "")
    assert document["folder"] == "here/slow-learning"
    assert document["experiments"]["s1"]["rows"][1][2::2] == [232, 469, 17, 50]
    assert table(Path("here/slow-learning/s1.csv"))[2][2::2] == ["232", "469", "17", "50"]
    assert not Path("here/slow-learning/old.svg").exists()


def test_a_folder_of_somebody_else_stays(command):
    Path("runs/slow-learning").mkdir(parents=True)
    Path("runs/slow-learning/mine.txt").write_text("mine")

    ran = command("demo", "slow-learning")

    assert (ran.status, ran.out) == (2, "")
    assert "error[SC204] runs/slow-learning: " in ran.err
    assert Path("runs/slow-learning/mine.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_said_before_the_work(command):
    Path("file").write_text("")

    ran = command("demo", "slow-learning", "-o", "file")

    assert (ran.status, ran.out) == (6, "")
    assert "error[SC604] file: cannot be made" in ran.err


def test_another_word_is_refused(command):
    ran = command("demo", "slow")

    assert (ran.status, ran.out, list(Path().iterdir())) == (2, "", [])
    assert 'must be "models" or "slow-learning"; got "slow"' in ran.err


def test_the_digits_are_those_of_scikit_learn():
    pixels, targets = load_digits(return_X_y=True)
    (x, t), (x_test, t_test) = digits()

    assert (len(x), len(x_test)) == (1347, 450)
    assert np.array_equal(np.sort(np.concatenate([x, x_test]), axis=0), np.sort(pixels / 16, axis=0))
    assert np.array_equal(np.bincount(np.concatenate([t, t_test])), np.bincount(targets))


def test_cells_say_never():
    assert [cell(value, "epochs") for value in (None, math.inf, 1234, 0.5, "")] == [
        "never",
        "never",
        "1,234",
        "0.5",
        "",
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_figures_are_whole(language):
    found = figures(curves(), language)
    drawn = {name: text.split("</style>")[1] for name, text in found.items()}
    points = [line for text in drawn.values() for line in re.findall(r'points="([^"]*)"', text)]

    assert sorted(found) == sorted(WORDS[language])
    assert [name for name, text in drawn.items() if "{" in text] == []
    assert [line for line in points if "nan" in line or "inf" in line or line.count(",") < 2] == []
    assert [ElementTree.fromstring(text).tag for text in found.values()] == ["{http://www.w3.org/2000/svg}svg"] * 6


def test_both_languages_have_the_same_words_and_gaps():
    def gaps(language):
        return {
            (figure, key): sorted(part.split("}")[0].split(":")[0] for part in text.split("{")[1:])
            for figure, words in WORDS[language].items()
            for key, text in words.items()
        }

    assert gaps("en") == gaps("zh")
