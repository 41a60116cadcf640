from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

from softclass.cli import doctor
from softclass.cli.packages import EXTRAS, NEEDED

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_doctor_is_content_here(command):
    ran = command("doctor")

    assert (ran.status, ran.err) == (0, "")
    assert "verdict  everything needed is here" in ran.out


def test_doctor_as_json(command):
    document = json.loads(command("doctor", "--json").out)

    assert (document["softclass"], document["kernels"], document["problems"]) == ("0.1.0", True, [])


def test_a_missing_package_comes_with_its_install_line(command, monkeypatch):
    there = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "jinja2" else there(name))
    ran = command("doctor")

    assert ran.status == 6
    assert f"jinja2 missing: {sys.executable} -m pip install jinja2" in " ".join(ran.out.split())


def test_a_missing_extra_is_no_problem_and_comes_with_its_install_line(command, monkeypatch):
    there = doctor.installed_version
    monkeypatch.setattr(doctor, "installed_version", lambda name: None if name == "torch" else there(name))
    ran = command("doctor")

    assert ran.status == 0
    assert f"torch not installed: {sys.executable} -m pip install 'softclass[torch]'" in " ".join(ran.out.split())


def test_missing_kernels_are_a_problem(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "softclass.kernels._cpu", None)
    ran = command("doctor")

    assert (ran.status, "NOT built" in ran.out) == (6, True)


def test_an_instruction_set_that_is_not_there_is_a_problem(command, monkeypatch):
    monkeypatch.setenv("SOFTCLASS_CPU_TARGET", "abacus")
    ran = command("doctor", "--json")
    document = json.loads(ran.out)

    assert (ran.status, document["instruction_set"]) == (6, document["instruction_sets"][-1])
    assert "SOFTCLASS_CPU_TARGET=abacus" in document["problems"][0]


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("SOFTCLASS_NUM_THREADS", "3")

    assert doctor.threads() == 3


def test_the_packages_are_those_of_the_project():
    wanted = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = {name: re.split("[<>=]", line)[0] for name, [line] in wanted["optional-dependencies"].items()}

    assert [re.split("[<>=]", line)[0] for line in wanted["dependencies"]] == list(NEEDED)
    assert extras == EXTRAS
