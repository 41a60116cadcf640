"""make setup-browser: nothing to do with a Chromium, the package of the distribution without, a sentence at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "setup-browser"
TOOLS = ("sh", "id", "cat", "chmod", "env")
# A package manager that installs a program of the name chromium.
INSTALLS = """#!/bin/sh
here=$(dirname "$0")
case "$*" in *install*) printf '#!/bin/sh\\n' > "$here/chromium"; chmod +x "$here/chromium" ;; esac
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder of programs that holds no browser and no package manager."""
    for name in (*TOOLS, "dirname"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def program(desk: Path, name: str, text: str = "#!/bin/sh\n") -> None:
    (desk / name).write_text(text)
    (desk / name).chmod(0o755)


def ran(desk: Path, **environment: str) -> tuple[int, str]:
    kept = {name: value for name, value in os.environ.items() if name != "TEST_CHROMIUM"}
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={**kept, "PATH": str(desk), **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge"])
def test_a_browser_that_is_there_is_enough(desk: Path, name: str) -> None:
    program(desk, name)
    program(desk, "apt-get", "#!/bin/sh\nexit 9\n")

    assert ran(desk) == (0, "")


def test_one_that_is_named_is_enough(desk: Path) -> None:
    program(desk, "mine")

    assert ran(desk, TEST_CHROMIUM=str(desk / "mine")) == (0, "")
    assert ran(desk, TEST_CHROMIUM=str(desk / "other"))[0] == 6


@pytest.mark.parametrize("manager", ["apt-get", "dnf", "brew"])
def test_the_package_of_the_distribution_is_installed(desk: Path, manager: str) -> None:
    program(desk, manager, INSTALLS)
    program(desk, "sudo", '#!/bin/sh\n"$@"\n')

    assert ran(desk) == (0, "")
    assert (desk / "chromium").exists()


def test_without_any_it_says_what_to_do_and_fails(desk: Path) -> None:
    assert ran(desk) == (
        6, "setup-browser: install Chromium, Chrome or Edge, or set TEST_CHROMIUM to one\n"
    )  # fmt: skip


def test_an_installation_that_fails_is_told(desk: Path) -> None:
    program(desk, "apt-get", "#!/bin/sh\nexit 100\n")
    program(desk, "sudo", '#!/bin/sh\n"$@"\n')

    assert ran(desk)[0] == 6
