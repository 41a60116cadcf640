"""Bad model files, row by row of the catalogue (trust.md B4), through the command line.

The strict reader behind M09-M17 is tested change by change in tests/model (test_wire.py, test_shapes.py,
test_agreement.py, test_manifest.py) and by mutants (test_file.py); here one change of each row goes the whole way
of a user.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from made_images import png_bytes, write_tree
from made_models import make_table
from softclass.cli.main import main
from softclass.data import samples
from softclass.model.file import SEAL_BYTES, seal_bytes

GOLDEN = Path(__file__).resolve().parents[1] / "model" / "golden"
PENGUINS = str(samples.path("penguins.csv"))
QUICK = ("--C", "10", "--no-report", "--no-predictions", "-q")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A run of a table and one of images."""
    folder = tmp_path_factory.mktemp("models")
    files = {
        f"{kind}/{at}.png": png_bytes(value + at, (4, 4))
        for kind, value in (("dark", 20), ("light", 200))
        for at in range(9)
    }
    write_tree(folder / "pictures", files)
    assert main(["train", PENGUINS, "-t", "species", *QUICK, "-o", str(folder / "table")]) == 0
    assert main(["train", str(folder / "pictures"), *QUICK, "-o", str(folder / "images")]) == 0
    return folder


@pytest.fixture
def good(runs) -> bytes:
    return (runs / "table" / "model.onnx").read_bytes()


@pytest.fixture
def refused(softclass) -> Callable[..., str]:
    """Give a model file to every command; all refuse it with the same words and write nothing."""

    def refuse(content: bytes, *, status: int = 4) -> str:
        Path("model.onnx").write_bytes(content)
        said = set()
        for arguments in (
            ("predict", "model.onnx", PENGUINS),
            ("predict", "model.onnx", PENGUINS, "-o", "out.csv"),
            ("evaluate", "model.onnx", PENGUINS),
            ("report", "model.onnx", "-o", "page.html"),
            ("inspect", "model.onnx", "--verify"),
        ):
            begin = time.process_time()
            ran = softclass(*arguments)
            assert time.process_time() - begin < 1
            assert (ran.status, ran.out) == (status, "")
            said.add(ran.first)
        assert os.listdir() == ["model.onnx"]
        (first,) = said
        return first

    return refuse


def resealed(content: bytes, change: Callable[[onnx.ModelProto], object]) -> bytes:
    """The work of somebody who knows the format: changed, and sealed again."""
    model = onnx.load_model_from_string(content[:-SEAL_BYTES])
    change(model)
    return seal_bytes(model.SerializeToString(deterministic=True))


def with_facts(content: bytes, change: Callable[[dict], object], **options) -> bytes:
    def edit(model: onnx.ModelProto) -> None:
        facts = json.loads(model.metadata_props[0].value)
        change(facts)
        text = {"ensure_ascii": False, "sort_keys": True, "separators": (",", ":"), **options}
        model.metadata_props[0].value = json.dumps(facts, **text)

    return resealed(content, edit)


CUT = "error[SC402] model.onnx: the file is damaged: it ends in the middle, or goes on behind its end"
CHECKSUM = (
    "error[SC402] model.onnx: the checksum does not fit: the file was damaged, or changed after softclass wrote it"
)
FIELDS = "error[SC404] model.onnx: the graph must hold only known fields in their order"
UNSEALED = "error[SC401] model.onnx: must be a softclass model; this is an ONNX file, but not one that softclass sealed"


def test_M01_empty_and_cut(refused, good):
    assert refused(b"") == "error[SC402] model.onnx: the file ends before it begins: it is empty"
    assert refused(good[: len(good) // 2]) == CUT
    assert refused(good[:-1]) == CUT
    assert refused(good[:-SEAL_BYTES]) == UNSEALED


@pytest.mark.parametrize("place", [0, 0.1, 0.5, 0.9, -1])
def test_M02_one_bit(place, refused, good):
    changed = bytearray(good)
    changed[int(place * len(good)) if isinstance(place, float) else place] ^= 4

    assert refused(bytes(changed)) == CHECKSUM


def test_M03_more_behind_the_end(refused, good):
    assert refused(good + b"x") == CUT
    assert refused(good + good) == CHECKSUM


def test_M04_onnx_without_our_seal(refused, good):
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    other = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))

    assert refused(other.SerializeToString()) == UNSEALED


def test_M05_edited_by_another_tool(refused, good):
    model = onnx.load_model_from_string(good)
    model.producer_name = "other"

    assert refused(model.SerializeToString()) == CHECKSUM


FOREIGN = {
    "pickle, and nothing is unpickled": pickle.dumps({"a": 1}),
    "a PyTorch file, which is a zip of pickles, and nothing is unpickled": b"PK\x03\x04" + b"archive/data.pkl" * 20,
    "a gzip file": gzip.compress(b"model", mtime=0),
    "HDF5, as Keras .h5 files are": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "safetensors": (8).to_bytes(8, "little") + b'{"a":{}}',
    "an ORT file, the private format of onnxruntime": b"\x1c\0\0\0ORTM" + bytes(100),
    "text": b"species,island\nAdelie,Dream\n",
    "XML or HTML": b"<!DOCTYPE html><html></html>",
}


@pytest.mark.parametrize("looks", FOREIGN)
def test_M06_other_kinds_of_files_are_named(looks, refused):
    assert refused(FOREIGN[looks]) == f"error[SC401] model.onnx: must be a softclass model; this looks like {looks}"


def test_M07_newer_formats(refused, softclass, good):
    major = refused(with_facts(good, lambda facts: facts["format"].update(major=2)))
    required = refused(with_facts(good, lambda facts: facts["format"]["required"].append("sets")))
    Path("model.onnx").write_bytes(
        with_facts(good, lambda facts: (facts["format"].update(minor=9), facts["optional"].update(colour="red")))
    )
    minor = softclass("predict", "model.onnx", PENGUINS, "--no-proba")

    needs = "error[SC403] model.onnx: the file needs softclass >= 0.1.0; it has "
    assert major == f"{needs}format 2; this softclass knows 1"
    assert required == f'{needs}facts that must be understood: "sets"'
    assert (minor.status, minor.first) == (0, "note[SC851] 1 fact of a later softclass left unread: colour")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_M08_models_of_every_release_verify(path, softclass):
    ran = softclass("inspect", path, "--verify")

    assert ran.status == 0
    assert "the checksum fits, and the sample gives the stored probabilities" in ran.out


def test_M09_unknown_fields(refused, good):
    at = f"found at byte {len(good) - SEAL_BYTES:,}"
    unknown = refused(seal_bytes(good[:-SEAL_BYTES] + b"\xfa\x07\x01a"))
    group = refused(seal_bytes(good[:-SEAL_BYTES] + b"\x0b"))

    assert unknown == f"{FIELDS}; ModelProto has no field 127 of wire type 2, {at}"
    assert group.startswith(f"{FIELDS}; ")
    assert group.endswith(f"{len(good) - SEAL_BYTES:,}")


def test_M10_data_in_other_files(refused, good):
    def outside(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
        model.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")

    assert refused(resealed(good, outside)).startswith(
        f"{FIELDS}; TensorProto has no field 13 of wire type 2, found at"
    )


def test_M11_other_operators(refused, good):
    found = refused(resealed(good, lambda model: setattr(model.graph.node[0], "op_type", "Loop")))

    assert found == 'error[SC404] model.onnx: operator "Loop" must be one that softclass writes; it is not'


def test_M12_tensors_of_another_length(refused, good):
    def longer(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].dims[0] = 2**40

    assert refused(resealed(good, longer)).endswith(
        "must hold as much as its shape (1099511627776,) says; it holds another amount"
    )


def test_M13_memory_bombs(refused, good):
    """The bomb of 104 bytes is in tests/model/test_shapes.py; here a real model asks for too many columns."""

    def wide(model: onnx.ModelProto) -> None:
        depth = next(one for one in model.graph.initializer if not one.dims and one.data_type == onnx.TensorProto.INT64)
        depth.raw_data = (2**31 - 1).to_bytes(8, "little")

    ran = refused(resealed(good, wide))

    assert ran.startswith("error[SC40")


def test_M14_weights_that_are_no_numbers(refused, good):
    def poison(model: onnx.ModelProto) -> None:
        largest = max(model.graph.initializer, key=lambda one: len(one.raw_data))
        largest.raw_data = np.full(len(largest.raw_data) // 4, np.nan, dtype=np.float32).tobytes()

    assert "finite" in refused(resealed(good, poison))


def test_M15_classes_that_do_not_fit(refused, good):
    found = refused(with_facts(good, lambda facts: facts["classes"].pop()))

    assert found.startswith(("error[SC406] model.onnx, ", "error[SC405] model.onnx, "))


def test_M16_facts_out_of_form(refused, good):
    def second(model: onnx.ModelProto) -> None:
        model.metadata_props.add(key="ort_config", value="{}")

    assert refused(resealed(good, second)) == (
        'error[SC405] model.onnx: the metadata must have the one key "softclass"; got "softclass", "ort_config"'
    )
    assert refused(with_facts(good, lambda facts: None, indent=1)).startswith("error[SC405] model.onnx")
    assert '"colour"' in refused(with_facts(good, lambda facts: facts.update(colour="red")))


def test_M17_names_are_text_and_never_paths(refused, softclass, good):
    def rename(name: str) -> Callable[[onnx.ModelProto], object]:
        return lambda model: setattr(model.graph, "name", name)

    for name in ("a\nb", "x" * 5000):
        found = refused(resealed(good, rename(name)))
        assert found.startswith(f"{FIELDS}; GraphProto.name ")
        assert len(found) < 300
    Path("model.onnx").write_bytes(resealed(good, rename("../../etc/passwd")))
    assert softclass("inspect", "model.onnx", "--verify").status == 0


def test_M18_images_for_a_table_and_a_table_for_images(softclass, runs):
    table, images, pictures = runs / "table", runs / "images", runs / "pictures"
    write_tree(Path(), {"a.png": png_bytes(3), "b.csv": b"x,y\n1,2\n"})

    for arguments in (
        ("predict", table, pictures), ("evaluate", table, pictures),
        ("report", table, "--data", pictures, "-o", "p.html"),
    ):  # fmt: skip
        ran = softclass(*arguments)
        assert (ran.status, ran.out) == (3, "")
        assert "error[SC331] " in ran.first
        assert ran.first.endswith("pictures: the model takes a table; got images")
    assert softclass("predict", table, "a.png", "a.png").first == (
        "error[SC331] a.png and 1 more: the model takes a table; got images"
    )
    for arguments in (("predict", images, "b.csv"), ("evaluate", images, "b.csv"),
                      ("report", images, "--data", "b.csv", "-o", "p.html")):  # fmt: skip
        ran = softclass(*arguments)
        assert (ran.status, ran.out) == (3, "")
        assert ran.err.splitlines()[:2] == [
            "error[SC345] b.csv: the model takes images; got none",
            "  fix:    Give image files, a folder, a ZIP archive, or NPZ or IDX files",
        ]
    assert softclass("predict", images, "-").first == "error[SC345] standard input: the model takes images; got none"


@pytest.mark.parametrize(
    "option", ["--id a", "--keep a", "--rename a=b", "--unseen fail", "--delimiter ;", "--no-header", "--bad-rows skip"]
)
def test_M18_options_of_tables_do_not_apply_to_images(option, softclass, runs):
    ran = softclass("predict", runs / "images", runs / "pictures", *option.split())

    assert (ran.status, ran.out) == (2, "")
    assert ran.first == f"error[SC202] {option.split()[0]} does not apply to images (applies to tables)"


def test_M18_groups_do_not_apply_to_images(softclass, runs):
    assert softclass("evaluate", runs / "images", runs / "pictures", "--by", "a").first == (
        "error[SC202] --by does not apply to images (applies to tables)"
    )


def test_M19_the_file_may_go_once_it_is_read(runs, tmp_path):
    """Served models come with the server; the bytes are read once by every command."""
    import softclass

    path = tmp_path / "model.onnx"
    shutil.copyfile(runs / "table" / "model.onnx", path)
    model = softclass.load(path)
    expected = model.predict_proba(PENGUINS)
    path.write_bytes(b"gone")
    again = model.predict_proba(PENGUINS)
    path.unlink()

    assert np.array_equal(expected, again)
    assert np.array_equal(expected, model.predict_proba(PENGUINS))


def test_M20_what_is_no_file(softclass):
    Path("folder").mkdir()
    os.mkfifo("pipe.onnx")
    with open("large.onnx", "wb") as file:
        file.write(b"\x08\x0a")
        file.truncate(2**31)
    expected = {
        "folder": (4, "error[SC401] folder: the directory holds no model.onnx"),
        "pipe.onnx": (6, "error[SC605] pipe.onnx: must be a regular file; it is a pipe"),
        "absent.onnx": (6, "error[SC603] absent.onnx: there is no such file or folder"),
        "https://example.org/model.onnx": (
            2, "error[SC208] https://example.org/model.onnx: must be a path on this machine; got an address",
        ),
        "large.onnx": (
            4,
            "error[SC407] large.onnx: a model file may have 2,147,483,647 bytes, the limit of ONNX; "
            "this one has 2,147,483,648",
        ),
    }  # fmt: skip

    for path, (status, first) in expected.items():
        ran = softclass("predict", path, PENGUINS)
        assert (ran.status, ran.out, ran.first) == (status, "", first)


def test_M20_a_model_that_others_may_change_gets_a_note(softclass, runs):
    shutil.copyfile(runs / "table" / "model.onnx", "model.onnx")
    os.chmod("model.onnx", 0o666)
    commands = (
        ("predict", "model.onnx", PENGUINS, "--no-proba"), ("evaluate", "model.onnx", PENGUINS),
        ("report", "model.onnx", "-o", "page.html"), ("inspect", "model.onnx"),
    )  # fmt: skip

    for arguments in commands:
        ran = softclass(*arguments)
        assert ran.status == 0
        assert ran.err.splitlines() == [
            "note[SC850] every user of this machine may change model.onnx", "  fix:    chmod o-w model.onnx",
        ]  # fmt: skip
    assert softclass(*commands[0], "--strict").status == 5


def test_M20_no_output_replaces_the_model(softclass, runs):
    shutil.copytree(runs / "table", "run")
    before = Path("run/model.onnx").read_bytes()
    for arguments in (
        ("predict", "run", PENGUINS, "--format", "csv"), ("evaluate", "run", PENGUINS), ("report", "run"),
        ("report", "run/model.onnx"),
    ):  # fmt: skip
        ran = softclass(*arguments, "-o", "run/model.onnx", "--overwrite")
        assert (ran.status, ran.first) == (
            2, 'error[SC205] run/model.onnx: the output must not be the input "run/model.onnx"',
        )  # fmt: skip
    assert Path("run/model.onnx").read_bytes() == before


def test_M21_an_old_runtime_is_named(softclass, runs, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "__version__", "1.10.0")
    ran = softclass("predict", runs / "table", PENGUINS)

    assert (ran.status, ran.out) == (6, "")
    assert ran.first == "error[SC608] the model needs onnxruntime >= 1.23; got 1.10.0"


def test_M22_a_graph_that_says_something_else_is_not_written(softclass, monkeypatch):
    fitting = importlib.import_module("softclass.model.fitting")
    real = fitting.Fitted.logits
    monkeypatch.setattr(fitting.Fitted, "logits", lambda *given: real(*given) + 1)

    ran = softclass("train", PENGUINS, "-t", "species", *QUICK, "-o", "run")

    assert ran.status == 5
    assert ran.first.startswith(
        "error[SC502] train: the graph and the estimator must give the same logits; they differ by"
    )
    assert os.listdir() == []


def test_the_made_model_is_one(softclass):
    """The changes above are refused for what they change: the same file, resealed unchanged, is read."""
    content = make_table().data
    Path("model.onnx").write_bytes(resealed(content, lambda model: None))

    assert softclass("inspect", "model.onnx", "--verify").status == 0
