"""A run's config.toml repeats the run: the same bytes, whatever the options were; and a plan is what then happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROWS = "".join(
    f"{i * 7 % 13},g{i // 5},2024-{i // 28 + 1:02d}-{i % 28 + 1:02d},{('fit', 'test', 'calibration')[i % 3]},"
    f"{'AB'[(i * 7 % 13 + i % 4) > 7]},{1 + i % 4}\n"
    for i in range(140)
)
OPTIONS = {
    "nothing": "",
    "group": "--group grp",
    "time": "--time day",
    "split-column": "--split-column part",
    "sample-weight": "--sample-weight wt",
    "class-weight": "--class-weight weights.json",
    "balanced": "--class-weight balanced",
    "rows": "--rows 90 --seed 3",
    "test-data": "--test-data t.csv",
    "folds": "--cv 3",
    "shares": "--test 0.3 --calibration 0.2 --no-stratify",
    "kinds": "--category wt --drop grp,part --id day",
    "no-penalty": "--C inf --max-iter 50",
    "path": "--path --odds-ratios",
    "path-folds": "--path --cv 3",
    "streamed": "--memory-limit 1kB",
}


@pytest.fixture
def table() -> None:
    Path("t.csv").write_text(f"x,grp,day,part,kind,wt\n{ROWS}")
    Path("weights.json").write_text('{"A": 2, "B": 1}')


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_configuration_repeats_the_run(softclass, options, table):
    strength = [] if "--C" in options else ["--C", "1"]
    quick = ("--no-report", "--no-predictions", "--json")
    first = softclass("train", "t.csv", "-t", "kind", *strength, *options.split(), *quick, "-o", "one")
    again = softclass("train", "-c", "one/config.toml", "--json", "-o", "two")

    assert (first.status, again.status) == (0, 0)
    assert Path("two/model.onnx").read_bytes() == Path("one/model.onnx").read_bytes()
    before, after = json.loads(first.out), json.loads(again.out)
    assert (before.pop("run"), after.pop("run")) == ("one", "two")
    before["fit"].pop("seconds"), after["fit"].pop("seconds")
    assert before == after


@pytest.mark.parametrize("options", ["", "--group grp", "--time day", "--split-column part", "--test-data t.csv"])
def test_a_plan_is_what_then_happens(softclass, options, table):
    command = ("train", "t.csv", "-t", "kind", "--C", "1", *options.split())
    plan = softclass(*command, "--dry-run", "--json")
    assert sorted(path.name for path in Path().iterdir()) == ["t.csv", "weights.json"]
    done = softclass(*command, "--json", "--no-report", "-o", "run")

    sizes, parts = json.loads(plan.out)["parts"]["sizes"], json.loads(done.out)["parts"]
    assert (plan.status, done.status) == (0, 0)
    assert sizes == {name: parts[name] for name in sizes}
