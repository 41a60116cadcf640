"""The page as it is served and as one file: its assets, its import map, its content-security policy."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from softclass.errors import InternalError

WEB = Path(__file__).parents[1] / "web"
ASSETS = "/explore/assets/"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".bin": "application/octet-stream",
}
# What the page leaves open in its first file, and what page.py puts there.
POLICY, MAP = "<!--policy-->", "<!--importmap-->"
STYLE = f'<link rel="stylesheet" href="{ASSETS}style.css">'
START = f'<script type="module" src="{ASSETS}page.js"></script>'
START_LINE = 'import "softclass/page"'
LANGUAGE = '<html lang="en">'
SERVED_POLICY = (
    "default-src 'none'; script-src 'self' {}; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# 'data:' is where the modules of a single file are; without connect-src nothing can be sent anywhere.
EXPORTED_POLICY = (
    "default-src 'none'; script-src data: {}; style-src {}; img-src data: blob:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Asset:
    """A file of the page, held in memory: its bytes and its media type."""

    content: bytes
    type: str


@dataclass(frozen=True)
class Page:
    """A page and the content-security policy that it needs."""

    text: str
    policy: str


@cache
def assets() -> Mapping[str, Asset]:
    """
    Return every file of the page by its name, the files of the demo as ``demo/<name>``.

    Examples
    --------
    >>> assets()["page.js"].type
    'text/javascript; charset=utf-8'
    """
    found = sorted(path for path in WEB.rglob("*") if path.suffix in TYPES and path.name != "package.json")
    return {path.relative_to(WEB).as_posix(): Asset(path.read_bytes(), TYPES[path.suffix]) for path in found}


def import_map(addresses: Mapping[str, str]) -> str:
    """
    Return the text of an import map, ready to stand in a page.

    Parameters
    ----------
    addresses : mapping of str to str
        Where the module of each bare name is.

    Examples
    --------
    >>> import_map({"softclass/loss": "/explore/assets/loss.js"})
    '{"imports":{"softclass/loss":"/explore/assets/loss.js"}}'
    """
    return inline_json({"imports": dict(sorted(addresses.items()))})


def served_page(source: str, language: str | None = None) -> Page:
    """
    Return the page as a server gives it, with its policy for the header.

    Parameters
    ----------
    source : {"demo", "server"}
        Whether the page shows what is shipped or asks the server for a model.
    language : {"en", "zh"}, optional
        Where the address names none; by default the browser's.

    Examples
    --------
    >>> served_page("demo").policy[:40]
    "default-src 'none'; script-src 'self' 's"
    """
    addresses = {_bare(name): ASSETS + name for name in _modules()}
    mapped = import_map(addresses)
    return Page(_first_file(source, language, mapped), SERVED_POLICY.format(_hash(mapped)))


def exported_page(bundle: object, language: str | None = None) -> str:
    """
    Return the whole page as one file that works without a server.

    Parameters
    ----------
    bundle : object
        The answers of the server by their names, as JSON can hold them.
    language : {"en", "zh"}, optional
        Where the address names none; by default the browser's.

    Returns
    -------
    str
        An HTML page whose policy, in a meta element, forbids every connection.

    Examples
    --------
    >>> page = exported_page({"model": {"name": "<script>"}})
    >>> "<script>" in page.partition('id="bundle">')[2].partition("</script>")[0]
    False
    """
    addresses = {_bare(name): _data_address(asset) for name, asset in _modules().items()}
    mapped, style = import_map(addresses), assets()["style.css"].content.decode()
    if "</" in style:
        raise InternalError("SC100", "the style sheet must not end the element it stands in", where="exported_page")
    policy = EXPORTED_POLICY.format(f"{_hash(mapped)} {_hash(START_LINE)}", _hash(style))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy, quote=False)}">'
    text = _first_file("bundle", language, mapped, meta)
    text = _replaced(text, STYLE, f"<style>{style}</style>")
    data = f'<script type="application/json" id="bundle">{inline_json(bundle)}</script>'
    return _replaced(text, START, f'{data}\n<script type="module">{START_LINE}</script>')


def inline_json(value: object) -> str:
    r"""
    Return JSON that may stand in a script element: no text in it can end the element.

    Examples
    --------
    >>> inline_json({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _first_file(source: str, language: str | None, mapped: str, policy: str = "") -> str:
    text = _replaced((WEB / "index.html").read_text(encoding="utf-8"), POLICY, policy)
    facts = f'<meta name="softclass-source" content="{source}">'
    text = _replaced(text, MAP, f'{facts}\n<script type="importmap">{mapped}</script>')
    return text if language is None else _replaced(text, LANGUAGE, f'<html lang="en" data-language="{language}">')


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise InternalError("SC100", f"index.html must hold {old} once; it does {text.count(old)} times", where="page")
    return text.replace(old, new)


def _modules() -> dict[str, Asset]:
    return {name: asset for name, asset in assets().items() if name.endswith(".js")}


def _bare(name: str) -> str:
    return f"softclass/{name.removesuffix('.js')}"


def _data_address(asset: Asset) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(asset.content).decode('ascii')}"


def _hash(text: str) -> str:
    """Return the source expression that allows exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
