from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cyclopts.completion import detect


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))


def test_completion_of_bash_knows_commands_and_options(command, tmp_path):
    ran = command("--install-completion", "bash")
    script = Path(ran.out.removeprefix("completion written to ").partition(";")[0])

    assert (ran.status, ran.err, script.is_relative_to(tmp_path)) == (0, "", True)
    assert "predict" in script.read_text()
    assert "--spreadsheet-safe" in script.read_text()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_of_bash_is_a_script(command):
    command("--install-completion", "bash")
    (script,) = Path().rglob("completions/softclass")

    assert subprocess.run(["bash", "-n", script], capture_output=True).stderr == b""


def test_a_shell_that_cannot_be_told(command, monkeypatch):
    def fail():
        raise detect.ShellDetectionError

    monkeypatch.setattr(detect, "detect_shell", fail)
    ran = command("--install-completion")

    assert ran.status == 2
    assert "fix:    Name it: softclass --install-completion bash" in ran.err
