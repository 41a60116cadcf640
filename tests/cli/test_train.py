from __future__ import annotations

import ast
import inspect
import json
from pathlib import Path

import pytest

import softclass
from softclass.cli.configuration import known_options
from softclass.cli.output import Screen
from softclass.cli.summary import TrainingSummary, certificate_lines
from softclass.cli.train import next_run
from softclass.errors import TableError

TRAIN = Path(softclass.__file__).parent / "model" / "train.py"

SUMMARY = """\
data     p.csv · 344 rows × 8 columns · target species: a 200, b 144
columns  length     number     1 … 2.5   2 missing → median 1.75 + flag
         isl[b]and  category   Biscoe, Dream\\u001b[31m
parts    fit 234 · calibration 41 · test 69 · stratified, seed 0
model    softmax   19 features → 2 classes · 40 parameters
fit      C = 10, best of 7 · 21 iterations, converged, gradient 3e-07 · 0.03 s
         objective 0.0625 nats a row · proved: at most 3.1e-12 above the minimum (duality gap) ·
         newton, 24 passes
trust    calibration: none (no method beat it)
test     accuracy 0.900 [0.700, 1.000] · log loss 0.25 [0.1, 0.4], prior 0.69 · Brier 0.1
         ECE 0.050; on 10 rows a perfectly calibrated model would show up to 0.200
         recall  a 0.833 (6) · b 1.000 (4)
wrote    runs/p-1   model.onnx 4.1 kB · report.html   1.9 s
next     softclass predict runs/p-1 new.csv
         softclass report runs/p-1 --open
"""


def test_the_command_line_and_python_have_one_list_of_options():
    tree = ast.parse(TRAIN.read_text(encoding="utf-8"))
    function = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "train"][-1]
    python = {"target": None}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        python[argument.arg] = ast.literal_eval(default)
    shared = {"strict", "threads", "progress"}
    common = set(known_options("explain")) - {"code"}
    # A dry run is `plan` in Python.
    common |= {"dry_run"}
    command = {key: known.default for key, known in known_options("train").items() if key not in common | {"data"}}

    assert command == {key: default for key, default in python.items() if key not in shared}
    assert shared <= common & set(python)


def test_what_train_says(command, fake):
    ran = command("train", "p.csv", "-t", "species")

    assert (ran.status, ran.out) == (0, SUMMARY)
    assert ran.err == 'note[SC812] column "sex": 11 cells "NA" kept\n  fix:    --na-values sex=NA\n'


def test_what_train_passes_on(command, fake):
    command("train", "a.csv", "b.csv", "--C", "0.5", "--no-report", "--threads", "3", "--drop", "x,y", "-o", "out")
    given = {name: fake.train[name] for name in ("data", "target", "C", "report", "threads", "drop", "output", "seed")}

    assert given == {
        "data": ["a.csv", "b.csv"],
        "target": None,
        "C": 0.5,
        "report": False,
        "threads": 3,
        "drop": ("x", "y"),
        "output": "out",
        "seed": 0,
    }


def test_every_option_of_the_command_reaches_the_function(command, fake):
    command("train", "p.csv")
    common = set(inspect.signature(next_run).parameters) | set(known_options("explain"))

    assert set(known_options("train")) - common - {"dry_run"} - set(fake.train) == set()


def test_metrics_as_the_one_document(command, fake):
    ran = command("train", "p.csv", "--json")

    assert json.loads(ran.out) == {"accuracy": 0.9, "run": "runs/p-1"}
    assert "note[SC812]" in ran.err


def test_a_dry_run_writes_nothing(command, fake):
    ran = command("train", "p.csv", "--dry-run")

    assert fake.train["called"] == "plan"
    assert "nothing was fitted or written" in ran.out
    assert list(Path().iterdir()) == []


def test_a_dry_run_as_json_is_the_plan(command, fake):
    document = json.loads(command("train", "p.csv", "--dry-run", "--json").out)

    assert (document["dry_run"], document["parts"]["sizes"]["fit"]) == (True, 234)


def test_a_folder_that_cannot_be_made_is_told_before_the_work(command, fake):
    Path("no").write_text("a file")
    ran = command("train", "p.csv", "-o", "no/run")

    assert (ran.status, ran.out, fake.train) == (6, "", None)
    assert ran.err == "error[SC604] no: cannot be made: File exists\n  more:   softclass explain SC604\n"


def test_folders_above_a_run_are_made_and_go_again_after_a_failure(command, fake):
    fake.fails_with = TableError("SC301", "m")
    command("train", "p.csv", "-o", "deep/er/run")

    assert list(Path().iterdir()) == []


def test_a_failure_leaves_no_folder_of_runs(command, fake):
    fake.fails_with = TableError("SC301", "m")
    command("train", "p.csv")

    assert list(Path().iterdir()) == []


def test_runs_are_numbered(command, fake):
    command("train", "p.csv")
    command("train", "p.csv")

    assert sorted(path.name for path in Path("runs").iterdir()) == ["p-1", "p-2"]


NAMES = [
    ("p.csv", "p-1"),
    ("/x/p.tar.gz", "p-1"),
    ("-", "stdin-1"),
    ("my data/", "my-data-1"),
    (".hidden.csv", "hidden-1"),
]


@pytest.mark.parametrize(("data", "name"), NAMES)
def test_a_run_is_named_after_its_data(data, name):
    assert next_run(data) == str(Path("runs", name))


def test_progress_as_json_is_one_object_a_line(command, fake):
    ran = command("train", "p.csv", "--progress", "json")
    events = [json.loads(line)["event"] for line in ran.err.splitlines()]

    assert (events[0], events[-1]) == ("start", "done")
    assert {"iteration", "note", "fit"} <= set(events)


def test_an_error_under_progress_json_is_a_line_too(command, fake):
    fake.fails_with = ValueError("x")
    ran = command("train", "p.csv", "--progress", "json")

    assert json.loads(ran.err.splitlines()[-1])["code"] == "SC100"


def test_quiet_leaves_the_result(command, fake):
    ran = command("train", "p.csv", "-q")

    assert (ran.out, ran.err) == (SUMMARY, "")


def test_a_short_training_shows_no_progress_lines(command, fake):
    assert "iteration" not in command("train", "p.csv", "--progress", "lines").err


def test_verbose_tells_the_time(command, fake):
    assert command("train", "p.csv", "-v").err.splitlines()[-1].startswith("done in ")


def test_folds_are_told(capsys):
    Path("metrics.json").write_text(
        json.dumps({"cross_validation": {"folds": 5, "n": 9, "accuracy": 0.75, "ece": 0.1}})
    )
    TrainingSummary(Screen(environment={}))("wrote", {"path": Path(), "files": {"model.onnx": 1}, "seconds": 1.0})

    assert capsys.readouterr().out.startswith(
        "folds    5 folds: accuracy 0.750 · log loss - · Brier -\n         ECE 0.100\n"
    )


CERTIFICATE = {"objective": 0.5, "gap": 1e-9, "gap_kind": "newton", "passes": 1, "solver": "lbfgs-block",
               "separation": "", "streamed": False}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({}, ["objective 0.5 nats a row · proved: at most 1e-09 above the minimum (curvature) · lbfgs-block, 1 pass"]),
        (
            {"gap_kind": "decrement", "passes": 1200},
            ["objective 0.5 nats a row · estimated: 1e-09 above the minimum · lbfgs-block, 1,200 passes"],
        ),
        (
            {"gap_kind": "none", "gap": None, "separation": 'by "a\x1b"', "streamed": True},
            [
                "objective 0.5 nats a row · no bound on the minimum · lbfgs-block, 1 pass",
                "features streamed from disk, since they would take more than --memory-limit",
                'by "a\\u001b"',
            ],
        ),
    ],
)
def test_how_near_to_the_optimum(facts, lines):
    assert certificate_lines({**CERTIFICATE, **facts}) == lines


def test_a_fit_without_a_certificate_has_no_such_line():
    assert certificate_lines({"C": 1.0}) == []
