"""The page's own network and its data: equal to the runtime's, whatever the source; dropped files, right and wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from served import TOKEN, exploring
from softclass.model.activations import KNOWN
from softclass.model.model import Model
from softclass.server.explore import Explored
from web.explored import COLUMN, WORD, explored_images, explored_table

FORWARD = """async pixels => {
  const [{ createSource }, { createNetwork, scalePixels }] =
    await Promise.all([import("softclass/source"), import("softclass/network")]);
  const source = createSource();
  const { input, layers, temperature } = await source.model();
  const arrays = await source.weights();
  const network = createNetwork(layers, arrays, input.shape);
  const scaled = scalePixels(Uint8Array.from(pixels), input.shape, input.mean, input.std);
  const { logits, outputs } = network.forward(scaled);
  const [channels, height, width] = input.shape;
  const image = Object.assign(Uint8Array.from(pixels), { shape: [height, width, channels] });
  const served = source.kind === "server" ? await source.forward({ image }) : null;
  return {
    logits: Array.from(logits, (value) => value / temperature),
    served: served && Array.from(served.logits),
    activations: served && Object.fromEntries(Object.entries(served.activations).map(([k, v]) => [k, Array.from(v)])),
    outputs: Object.fromEntries(layers.map((layer, i) => [layer.name, Array.from(outputs[i].data)])),
  };
}"""
EVALUATION = """async name => {
  const source = (await import("softclass/source")).createSource();
  const found = await source.evaluation(name);
  const { logits, targets, u, role, n, classes } = found;
  const picture = found.picture(5);
  const pixels = picture && Array.from(picture.getContext("2d").getImageData(0, 0, picture.width, picture.height).data);
  return { logits: Array.from(logits.data), shape: logits.shape, targets: Array.from(targets), u: Array.from(u),
           role: Array.from(role), n, classes, pixels, row: found.row(5), place: found.places?.[5] };
}"""
ASK = """async ([name, given]) => {
  const source = (await import("softclass/source")).createSource();
  try { return { value: JSON.stringify(await source[name](...given)) }; }
  catch (error) { return { key: error.key, message: error.message }; }
}"""
DROP = """async ([name, type, text]) => {
  const source = (await import("softclass/source")).createSource();
  const before = await source.evaluations();
  try {
    const found = await source.dropped(new File([text], name, { type }));
    if (found.kind !== "evaluation") return { kind: found.kind };
    const { logits, targets, role, n, classes, said, u, row } = await source.evaluation(name);
    const added = (await source.evaluations()).filter((one) => !before.includes(one));
    return { kind: found.kind, logits: Array.from(logits.data), targets: Array.from(targets), role: Array.from(role),
             n, classes, said, added, u: Array.from(u), row: row(0) };
  } catch (error) { return { key: error.key, message: error.message, name: error.name }; }
}"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Explored, Model]:
    return explored_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def addresses(images: tuple[Explored, Model], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    table = explored_table(tmp_path_factory.mktemp("table"))
    with exploring(images[0]) as colours, exploring(table) as rows:
        yield {"images": colours, "table": rows}


@pytest.fixture
def at(page_at: Callable[..., Any], addresses: dict[str, str]) -> Callable[[str], Any]:
    """Return a function that opens the page on one of the models."""
    return lambda name: page_at(f"token={TOKEN}", address=addresses[name])


def test_the_page_knows_the_layers_that_it_gets_weights_for(page_at: Callable[..., Any]) -> None:
    kinds = page_at().evaluate("async () => (await import('softclass/network')).KINDS")

    assert set(kinds) >= KNOWN


def test_javascript_repeats_the_runtime_for_coloured_pixels(at: Any, images: tuple[Explored, Model]) -> None:
    pixels = np.random.default_rng(9).integers(256, size=(6, 5, 3)).astype(np.uint8)

    found = at("images").evaluate(FORWARD, pixels.reshape(-1).tolist())

    expected = images[1].session.run({"image": pixels[None]}).logits[0]
    np.testing.assert_allclose(found["logits"], expected, atol=1e-5)
    np.testing.assert_array_equal(np.float32(found["served"]), expected)
    np.testing.assert_allclose(found["outputs"]["features"], found["activations"]["features"], atol=1e-6)


def test_an_evaluation_arrives_bit_for_bit(at: Any, images: tuple[Explored, Model]) -> None:
    found = at("images").evaluate(EVALUATION, "colours.npz")
    rows = images[0]._evaluations["colours.npz"]

    np.testing.assert_array_equal(np.float32(found["logits"]).reshape(found["shape"]), rows.logits)
    assert found["u"] == rows.uniforms.tolist()
    assert (found["targets"], found["role"]) == (rows.targets.tolist(), rows.roles.tolist())
    assert rows.pixels is not None
    np.testing.assert_array_equal(np.reshape(found["pixels"], (6, 5, 4))[..., :3], rows.pixels[5])
    assert (found["row"], found["place"]) == (None, "index 5")


def test_a_row_of_a_table_arrives_with_its_cells(at: Any) -> None:
    found = at("table").evaluate(EVALUATION, "markup.csv")

    assert list(found["row"]) == [COLUMN, "depth", "word", "kind"]
    assert (found["row"]["word"], found["pixels"]) == (WORD, None)


def test_columns_arrive(at: Any) -> None:
    found = json.loads(at("table").evaluate(ASK, ["columns", [COLUMN, "depth"]])["value"])

    assert found["names"] == [COLUMN, "depth"]
    assert (found["targets"]["shape"], found["points"]["shape"], found["total"]) == ([90], [90, 2], 90)


def test_a_row_is_answered_by_the_server(at: Any) -> None:
    found = at("table").evaluate(ASK, ["forward", [{"row": {"depth": "1.5", "word": "plain"}}]])

    assert '"probabilities"' in found["value"]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("forward", [{"row": {"depth": "deep"}}], '[SC322] row.depth: held numbers in training; got "deep"'),
        ("forward", [{"row": {"dept": 1}}], "[SC222] row.dept: the model has no such column. Did you mean depth?"),
        ("evaluation", ["other"], "[SC221] other: there is no such evaluation"),
        ("columns", ["depth", "word"], "[SC221] word: there is no such column of numbers"),
    ],
)
def test_what_the_server_refuses_is_said_in_its_words(
    at: Any, watched: Any, name: str, given: Any, message: str
) -> None:
    found = at("table").evaluate(ASK, [name, given])

    assert found["message"].startswith(message)
    assert all("Failed to load resource" in fault for fault in watched.faults)
    watched.faults.clear()


def test_the_demo_has_no_server_to_ask(page_at: Callable[..., Any]) -> None:
    assert page_at().evaluate(ASK, ["forward", [{"row": {}}]])["key"] == "source.no_server"


@pytest.mark.parametrize(
    ("text", "logits", "targets", "said"),
    [
        ("label,logit_a,logit_b\nb,1,2.5\na,-1,0\nc,0,0\n", [1, 2.5, -1, 0, 0, 0], [1, 0, -1], None),
        ("p_a;p_b;label\r\n0.25;0.75;b\r\n1;0;a\r\n", [-1.3862944, -0.2876821, 0, -103.27893], [1, 0],
         "source.from_probabilities"),
        ('row,prediction,target,loss,proba_x,"proba_y, z"\n1,x,x,0.1,0.5,0.5\n', [-0.6931472, -0.6931472], [0],
         "source.from_probabilities"),
    ],
    ids=["logits", "probabilities", "predictions of softclass"],
)  # fmt: skip
def test_a_dropped_table_becomes_an_evaluation(
    page_at: Callable[..., Any], text: str, logits: list[float], targets: list[int], said: str | None
) -> None:
    found = page_at().evaluate(DROP, ["mine.csv", "text/csv", text])

    np.testing.assert_allclose(found["logits"], logits, rtol=1e-6)
    assert (found["targets"], found["said"]) == (targets, said)
    assert found["added"] == ["mine.csv"]
    assert all(0 <= u < 1 for u in found["u"])


def test_a_dropped_table_may_split_its_rows(page_at: Callable[..., Any]) -> None:
    text = "label,logit_a,logit_b,role\na,1,2,test\nb,1,2,calibration\n"

    assert page_at().evaluate(DROP, ["mine.csv", "text/csv", text])["role"] == [0, 1]


def test_a_table_of_something_else_is_a_table(page_at: Callable[..., Any]) -> None:
    assert page_at().evaluate(DROP, ["mine.csv", "text/csv", "x,y,kind\n1,2,a\n"]) == {"kind": "table"}


WRONG = [
    ("label,logit_a\na,1\n", "There must be two or more columns of logits or probabilities; there is one."),
    ("label,logit_a,logit_b\na,1,x\n", "Row 2, column logit_b: “x” is not a number."),
    ("label,logit_a,logit_b\na,1,2\n,1,2\n", "Row 3, column label: the class is missing."),
    ("label,logit_a,logit_b\nz,1,2\n", "No label is among the classes a, b."),
    ("label,p_a,p_b\na,0.5,1.5\n", "Row 2, column p_b: “1.5” is no probability from 0 to 1."),
    ("label,p_a,p_b\na,0.5,-0.5\n", "Row 2, column p_b: “-0.5” is no probability from 0 to 1."),
    ("label,p_a,p_b\na,0.5,0.5\na,0.5,0.6\n", "Row 3: the probabilities sum to 1.100, not to 1."),
    ("label,logit_a,logit_b,role\na,1,2,fit\n", "Row 2, column role: “fit” is neither test nor calibration."),
    ("label,logit_a,logit_b\na,1,2\nb,1e39,2\n", "Row 3, column logit_a: “1e39” is too large for a logit in 32 bits."),
    ("label,logit_a,logit_b\na,1\n", "Row 2 has 2 cells; the first row has 3."),
    ("", "The file is empty."),
]


def test_what_is_wrong_in_a_dropped_table_is_named_with_its_place(page_at: Callable[..., Any]) -> None:
    page = page_at()

    said = [page.evaluate(DROP, ["mine.csv", "text/csv", text]).get("message") for text, _ in WRONG]

    assert said == [message for _, message in WRONG]


def test_errors_are_said_in_chinese_too(page_at: Callable[..., Any]) -> None:
    page = page_at(language="zh")

    assert page.evaluate(DROP, ["a.csv", "text/csv", "label,logit_a,logit_b\na,1,x\n"])["message"] == (
        "第 2 行，logit_b 列：“x”不是数字。"
    )


def test_what_is_no_picture_and_no_text_is_refused(page_at: Callable[..., Any]) -> None:
    page = page_at()

    assert page.evaluate(DROP, ["a.png", "image/png", "no picture"])["key"] == "source.not_image"
    assert page.evaluate(
        """async () => {
          const source = (await import("softclass/source")).createSource();
          return source.dropped(new File([Uint8Array.of(255, 254, 0)], "a.csv")).then(() => null, (error) => error.key);
        }"""
    ) == "source.not_text"  # fmt: skip
