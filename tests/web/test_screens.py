"""Pictures of every panel for a person to look at: both languages, wide and narrow, light and dark."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PANELS = ["softmax", "loss", "slow", "plane", "digit", "mistakes", "reliability", "sets"]
# Where the pictures are kept; without it they go to the folder of the test.
KEPT = os.environ.get("TEST_SCREENS")


def colours(png: bytes) -> int:
    """Return how many colours a PNG of 8 bits a channel has, in every eighth of its rows."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    channels = {2: 3, 6: 4}[kind]
    data, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw = zlib.decompress(data)
    # Filters of rows change the bytes, not how many different ones there are in a picture with things in it.
    rows = (raw[y * (1 + channels * width) + 1 : (y + 1) * (1 + channels * width)] for y in range(0, height, 8))
    return len({row[x : x + channels] for row in rows for x in range(0, len(row), channels)})


@pytest.mark.parametrize(
    ("language", "width", "scheme"),
    [
        ("en", 1280, "light"),
        ("zh", 1280, "dark"),
        ("en", 360, "dark"),
        ("zh", 360, "light"),
        *(
            pytest.param(*look, marks=pytest.mark.slow)
            for look in [("zh", 1280, "light"), ("en", 1280, "dark"), ("zh", 360, "dark"), ("en", 360, "light")]
        ),
    ],
)
def test_every_panel_has_something_to_see_and_fits(
    page_at: Callable[..., Any], tmp_path: Path, language: str, width: int, scheme: str
) -> None:
    page = page_at("", language=language, width=width, scheme=scheme)
    folder = Path(KEPT or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    seen = {}
    for panel in PANELS:
        page.evaluate("panel => { location.hash = `p=${panel}` }", panel)
        page.locator(f"main[data-ready={panel}]").wait_for(state="attached")
        name = folder / f"{panel}-{language}-{width}-{scheme}.png"
        picture = page.screenshot(full_page=True, path=name)
        inside = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        notices = page.locator(".notice:visible").all_inner_texts()
        seen[panel] = (inside, colours(picture) > 40, notices)

    assert seen == dict.fromkeys(PANELS, (True, True, []))
