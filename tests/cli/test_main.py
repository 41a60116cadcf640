from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from softclass.cli import main as entry
from softclass.cli.commands import COMMANDS
from softclass.errors import (
    CheckFailedError,
    InternalError,
    ModelFileError,
    PathError,
    TableError,
    UsageError,
)

SOFTCLASS = (sys.executable, "-m", "softclass")
HEAVY = (
    "numpy", "pyarrow", "sklearn", "scipy", "torch", "onnx", "onnxruntime", "pandas", "rich", "jinja2", "PIL",
    "starlette", "uvicorn",
)  # fmt: skip


def test_help_lists_every_command(command):
    ran = command("--help")

    assert (ran.status, ran.err) == (0, "")
    assert [name for name in COMMANDS if f"\n  {name}  " in ran.out] == list(COMMANDS)


def test_no_argument_shows_the_help(command):
    assert command().out == command("--help").out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page_of_at_most_100_columns(command, name):
    ran = command(name, "--help")

    assert (ran.status, ran.err) == (0, "")
    assert f"Usage: softclass {name}" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["explain", "SC321"]], ids=str)
def test_light_commands_load_nothing_heavy(arguments):
    code = (
        "import sys; from softclass.cli.main import main; main(sys.argv[1:]);"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_version(command):
    assert command("--version").out == "softclass 0.1.0\n"


def test_misspelt_command(command):
    ran = command("trian", "x.csv")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        'error[SC201] softclass: there is no command "trian"\n'
        "  fix:    Did you mean softclass train?\n"
        "  more:   softclass explain SC201\n"
    )


def test_option_before_the_command(command):
    ran = command("-q", "train", "x.csv")

    assert ran.status == 2
    assert "Options stand behind the command" in ran.err


ERRORS = [
    (UsageError("SC204", "m"), 2),
    (TableError("SC321", "m"), 3),
    (ModelFileError("SC402", "m"), 4),
    (CheckFailedError("SC501", "m"), 5),
    (PathError("SC604", "m"), 6),
    (MemoryError(), 6),
    (OSError(28, "No space left on device", "x"), 6),
    (InternalError("SC100", "m"), 1),
    (KeyboardInterrupt(), 130),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: repr(value)[:30])
def test_first_digit_of_the_code_is_the_exit_status(command, fake, error, status):
    fake.fails_with = error

    assert command("train", "p.csv").status == status


def test_layout_of_an_error(command, fake):
    fake.fails_with = TableError("SC321", 'column "x" is missing', where="new.csv", hint="pass --rename y=x")

    assert command("train", "p.csv").err == (
        'error[SC321] new.csv: column "x" is missing\n  fix:    pass --rename y=x\n  more:   softclass explain SC321\n'
    )


def test_error_as_json(command, fake):
    fake.fails_with = TableError("SC321", "m", where="new.csv", hint="h")
    ran = command("train", "p.csv", "--json")

    assert ran.out == '{"error": {"code": "SC321", "message": "m", "where": "new.csv", "hint": "h"}, "exit": 3}\n'


def test_wrong_command_line_with_json_is_one_document_too(command):
    ran = command("train", "p.csv", "--momentum", "3", "--json")

    assert ran.out.count("\n") == 1
    assert ran.out.startswith('{"error": {"code": "SC201"')


def test_traceback_with_debug_only(command, fake):
    fake.fails_with = TableError("SC321", "m")

    assert "Traceback" not in command("train", "p.csv").err
    assert "Traceback" in command("train", "p.csv", "--debug").err


def test_a_bug_leaves_a_crash_file_without_data(command, fake, tmp_path):
    fake.fails_with = KeyError("cell of Alice")
    ran = command("train", "p.csv", "-o", str(tmp_path / "run"))
    (crash,) = tmp_path.glob("softclass-crash-*.txt")

    assert (ran.status, "Traceback" in ran.err, str(crash) in ran.err) == (1, False, True)
    assert "KeyError" in crash.read_text()
    assert "Alice" not in crash.read_text() + ran.err


def test_a_bug_without_output_leaves_its_crash_file_in_the_temporary_folder(command, fake, tmp_path):
    fake.fails_with = KeyError("x")
    command("train", "p.csv")

    assert len(list(tmp_path.glob("softclass-crash-*.txt"))) == 1


def test_strict_makes_a_note_a_failure(command, fake, tmp_path):
    (tmp_path / "m").touch()
    ran = command("predict", "m", "x.csv", "--strict")

    assert ran.status == 5
    assert "error[SC503] --strict: no notes are allowed with --strict; there were 1 (SC802)" in ran.err


def test_without_standard_output_nothing_breaks():
    done = subprocess.run("exec >&-; exec " + shlex.join(SOFTCLASS) + " --help", shell=True, capture_output=True)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_that_closes_the_pipe_ends_us_silently():
    pipe = f"{shlex.join(SOFTCLASS)} explain 2>err; echo $? >status"
    done = subprocess.run(f"({pipe}) | head -1", shell=True, capture_output=True, text=True)

    assert done.stdout.startswith("SC100")
    assert (Path("err").read_text(), Path("status").read_text()) == ("", "0\n")


def test_an_error_that_nobody_reads_keeps_its_status():
    shell = f"({shlex.join(SOFTCLASS)} trian; echo $? >status) 2>&1 | true"
    subprocess.run(shell, shell=True, check=True)

    assert Path("status").read_text() == "2\n"


def test_full_disk_behind_standard_output():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    done = subprocess.run(shlex.join(SOFTCLASS) + " explain >/dev/full", shell=True, capture_output=True, text=True)

    assert (done.returncode, "error[SC604]" in done.stderr) == (6, True)


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1"])
def test_output_is_utf8_under_every_locale(locale):
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*SOFTCLASS, "doctor"], capture_output=True, env=environment)

    assert " · Python 3." in done.stdout.decode("utf-8")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_library_may_change_the_exception_of_a_signal(command, fake, number, status, monkeypatch):
    monkeypatch.setattr(entry, "_signals", [number])
    fake.fails_with = ImportError("initialization failed")
    ran = command("train", "p.csv")

    assert (ran.status, "error" in ran.err) == (status, False)


def test_terminate_cleans_up_and_ends_with_143(tmp_path):
    code = (
        "import os, signal, sys, types\n"
        "from pathlib import Path\n"
        "from softclass.cli import main\n"
        "def train(*a, **k):\n"
        "    try:\n"
        "        Path('half').touch(); os.kill(os.getpid(), signal.SIGTERM)\n"
        "        signal.pause()\n"
        "    finally:\n"
        "        Path('half').unlink()\n"
        "module = types.ModuleType('m'); module.train = train\n"
        "sys.modules['softclass.model.train'] = module\n"
        "sys.argv = ['softclass', 'train', 'x.csv']\n"
        "main.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (143, "")
    assert not Path("half").exists()
