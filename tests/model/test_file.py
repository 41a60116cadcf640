from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from asserts import assert_bit_equal
from made_models import STEPS, make_images, make_small, make_table, rows_of
from softclass.data.paths import shown_path
from softclass.errors import ModelFileError, PathError, UsageError
from softclass.model import file as file_room
from softclass.model.file import SEAL, SEAL_BYTES, open_model, save_bytes, seal, seal_bytes
from softclass.model.model import load
from softclass.model.session import Session

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "Get the file again from where it was trained, or train again"
CHECKSUM = f"the checksum does not fit: the file was damaged, or changed after softclass wrote it. {AGAIN}"
CUT = f"the file is damaged: it ends in the middle, or goes on behind its end. {AGAIN}"
UNSEALED = (
    "must be a softclass model; this is an ONNX file, but not one that softclass sealed. "
    "If another tool saved it again, use the file as softclass wrote it"
)
IN_MEMORY = "model in memory"


def refusal(source, **options):
    with pytest.raises(ModelFileError) as caught:
        open_model(source, **options)
    return str(caught.value)


def body_of(model):
    return model.data[:-SEAL_BYTES]


def test_seal_of_nothing_is_the_published_vector():
    assert seal_bytes(b"").hex() == (
        "9ab40a2853434c4153533031e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_layout_byte_by_byte():
    data = make_small().data

    assert data[-44:-41] == bytes.fromhex("9ab40a")
    assert data[-41:-32] == b"\x28SCLASS01"
    assert data[-32:] == hashlib.sha256(data[:-44]).digest()


def test_digest_is_that_of_the_content_before_the_seal():
    model = make_small()

    assert open_model(model.data).digest == hashlib.sha256(body_of(model)).hexdigest()


@pytest.mark.parametrize("made", [make_small, make_table, lambda: make_table("matrix"), make_images])
def test_what_is_sealed_is_opened_again(made):
    model = made()

    opened = open_model(model.data)

    assert (opened.manifest, opened.data, opened.body, opened.notes) == (model.manifest, model.data, body_of(model), ())


def test_same_graph_and_facts_give_the_same_bytes():
    model = make_small()

    assert seal(model.body, model.manifest) == model.data


@pytest.mark.parametrize("made", [make_small, make_images])
def test_sealed_file_is_ordinary_onnx(made, tmp_path):
    model = made()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.data)

    onnx.checker.check_model(str(path), full_check=True)
    onnx.checker.check_model(onnx.load(path), full_check=True)

    facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert facts == {"softclass": model.manifest.to_json().decode()}


def test_runtime_gives_the_same_bits_with_and_without_the_seal():
    model = make_table()
    feeds = model.feeds(rows_of(STEPS, 50))

    assert_bit_equal(Session(model.body).run(feeds).logits, Session(model.data).run(feeds).logits)


def test_onnx_saves_an_unchanged_file_unchanged():
    data = make_small().data

    assert onnx.load_from_string(data).SerializeToString(deterministic=True) == data


# M01, M02, M03


def refused(data):
    try:
        open_model(data)
    except ModelFileError as error:
        return error.code
    return "accepted"


def flips(data, places):
    for place in places:
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def test_flipped_bits_are_refused():
    data = make_small().data
    last = range(8 * (len(data) - SEAL_BYTES), 8 * len(data))

    found = {refused(changed) for changed in flips(data, [*range(0, 8 * len(data), 97), *last])}

    assert found <= {"SC401", "SC402", "SC403"}


@pytest.mark.slow
def test_every_flipped_bit_is_refused():
    data = make_small().data

    found = {refused(changed) for changed in flips(data, range(8 * len(data)))}

    assert found <= {"SC401", "SC402", "SC403"}


def test_every_truncation_is_refused():
    data = make_small().data

    found = {refused(data[:length]) for length in range(len(data))}

    assert found == {"SC401", "SC402"}  # SC401: cut at the border of a field it is whole ONNX, but not sealed


def test_flip_says_that_the_checksum_differs(tmp_path):
    data = bytearray(make_small().data)
    data[500] ^= 4
    path = tmp_path / "model.onnx"
    path.write_bytes(data)

    assert refusal(path) == f"[SC402] {shown_path(path)}: {CHECKSUM}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", f"the file ends before it begins: it is empty. {AGAIN}"),
        (lambda data: data[:1000], CUT),
        (lambda data: data + b"\n", CUT),
        (lambda data: data + data, CHECKSUM),
        (lambda data: seal_bytes(data), None),
        (lambda data: seal_bytes(data[:-1]), None),
        (lambda data: data[: len(data) - SEAL_BYTES], None),
    ],
    ids=["empty", "cut", "appended", "twice", "sealed twice", "seal in a seal", "cut at a field border"],
)
def test_damage_is_named(change, message):
    data = change(make_small().data)
    messages = {
        True: f"{UNSEALED}",
        False: "the graph must hold only known fields in their order; ModelProto has no field 21315",
    }

    found = refusal(data)

    assert (message or messages["seal" not in repr(data[-44:-32]) and data[-44:-32] != SEAL]) in found


# M04, M05


def test_onnx_without_seal_is_named():
    assert refusal(make_small().body) == f"[SC401] {IN_MEMORY}: {UNSEALED}"


def test_file_saved_again_by_a_tool_that_drops_unknown_fields_is_named():
    model = onnx.load_from_string(make_small().data)
    model.DiscardUnknownFields()

    assert refusal(model.SerializeToString()) == f"[SC401] {IN_MEMORY}: {UNSEALED}"


def test_file_edited_by_another_tool_is_named():
    model = onnx.load_from_string(make_small().data)
    model.graph.initializer[0].raw_data = np.array([99.0]).tobytes()

    assert refusal(model.SerializeToString(deterministic=True)) == f"[SC402] {IN_MEMORY}: {CHECKSUM}"


def test_onnx_of_another_tool_that_is_sealed_by_hand_is_refused():
    model = onnx.load_from_string(make_small().body)
    model.producer_name = "skl2onnx"

    assert refusal(seal_bytes(model.SerializeToString())).startswith(
        f'[SC401] {IN_MEMORY}: the model must be written by softclass; its producer is "skl2onnx".'
    )


# M06


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


FOREIGN = {
    "pickle": (pickle.dumps({"a": [1, 2]}), "this looks like pickle, and nothing is unpickled"),
    "pickle 0": (pickle.dumps({"a": [1, 2]}, protocol=0), "this looks like pickle, and nothing is unpickled"),
    "pickle 2": (pickle.dumps([1], protocol=2), "this looks like pickle, and nothing is unpickled"),
    "joblib": (zlib.compress(pickle.dumps([1])), "this looks like zlib data, as joblib may write, and nothing is unpi"),
    "torch": (zipped("archive/data.pkl"), "this looks like a PyTorch file, which is a zip of pickles, and nothing is"),
    "keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "this looks like a Keras file"),
    "zip": (zipped("a.txt"), "this looks like a zip archive"),
    "npz": (npz(), "this looks like an NPZ file"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "this looks like HDF5, as Keras .h5 files are"),
    "safetensors": ((30).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}' + bytes(99), "this looks like safetensors"),
    "gzip": (gzip.compress(b"a model"), "this looks like a gzip file"),
    "ort": (b"\x1c\x00\x00\x00ORTM" + bytes(100), "this looks like an ORT file, the private format of onnxruntime"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(100), "this looks like a TensorFlow Lite model"),
    "gguf": (b"GGUF\x03\x00\x00\x00", "this looks like a GGUF model"),
    "csv": ("a,b\n1,é\n".encode(), "this looks like text"),
    "json": (b' {"a": 1}', "this looks like JSON"),
    "html": (b"<!doctype html>", "this looks like XML or HTML"),
    "parquet": (b"PAR1" + bytes(10), "this looks like a Parquet file"),
    "png": (b"\x89PNG\r\n\x1a\n", "this looks like a PNG image"),
    "zeros": (bytes(1000), "its content is unknown"),
    "noise": (hashlib.sha512(b"noise").digest() * 9, "its content is unknown"),
}


@pytest.mark.parametrize(("data", "looks"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_named_and_never_opened(data, looks, tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(data)

    found = refusal(path)

    assert found.startswith(f"[SC401] {shown_path(path)}: must be a softclass model; {looks}")
    assert found.endswith(". Train a model: softclass train DATA")


# M07


def with_facts(change, *, raw=None):
    """A sealed file whose facts are changed."""
    model = make_small()
    facts = json.loads(model.manifest.to_json())
    change(facts)
    proto = onnx.load_from_string(model.body)
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if raw is None else raw
    proto.metadata_props.add(key="softclass", value=text)
    return seal_bytes(proto.SerializeToString(deterministic=True))


def test_newer_major_format_asks_for_a_newer_softclass():
    def change(facts):
        facts["format"]["major"] = 2
        facts["versions"]["softclass"] = "3.1.4"
        facts["unheard of"] = 1

    assert refusal(with_facts(change)) == (
        f"[SC403] {IN_MEMORY}: the file needs softclass >= 3.1.4; it has format 2; this softclass knows 1. "
        'Upgrade: pip install --upgrade "softclass>=3.1.4"'
    )


def test_newer_minor_format_is_read_and_its_optional_facts_are_counted():
    def change(facts):
        facts["format"]["minor"] = 7
        facts["optional"] = {"conformal": {"n": 3}, "a\u202eb": 1}

    opened = open_model(with_facts(change))

    assert [(note.code, note.message) for note in opened.notes] == [
        ("SC851", "2 facts of a later softclass left unread: a\\u202eb, conformal")
    ]


def test_fact_that_must_be_understood_asks_for_a_newer_softclass():
    def change(facts):
        facts["format"].update(minor=1, required=["abstention"])

    assert refusal(with_facts(change)).startswith(
        f'[SC403] {IN_MEMORY}: the file needs softclass >= 0.1.0; it has facts that must be understood: "abstention".'
    )


def test_unknown_fact_beside_the_optional_ones_is_refused():
    assert refusal(with_facts(lambda facts: facts.update(extra=1))).startswith(
        f'[SC405] {IN_MEMORY}, facts: the keys are closed; "extra" is unknown.'
    )


def test_private_facts_are_let_through():
    assert open_model(with_facts(lambda facts: facts.update({"x-note": "ours"}))).notes == ()


def test_later_seal_asks_for_a_newer_softclass():
    data = make_small().data

    assert refusal(data[:-34] + b"02" + data[-32:]).startswith(
        f"[SC403] {IN_MEMORY}: the file needs a newer softclass; it has seal 02"
    )


def test_model_without_facts_is_refused():
    assert refusal(seal_bytes(make_small().body)) == (
        f"[SC405] {IN_MEMORY}: the file must hold facts; it has none. {AGAIN}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1,"a":2}', 'facts: each key must stand once; "a" stands twice.'),
        ('{"format": {}}', "facts: the facts must be canonical JSON; they are not at byte 10."),
        ("[" * 33 + "]" * 33, "facts: the facts may be 32 levels deep; they are deeper."),
        ("NaN", "facts: the facts hold finite numbers only; got NaN."),
        ("no json", "facts: the facts must be JSON; at character 0: Expecting value."),
        ("{}", "facts: must be an object with a format."),
    ],
)
def test_facts_that_are_not_canonical_are_refused(text, message):
    assert refusal(with_facts(lambda facts: None, raw=text)).startswith(f"[SC405] {IN_MEMORY}, {message}")


# M08

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*/*.onnx"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_models_of_every_release_give_the_probabilities_that_are_kept_beside_them(path):
    kept = json.loads(path.with_suffix(".json").read_text())
    opened = open_model(path)
    manifest = opened.manifest

    feeds = manifest.sample.feeds(manifest.preprocessing(), manifest.image)
    found = Session(opened.data).run(feeds)

    np.testing.assert_allclose(found.probabilities, kept["probabilities"], rtol=0, atol=1e-6)
    assert found.labels.tolist() == kept["labels"]


def test_there_are_golden_models_of_this_format():
    assert len(GOLDEN) >= 2


# M19, M20


def test_opened_model_does_not_need_its_file_any_more(tmp_path):
    model = make_small()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.data)
    opened = open_model(path)
    path.write_bytes(b"short")

    found = Session(opened.data).run(model.feeds(rows_of(model.preprocessing.steps, 5)))

    assert found.probabilities.shape == (5, 3)


@pytest.mark.parametrize(
    ("prepare", "kind", "message"),
    [
        (lambda path: path.mkdir(), PathError, "[SC605] {}: must be a regular file; it is a folder"),
        (os.mkfifo, PathError, "[SC605] {}: must be a regular file; it is a pipe"),
        (lambda path: None, PathError, "[SC603] {}: there is no such file or folder"),
    ],
    ids=["folder", "pipe", "absent"],
)
def test_what_is_no_file_is_named(prepare, kind, message, tmp_path):
    path = tmp_path / "model.onnx"
    prepare(path)

    with pytest.raises(kind, match=f"^{re.escape(message.format(shown_path(path)))}$"):
        open_model(path)


def test_address_is_refused():
    with pytest.raises(UsageError, match=r"^\[SC208\] https://example.org/model.onnx: "):
        open_model("https://example.org/model.onnx")


def test_file_beyond_two_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)  # a hole: no byte is written

    assert refusal(path) == (
        f"[SC407] {shown_path(path)}: a model file may have 2,147,483,647 bytes, the limit of ONNX; "
        "this one has 2,147,483,648. Lower --max-categories, or leave out columns"
    )


def test_model_beyond_two_gigabytes_is_not_sealed(monkeypatch):
    model = make_small()
    monkeypatch.setattr(file_room, "MAX_FILE_BYTES", 1000)

    with pytest.raises(ModelFileError, match=r"^\[SC407\] model in memory: a model file may have 1,000 bytes"):
        seal(model.body, model.manifest)


def test_file_that_others_may_change_gets_a_note(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(make_small().data)
    path.chmod(0o666)

    (note,) = open_model(path).notes

    assert (note.code, note.message) == ("SC850", f"every user of this machine may change {shown_path(path)}")


def test_file_that_goes_away_after_reading_is_open_all_the_same(tmp_path, monkeypatch):
    data = make_small().data
    monkeypatch.setattr(file_room, "read_bytes", lambda path, limit: data)

    assert open_model(tmp_path / "gone.onnx").notes == ()


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_of_other_kinds_are_read(kind):
    assert open_model(kind(make_small().data)).data == make_small().data


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_pinned_digest_is_accepted(case):
    model = make_small()
    digest = hashlib.sha256(body_of(model)).hexdigest()

    assert open_model(model.data, digest=case(digest)).digest == digest


def test_other_digest_than_the_pinned_one_is_refused():
    data = make_small().data

    assert refusal(data, digest="0" * 64) == (
        f"[SC402] {IN_MEMORY}: the digest must be {'0' * 64}; it is {open_model(data).digest}. "
        "This is another file than the one you expect"
    )


# Writing


def test_saved_file_is_the_sealed_bytes(tmp_path):
    data = make_small().data

    path = save_bytes(tmp_path / "model.onnx", data)

    assert path.read_bytes() == data
    assert [found.name for found in tmp_path.iterdir()] == ["model.onnx"]


def test_existing_file_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    with pytest.raises(UsageError, match=r"^\[SC204\] "):
        save_bytes(path, make_small().data)
    assert path.read_bytes() == b"old"


def test_existing_file_is_replaced_when_asked(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    save_bytes(path, make_small().data, overwrite=True)

    assert path.read_bytes() == make_small().data


def test_damaged_bytes_are_not_written(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(ModelFileError, match=r"^\[SC402\] "):
        save_bytes(path, make_small().data[:-1] + b"!")
    assert not path.exists()


# Mutants


def run_mutants(count, seed, **options):
    code = f"import mutants; mutants.main({count}, {seed}, **{options})"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join([str(ROOT / "tests"), *sys.path])},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def check_mutants(found, count):
    codes = {code for code in found["counts"] if not code.startswith("ran: ")}
    assert found["events"] == []
    assert codes <= {"passed", "SC401", "SC403", "SC404", "SC405", "SC406"}
    assert found["counts"].get("passed", 0) < count * 0.1
    assert found["grown_bytes"] < 64 * 2**20


def test_resealed_mutants_open_nothing_and_crash_nothing():
    check_mutants(run_mutants(2000, 0), 2000)


@pytest.mark.slow
def test_a_hundred_thousand_mutants():
    check_mutants(run_mutants(100_000, 1), 100_000)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace looks on from outside; it is not installed")
def test_runtime_opens_nothing_for_mutants_that_are_let_through(tmp_path):
    log = tmp_path / "calls"
    done = subprocess.run(
        ["strace", "-f", "-o", log, "-e", "trace=%file,%network,%process", sys.executable, "-c",
         "import mutants; mutants.run_passing(300, 5)"],
        env={"PYTHONPATH": ":".join([str(ROOT / "tests"), *sys.path])}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    calls = log.read_text().split("/softclass-marker")
    between = [line for line in calls[1].splitlines()[1:-1] if "overcommit_memory" not in line]
    assert (done.returncode, len(calls), between) == (0, 3, [])


def test_the_hook_sees_a_reader_that_opens_files():
    assert "open" in run_mutants(3, 0, leaky=True)["events"]


def test_a_run_that_was_interrupted_is_told_from_one_that_never_was(tmp_path: Path) -> None:
    (tmp_path / "run.checkpoints").mkdir()
    (tmp_path / "run.checkpoints" / "config.toml").write_text("")

    with pytest.raises(PathError, match=r"SC603.*the run was interrupted and has no model yet.*--resume .*run goes on"):
        load(tmp_path / "run")
    with pytest.raises(PathError, match=r"SC603.*there is no such file"):
        load(tmp_path / "other")
