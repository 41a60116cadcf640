"""Panel 3 in a browser: its counts are those of Python, its run and its address."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from softclass.functions.slow_learning import escape_time, logit_run, logit_steps

Open = Callable[..., Any]


def opened(page_at: Open, fragment: str, **options: Any) -> Any:
    """Open the panel in a state and wait until everything is measured."""
    page = page_at(f"p=slow{fragment}", **options)
    measured(page)
    return page


def go(page: Any, fragment: str) -> None:
    """Follow a link within the page, and wait until everything is measured."""
    page.evaluate(
        """(fragment) => new Promise((done) => {
          if (decodeURIComponent(location.hash) === fragment) done();
          addEventListener("hashchange", () => setTimeout(done), { once: true });
          location.hash = fragment;
        })""",
        f"#v=1&p=slow{fragment}",
    )
    measured(page)


def measured(page: Any) -> None:
    page.locator("[data-measured]").wait_for(state="attached")


def counts(page: Any) -> dict[str, str]:
    """The large number of each loss."""
    read = "all => Object.fromEntries(all.map((one) => [one.dataset.loss, one.querySelector('dd').firstChild.data]))"
    return page.locator(".readings [data-loss]").evaluate_all(read)  # type: ignore[no-any-return]


def notes(page: Any, loss: str) -> list[str]:
    return page.locator(f".readings [data-loss={loss}] small").all_text_contents()  # type: ignore[no-any-return]


def table(page: Any, key: str) -> list[list[str]]:
    """The table of a figure, cell by cell."""
    page.locator(f"[data-figure={key}] summary").click()
    read = "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    rows = page.locator(f"[data-figure={key}] tbody tr")
    rows.first.wait_for()
    return rows.evaluate_all(read)  # type: ignore[no-any-return]


# ---- counts


COUNTS = {
    "": {"ce": "13", "se": "28,991"},
    "&m=25&loss=ce,eps,clip": {"ce": "26", "eps": "100", "clip": "never"},
    "&m=0&K=1000": {"ce": "16", "se": "2,043"},
    "&run=neuron&m=4&eta=0.15": {"ce": "17", "se": "232"},
    "&run=plane&loss=ce,se,sigmoid_ce,sigmoid_se": {"ce": "15", "se": "586", "sigmoid_ce": "11", "sigmoid_se": "333"},
    "&run=plane&s=4&rate=best": {"ce": "1", "se": "3"},
    "&run=network&s=10&loss=ce,se,sigmoid_ce,sigmoid_se": {
        "ce": "1", "se": "not within 30", "sigmoid_ce": "2", "sigmoid_se": "5",
    },
    "&m=20&loss=se": {"se": "not within 2,000,000"},
    "&run=plane&loss=eps,clip": {"ce": "15", "se": "586"},  # losses that it does not have are replaced
}  # fmt: skip


def test_the_counts_of_the_experiments(page_at: Open) -> None:
    page = opened(page_at, "")
    found = {}
    for fragment in COUNTS:
        go(page, fragment)
        found[fragment] = counts(page)

    assert found == COUNTS


def test_any_setting_counts_as_python_does(page_at: Open) -> None:
    page = opened(page_at, "&m=7.5&K=37&eta=0.3&rate=six")
    slow = 0.3 * 6
    wanted = [
        logit_steps(7.5, 37, loss, learning_rate=eta) for loss, eta in (("cross_entropy", 0.3), ("squared_error", slow))
    ]
    theory = escape_time("squared_error", 37, 7.5, learning_rate=slow)

    assert counts(page) == {"ce": f"{wanted[0]:,}", "se": f"{wanted[1]:,}"}
    assert notes(page, "se")[0] == f"theory {theory:,.0f}"


def test_theory_and_the_table_stand_beside_what_is_measured(page_at: Open) -> None:
    page = opened(page_at, "")
    rows = table(page, "slow-loss")
    runs = [list(islice(logit_run(12.0, 10, loss), 14)) for loss in ("cross_entropy", "squared_error")]

    assert notes(page, "ce") == ["theory 12", "loss below 0.1: 24"]
    assert notes(page, "se") == ["theory 28,941", "loss below 0.1: 28,995"]
    assert [row[0] for row in rows[:7]] == ["0", "1", "2", "3", "4", "5", "8"]
    step = 8
    assert [float(cell) for cell in rows[6][1:3]] == pytest.approx(runs[0][step][::-1], abs=6e-7)
    assert float(rows[6][3]) == pytest.approx(runs[1][step][1], abs=6e-7)


def test_a_slider_changes_counts_and_address(page_at: Open) -> None:
    page = opened(page_at, "&m=2")
    page.get_by_role("slider", name="Margin m of the mistake").fill("8")
    measured(page)

    page.locator("[data-loss=se] dd", has_text="576").wait_for()
    assert counts(page) == {"ce": "10", "se": "576"}


def test_controls_can_be_hidden(page_at: Open) -> None:
    page = opened(page_at, "&hide=eta,K,rate")

    visible = page.locator(".panel .card [data-key]:visible").evaluate_all("all => all.map((one) => one.dataset.key)")
    assert visible == ["run", "m", "loss"]


def test_chinese(page_at: Open) -> None:
    page = opened(page_at, "&m=25&loss=clip", language="zh")

    assert counts(page) == {"clip": "永不"}
    assert notes(page, "clip") == ["理论 永不", "损失低于 0.1：永不", "停滞不动"]


# ---- the run


def test_a_link_holds_the_position(page_at: Open) -> None:
    page = opened(page_at, "&step=8")
    sentence = page.locator("[data-figure=slow-push] svg.picture").get_attribute("aria-label")
    margin = re.search(r"At margin (\S+):", sentence)[1]

    assert page.locator(".position").text_content() == "at step 8"
    assert float(margin.replace("−", "-")) < 12 - 6  # eight steps of about one each


def test_step_and_start_over(page_at: Open) -> None:
    page = opened(page_at, "&step=8")  # nothing may move here: the context asks for reduced motion
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".position", has_text="at step 9").wait_for()
    page.get_by_role("button", name="Step", exact=True).click()
    page.locator(".position", has_text="at step 10").wait_for()
    page.wait_for_url("**step=10*")

    page.get_by_role("button", name="Start over").click()
    page.locator(".position", has_text="at step 0").wait_for()
    page.wait_for_url(lambda address: "step=" not in address)


def test_run_goes_to_the_end(page_at: Open) -> None:
    page = opened(page_at, "&m=4", reduced_motion="no-preference")
    page.get_by_role("button", name="Run", exact=True).click()

    page.locator(".run button.main:disabled").wait_for()
    last = int(notes(page, "se")[-1].removeprefix("loss below 0.1: "))
    page.wait_for_url(re.compile(rf"[&#]step={math.ceil(1.25 * last)}(&|$)"))  # the address follows ten times a second


def test_another_panel_stops_a_run(page_at: Open) -> None:
    page = opened(page_at, "", reduced_motion="no-preference")
    page.get_by_role("button", name="Run", exact=True).click()
    page.evaluate("location.hash = 'p=softmax&v=1'")
    page.locator("main[data-ready=softmax]").wait_for()
    page.wait_for_timeout(200)  # twelve frames, in which a run would go on

    assert "step=" not in page.url


# ---- the network


def test_the_scale_of_the_shown_network_is_marked(page_at: Open) -> None:
    page = opened(page_at, "&run=network&s=2")
    marked = page.locator("[data-key=s] label:has(:checked)")
    usual = marked.all_text_contents()
    go(page, "&run=network&s=26")

    assert (usual, marked.all_text_contents()) == (["1 ×"], ["30 ×"])
    page.locator("[data-key=s]").get_by_text("10 ×").click()
    page.wait_for_url("**s=10*")


def test_a_formula_is_that_of_the_experiment(page_at: Open) -> None:
    page = opened(page_at, "")
    found = {}
    for run in ("logits", "neuron", "plane", "network"):
        go(page, f"&run={run}")
        found[run] = page.locator(".formula math").all_text_contents()
    pushes = ["gCE=p−y", "gSE=J(p−y)", "Jij=pi(δij−pj)"]

    assert [found["logits"][0], found["neuron"][0]] == ["TSE≈cKemsη", "TSE=F(z0)−F(z1)sη"]
    assert (found["plane"], found["network"]) == (pushes, pushes)


@pytest.mark.parametrize("fragment", ["", "&m=13.8", "&run=neuron&m=8&eta=0.05"])
def test_words_stay_within_the_picture_of_a_phone(page_at: Open, fragment: str) -> None:
    page = opened(page_at, fragment, width=360)
    read = """picture => { const { left, right } = picture.getBoundingClientRect();
      return [...picture.querySelectorAll("text")].filter((words) => {
        const box = words.getBoundingClientRect();
        return box.left < left - 1 || box.right > right + 1;
      }).map((words) => words.textContent); }"""

    for picture in page.locator("[data-figure] svg.picture").all():
        assert picture.evaluate(read) == []


def test_the_nearest_network_is_shown_and_said(page_at: Open) -> None:
    page = opened(page_at, "&run=network&s=7&step=30&loss=ce,se")
    hint = page.locator("[data-figure=slow-network] .hint").text_content()
    rows = table(page, "slow-network")

    assert hint.startswith("Shown is the start scale 10, the nearest that was run.")
    assert page.locator(".position").text_content() == "at epoch 30"
    assert (len(rows), float(rows[-1][1]) > 0.96, float(rows[-1][2]) < 0.8) == (30, True, True)
