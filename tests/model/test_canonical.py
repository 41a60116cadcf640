from __future__ import annotations

import re

import numpy as np
import pytest

from softclass.errors import ModelFileError
from softclass.model import canonical
from softclass.model.canonical import dump_facts, load_facts

SUFFIX = " softclass never writes this: get the file again from where it was trained"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"é": "\u2028", "z": "\n\x7f"}, '{"z":"\\n\x7f","é":"\u2028"}'),
        ([0.1, 1e-310, 1e300, -0.0, 5.0], "[0.1,1e-310,1e+300,-0.0,5.0]"),
        ([np.int64(3), np.float64(0.5), np.bool_(True)], "[3,0.5,true]"),
        ("特征", '"特征"'),
    ],
)
def test_facts_have_one_text(facts, text):
    assert dump_facts(facts).decode() == text
    assert load_facts(text.encode()) == facts


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_is_no_fact_is_an_error(value):
    with pytest.raises((ValueError, TypeError)):
        dump_facts([value])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"b":1,"a":2}', "the facts must be canonical JSON; they are not at byte 2."),
        (b'{"a": 1}', "the facts must be canonical JSON; they are not at byte 5."),
        (b'"\\u00e9"', "the facts must be canonical JSON; they are not at byte 1."),
        (b"1.50", "the facts must be canonical JSON; they are not at byte 3."),
        (b"1\n", "the facts must be canonical JSON; they are not at byte 1."),
        (b"1E2", "the facts must be canonical JSON; they are not at byte 1."),
        (b"NaN", "the facts hold finite numbers only; got NaN."),
        (b"-Infinity", "the facts hold finite numbers only; got -Infinity."),
        (b"1e999", "the facts hold finite numbers only; one is too large."),
        (b"9" * 21, "the facts hold whole numbers of 64 bits; got one of 21 digits."),
        (b"9" * 5000, "the facts hold whole numbers of 64 bits; got one of 5,000 digits."),
        (b'"\xed\xa0\x80"', "the facts must be UTF-8; they are not."),
        (b'"\\ud800"', "the facts must be UTF-8; they are not."),
        (b"", "the facts must be JSON; at character 0: Expecting value."),
        (b'{"a":1', "the facts must be JSON; at character 6: Expecting ',' delimiter."),
        (b'[{"x":{"a":1,"b":2,"a":3}}]', 'each key must stand once; "a" stands twice.'),
        (b'{"\\u202e":1,"\\u202e":1}', 'each key must stand once; "\\u202e" stands twice.'),
        (b"[" * 33 + b"]" * 33, "the facts may be 32 levels deep; they are deeper."),
        (b'[{"a":' * 17, "the facts may be 32 levels deep; they are deeper."),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(f'[SC405] facts: {message}{SUFFIX}')}$"):
        load_facts(text)


def test_brackets_in_strings_are_not_depth():
    text = b'"' + b"[" * 100 + b'\\"' + b"{" * 100 + b'"'

    assert load_facts(text) == "[" * 100 + '"' + "{" * 100


def test_depth_of_32_is_legal():
    assert dump_facts(load_facts(b"[" * 32 + b"]" * 32)) == b"[" * 32 + b"]" * 32


def test_size_is_looked_at_first(monkeypatch):
    monkeypatch.setattr(canonical, "MAX_BYTES", 10)

    with pytest.raises(ModelFileError, match=re.escape("the facts may have 10 bytes; they have 12.")):
        load_facts(b"[" * 12)
