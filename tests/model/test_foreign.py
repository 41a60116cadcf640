from __future__ import annotations

import random

import pytest

from made_models import make_small
from softclass.model.foreign import kind_of_file, looks_like_onnx


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", ""),
        (b"\x80", ""),
        (b"\x80\x05", "pickle"),
        (b"\x80\x06", ""),
        (b"MZ\x90", "a program"),
        (b"\x00" * 257 + b"ustar", "a tar archive"),
        (b"\xef\xbb\xbfa,b\n", "text"),
        (b"a,b\n" + b"\xc3\xa9" * 40_000, "text"),
        (b"caf\xe9 au lait", ""),
        (b"\x08\x09\x12", ""),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x05" + bytes(7) + b"{", ""),
    ],
)
def test_kinds(data, kind):
    assert kind_of_file(data) == kind


def test_models_are_onnx():
    assert looks_like_onnx(make_small().body)


@pytest.mark.parametrize(
    "data", [b"", b"\x08", b"\x12\x01a", b"\x08\x09\x3a\x05a", b"\x9a\xb4\x0a\x00", b"\xff" * 20, b"\x08" * 10**6]
)
def test_others_are_not(data):
    assert not looks_like_onnx(data)


def test_noise_raises_nothing():
    dice = random.Random(0)

    found = [(kind_of_file(noise), looks_like_onnx(noise)) for noise in (dice.randbytes(40) for _ in range(2000))]

    assert len(found) == 2000
