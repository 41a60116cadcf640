"""What the documents show is true: their code runs, and both READMEs show the same commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softclass
from asserts import assert_bit_equal
from softclass.data import samples

ROOT = Path(__file__).resolve().parents[1]
PLACES = (ROOT, ROOT / "src" / "softclass", ROOT / "src" / "softclass" / "model")
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    trained = softclass.train(samples.path("penguins.csv"), "species", C=1.0, progress=lambda event, facts: None)
    return trained.save(tmp_path / "model.onnx")


def test_both_readmes_show_the_same_code() -> None:
    def bare(path: Path, language: str) -> list[str]:
        return [re.sub(r"\s+#.*", "", block) for block in blocks(path, language)]

    assert bare(README, "python") == bare(CHINESE, "python")
    assert bare(README, "console") == bare(CHINESE, "console")


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    script = "import warnings; warnings.simplefilter('ignore')\n" + "\n".join(blocks(README, "python"))

    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)

    assert (tmp_path / "penguins.onnx").exists()


def test_the_cross_entropy_of_the_readme_is_right() -> None:
    stated = re.search(r"\[0, 1\]\)\s+# ([\d.]+)", README.read_text(encoding="utf-8"))

    assert stated is not None
    assert float(stated[1].rstrip(".")) == round(
        float(softclass.cross_entropy([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], [0, 1])), 6
    )


def test_a_model_runs_without_softclass_and_gives_the_same_bits(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    [code] = blocks(ROOT / "docs" / "how-to" / "use-model-elsewhere.md", "python")

    exec(compile(code, "use-model-elsewhere.md", "exec"), found)

    rows = {name: [None if cell != cell else cell for cell in cells] for name, cells in found["rows"].items()}
    assert_bit_equal(softclass.load(model).predict_proba(rows), found["probabilities"])
    assert np.array_equal(found["label"], softclass.load(model).predict(rows))


def test_the_files_that_contributing_names_are_there() -> None:
    names = re.findall(r"`([\w./-]+\.(?:py|md|cpp|hpp|pyi))`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))

    assert len(names) > 10
    assert [name for name in names if not any((folder / name).exists() for folder in PLACES)] == []


@pytest.mark.parametrize("path", [README, CHINESE, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8"))

    assert [link for link in links if not (ROOT / link).exists()] == []
