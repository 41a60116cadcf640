from __future__ import annotations

import sys
from pathlib import Path

import pytest

from softclass.cli.predict import FORMATS


def test_predictions_go_to_stdout_and_notes_to_stderr(command, fake):
    ran = command("predict", "m", "x.csv")

    assert (ran.status, ran.out) == (0, "row,prediction\n1,a\n2,b\n")
    assert ran.err == 'note[SC802] column "island": 2 cells of categories never seen in training\n'


def test_predictions_go_to_a_file(command, fake):
    ran = command("predict", "m", "x.csv", "-o", "p.csv")

    assert (ran.status, ran.out) == (0, "")
    assert Path("p.csv").read_text() == "row,prediction\n1,a\n2,b\n"


def test_an_output_that_exists_is_kept_unless_told_otherwise(command, fake):
    Path("p.csv").write_text("old")

    assert command("predict", "m", "x.csv", "-o", "p.csv").status == 2
    assert Path("p.csv").read_text() == "old"
    assert command("predict", "m", "x.csv", "-o", "p.csv", "--overwrite").status == 0


def test_the_output_may_not_be_the_input(command, fake):
    Path("x.csv").write_text("old")
    ran = command("predict", "m", "x.csv", "-o", "x.csv", "--overwrite")

    assert (ran.status, Path("x.csv").read_text()) == (2, "old")
    assert "error[SC205]" in ran.err


def test_a_failure_leaves_no_half_written_file(command, fake, monkeypatch):
    fake.fails_with = RuntimeError("x")

    assert command("predict", "m", "x.csv", "-o", "p.csv").status == 1
    assert [path.name for path in Path().iterdir() if "crash" not in path.name] == []


def test_what_predict_passes_on(command, fake):
    command(
        "predict", "m", "-", "--top-k", "2", "--rename", "a=b,c=d=e", "--keep", "all", "--id", "x", "--unseen", "fail",
        "--batch-size", "7", "--delimiter", ";", "--no-header",
    )  # fmt: skip
    given = dict(fake.predict)
    read = given.pop("read")
    given.pop("notes")
    given.pop("rejects")

    assert given == {
        "data": "-", "batch_rows": 7, "proba": True, "top_k": 2, "logits": False, "ids": ("x",), "keep": "all",
        "rename": {"a": "b", "c": "d=e"}, "unseen": "fail",
    }  # fmt: skip
    assert (read.delimiter, read.header, read.bad_rows) == (";", False, "fail")


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_suffix_is_the_format(command, fake, suffix, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sys.modules["softclass.model.predictions"],
        "write_predictions",
        lambda blocks, file, form, **options: asked.append((form, options["seekable"])),
    )
    command("predict", "m", "x.csv", "-o", f"p{suffix.upper()}")

    assert asked == [(FORMATS[suffix], True)]


@pytest.mark.parametrize(("given", "form"), [([], "csv"), (["--json"], "jsonl"), (["--format", "arrow"], "arrow")])
def test_formats_of_stdout(command, fake, given, form, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sys.modules["softclass.model.predictions"],
        "write_predictions",
        lambda blocks, file, form, **options: asked.append((form, options["seekable"])),
    )
    command("predict", "m", "x.csv", *given)

    assert asked == [(form, False)]
