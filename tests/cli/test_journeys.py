"""Whole commands on real data, nothing replaced."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from softclass.cli.main import main
from softclass.data import samples

SOFTCLASS = (sys.executable, "-m", "softclass")
PENGUINS = samples.path("penguins.csv")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of penguins, trained once."""
    path = tmp_path_factory.mktemp("runs") / "penguins"
    assert main(["train", str(PENGUINS), "-t", "species", "--C", "10", "--no-report", "-q", "-o", str(path)]) == 0
    return path


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_a_run_holds_its_files(run):
    assert sorted(path.name for path in run.iterdir()) == [
        "config.toml",
        "environment.txt",
        "history.jsonl",
        "metrics.json",
        "model.onnx",
        "predictions-test.parquet",
        "schema.json",
    ]


def test_the_configuration_of_a_run_repeats_it(command, run):
    ran = command("train", "-c", str(run / "config.toml"), "-o", "again", "-q")

    assert ran.status == 0
    assert Path("again/model.onnx").read_bytes() == (run / "model.onnx").read_bytes()


def test_a_run_is_not_replaced_unless_told(command, run, tmp_path):
    shutil.copytree(run, "old")
    before = Path("old/model.onnx").read_bytes()
    ran = command("train", str(PENGUINS), "-t", "species", "-o", "old", "--seed", "1")

    assert (ran.status, ran.out, Path("old/model.onnx").read_bytes()) == (2, "", before)
    assert "error[SC204] old: " in ran.err


def test_a_folder_of_others_is_never_replaced(command):
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")

    assert command("train", str(PENGUINS), "-t", "species", "-o", "mine", "--overwrite").status == 2
    assert Path("mine/letter.txt").read_text() == "dear"


def test_one_row_of_predictions_for_each_row(command, run):
    rows = _rows(command("predict", str(run), str(PENGUINS)).out)

    assert len(rows) == 344
    assert list(rows[0]) == ["row", "prediction", "confidence", "proba_Adelie", "proba_Chinstrap", "proba_Gentoo"]
    assert {abs(sum(float(row[name]) for name in row if name.startswith("proba_")) - 1) < 1e-6 for row in rows} == {
        True
    }


def test_standard_input_gives_the_bytes_of_the_file(command, run):
    from_file = command("predict", str(run), str(PENGUINS)).out
    with PENGUINS.open("rb") as file:
        done = subprocess.run([*SOFTCLASS, "predict", run, "-"], stdin=file, capture_output=True, check=True)

    assert done.stdout.decode() == from_file


def test_a_reader_of_predictions_that_closes_the_pipe(run):
    predict = shlex.join([*SOFTCLASS, "predict", str(run), str(PENGUINS), "--batch-size", "1"])
    shell = f"({predict} 2>err; echo $? >status) | head -1"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True)

    assert done.stdout.startswith("row,prediction")
    assert Path("status").read_text() == "0\n"
    assert "error" not in Path("err").read_text()


def test_no_rows_are_no_error(command, run):
    Path("none.csv").write_text(PENGUINS.read_text().splitlines()[0] + "\n")
    ran = command("predict", str(run), "none.csv")

    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "row,prediction,confidence,proba_Adelie,proba_Chinstrap,proba_Gentoo\n"


def test_predictions_as_json_lines(command, run):
    lines = command("predict", str(run), str(PENGUINS), "--json", "--top-k", "1", "--keep", "sex").out.splitlines()

    assert list(json.loads(lines[0])) == ["row", "sex", "prediction", "confidence", "top_1", "top_1_proba"]


def test_a_missing_column_is_named_with_its_cure(command, run):
    Path("new.csv").write_text(PENGUINS.read_text().replace("body_mass_g", "body_mass"))
    ran = command("predict", str(run), "new.csv")

    assert (ran.status, ran.out) == (3, "")
    assert ran.err.startswith('error[SC321] new.csv: column "body_mass_g" is missing')


def test_a_column_of_another_name_can_be_renamed(command, run):
    Path("new.csv").write_text(PENGUINS.read_text().replace("body_mass_g", "body_mass"))
    renamed = command("predict", str(run), "new.csv", "--rename", "body_mass=body_mass_g")

    assert renamed.out == command("predict", str(run), str(PENGUINS)).out


def test_evaluation_with_groups_and_predictions(command, run):
    ran = command("evaluate", str(run), str(PENGUINS), "--by", "island", "--predictions", "p.csv", "--bootstrap", "100")

    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()[-4:]] == ["group", "Biscoe", "Dream", "Torgersen"]
    assert list(_rows(Path("p.csv").read_text())[0])[:5] == ["row", "prediction", "confidence", "target", "loss"]


def test_the_figures_of_a_run_are_those_of_its_file(command, run):
    document = json.loads(command("inspect", str(run), "--json").out)
    metrics = json.loads((run / "metrics.json").read_text())

    assert document["evaluation"]["log_loss"] == metrics["log_loss"]
    assert len(document["digest"]) == 64


@pytest.mark.parametrize("options", [[], ["--schema"], ["--card"], ["--verify"]], ids=str)
def test_inspect_a_model(command, run, options):
    ran = command("inspect", str(run / "model.onnx"), *options)

    assert (ran.status, ran.err) == (0, "")
    assert "bill_length_mm" in ran.out


def _loaded(heavy: set[str], *arguments: object) -> list[str]:
    """Which of the heavy libraries a command loads in a process of its own."""
    code = (
        "import atexit, sys; from softclass.cli.main import run;"
        f"atexit.register(lambda: print(sorted(set(sys.modules) & {heavy}), file=sys.stderr)); run()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True).stderr.replace("'", '"'))


def test_train_and_inspect_tell_one_story_of_the_parameters(command, tmp_path):
    run = tmp_path / "run"

    told = command("train", str(PENGUINS), "--architecture", "realmlp", "--epochs", "1", "-o", str(run)).out
    trained, written = re.search(r"realmlp · ([\d,]+) parameters trained, ([\d,]+) in the file", told).groups()

    assert trained != written
    assert f" · {written} parameters in the file\n" in command("inspect", str(run)).out


def test_inspect_needs_no_runtime(run):
    assert _loaded({"onnx", "onnxruntime", "sklearn", "scipy", "torch", "pandas", "rich"}, "inspect", run) == []


def test_predict_loads_nothing_of_training(run):
    heavy = {"onnx", "sklearn", "scipy", "torch", "pandas", "polars", "jinja2", "PIL", "rich"}

    assert _loaded(heavy, "predict", run, PENGUINS, "-q") == []


def test_inspect_a_pipe(run):
    shell = f"cat {shlex.quote(str(PENGUINS))} | {shlex.join(SOFTCLASS)} inspect /dev/stdin"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True)

    assert (done.returncode, "target   species" in done.stdout) == (0, True)


def test_inspect_a_table(command):
    ran = command("inspect", str(PENGUINS))

    assert ran.status == 0
    assert "target   species · 3 classes: Adelie, Chinstrap, Gentoo" in ran.out
    assert "bill_length_mm     number     32.1 … 59.6   2 missing" in ran.out


def test_inspect_images(command):
    document = json.loads(command("inspect", str(samples.path("digits.npz")), "--json").out)

    assert (document["n_rows"], document["image"]["height"], len(document["class_counts"])) == (1797, 8, 10)


@pytest.mark.parametrize("verb", [["predict"], ["evaluate"], ["inspect"], ["report"]], ids=str)
@pytest.mark.parametrize("damage", ["cut", "flip", "text"])
def test_a_damaged_model_ends_with_4(command, run, verb, damage):
    data = (run / "model.onnx").read_bytes()
    flipped = data[:900] + bytes([data[900] ^ 1]) + data[901:]
    Path("m.onnx").write_bytes({"cut": data[:3000], "flip": flipped, "text": b"hello"}[damage])
    rest = [str(PENGUINS)] if verb[0] in ("predict", "evaluate") else []
    ran = command(*verb, "m.onnx", *rest)

    assert (ran.status, ran.out, "Traceback" in ran.err) == (4, "", False)
    assert ran.err.startswith("error[SC40")


def test_three_rows_with_a_chinese_header(command):
    Path("t.csv").write_text("特征1,特征2,类别\n5.1,3.5,A\n4.9,3.0,B\n6.2,2.9,C\n", encoding="utf-8")
    ran = command("train", "t.csv", "--no-report")
    rows = _rows(command("predict", "runs/t-1", "t.csv").out)

    assert ran.status == 0
    assert "nothing was held out" in ran.out
    assert "note[SC821]" in ran.err
    assert [round(sum(float(row[f"proba_{name}"]) for name in "ABC"), 6) for row in rows] == [1.0, 1.0, 1.0]


def test_a_check_that_fails_comes_after_the_run_is_written(command):
    options = ["--C", "1", "--no-report", "--fail-under", "accuracy=1.01", "-o", "run"]
    ran = command("train", str(PENGUINS), "-t", "species", *options)

    assert (ran.status, "error[SC501]" in ran.err, Path("run/model.onnx").exists()) == (5, True, True)


def test_a_plan(command):
    ran = command("train", str(PENGUINS), "-t", "species", "--dry-run")

    assert (ran.status, list(Path().iterdir())) == (0, [])
    assert "parts    fit 234 · calibration 41 · test 69" in ran.out


def test_the_report_of_a_run(command, run):
    shutil.copytree(run, "run")
    ran = command("report", "run", "--lang", "zh", "--no-examples")

    assert ran.status == 0
    assert ran.out.startswith("wrote    run/report.html   ")
    assert 'lang="zh' in Path("run/report.html").read_text(encoding="utf-8")


def test_the_report_of_a_lone_model_needs_a_name(command, run):
    shutil.copy(run / "model.onnx", "m.onnx")
    ran = command("report", "m.onnx")

    assert (ran.status, "fix:    softclass report m.onnx -o report.html" in ran.err) == (2, True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_reading_leaves_nothing(number, status):
    process = subprocess.Popen([*SOFTCLASS, "train", "-", "-t", "y"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"x,y\n1,a\n")
    process.stdin.flush()
    # The folder of runs appears when the training begins.
    while not os.path.isdir("runs") and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate()

    assert (process.returncode, b"Traceback" in err) == (status, False)
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_the_demo_runs_twice(command):
    first, second = command("demo"), command("demo", "--json")

    assert (first.status, second.status) == (0, 0)
    assert [Path(one["report"]).exists() for one in json.loads(second.out)["demo"]] == [True, True]
    assert sorted(path.name for path in Path("runs").iterdir()) == ["demo-digits", "demo-penguins"]


def test_malformed_rows_are_counted_and_kept_beside_the_predictions(command, run):
    lines = PENGUINS.read_text().splitlines()
    Path("rows.csv").write_text("\n".join([*lines[:3], "broken,row", *lines[3:5]]) + "\n")

    ran = command("predict", str(run), "rows.csv", "--bad-rows", "skip", "-o", "out.csv")

    assert (ran.status, len(_rows(Path("out.csv").read_text()))) == (0, 4)
    assert Path("out.rejects.csv").read_text() == 'line,text\n4,"broken,row"\n'
    assert "note[SC811]" in ran.err


def test_a_rename_of_a_column_that_is_not_there_is_refused(command, run):
    ran = command("predict", str(run), str(PENGUINS), "--rename", "ilsand=island")

    assert (ran.status, ran.out) == (3, "")
    assert 'error[SC321] penguins.csv: column "ilsand" of --rename is missing' in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (["--seed", "-1"], "SC207", 2),
        (["--fail-under", "acuracy=0.9"], "SC207", 2),
        (["--image-size", "8x8"], "SC202", 2),
        (["--split-column", "nope"], "SC321", 3),
    ],
)
def test_bad_arguments_of_train(command, arguments, code, status):
    ran = command("train", str(PENGUINS), "-t", "species", *arguments)

    assert (ran.status, ran.out) == (status, "")
    assert f"error[{code}]" in ran.err


def test_evaluation_without_resamples_has_no_intervals_but_the_band_of_luck(command, run):
    found = json.loads(command("evaluate", str(run), str(PENGUINS), "--bootstrap", "0", "--json").out)

    assert found["intervals"] == {}
    assert found["ece_null_95"] > 0
