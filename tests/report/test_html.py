"""The page as a whole: its numbers are the evaluation's, its text is data, and it loads nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from softclass.errors import OptionError, PathError, UsageError
from softclass.report.html import (
    CoefficientTable,
    ColumnFacts,
    DroppedColumn,
    ReportFacts,
    WeightPictures,
    WorstRow,
    render_report,
    write_report,
)
from softclass.report.thumbnails import thumbnail_png
from softclass.trust.evaluation import Evaluation, evaluate
from softclass.trust.temperature import Temperature

SECTIONS = ["summary", "data", "parts", "scores", "classes", "confusion", "reliability", "worst", "weights", "made"]
HOSTILE = [
    "<script>alert(1)</script>",
    "\"quoted\" & 'single'",
    "\u202egnissim\u202c",
    "{{ 7 * 7 }} {not_a_field}",
    "</style></svg><img src=x onerror=alert(1)>",
    "类别",
]
# Elements without an end tag.
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Elements, attributes, text and machine-readable values of a page; refuses what is not nested properly."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.values: list[float] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "data":
            self.values.append(float(dict(attrs)["value"] or "nan"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> inside <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def attributes(self, name: str) -> Iterator[str]:
        return (attributes[name] or "" for _, attributes in self.elements if name in attributes)


def evaluation_of(classes: list[str], n: int = 200, temperature: float = 1.5, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, len(classes)))
    targets = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return evaluate(logits, targets, classes, temperature=temperature, bootstrap=50)


def table_facts(classes: list[str], evaluation: Evaluation | None) -> ReportFacts:
    rng = np.random.default_rng(1)
    return ReportFacts(
        title="flowers.csv",
        task="table",
        classes=classes,
        evaluation=evaluation,
        created_with="softclass 0.1.0",
        target="species",
        n_rows=1000,
        class_counts=dict.fromkeys(classes, 10),
        columns=[ColumnFacts("petal", "number", "1 … 9", 7, "4.5"), ColumnFacts("colour", "category", "red, blue")],
        dropped=[DroppedColumn("id", "each value is different")],
        notes=[{"code": "SC803", "column": "petal", "count": 7, "message": 'column "petal": 7 missing values filled'}],
        parts={"fit": 600, "calibration": 200, "test": 200, "stratified": True, "seed": 3},
        temperature=Temperature(1.5, "temperature", 200, {"none": 0.75, "temperature": 0.625}, ""),
        worst=[WorstRow("line 812", classes[0], classes[-1], 0.96875, 4.25, {"petal": "5.1", "colour": "red"})],
        coefficients=CoefficientTable(["petal", "colour = red"], rng.normal(size=(len(classes), 2))),
        facts=[("Command", "softclass train flowers.csv -t species")],
    )


def names(n: int) -> list[str]:
    return [f"class {k}" for k in range(n)]


@pytest.fixture(scope="module", params=[2, 3, 26, 242], ids="{} classes".format)
def classes(request: pytest.FixtureRequest) -> list[str]:
    return names(request.param)


@pytest.fixture(scope="module")
def evaluation(classes: list[str]) -> Evaluation:
    return evaluation_of(classes)


@pytest.fixture(scope="module", params=["en", "zh"])
def page(request: pytest.FixtureRequest, classes: list[str], evaluation: Evaluation) -> str:
    return render_report(table_facts(classes, evaluation), request.param)


def test_every_section_is_there(page: str) -> None:
    ids = set(Page(page).attributes("id"))

    assert set(SECTIONS) <= ids
    assert {address.removeprefix("#") for address in Page(page).attributes("href")} <= ids


def test_page_is_well_formed_and_its_ids_are_unique(page: str) -> None:
    ids = list(Page(page).attributes("id"))

    assert len(ids) == len(set(ids))


def test_the_page_shows_the_numbers_of_the_evaluation(page: str, evaluation: Evaluation) -> None:
    scalar = [
        "n", "accuracy", "balanced_accuracy", "log_loss", "log_loss_prior", "log_loss_uncalibrated", "brier",
        "brier_miscalibration", "brier_discrimination", "brier_uncertainty", "ece", "ece_null_95", "ece_p_value",
        "ece_debiased", "ece_uncalibrated", "class_wise_ece", "aurc",
    ]  # fmt: skip
    wanted = {float(getattr(evaluation, key)) for key in scalar}
    wanted |= {bound for interval in evaluation.intervals.values() for bound in interval}

    assert wanted - set(Page(page).values) == set()


def test_the_table_of_classes_holds_every_class(page: str, evaluation: Evaluation) -> None:
    rows = evaluation.per_class.values()
    wanted = {value for row in rows for value in (row.precision, row.recall, row.log_loss) if value is not None}

    assert wanted - set(Page(page).values) == set()


def test_the_page_shows_candidates_and_worst_rows(page: str) -> None:
    assert {0.75, 0.625, 1.5, 0.96875, 4.25} <= set(Page(page).values)


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    tags = {tag for tag, _ in parsed.elements}
    addresses = [value for name in ("src", "href", "xlink:href", "action", "data") for value in parsed.attributes(name)]

    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "use", "image", "foreignobject"}
    assert [one for one in addresses if not one.startswith(("#", "data:image/png;base64,"))] == []
    assert re.findall(r"url\(|@import|\son\w+=", page) == []


def test_the_browser_is_told_so(page: str) -> None:
    policies = [a["content"] for tag, a in Page(page).elements if a.get("http-equiv") == "Content-Security-Policy"]

    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    ]


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 1_000_000


def test_every_picture_says_what_it_shows(page: str) -> None:
    parsed = Page(page)
    unnamed = [a for tag, a in parsed.elements if (tag == "svg" and not a.get("aria-label"))]
    unnamed += [a for tag, a in parsed.elements if (tag == "img" and not a.get("alt"))]

    assert unnamed == []


@pytest.mark.parametrize("count", [2, 26, 27, 242])
def test_a_matrix_up_to_26_classes_and_pairs_above(count: int) -> None:
    page = render_report(table_facts(names(count), evaluation_of(names(count))))

    assert ('class="figure confusion"' in page) is (count <= 26)
    assert ("the matrix would be too large" in page) is (count > 26)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_hostile_text_stays_text(lang: str) -> None:
    facts = table_facts(HOSTILE, evaluation_of(HOSTILE))
    every = HOSTILE[0] + HOSTILE[2] + HOSTILE[4]
    facts = ReportFacts(
        **{
            **vars(facts),
            "title": every,
            "target": every,
            "model": every,
            "split_name": every,
            "created_with": every,
            "columns": [ColumnFacts(every, "number", every, 1, every)],
            "dropped": [DroppedColumn(every, every)],
            "notes": [{"code": every, "column": None, "count": None, "message": every}],
            "parts": {**facts.parts, "group": every, "time": every, "own_test": True},
            "worst": [
                WorstRow(every, every, every, 0.9, 4.0, {every: every}, thumbnail_png(np.zeros((4, 4, 1), "u1")))
            ],
            "coefficients": CoefficientTable([every, every], np.ones((6, 2))),
            "facts": [(every, every)],
        }
    )
    parsed = Page(render_report(facts, lang))
    text = "".join(parsed.text)

    assert {"script", "b"} & {tag for tag, _ in parsed.elements} == set()
    assert [a for tag, a in parsed.elements if "onerror" in a] == []
    assert (HOSTILE[0] in text, "\\u202e" in text, "\u202e" in text) == (True, True, False)


def test_text_that_no_file_can_hold_is_escaped() -> None:
    facts = ReportFacts("half \ud800", "table", ["a", "b"], None)

    assert "half \\ud800" in render_report(facts)


def test_without_an_evaluation_the_page_says_so_and_shows_no_score() -> None:
    page = render_report(table_facts(names(3), None))

    assert "Nothing was held out, so nothing is known about how good the probabilities are." in page
    assert "Log loss</th>" not in page.replace("Log loss, 5-fold", "")
    assert 'id="confusion"' not in page


def test_without_anything_the_page_still_stands() -> None:
    assert "softclass" in "".join(Page(render_report(ReportFacts("data", "table", ["a", "b"], None))).text)


def test_one_row_is_enough_for_a_report() -> None:
    found = evaluate([[1.0, 0.0]], [0], ["a", "b"], bootstrap=10)
    text = "".join(Page(render_report(table_facts(["a", "b"], found))).text)

    assert "On 1 row of the test part" in text


def test_unknown_classes_are_named_and_the_log_loss_is_infinite() -> None:
    found = evaluate([[2.0, 0.0], [0.0, 2.0], [0.0, 1.0]], [0, 1, -1], ["a", "b"], bootstrap=10)
    text = "".join(Page(render_report(table_facts(["a", "b"], found))).text)

    assert "1 row belong to classes that the model does not know" in text
    assert "∞" in text


def test_images_get_thumbnails_and_weight_pictures() -> None:
    facts = table_facts(names(3), evaluation_of(names(3)))
    rng = np.random.default_rng(2)
    worst = WorstRow("7/a.png", "class 1", "class 2", 0.9, 3.0, None, thumbnail_png(np.zeros((8, 8, 3), "u1")))
    facts = ReportFacts(
        **{
            **vars(facts),
            "task": "images",
            "image": (8, 8, 3),
            "columns": (),
            "worst": [worst],
            "coefficients": WeightPictures(8, 8, 3, rng.normal(size=(3, 192))),
        }
    )
    parsed = Page(render_report(facts))
    pictures = [a for tag, a in parsed.elements if tag == "img"]

    assert [a["alt"] for a in pictures] == ["7/a.png", *(f"Weights of the pixels for class {k}" for k in range(3))]
    assert "1,000 images · 8 × 8 pixels, colour" in " ".join("".join(parsed.text).split())


def test_two_mirrored_classes_are_drawn_once() -> None:
    facts = table_facts(names(2), evaluation_of(names(2)))
    weight = np.array([[-1.0, 2.0], [1.0, -2.0]])
    facts = ReportFacts(**{**vars(facts), "coefficients": CoefficientTable(["x", "y"], weight)})

    assert render_report(facts).count('class="figure weights"') == 1


def test_report_is_written_whole(tmp_path: Path) -> None:
    facts = table_facts(names(3), None)
    path = write_report(facts, tmp_path / "report.html", lang="zh")

    assert path.read_text(encoding="utf-8") == render_report(facts, "zh")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_report_is_not_replaced_unasked(tmp_path: Path) -> None:
    write_report(table_facts(names(3), None), tmp_path / "report.html")

    with pytest.raises((UsageError, PathError), match="SC204"):
        write_report(table_facts(names(3), None), tmp_path / "report.html", overwrite=False)


def test_another_language_is_refused() -> None:
    message = r'^\[SC141\] render_report: `lang` must be "en" or "zh"; got \'fr\'$'
    with pytest.raises(OptionError, match=message):
        render_report(table_facts(names(2), None), "fr")


def test_notes_of_one_kind_stand_together() -> None:
    notes = [
        {"code": "SC803", "column": f"x{k}", "count": k, "message": f'column "x{k}": {k} missing'} for k in range(1, 10)
    ]
    facts = table_facts(names(3), None)
    page = render_report(ReportFacts(**{**vars(facts), "notes": [*notes, {"code": "SC805", "message": "constant"}]}))

    assert page.count("missing values filled") == 1
    assert "3</data> more" in page
    assert page.index("x9") < page.index("constant column")


def test_lines_of_a_configuration_stay_lines() -> None:
    facts = ReportFacts("data", "table", ["a", "b"], None, facts=[("configuration", "seed = 0\nC = 1\u202e")])

    assert "seed = 0\nC = 1\\u202e" in render_report(facts)
    assert "配置" in render_report(facts, "zh")


def test_a_huge_report_stays_below_a_megabyte() -> None:
    facts = table_facts(names(3000), evaluation_of(names(3000), n=400))
    columns = [ColumnFacts(f"column {k}" * 20, "number", "x" * 500, 1, "0") for k in range(5000)]
    notes = [{"code": "SC803", "message": f"{k} " + "x" * 900} for k in range(5000)]
    page = render_report(ReportFacts(**{**vars(facts), "columns": columns, "notes": notes}))

    assert len(page.encode()) < 1_000_000
    assert "540 more of" in page


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [([0, 0], "No row was wrong."), ([0, 1], "The rows themselves are not part of this report")],
)
def test_absent_rows_are_not_taken_for_right_ones(targets: list[int], sentence: str) -> None:
    facts = table_facts(["a", "b"], evaluate([[1.0, 0.0]] * 2, targets, ["a", "b"], bootstrap=10))

    assert sentence in render_report(ReportFacts(**{**vars(facts), "worst": ()}))
