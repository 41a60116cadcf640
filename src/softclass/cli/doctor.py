"""``softclass doctor``: versions, processor, memory; what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from softclass import __version__
from softclass.cli.layout import size
from softclass.cli.options import Common
from softclass.cli.output import Screen
from softclass.cli.packages import EXTRAS, NEEDED, installed_version
from softclass.errors import shown

# Frames that are taken and given back where these are installed.
WELCOME = ("pandas", "polars")
FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "neon", "asimd", "sve")


def doctor(
    *,
    common: Common = Common(),  # noqa: B008 - frozen
    screen: Annotated[Screen, Parameter(parse=False)],
) -> int:
    """Look at the machine and the installation; exit status 6 if something that softclass needs is missing."""
    facts = examination()
    screen.document(facts)
    screen.labelled("softclass", f" {facts['softclass']} · Python {facts['python']} · {facts['platform']}")
    screen.labelled(
        "packages", " · ".join(f"{name} {facts['packages'][name] or 'MISSING'}" for name in facts["packages"])
    )
    screen.labelled("extras", " · ".join(_extra(name, version) for name, version in facts["extras"].items()))
    flags = " ".join(facts["cpu_flags"]) or "flags unknown"
    screen.labelled("cpu", f"{facts['cpu']} · {facts['threads']} threads · {flags}")
    built = f"{facts['instruction_set']} (this machine can run {', '.join(facts['instruction_sets'])})"
    screen.labelled("kernels", built if facts["kernels"] else f"NOT built: {facts['kernels_problem']}")
    memory = (
        "unknown" if facts["memory_free"] is None else f"{size(facts['memory_free'])} free of {size(facts['memory'])}"
    )
    screen.labelled("memory", memory)
    screen.labelled("disk", f"{size(facts['disk_free'])} free here")
    for problem in facts["problems"]:
        screen.labelled("problem", problem)
    screen.labelled("verdict", "everything needed is here" if not facts["problems"] else "not ready")
    return 6 if facts["problems"] else 0


def examination() -> dict[str, Any]:
    """Return what there is to know, as a flat document."""
    packages = {name: installed_version(name) for name in (*NEEDED, *WELCOME)}
    kernels, trouble = _kernels()
    chosen, runnable, refused = _instruction_sets() if kernels else (None, [], None)
    problems = []
    missing = [name for name in NEEDED if packages[name] is None]
    if missing:
        problems.append(f"{', '.join(missing)} missing: {sys.executable} -m pip install {' '.join(missing)}")
    if refused:
        problems.append(f"SOFTCLASS_CPU_TARGET={shown(refused)}: this machine can run {', '.join(runnable)}")
    if not kernels:
        problems.append(
            f"the compiled kernels are missing: {sys.executable} -m pip install --force-reinstall softclass"
        )
    total, free = _memory()
    return {
        "softclass": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "extras": {name: installed_version(package) for name, package in EXTRAS.items()},
        "cpu": _processor(),
        "cpu_flags": _flags(),
        "threads": threads(),
        "kernels": kernels,
        "kernels_problem": trouble,
        "instruction_set": chosen,
        "instruction_sets": runnable,
        "memory": total,
        "memory_free": free,
        "disk_free": shutil.disk_usage(Path.cwd()).free,
        "problems": problems,
    }


def _extra(name: str, version: str | None) -> str:
    if version:
        return f"{name} {version}"
    return f"{name} not installed: {sys.executable} -m pip install 'softclass[{name}]'"


def threads() -> int:
    """Return how many threads softclass would use."""
    for variable in ("SOFTCLASS_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(variable, "").isdecimal():
            return max(1, int(os.environ[variable]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _kernels() -> tuple[bool, str]:
    try:
        import softclass.kernels._cpu  # noqa: F401
    except ImportError as error:
        return False, str(error)
    return True, ""


def _instruction_sets() -> tuple[str, list[str], str | None]:
    """Return the one that the kernels use, all that this machine can run, and a wish that it cannot grant."""
    from softclass.kernels import _cpu

    return _cpu.target(), list(_cpu.targets()), _cpu.refused_wish()


def _cpu_facts() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _processor() -> str:
    return _cpu_facts().get("model name") or platform.processor() or platform.machine()


def _flags() -> list[str]:
    facts = _cpu_facts()
    there = set((facts.get("flags") or facts.get("Features") or "").split())
    return [flag for flag in FLAGS if flag in there]


def _memory() -> tuple[int | None, int | None]:
    """Total and free memory; the limit of the container counts where there is one."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines if line.split()[1:]}
    total, free = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return total, free
    return min(total, limit), max(0, min(free, limit - used))
