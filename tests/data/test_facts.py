"""Facts with closed keys."""

from __future__ import annotations

import re

import pytest

from softclass.data import facts
from softclass.errors import ModelFileError


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (facts.is_text, ["", "a"], [1, None, b"a"]),
        (facts.is_count, [0, 7], [-1, True, 1.0, "1"]),
        (facts.is_flag, [True, False], [0, 1, None]),
        (facts.is_number, [0, -1.5, 1e308], [float("nan"), float("inf"), True, "1"]),
        (facts.is_positive, [5e-324, 3], [0, -1, float("inf")]),
        (facts.is_list, [[], [1]], [(), "a", {}]),
        (facts.is_texts, [[], ["a", "b"]], [["a", "a"], ["a", 1], "ab"]),
        (facts.one_of("a", "b"), ["a", "b"], ["c", None, 0]),
        (facts.or_none(facts.is_text), [None, "a"], [1]),
    ],
)
def test_checks(check, good, bad):
    assert [check(value) for value in good] == [True] * len(good)
    assert [check(value) for value in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "[SC405] step: must be an object; got NoneType"),
        ({}, '[SC405] step: the keys are closed; "rows" is absent'),
        ({"rows": 1, "x\x1b": 2}, '[SC405] step: the keys are closed; "x\\u001b" is unknown'),
        ({"rows": "1"}, "[SC405] step: \"rows\" breaks its rule; got '1'"),
        ({"rows": "1" * 200}, f'[SC405] step: "rows" breaks its rule; got \'{"1" * 78}…'),
    ],
)
def test_refused(given, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        facts.checked(given, {"rows": facts.is_count}, "step")
