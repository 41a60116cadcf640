from __future__ import annotations

from pathlib import Path

import pytest

from softclass.cli.usage import parse
from softclass.errors import UsageError


def _write(text: str) -> str:
    Path("c.toml").write_text(text, encoding="utf-8")
    return "c.toml"


def test_command_line_before_environment_before_file_before_default(monkeypatch):
    file = _write("[train]\nseed = 1\nrows = 1\nmax_iter = 1\n")
    monkeypatch.setenv("SOFTCLASS_TRAIN_SEED", "2")
    monkeypatch.setenv("SOFTCLASS_TRAIN_ROWS", "2")
    options = parse("train", ["x", "-c", file, "--seed", "3"]).options

    assert {name: options.get(name) for name in ("seed", "rows", "max_iter", "cv")} == {
        "seed": 3,
        "rows": 2,
        "max_iter": 1,
        "cv": None,
    }


def test_every_kind_of_value_from_a_file():
    file = _write(
        '[softclass]\nversion = "0.1.0"\n[predict]\nformat = "csv"\n'
        '[train]\ndata = ["a.csv", "-"]\ntarget = "none"\ndrop = ["a,b", "c"]\nid = "x,y"\nreport = false\n'
        'C = "auto"\ntol = 1\ntest = 0.25\nna_values = []\nverbose = 2\nimage_size = "28x28"\n'
    )
    call = parse("train", ["-c", file])

    assert call.positional == ("a.csv", "-")
    assert {name: call.options[name] for name in call.options if name != "common"} == {
        "target": "none",
        "drop": ("a,b", "c"),
        "id": ("x", "y"),
        "report": False,
        "C": "auto",
        "tol": 1.0,
        "test": 0.25,
        "na_values": (),
        "image_size": "28x28",
    }
    assert call.common.verbose == 2


def test_data_on_the_command_line_replace_those_of_the_file():
    assert parse("train", ["b.csv", "-c", _write('[train]\ndata = ["a.csv"]\n')]).positional == ("b.csv",)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("no", False), ("0", False)])
def test_flags_from_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("SOFTCLASS_TRAIN_DRY_RUN", value)

    assert parse("train", ["x"]).options["dry_run"] is expected


def test_a_configuration_file_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("SOFTCLASS_TRAIN_CONFIG", _write("[train]\nseed = 5\n"))

    assert parse("train", ["x"]).options["seed"] == 5


def test_variables_of_other_commands_pass(monkeypatch):
    monkeypatch.setenv("SOFTCLASS_PREDICT_TOP_K", "3")

    assert "top_k" not in parse("train", ["x"]).options


@pytest.mark.parametrize(("arguments", "expected"), [(["x"], 2), (["x", "--threads", "3"], 3)])
def test_threads_come_from_the_environment_unless_given(monkeypatch, arguments, expected):
    monkeypatch.setenv("SOFTCLASS_NUM_THREADS", "2")

    assert parse("train", arguments).common.threads == expected


def test_threads_of_the_environment_are_a_number(monkeypatch):
    monkeypatch.setenv("SOFTCLASS_NUM_THREADS", "two")
    message = r'^\[SC207\] SOFTCLASS_NUM_THREADS: must be a whole number; got "two"$'

    with pytest.raises(UsageError, match=message):
        parse("train", ["x"])


WRONG_VARIABLES = [
    ("SOFTCLASS_TRAIN_SEDE", "Did you mean SOFTCLASS_TRAIN_SEED? Its default is 0"),
    ("SOFTCLASS_TRIAN_SEED", "Did you mean SOFTCLASS_TRAIN_SEED? Its default is 0"),
    ("SOFTCLASS_PREDICT_TOPK", "Did you mean SOFTCLASS_PREDICT_TOP_K? Its default is none"),
    ("SOFTCLASS_TRAIN_DATA", ""),
    ("SOFTCLASS_QQQQQQQQQQQQ", "Unset it"),
]


@pytest.mark.parametrize(("variable", "hint"), WRONG_VARIABLES)
def test_unknown_variables_are_refused(monkeypatch, variable, hint):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UsageError) as caught:
        parse("train", ["x"])

    assert (caught.value.code, caught.value.where) == ("SC201", variable)
    assert hint in caught.value.hint


def test_a_wrong_value_in_a_variable_names_the_variable(monkeypatch):
    monkeypatch.setenv("SOFTCLASS_TRAIN_SEED", "x")
    with pytest.raises(UsageError) as caught:
        parse("train", ["x"])

    assert str(caught.value) == '[SC207] SOFTCLASS_TRAIN_SEED: --seed must be a whole number; got "x"'


WRONG_FILES = [
    ("[train]\nsede = 1\n", "SC201", 'unknown option "sede" in section [train]'),
    ("[predict]\ntopk = 1\n", "SC201", 'unknown option "topk" in section [predict]'),
    ("[trian]\nseed = 1\n", "SC206", 'there is no section "trian"'),
    ("seed = 1\n", "SC206", 'there is no section "seed"'),
    ("[train]\nconfig = 'd.toml'\n", "SC201", 'unknown option "config"'),
    ("[train]\nseed = 1.5\n", "SC207", "--seed must be a whole number; got 1.5"),
    ("[train]\nseed = true\n", "SC207", "--seed must be a whole number; got True"),
    ("[train]\nverbose = 7\n", "SC207", "--verbose must be 0, 1 or 2; got 7"),
    ("[train]\ntarget = ['a']\n", "SC207", "--target must be text; got ['a']"),
    ("[train\n", "SC206", "is not TOML"),
    ("\udcff", "SC206", "is not TOML"),
]


@pytest.mark.parametrize(("text", "code", "message"), WRONG_FILES)
def test_what_is_wrong_in_a_file_is_refused(text, code, message):
    Path("c.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        parse("train", ["x", "--config", "c.toml"])

    assert (caught.value.code, caught.value.where) == (code, "c.toml")
    assert message in caught.value.message


def test_a_file_that_is_not_there():
    with pytest.raises(UsageError) as caught:
        parse("train", ["x", "--config", "absent.toml"])

    assert str(caught.value) == (
        "[SC206] absent.toml: cannot be read: No such file or directory. Name a TOML file, such as a run's config.toml"
    )
