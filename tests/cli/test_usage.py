from __future__ import annotations

import json

import pytest

from softclass.cli.commands import COMMANDS
from softclass.cli.configuration import known_options
from softclass.cli.usage import parse
from softclass.errors import UsageError

EVERY_OPTION = [
    (command, option.option)
    for command in COMMANDS
    for option in known_options(command).values()
    if not option.positional
]
POSITIONAL = {"train": ["p.csv"], "predict": ["m", "p.csv"], "evaluate": ["m", "p.csv"], "report": ["m"],
              "explore": [], "inspect": ["m"], "doctor": [], "demo": [], "explain": []}  # fmt: skip


@pytest.mark.parametrize(("command", "option"), EVERY_OPTION)
def test_a_misspelt_option_is_refused_and_the_right_one_named_with_its_default(command, option):
    with pytest.raises(UsageError) as caught:
        parse(command, [*POSITIONAL[command], f"{option}q", "1"])

    assert caught.value.code == "SC201"
    assert f"unknown option {option}q" == caught.value.message
    assert "? Its default is " in caught.value.hint


@pytest.mark.parametrize(("command", "option"), [pair for pair in EVERY_OPTION if len(pair[1]) > 4])
def test_abbreviations_are_refused(command, option):
    if option[:-1] in [other for name, other in EVERY_OPTION if name == command]:
        pytest.skip("the short form is an option of its own")
    with pytest.raises(UsageError) as caught:
        parse(command, [*POSITIONAL[command], option[:-1], "1"])

    assert caught.value.code in ("SC201", "SC202")


def test_misspelt_option_on_the_screen(command):
    ran = command("train", "p.csv", "--sede", "1")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "error[SC201] softclass train: unknown option --sede\n"
        "  fix:    Did you mean --seed? Its default is 0\n"
        "  more:   softclass explain SC201\n"
    )


WRONG = [
    (["train"], "SC207", "DATA is missing"),
    (["predict"], "SC207", "MODEL is missing or lacks its value"),
    (["predict", "m"], "SC207", "DATA is missing"),
    (["train", "x", "--seed"], "SC207", "--seed is missing or lacks its value"),
    (["train", "x", "--seed", "one"], "SC207", '--seed must be a whole number; got "one"'),
    (["train", "x", "--seed", "1.5"], "SC207", '--seed must be a whole number; got "1.5"'),
    (["train", "x", "--test", "half"], "SC207", '--test must be a number; got "half"'),
    (["train", "x", "--test", "nan"], "SC207", '--test must be a number; got "nan"'),
    (["train", "x", "--C", "best"], "SC207", '--C must be a number or "auto"; got "best"'),
    (["train", "x", "--model", "tree"], "SC207", '--model must be "auto" or "softmax" or "mlp" or "cnn"; got "tree"'),
    (
        ["train", "x", "--bad-rows", "skp"],
        "SC207",
        '--bad-rows must be "fail" or "skip"; got "skp". Did you mean "skip"?',
    ),
    (["train", "x", "--seed", "1", "--seed", "2"], "SC203", "--seed is given twice"),
    (["train", "x", "--top-k", "3"], "SC202", "--top-k does not apply to train (applies to predict)"),
    (["train", "x", "--overwrite"], "SC202", "--overwrite has no effect without --output"),
    (["train", "x", "--dry-run", "-o", "r"], "SC202", "--output has no effect with --dry-run"),
    (["train", "x", "--dry-run", "--no-report"], "SC202", "--no-report has no effect with --dry-run"),
    (["train", "x", "--fail-under", "accuracy"], "SC207", '--fail-under must be METRIC=NUMBER,...; got "accuracy"'),
    (
        ["train", "x", "--input-format", "parquet", "--delimiter", ";"],
        "SC202",
        "--delimiter does not apply to --input-format parquet (applies to csv)",
    ),
    (["train", "x", "-q", "-v"], "SC203", "--quiet and --verbose contradict each other"),
    (["train", "x", "--threads", "0"], "SC207", "--threads must be 1 to 4096; got 0"),
    (["predict", "m", "x", "--format", "parquet"], "SC203", "Parquet cannot be written to stdout"),
    (["predict", "m", "x", "--json", "--format", "csv"], "SC203", "--json and --format csv contradict each other"),
    (["predict", "m", "x", "-o", "p.xlsx"], "SC207", "the suffix of an output must be one of"),
    (["predict", "m", "x", "--overwrite"], "SC202", "--overwrite has no effect without --output"),
    (["predict", "m", "x", "--json", "--spreadsheet-safe"], "SC202", "--spreadsheet-safe does not apply to jsonl"),
    (["predict", "m", "x", "--rename", "a"], "SC207", '--rename must be FILE_NAME=MODEL_NAME,...; got "a"'),
    (["predict", "m", "x", "--rename", "a=b,a=c"], "SC203", '--rename names "a" twice'),
    (["predict", "m", "-", "x"], "SC203", "standard input and files cannot be read together"),
    (["evaluate", "m", "x", "--overwrite"], "SC202", "--overwrite has no effect without --output or --predictions"),
    (["evaluate", "m", "x", "--bootstrap", "-1"], "SC207", "--bootstrap must be at least 0; got -1"),
    (["report", "m", "--overwrite"], "SC202", "--overwrite has no effect without --output"),
    (["inspect", "m", "--schema", "--card"], "SC203", "--schema and --card exclude each other"),
    (["explain", "SC999"], "SC201", 'there is no code "SC999"'),
    (["doctor", "x"], "SC201", 'nothing more is expected; got "x"'),
    (["--install-completion", "tcsh"], "SC207", 'the shell must be one of bash, zsh, fish, powershell; got "tcsh"'),
]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    WRONG,
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else value,
)
def test_a_command_line_that_makes_no_sense(command, fake, arguments, code, message):
    ran = command(*arguments)

    assert ran.status == 2
    assert ran.err.startswith(f"error[{code}] ")
    assert message in ran.err


def test_standard_input_and_options_in_any_order():
    call = parse("predict", ["-o", "-", "m", "--top-k=3", "-", "-q"])

    assert call.positional == ("m", "-")
    assert (call.options["output"], call.options["top_k"], call.common.quiet) == ("-", 3, True)


@pytest.mark.parametrize("given", [["--na-values", "-"], ["--na-values=-"]])
def test_a_dash_is_a_value(given):
    assert parse("train", ["x", *given]).options["na_values"] == ("-",)


def test_a_value_that_begins_with_a_dash():
    assert parse("train", ["x", "--na-values=-,--"]).options["na_values"] == ("-", "--")


def test_after_two_dashes_everything_is_data():
    assert parse("train", ["--", "--seed", "-x"]).positional == ("--seed", "-x")


LISTS = [
    (["--drop", "a,b", "--drop", "c"], ("a", "b", "c")),
    (["--drop", '"a,b",c'], ("a,b", "c")),
    (["--drop", "a, b"], ("a", "b")),
    (["--drop=none"], ("none",)),
    (["--drop", "特征1,x=y"], ("特征1", "x=y")),
]


@pytest.mark.parametrize(("arguments", "expected"), LISTS, ids=str)
def test_lists_are_separated_by_commas(arguments, expected):
    assert parse("train", ["x", *arguments]).options["drop"] == expected


@pytest.mark.parametrize("name", ["none", "null", "NA", "true", "1"])
def test_a_column_may_bear_any_name(name):
    assert parse("train", ["x", "--target", name]).options["target"] == name


def test_numbers_and_words_of_c():
    assert [parse("train", ["x", "--C", text]).options["C"] for text in ("1e-3", "auto", "inf")] == [
        0.001,
        "auto",
        float("inf"),
    ]


def test_flags_that_are_on():
    call = parse("train", ["x", "--no-report", "--no-header"])

    assert (call.options["report"], call.options["header"], "stratify" in call.options) == (False, False, False)


def test_verbose_counts():
    assert [parse("train", ["x", *given]).common.verbose for given in ([], ["-v"], ["-vv"])] == [0, 1, 2]


def test_documents_of_errors_hold_the_whole_message(command):
    document = json.loads(command("train", "--json").out)

    assert document["exit"] == 2
    assert document["error"]["message"] == "DATA is missing"
