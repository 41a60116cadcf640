"""Encodings: marks, wrong guesses, broken bytes and where they stand."""

from __future__ import annotations

import io
import re

import pytest

from softclass.data.text import TextStream, likely_encoding
from softclass.errors import SoftclassError

CHINESE = "特征1,特征2,类别\r\n5.1,3.5,山鸢尾\r\n"


def text_of(data: bytes, encoding: str | None = None, block_bytes: int = 2**20) -> bytes:
    return b"".join(TextStream(io.BytesIO(data), encoding, "a.csv", block_bytes=block_bytes).blocks())


@pytest.mark.parametrize("block_bytes", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("utf-8", None), ("utf-8-sig", None), ("utf-8", "UTF8"), ("utf-8-sig", "utf-8-sig"),
        ("gb18030", "gb18030"), ("gbk", "gbk"), ("big5hkscs", "big5hkscs"), ("shift_jis_2004", "shift_jis_2004"),
        ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("utf-16-le", "utf-16"), ("utf-32-be", "utf-32-be"),
    ],
)  # fmt: skip
def test_text_is_decoded(written: str, asked: str | None, block_bytes: int) -> None:
    text = CHINESE if written not in ("big5hkscs", "shift_jis_2004") else "花,a\r\n1,2\r\n"

    assert text_of(text.encode(written), asked, block_bytes).decode() == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_wins(encoding: str) -> None:
    assert text_of(CHINESE.encode(encoding), "latin-1").decode() == CHINESE


@pytest.mark.parametrize("mark", [b"\xfe\xff", b"\x00\x00\xfe\xff"])
def test_a_big_endian_mark_is_obeyed(mark: bytes) -> None:
    encoding = "utf-16-be" if len(mark) == 2 else "utf-32-be"
    stream = TextStream(io.BytesIO(mark + CHINESE.encode(encoding)), None, "a.csv")

    assert (stream.encoding, b"".join(stream.blocks()).decode()) == (encoding, CHINESE)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [CHINESE, "a,b\n1,2\n", "x" * 9])
def test_wide_text_without_a_mark_is_named(encoding: str, text: str) -> None:
    message = f"[SC304] a.csv: the bytes look like {encoding[:6].upper()} without a byte order mark. " + (
        f"Pass --encoding {encoding}"
    )

    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        text_of(text.encode(encoding))


@pytest.mark.parametrize("block_bytes", [1, 3, 8, 1000])
@pytest.mark.parametrize(
    ("data", "encoding", "message"),
    [
        (
            b"a,b\n1,x\n2,Gr\xf6\xdfe\n",
            None,
            "[SC304] a.csv, line 3: the text must be UTF-8; got the byte 0xf6 at offset 12. "
            "If it is cp1252, pass --encoding cp1252",
        ),
        (
            b"\xef\xbb\xbfa\r\nb\rc\n\n\xff",
            None,
            "[SC304] a.csv, line 5: the text must be UTF-8; got the byte 0xff at offset 11. "
            "If it is cp1252, pass --encoding cp1252",
        ),
        (
            "a\né".encode()[:-1],
            None,
            "[SC304] a.csv, line 2: the text must be UTF-8; got the byte 0xc3 at offset 2. "
            "If it is cp1252, pass --encoding cp1252",
        ),
        (
            "a\n花".encode("gb18030") + b"\xff\n",
            "gb18030",
            "[SC304] a.csv, line 2: the text must be gb18030; got the byte 0xff at offset 4. Pass another --encoding",
        ),
        (
            b"\xff\xfea\0\n\0\x00\xd8a\0",
            None,
            "[SC304] a.csv, line 2: the text must be UTF-16-LE; got the byte 0x00 at offset 6. Pass another --encoding",
        ),
        (b"a\n\nb\0\n", None, "[SC306] a.csv, line 3: the text must not hold a NUL byte"),
        (b"a\r\n\r\nb\0\n", "cp1252", "[SC306] a.csv, line 3: the text must not hold a NUL byte"),
    ],
)
def test_what_is_no_text_is_found(data: bytes, encoding: str | None, message: str, block_bytes: int) -> None:
    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        text_of(data, encoding, block_bytes)


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "base64", "idna\0"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    message = (
        f'[SC207] --encoding must be a text encoding that Python knows; got "{encoding}". '
        "Common ones: utf-8, utf-16, gb18030, big5, shift_jis, euc_kr, cp1251, cp1252"
    ).replace("\0", "\\u0000")

    with pytest.raises(SoftclassError, match="^" + re.escape(message) + "$"):
        text_of(b"a", encoding)


@pytest.mark.parametrize(
    ("text", "encoding", "likely"),
    [
        ("花,萼片长度,类别\n", "gb18030", "gb18030"),
        ("萼片长度（厘米），类别：山鸢尾", "gbk", "gb18030"),
        ("Größe;Länge;Straße;Müller", "cp1252", "cp1252"),
        ("naïve café – “déjà vu”", "cp1252", "cp1252"),
        ("имя,класс,кот,собака", "cp1251", "cp1252"),
        ("\x81\x8d\x8f", "latin-1", "latin-1"),
    ],
)
@pytest.mark.parametrize("start", [0, 1])
def test_the_likely_encoding_is_named(text: str, encoding: str, likely: str, start: int) -> None:
    assert likely_encoding(text.encode(encoding)[start:]) == likely
