"""Nothing tries to reach a network: the main job runs in a namespace without routes, whose kernel counts attempts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = shutil.which("unshare")


def _namespace_works() -> bool:
    if UNSHARE is None or not Path("/proc/net/snmp").exists():
        return False
    return subprocess.run([UNSHARE, "-rn", "true"], capture_output=True, check=False).returncode == 0


needs_namespace = pytest.mark.skipif(not _namespace_works(), reason="no network namespaces on this machine")

# The column of the kernel's table that counts packets for which there was no route.
COUNT = """
count() {
  awk '/^Ip:/ && ++n == 1 { for (i = 1; i <= NF; i++) if ($i == "OutNoRoutes") k = i }
       /^Ip:/ { v = $k } END { print v }' /proc/net/snmp
}
"""


def _attempts(folder: Path, script: str) -> tuple[int, str]:
    """Run a script without any route; return how many packets the kernel could not route, and what was said."""
    assert UNSHARE is not None
    done = subprocess.run(
        [UNSHARE, "-rn", "sh", "-ec", f"{COUNT}\n{script}\ncount"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(folder), "PYTHON": sys.executable},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]), done.stdout


@needs_namespace
def test_the_count_sees_an_attempt(tmp_path: Path) -> None:
    connect = "import socket; socket.socket().connect_ex((chr(49) + '0.1.2.3', 80))"

    attempts, _ = _attempts(tmp_path, f'"$PYTHON" -c "{connect}"')

    assert attempts >= 1


@needs_namespace
def test_training_predicting_and_reporting_reach_for_nothing(tmp_path: Path) -> None:
    attempts, said = _attempts(tmp_path, '"$PYTHON" -m softclass demo\n"$PYTHON" -m softclass doctor')

    assert attempts == 0
    assert not (tmp_path / ".cache").exists()
    assert "report" in said


STRACE = shutil.which("strace")


@pytest.mark.skipif(STRACE is None, reason="no strace on this machine")
def test_commands_on_images_open_no_socket(tmp_path: Path) -> None:
    from softclass.data import samples

    softclass = [str(STRACE), "-f", "-qq", "-e", "trace=network", "-o", "calls", sys.executable, "-m", "softclass"]
    digits = str(samples.path("digits.npz"))
    for command in (
        ["train", digits, "--rows", "300", "--C", "1", "--no-report", "-o", "run"],
        ["predict", "run", digits, "-o", "out.csv"],
        ["report", "run"],
    ):
        done = subprocess.run([*softclass, *command], cwd=tmp_path, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
        calls = (tmp_path / "calls").read_text().splitlines()
        assert [call for call in calls if "socket(" in call or "connect(" in call] == []
