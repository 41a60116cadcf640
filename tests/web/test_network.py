"""The forward pass of panel 5 over a list of layers, in node and in Chromium, against NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from web.engines import Ask, engine_fixtures
from web.plane_reference import layer_output

TASKS = Path(__file__).parent / "plane_tasks.js"
engine, node = engine_fixtures(TASKS)


def made_network(name: str) -> dict[str, Any]:
    """Layers, arrays and an input of one of a few networks."""
    draw = np.random.default_rng(12)
    arrays = {}

    def array(key: str, *shape: int) -> str:
        arrays[key] = {"data": draw.normal(size=shape).astype(np.float32).ravel().tolist(), "shape": list(shape)}
        return key

    def conv(key: str, n_out: int, n_in: int, kernel: list[int], **more: Any) -> dict[str, Any]:
        return {"kind": "conv", "name": key, "kernel": kernel, "stride": 1, "pad": 0, **more,
                "weight": array(f"{key}/w", n_out, n_in, *kernel), "bias": array(f"{key}/b", n_out)}  # fmt: skip

    def dense(key: str, n_out: int, n_in: int) -> dict[str, Any]:
        parts = {"weight": array(f"{key}/w", n_out, n_in), "bias": array(f"{key}/b", n_out)}
        return {"kind": "dense", "name": key, **parts}

    def plain(kind: str, **more: Any) -> dict[str, Any]:
        return {"kind": kind, "name": kind, **more}

    pool = {"size": [2, 2], "stride": [2, 2]}
    layers, shape = {
        "classic": lambda: ([conv("c", 32, 1, [3, 3]), plain("relu"), plain("maxpool", **pool), plain("flatten"),
                             dense("d", 10, 5408), plain("softmax")], [1, 28, 28]),
        "padded": lambda: ([conv("c", 4, 3, [3, 5], stride=[2, 1], pad=[1, 2, 0, 3]), plain("sigmoid"),
                            plain("avgpool", size=[2, 3], stride=[1, 2]), conv("e", 5, 4, [2, 2], pad=1), plain("tanh"),
                            plain("flatten"), dense("d", 6, 125)], [3, 11, 9]),
        "global": lambda: ([conv("c", 6, 2, [3, 3]), plain("relu"), plain("globalavgpool"), plain("flatten"),
                            dense("d", 3, 6)], [2, 7, 8]),
        "table": lambda: ([dense("d", 8, 5), plain("tanh"), dense("e", 4, 8), plain("softmax")], [5]),
        "linear on pixels": lambda: ([plain("flatten"), dense("d", 3, 2 * 4 * 6), plain("softmax")], [2, 4, 6]),
    }[name]()  # fmt: skip
    return {"layers": layers, "arrays": arrays, "input": shape,
            "values": draw.normal(size=shape).astype(np.float32).ravel().tolist()}  # fmt: skip


@pytest.mark.parametrize("name", ["classic", "padded", "global", "table", "linear on pixels"])
def test_every_activation_is_that_of_the_reference(engine: Ask, name: str) -> None:
    network = made_network(name)
    found = engine("forward", **network)
    arrays = {key: np.reshape(array["data"], array["shape"]) for key, array in network["arrays"].items()}
    x = np.reshape(network["values"], network["input"])

    assert found["known"]
    for layer, output in zip(network["layers"], found["outputs"], strict=True):
        x = layer_output(layer, arrays, x)
        assert output["shape"] == list(x.shape)
        np.testing.assert_allclose(output["data"], x.ravel(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["classic", "padded", "linear on pixels"])
def test_evidence_map_adds_up_to_the_logit(engine: Ask, name: str) -> None:
    network = made_network(name)
    found = engine("forward", **network)
    arrays = {key: np.reshape(array["data"], array["shape"]) for key, array in network["arrays"].items()}
    flat = [layer["kind"] for layer in network["layers"]].index("flatten")
    maps = found["outputs"][flat - 1] if flat else {"data": network["values"], "shape": network["input"]}
    a = np.reshape(maps["data"], maps["shape"])
    shares = np.einsum("kchw,chw->khw", arrays["d/w"].reshape(-1, *a.shape), a)

    np.testing.assert_allclose([e["logit"] for e in found["evidence"]], found["logits"], rtol=1e-11, atol=1e-11)
    found_shares = [evidence["map"] for evidence in found["evidence"]]
    np.testing.assert_allclose(found_shares, shares.reshape(len(shares), -1), rtol=1e-9, atol=1e-11)
    assert [e["bias"] for e in found["evidence"]] == arrays["d/b"].tolist()


@pytest.mark.parametrize("name", ["global", "table"])
def test_network_without_maps_at_its_end_has_no_exact_map(node: Ask, name: str) -> None:
    assert set(node("forward", **made_network(name))["evidence"]) == {None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "opaque", "name": "x"}, "layer x: the kind opaque has no forward pass"),
        ({"kind": "dense", "name": "x", "weight": "none", "bias": "d/b"}, "layer x: its weight is not there"),
        (
            {"kind": "dense", "name": "x", "weight": "d/w", "bias": "e/b"},
            "layer x: its weight has 40 values, not 4 x 5",
        ),
        ({"kind": "maxpool", "name": "x", "size": 2, "stride": 2}, "layer x: maxpool needs maps, [C, H, W]"),
    ],
)
def test_layers_that_do_not_fit_are_refused(node: Ask, change: dict[str, Any], message: str) -> None:
    network = made_network("table")
    network["layers"][0] = change

    assert node("refused", **network)["message"] == message


def test_pixels_are_scaled_as_in_the_model_file(engine: Ask) -> None:
    pixels = np.random.default_rng(2).integers(256, size=(4, 5, 3)).astype(np.float32)
    mean, std = np.array([33.3, 120.1, 7.7], np.float32), np.array([78.9, 3.3, 55.5], np.float32)
    found = engine("pixels", values=pixels.ravel().tolist(), shape=[3, 4, 5], mean=mean.tolist(), std=std.tolist())

    np.testing.assert_array_equal(np.float32(found), np.moveaxis((pixels - mean) / std, -1, 0).ravel())


@pytest.mark.slow  # says something about a machine: three times the time it may take
def test_forward_pass_of_the_demo_network_is_quick(engine: Ask) -> None:
    assert engine("time", **made_network("classic"), rounds=51) < 6
