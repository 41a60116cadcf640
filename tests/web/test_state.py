"""The state in the address: every key there and back, and fragments from anywhere."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from web.engines import node_engine

TASKS = Path(__file__).parent / "state_tasks.js"
PANELS = ["softmax", "loss", "slow", "plane", "digit", "mistakes", "reliability", "sets"]
MARKUP = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>'
MALFORMED = [
    "", "#", "&&&", "=", "==", "v", "v=", "v=2", "v=1&v=", "p=", "p=nothing", "p=softmax,loss", "p=__proto__",
    "__proto__=1", "constructor=1&toString=2&hasOwnProperty=3", "z=", "z=1", "z=1,2,3,4,5,6,7,8,9,10,11", "z=1,,2",
    "z=NaN,1", "z=Infinity,1", "z=1e999,1", "z=0x10,1", "z=1e,2", "z=--1,2", "z=1;2", "z=%31,%32", "T=0", "T=-1",
    "T=1e-400", "T=NaN", "T=%", "T=%E0%A4%A", "K=2.5", "K=1e99", "K=99999999999999999999", "hidden=0,99",
    "hidden=1,2,3,4", "loss=", "loss=ce,evil", "cell=1,2,3", "cell=-1,-1", "seed=4294967296", "d=" + "A" * 30_000,
    "d=../../etc/passwd", f"d={quote(MARKUP)}", f"set={quote(MARKUP)}", f"p={MARKUP}", f"hide={quote(MARKUP)}",
    f"{quote(MARKUP)}={quote(MARKUP)}", "tour=13", "tour=-1&lang=fr", "lang=<b>", "hide=z,z,T,nothing", "a=" * 5000,
    "\u202e\u0000=\ud7ff", "step=1e6&m=31&eta=0",
]  # fmt: skip


# Go to a fragment, and tell which panel it asks for; an address that stays the same is no event.
GO = """async fragment => {
  const { decode } = await import("softclass/state");
  const heard = new Promise((resolve) => addEventListener("popstate", () => setTimeout(resolve), { once: true }));
  location.hash = fragment;
  const { state } = decode(location.hash);
  await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 40))]);
  return state.p;
}"""
FOUND = """() => [
  document.querySelectorAll("script:not([src]):not([type=importmap]), main img, .notices img").length,
  window.broken === undefined,
  document.querySelectorAll(".notices .failed").length, // what the page says of a panel that threw
]"""


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., Any]]:
    """Do a task of state_tasks.js in node."""
    with node_engine(TASKS) as engine:
        yield engine


@pytest.fixture(scope="module")
def fields(ask: Callable[..., Any]) -> dict[str, Any]:
    """Return the table of keys."""
    found: dict[str, Any] = ask("fields")
    return found


def drawn_value(field: dict[str, Any], chance: random.Random) -> str:
    """Write a value that a field can hold."""
    kind = field["kind"]
    if kind == "word":
        return str(chance.choice(field["options"]))
    if kind == "integer":
        return str(chance.randint(field["low"], min(field["high"], 2**53)))
    if kind == "number":
        return repr(chance.uniform(max(field["low"], -1e6), min(field["high"], 1e6)))
    if kind == "either":
        return str(chance.choice([*field["options"], chance.randint(0, 9)]))
    if kind == "text":
        return "".join(chance.choices("abcXYZ019_-", k=chance.randint(0, min(field["longest"], 40))))
    most = min(field["most"], 6)
    return ",".join(drawn_value(field["item"], chance) for _ in range(chance.randint(field["least"], most)))


def drawn_fragment(fields: dict[str, Any], chance: random.Random) -> str:
    """Write a fragment of some keys in any order, a fourth of their values spoilt."""
    keys = chance.sample(sorted(fields), chance.randint(1, len(fields)))
    parts = []
    for key in keys:
        value = drawn_value(fields[key], chance)
        if chance.random() < 0.25:
            at = chance.randint(0, len(value))
            value = value[:at] + chance.choice(["<", "%", "e", "-", ",", "&", "é", MARKUP, ""]) + value[at:]
        parts.append(f"{key}={value}")
    return "&".join(parts)


def test_the_table_says_which_panels_use_a_key(page_at: Callable[..., Any], fields: dict[str, Any]) -> None:
    read = "async panels => Promise.all(panels.map(async (panel) => (await import(`softclass/panel_${panel}`)).fields))"
    used = dict(zip(PANELS, map(set, page_at().evaluate(read, PANELS)), strict=True))
    own = {key: field["panels"] for key, field in fields.items() if len(field["panels"]) < len(PANELS)}

    assert used == {panel: {key for key, panels in own.items() if panel in panels} for panel in PANELS}


def plain(written: str) -> list[object]:
    """Return the items of a value, numbers as numbers."""
    number = re.compile(r"-?\d+\.?\d*(e[+-]?\d+)?")
    return [float(item) if number.fullmatch(item) else item for item in written.split(",")]


def test_the_empty_address_is_the_initial_state(ask: Callable[..., Any]) -> None:
    assert ask("there_and_back", fragments=[""]) == [{"written": "", "again": "", "within": True, "notices": []}]


@pytest.mark.parametrize("seed", range(5))
def test_every_key_round_trips(ask: Callable[..., Any], fields: dict[str, Any], seed: int) -> None:
    chance = random.Random(seed)
    drawn = {key: drawn_value(field, chance) for key, field in fields.items()}

    found = ask("values", fragment="&".join(f"{key}={value}" for key, value in drawn.items()))

    assert found["notices"] == {}
    assert {key: plain(text) for key, text in found["written"].items()} == {
        key: plain(text) for key, text in drawn.items()
    }


@pytest.mark.parametrize(
    ("fragment", "canonical"),
    [
        ("p=slow&K=10&m=12&eta=0.5", "v=1&p=slow"),  # all but the panel are what they are without being named
        ("eta=0.250&p=slow&v=1&m=7", "v=1&p=slow&m=7&eta=0.25"),
        ("loss=eps,ce&p=slow", "v=1&p=slow&loss=eps,ce"),
        ("z=2,1,.1", ""),
        ("z=-0,1e22,1E-7", "v=1&z=0,1e+22,1e-7"),
        ("hide=T,z", "v=1&hide=T,z"),
        ("class=4&versus=none&calib=7", "v=1&class=4&versus=none&calib=7"),
        ("token=secret&p=loss", "v=1&p=loss"),
    ],
)
def test_an_address_has_one_canonical_form(ask: Callable[..., Any], fragment: str, canonical: str) -> None:
    (found,) = ask("there_and_back", fragments=[fragment])

    assert (found["written"], found["again"], found["notices"]) == (canonical, canonical, [])


@pytest.mark.parametrize(
    ("fragment", "state", "notice"),
    [
        ("T=100", ("T", 20), "clamped"),
        ("T=0", ("T", 0.05), "clamped"),
        ("z=1,x", ("z", [2, 1, 0.1]), "unreadable"),
        ("K=2.5", ("K", 10), "unreadable"),
        ("m=31", ("m", 30), "clamped"),
        ("hidden=8,64", ("hidden", [8, 32]), "clamped"),
        ("p=admin", ("p", "softmax"), "unreadable"),
        ("T=%E0%A4%A", ("T", 1), "unreadable"),
        ("v=2", ("v", 1), "clamped"),
    ],
)
def test_what_cannot_be_taken_is_said_once(
    ask: Callable[..., Any], fragment: str, state: tuple[str, object], notice: str
) -> None:
    found = ask("read", fragment=fragment)

    assert found["state"][state[0]] == state[1]
    assert found["notices"] == [{"key": state[0], "reason": notice}]


def test_the_name_of_a_file_does_not_enter_the_address(ask: Callable[..., Any]) -> None:
    assert ask("encode", state={"set": "patients 2024.csv"}) == ""


def test_random_and_malformed_fragments_become_states(ask: Callable[..., Any], fields: dict[str, Any]) -> None:
    chance = random.Random(6)
    fragments = [drawn_fragment(fields, chance) for _ in range(200)] + MALFORMED

    found = ask("there_and_back", fragments=fragments)

    assert len(MALFORMED) >= 50
    assert [(each["written"], True) for each in found] == [(each["again"], each["within"]) for each in found]


def opens(page_at: Callable[..., Any], fragments: list[str]) -> None:
    """Send the page from fragment to fragment; each must be shown, and nothing may become markup."""
    page = page_at()
    for fragment in fragments:
        panel = page.evaluate(GO, fragment)
        page.locator(f"main[data-ready={panel}]").wait_for(state="attached")

        assert page.evaluate(FOUND) == [0, True, 0], fragment


def test_malformed_addresses_never_break_the_page(page_at: Callable[..., Any]) -> None:
    opens(page_at, [fragment for fragment in MALFORMED if "\u0000" not in fragment])


@pytest.mark.parametrize("panel", PANELS)
def test_random_addresses_never_break_the_page(page_at: Callable[..., Any], fields: dict[str, Any], panel: str) -> None:
    chance = random.Random(f"{panel} 7")
    fragments = [f"{drawn_fragment(fields, chance)}&p={panel}&tour=0&lang=en" for _ in range(25)]

    opens(page_at, fragments)
