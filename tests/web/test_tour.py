"""Every sentence of the tour is true: its numbers against 50 digits, Python, and the published experiments."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from mpmath import exp, mp, mpf

from softclass.functions.slow_learning import logit_steps
from softclass.server.arrays import unpacked
from web.engines import WEB

LOSSES = ("cross_entropy", "squared_error")
NUMBER = re.compile(r"(?<![\w^])[-−]?\d[\d,]*(?:\.\d+)?(?:e-\d+| × 10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?")
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
SCORES = [mpf(2), mpf(1), mpf("0.1")]
STATES = {
    1: "v=1&tour=1",
    2: "v=1&tour=2&shift=5",
    3: "v=1&tour=3&T=0.05",
    4: "v=1&tour=4&z=1000,0,0&view=precision",
    5: "v=1&tour=5&view=jacobian",
    6: "v=1&p=loss&tour=6",
    7: "v=1&p=slow&tour=7",
    8: "v=1&p=slow&tour=8&m=25&loss=ce,eps,clip",
    9: "v=1&p=plane&tour=9",
    10: "v=1&p=digit&tour=10",
    11: "v=1&p=reliability&tour=11&set=digits-softmax",
    12: "v=1&p=sets&tour=12&set=digits-softmax",
}


def softmax(scores: list[Any], temperature: Any = 1) -> list[Any]:
    """Return the softmax in 50 digits."""
    with mp.workdps(50):
        powers = [exp(score / mpf(temperature)) for score in scores]
        return [power / sum(powers) for power in powers]


def rounded(value: Any, digits: int) -> float:
    """Return a number as the page prints it."""
    return round(float(value), digits)


def left_by_eps(margin: int, classes: int = 10) -> Any:
    """Return which share of the push ln(p + 1e-9) keeps (T9)."""
    p = softmax([mpf(0), mpf(margin), *[mpf(0)] * (classes - 2)])[0]
    return p / (p + mpf("1e-9"))


def demo_logits() -> dict[str, Any]:
    """Return what the demo holds of its over-confident model, read without the page."""
    entry = unpacked((WEB / "demo" / "bundle.bin").read_bytes())["evaluation:digits-softmax"]
    return {name: entry[name] for name in ("logits", "targets", "role")}


def log_loss(logits: Any, targets: Any, temperature: float) -> float:
    """Return the mean log loss in float64."""
    z = logits.astype(float) / temperature
    z -= z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]))


def best_temperature(logits: Any, targets: Any) -> float:
    """Return the temperature of least log loss by golden section, another way than that of the page."""
    low, high, ratio = 0.5, 8.0, (5**0.5 - 1) / 2
    while high - low > 1e-7:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if log_loss(logits, targets, left) < log_loss(logits, targets, right):
            high = right
        else:
            low = left
    return (low + high) / 2


def truth(stop: int) -> list[float]:
    """Return the numbers that the sentence of a stop has to hold."""
    p = softmax(SCORES)
    if stop == 1:
        return [2, 1, 0.1, *(rounded(share, 3) for share in p), 1]
    if stop == 3:
        return [0.05, rounded(softmax(SCORES, "0.05")[0], 9), 20, rounded(softmax(SCORES, 20)[0], 3)]
    if stop == 4:
        return [1000, 4, 4, 4, 4]
    if stop == 5:
        return [rounded(p[0] * (1 - p[0]), 3), rounded(-p[0] * p[1], 3), 0]
    if stop == 6:
        return [rounded(p[0] - 1, 3), rounded(p[1], 3), rounded(p[2], 3)]
    if stop == 7:
        return [12, *(float(logit_steps(12, 10, loss, learning_rate=0.5) or 0) for loss in LOSSES)]
    if stop == 8:
        return [25, 1e-9, rounded(100 * left_by_eps(25), 1), 1e-7, 0]
    if stop == 9:
        return [95, 15, 586]
    found = demo_logits()
    calibration, test = found["role"] == 1, found["role"] == 0
    logits, targets = found["logits"], found["targets"]
    if stop == 11:
        temperature = best_temperature(logits[calibration], targets[calibration])
        losses = (log_loss(logits[test], targets[test], each) for each in (1.0, temperature))
        return [rounded(temperature, 2), *(rounded(loss, 3) for loss in losses)]
    scores = 1 - np.array([[float(share) for share in row] for row in probabilities(logits)])
    own = np.sort(scores[np.arange(len(scores)), targets][calibration])
    n = len(own)
    limit = own[-(-(n + 1) * 90 // 100) - 1]
    inside = scores[test] <= limit
    covered = inside[np.arange(len(inside)), targets[test]].sum()
    return [90, float(covered), float(len(inside)), float((inside.sum(axis=1) == 0).sum())]


def probabilities(logits: Any) -> Any:
    """Return the softmax of rows in float64."""
    z = logits.astype(float)
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def numbers_of(sentence: str) -> list[float]:
    """Return the numbers of a sentence."""
    found = []
    for written in NUMBER.findall(sentence):
        mantissa, _, power = written.replace(",", "").replace("−", "-").partition(" × 10")
        found.append(float(mantissa) * 10.0 ** int(power.translate(RAISED)) if power else float(mantissa))
    return found


@pytest.fixture(scope="module")
def walked(browser: Any, demo_address: str) -> Callable[[str], dict[int, tuple[list[float], str]]]:
    """Return a function that walks the tour in a language; numbers of each sentence, and the address there."""

    @cache
    def walk(language: str) -> dict[int, tuple[list[float], str]]:
        context = browser.new_context(locale={"en": "en-GB", "zh": "zh-CN"}[language])
        page = context.new_page()
        page.goto(f"{demo_address}#tour=1")
        found = {}
        for stop, address in STATES.items():
            panel = re.search(r"\bp=(\w+)", f"{address}&p=softmax")
            page.locator(f".tour[data-stop='{stop}']").wait_for()
            page.locator(f"main[data-ready={panel and panel[1]}]").wait_for(state="attached")
            page.wait_for_timeout(150)  # the address follows the state after 100 ms
            sentence = page.locator(".tour .sentence").inner_text()
            found[stop] = (numbers_of(sentence), page.evaluate("location.hash.slice(1)"))
            page.locator(".tour .button.main").click(force=True)  # the last one is off
        context.close()
        return found

    return walk


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("stop", [stop for stop in STATES if stop not in (2, 10)])
def test_a_sentence_holds_the_true_numbers(walked: Callable[..., Any], stop: int, language: str) -> None:
    numbers, address = walked(language)[stop]

    assert sorted(numbers) == pytest.approx(sorted(truth(stop)), rel=1e-12, abs=0)
    assert address == STATES[stop]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("stop", "most", "others"), [(2, 1e-15, [5]), (10, 1e-5, [])])
def test_a_sentence_about_rounding_is_true(
    walked: Callable[..., Any], stop: int, most: float, others: list[float], language: str
) -> None:
    numbers, address = walked(language)[stop]

    assert numbers[:-1] == others
    assert numbers[-1] <= most
    assert address == STATES[stop]


def test_the_published_numbers_are_those_of_the_sentences() -> None:
    assert truth(7) == [12, 13, 28_991]
    assert truth(11) == [2.1, 0.236, 0.152]
    assert truth(12) == [90, 657, 719, 48]
