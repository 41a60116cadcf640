from __future__ import annotations

import json
import sys

from softclass.cli import doctor


def test_doctor_is_content_here(command):
    ran = command("doctor")

    assert (ran.status, ran.err) == (0, "")
    assert "verdict  everything needed is here" in ran.out


def test_doctor_as_json(command):
    document = json.loads(command("doctor", "--json").out)

    assert (document["softclass"], document["kernels"], document["problems"]) == ("0.1.0", True, [])


def test_a_missing_package_comes_with_its_install_line(command, monkeypatch):
    there = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "jinja2" else there(name))
    ran = command("doctor")

    assert ran.status == 6
    assert f"jinja2 missing: {sys.executable} -m pip install jinja2" in " ".join(ran.out.split())


def test_missing_kernels_are_a_problem(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "softclass.kernels._cpu", None)
    ran = command("doctor")

    assert (ran.status, "NOT built" in ran.out) == (6, True)


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("SOFTCLASS_NUM_THREADS", "3")

    assert doctor.threads() == 3
