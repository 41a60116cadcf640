"""Where a thread finds no memory to work in, the call raises MemoryError: a result is never left half written."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import sys
import numpy as np
import softclass

which = sys.argv[1]
logits = np.ones((400, 80_000), np.float16)[:, ::2]  # copied to scratch as it is read
targets = np.zeros(len(logits), np.int64)
out = np.empty(logits.shape, np.float16)
sys.setswitchinterval(1.0)

def call():
    if which == "softmax":
        return softclass.softmax(logits, out=out)
    return softclass.cross_entropy(logits, targets)

softclass.softmax(logits[:1, :4].astype(np.float32))  # what Python loads at a first call
softclass.cross_entropy(logits[:1, :4], targets[:1])
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
held = []
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY))
for size in (1 << 22, 1 << 18, 1 << 14):  # what the allocator has left, but for crumbs
    try:
        while True:
            held.append(bytearray(size))
    except MemoryError:
        pass
try:
    call()
    answer = "no error"
except MemoryError:
    answer = "MemoryError"
del held
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
call()
print(answer)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
@pytest.mark.parametrize("which", ["softmax", "cross_entropy"])
def test_a_kernel_without_memory_says_so(which: str) -> None:
    command = [sys.executable, "-c", PROGRAM, which]
    environment = {"PYTHONPATH": ":".join(sys.path), "SOFTCLASS_NUM_THREADS": "1"}

    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)

    assert run.stdout.strip() == "MemoryError"
