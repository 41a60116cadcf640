"""Hostile model files by the thousand: mutated, sealed again, opened under an audit hook; run as a child process.

``python -c "import mutants; mutants.main(2000, 0)"`` prints a JSON line with counts; a crash of the process is a
failure of the test that started it.
"""

from __future__ import annotations

import copy
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable

import onnx

from made_models import make_images, make_small, make_table
from peak_memory import peak_bytes
from softclass.errors import MachineError, ModelFileError
from softclass.model.file import SEAL_BYTES, open_model, seal_bytes
from softclass.model.session import Session

MARKER = "/softclass-marker"
SPLICES = (
    b"../../etc/passwd", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix", b"PK\x03\x04",
    b"\x6a\x10\x0a\x08location\x12\x04a.bi", b"com.microsoft", b"https://example.org/x", b"[" * 40, b'{"a":1,"a":1}',
    b"\xff" * 10 + b"\x01", b"\x00", b"\x7f", b"\x80\x80\x00", b"1e999", b"-0.0", b"\xed\xa0\x80", b"9" * 25,
)  # fmt: skip

VALUES = (
    None, True, False, 0, 1, -1, 2**63, 10**19, 0.0, -0.5, 1e300, 1e-320, "", "a", "../x", "a\x00b", "\u202e",
    "x" * 5000, [], {}, [None], ["a", "a"], [[1], [2, 3]], {"a": 1}, [1e308] * 3, [0], "NaN", "columns", "images",
)  # fmt: skip


def mutate(body: bytes, dice: random.Random) -> bytes:
    """Change one to four places of a body."""
    data = bytearray(body)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(data))
        length = dice.choice((1, 2, 5, 20, 100))
        kind = dice.randrange(7)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at] = dice.choice((0, 1, 7, 8, 127, 128, 255, dice.randrange(256)))
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at:at] = dice.choice(SPLICES)
        elif kind == 5:
            splice = dice.choice(SPLICES)
            data[at : at + len(splice)] = splice
        else:
            other = dice.randrange(len(data))
            data[at : at + length] = data[other : other + length]
        if not data:
            data += b"\x08"
    return bytes(data)


def mutate_facts(body: bytes, dice: random.Random) -> bytes:
    """Change one to three values or keys of the facts, wherever they are, and keep the text canonical."""
    model = onnx.load_from_string(body)
    facts = json.loads(model.metadata_props[0].value)
    for _ in range(dice.choice((1, 1, 2, 3))):
        found = facts
        while True:
            places = list(found) if isinstance(found, dict) else list(range(len(found)))
            if not places:
                break
            place = dice.choice(places)
            if isinstance(found[place], dict | list) and found[place] and dice.random() < 0.8:
                found = found[place]
                continue
            kind = dice.randrange(4)
            if kind == 0:
                del found[place]
            elif kind == 1 and isinstance(found, dict):
                found[dice.choice(("extra", "x-extra", "a\x00b", str(place) + " "))] = found[place]
            else:
                found[place] = copy.deepcopy(dice.choice(VALUES))
            break
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    model.metadata_props[0].value = text
    return bytes(model.SerializeToString(deterministic=True))


def mutate_graph(body: bytes, dice: random.Random) -> bytes:
    """Rewire one to three things of the graph so that it stays well-formed protobuf."""
    model = onnx.load_from_string(body)
    graph = model.graph
    names = [*(v.name for v in graph.input), *(t.name for t in graph.initializer), *(n.output[0] for n in graph.node)]
    for _ in range(dice.choice((1, 1, 2, 3))):
        node, tensor, value = dice.choice(graph.node), dice.choice(graph.initializer), dice.choice(graph.input)
        kind = dice.randrange(9)
        if kind == 0:
            node.input[dice.randrange(len(node.input))] = dice.choice(names)
        elif kind == 1:
            node.op_type = dice.choice(graph.node).op_type
        elif kind == 2:
            graph.node.insert(dice.randrange(len(graph.node)), node)
        elif kind == 3:
            graph.node.remove(node)
        elif kind == 4 and len(tensor.dims):
            tensor.dims[0] = dice.choice((0, 1, 2, 5, 2**31, 2**62, -1))
        elif kind == 5:
            tensor.CopyFrom(dice.choice(graph.initializer))
        elif kind == 6:
            value.type.tensor_type.shape.dim[-1].dim_value = dice.choice((0, 2, 2**20, 2**40))
        elif kind == 7 and node.attribute:
            dice.choice(node.attribute).i = dice.choice((-2, -1, 0, 1, 2, 7, 2**62))
        elif tensor.raw_data:
            width = 8 if len(tensor.raw_data) % 8 == 0 else 4
            tensor.raw_data = dice.randbytes(width) + tensor.raw_data[width:]
    return bytes(model.SerializeToString(deterministic=True))


def main(count: int, seed: int, *, leaky: bool = False) -> None:
    """Open `count` mutants; with `leaky` an imagined reader opens a file, to show that the hook would see it."""
    dice = random.Random(seed)
    models = [make_small(), make_table(), make_table("matrix"), make_images()]
    bodies = [model.data[:-SEAL_BYTES] for model in models]
    for body in bodies:  # warm: whatever is imported or opened once
        _try(lambda body=body: open_model(seal_bytes(body[:-5])))
        _try(lambda body=body: open_model(seal_bytes(body)))
        Session(seal_bytes(body))
    seen: list[str] = []
    armed = [False]

    def hook(event: str, arguments: object) -> None:
        if armed[0]:
            seen.append(event)

    sys.addaudithook(hook)
    counts: Counter[str] = Counter()
    slowest = 0.0
    before = peak_bytes()
    for _ in range(count):
        change = dice.choice((mutate, mutate, mutate_facts, mutate_graph))
        data = seal_bytes(change(dice.choice(bodies), dice))
        armed[0] = True
        started = time.perf_counter()
        outcome = _try(lambda data=data: open_model(data))
        slowest = max(slowest, time.perf_counter() - started)
        if leaky:
            open(__file__).close()
        armed[0] = False
        counts[outcome] += 1
        if outcome == "passed":
            counts["ran: " + _try(lambda data=data: _run(data))] += 1
    grown = peak_bytes() - before
    print(json.dumps({"counts": counts, "events": seen[:10], "slowest_s": slowest, "grown_bytes": grown}))


def run_passing(count: int, seed: int) -> None:
    """Collect mutants that are let through, touch a marker, and run them all: for a look from outside the process."""
    dice = random.Random(seed)
    bodies = [model.data[:-SEAL_BYTES] for model in (make_small(), make_table(), make_table("matrix"), make_images())]
    for body in bodies:
        _run(seal_bytes(body))
    passing: list[bytes] = []
    while len(passing) < count:
        change = dice.choice((mutate, mutate_facts, mutate_graph))
        data = seal_bytes(change(dice.choice(bodies), dice))
        if _try(lambda data=data: open_model(data)) == "passed":
            passing.append(data)
    os.path.exists(MARKER)
    for data in passing:
        _try(lambda data=data: _run(data))
    os.path.exists(MARKER)


def _run(data: bytes) -> None:
    manifest = open_model(data).manifest
    Session(data, threads=1).run(manifest.sample.feeds(manifest.preprocessing(), manifest.image))


def _try(call: Callable[[], object]) -> str:
    try:
        call()
    except ModelFileError as error:
        return error.code
    except MachineError as error:
        return error.code
    return "passed"
