"""What the machine is and how fast its memory and its multipliers are: the head of a results file."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata, util
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

LIBRARIES = ("softclass", "numpy", "scipy", "torch", "jax", "jaxlib", "ml_dtypes", "mpmath")
FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_bf16", "avx512_fp16", "asimd")
BANDWIDTH_BYTES = 1 << 27
PRODUCT = 2048


def facts() -> dict[str, object]:
    """Processor, memory, versions, commit: what does not change while a benchmark runs."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed_files": len(_git("status", "--porcelain", "--untracked-files=no").splitlines()),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in LIBRARIES if util.find_spec(name) and _has(name)},
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "flags": [flag for flag in FLAGS if flag in _line("flags", "Features").split()],
        "caches": _caches(),
        "cores": len(allowed_cores()),
        "huge_pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def speeds(threads: int) -> dict[str, float]:
    """Bandwidth of reading and of copying in GB/s (a copy reads and writes), and a product of matrices in GFLOP/s."""
    source = np.ones(BANDWIDTH_BYTES // 4, dtype=np.float32)
    target = np.ones_like(source)
    read = _best(in_parts(lambda part: part.max(), [source], threads))
    copy = min(_best(in_parts(np.copyto, [target, source], count)) for count in {1, threads})
    return {
        "read_gb_per_s": round(source.nbytes / read / 1e9, 2),
        "copy_gb_per_s": round(2 * source.nbytes / copy / 1e9, 2),
        "product_gflop_per_s": round(2 * PRODUCT**3 / _product() / 1e9, 1),
    }


def in_parts(function: Callable[..., object], arrays: list[np.ndarray], threads: int) -> Callable[[], object]:
    """Return a call of the function on equal parts of flat arrays, one part a thread; the caller takes one itself."""
    if threads == 1:
        return lambda: function(*arrays)
    pool = ThreadPoolExecutor(threads - 1)
    *others, own = zip(*(np.array_split(array.reshape(-1), threads) for array in arrays), strict=True)

    def call() -> object:
        waiting = [pool.submit(function, *part) for part in others]
        result = function(*own)
        for one in waiting:
            one.result()
        return result

    return call


def allowed_cores() -> set[int]:
    """The cores this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _best(call: Callable[[], object], rounds: int = 7) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _product() -> float:
    """Seconds of a product of two square matrices by the fastest library there is: a bound of the multipliers' peak."""
    left, right, out = (np.ones((PRODUCT, PRODUCT), dtype=np.float32) for _ in range(3))
    seconds = _best(lambda: np.matmul(left, right, out=out), rounds=5)
    if util.find_spec("torch"):
        import torch

        a, b, c = (torch.from_numpy(matrix) for matrix in (left, right, out))
        seconds = min(seconds, _best(lambda: torch.mm(a, b, out=c), rounds=5))
    return seconds


class Others:
    """What share of the cores other processes took since this object was made; above a tenth, measure again."""

    def __init__(self) -> None:
        self._wall, self._busy, self._own = time.perf_counter(), _busy_s(), _own_s()

    def share(self) -> float | None:
        """Of all cores; none where the system does not say."""
        wall, busy = time.perf_counter() - self._wall, _busy_s()
        if busy is None or self._busy is None:
            return None
        others = busy - self._busy - (_own_s() - self._own)
        return round(max(0.0, others / wall / (os.cpu_count() or 1)), 3)


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_s() -> float | None:
    """Seconds that all cores worked or were taken away by the host."""
    if not Path("/proc/stat").exists():
        return None
    user, nice, system, _, _, irq, soft, steal = (int(field) for field in _text("/proc/stat").split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def blas() -> list[str]:
    """The libraries of linear algebra that are loaded, with their number of threads."""
    return sorted(f"{one['internal_api']} {one['version']} x{one['num_threads']}" for one in threadpool_info())


def _has(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _text(path: str) -> str:
    return Path(path).read_text().strip() if Path(path).exists() else "unknown"


def _line(*names: str) -> str:
    for line in _text("/proc/cpuinfo").splitlines():
        if line.partition(":")[0].strip() in names:
            return line.partition(":")[2].strip()
    return ""


def _processor() -> str:
    numbers = ", ".join(f"{name} {_line(name)}" for name in ("cpu family", "model", "stepping"))
    return f"{_line('model name') or platform.processor()} ({numbers})"


def _caches() -> dict[str, str]:
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    return {
        f"L{_text(str(one / 'level'))} {_text(str(one / 'type')).lower()}": _text(str(one / "size")) for one in folders
    }
