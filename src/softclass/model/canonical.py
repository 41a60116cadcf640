"""Canonical JSON: one text for one set of facts, and a reader that takes no other."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from softclass.errors import ModelFileError, shown
from softclass.model.wire_table import HINT

MAX_DEPTH = 32
MAX_BYTES = 16 * 2**20

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_COUNTED_AT_ONCE = 2**20
_LONGEST_INTEGER = 20
_STEP = np.zeros(256, dtype=np.int32)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def dump_facts(facts: Any) -> bytes:
    """
    Return facts as canonical JSON.

    Sorted keys, no blanks, UTF-8 without escapes that are not needed, shortest floats, neither NaN nor infinity.

    Parameters
    ----------
    facts : Any
        Mappings with text keys, lists, text, numbers, booleans, None.

    Returns
    -------
    bytes
        Equal facts give equal bytes.

    Raises
    ------
    ValueError
        If a number is not finite or a text is not Unicode; the caller knows whose fault that is.

    Examples
    --------
    >>> dump_facts({"b": [1.0, None], "a": "é"}).decode()
    '{"a":"é","b":[1.0,null]}'
    """
    return json.dumps(
        facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
    ).encode()


def load_facts(text: bytes) -> Any:
    """
    Return the facts that `dump_facts` wrote; anything else is refused.

    Parameters
    ----------
    text : bytes
        From a file that may be hostile: size and depth are looked at before it is parsed.

    Returns
    -------
    Any
        Dictionaries, lists, text, numbers, booleans, None.

    Raises
    ------
    ModelFileError
        SC405, naming the key or the place.

    Examples
    --------
    >>> load_facts(b'{"a":1,"a":2}')
    Traceback (most recent call last):
    ...
    softclass.errors.ModelFileError: [SC405] facts: each key must stand once; "a" stands twice. softclass never writes
    this: get the file again from where it was trained
    """
    if len(text) > MAX_BYTES:
        raise invalid(f"the facts may have {MAX_BYTES:,} bytes; they have {len(text):,}")
    if _depth(text) > MAX_DEPTH:
        raise invalid(f"the facts may be {MAX_DEPTH} levels deep; they are deeper")
    try:
        facts = json.loads(text.decode(), object_pairs_hook=_once, parse_int=_whole, parse_constant=_no_constant)
        again = dump_facts(facts)
    except UnicodeError:
        raise invalid("the facts must be UTF-8; they are not") from None
    except json.JSONDecodeError as error:
        raise invalid(f"the facts must be JSON; at character {error.pos:,}: {shown(error.msg)}") from None
    except ModelFileError:
        raise  # it is a ValueError too
    except ValueError:  # 1e999 is read as infinity, which has no text
        raise invalid("the facts hold finite numbers only; one is too large") from None
    if again != text:
        pairs = enumerate(zip(text, again, strict=False))
        place = next((i for i, (a, b) in pairs if a != b), min(len(text), len(again)))
        raise invalid(f"the facts must be canonical JSON; they are not at byte {place:,}")
    return facts


def invalid(message: str, where: str = "facts") -> ModelFileError:
    """Return the error of facts that break their rules."""
    return ModelFileError("SC405", message, where=where, hint=HINT)


def _depth(text: bytes) -> int:
    """Deepest nesting, counted without parsing."""
    brackets = np.frombuffer(_STRING.sub(b"", text).translate(None, _NOT_BRACKETS), dtype=np.uint8)
    depth = deepest = 0
    for start in range(0, len(brackets), _COUNTED_AT_ONCE):
        depths = depth + np.cumsum(_STEP[brackets[start : start + _COUNTED_AT_ONCE]])
        depth, deepest = int(depths[-1]), max(deepest, int(depths.max()))
    return deepest


def _plain(value: Any) -> Any:
    """Numbers of NumPy are numbers."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no fact")


def _whole(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise invalid(f"the facts hold whole numbers of 64 bits; got one of {len(text):,} digits")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise invalid(f'each key must stand once; "{shown(twice)}" stands twice')
    return found


def _no_constant(name: str) -> float:
    raise invalid(f"the facts hold finite numbers only; got {name}")
