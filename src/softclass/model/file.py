"""The model file: graph, facts, and a seal over both; written whole or not at all, refused before it is opened.

A sealed file is an ordinary ONNX file: the seal is one more protobuf field, which ONNX does not define and every
reader skips::

    offset    bytes   content
    0         S - 44  ModelProto, the facts among its metadata
    S - 44    3       9A B4 0A: field 21315, length-delimited
    S - 41    1       28: 40 bytes follow
    S - 40    8       "SCLASS01"
    S - 32    32      SHA-256 of the first S - 44 bytes

The checksum finds accidents. It is no signature: whoever rewrites the file makes a new one, so the content stays
hostile until :mod:`softclass.model.wire` has walked over it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from softclass.data.files import atomic_write, read_bytes
from softclass.data.paths import shown_path
from softclass.errors import ModelFileError, Note, PathError, TooLargeError, shown
from softclass.model.agreement import check_agreement
from softclass.model.foreign import kind_of_file, looks_like_onnx
from softclass.model.manifest import Manifest
from softclass.model.run_files import CONFIG_FILE, checkpoints_of
from softclass.model.shapes import check_shapes
from softclass.model.wire import length_field, newer, read_graph

SEAL = bytes.fromhex("9ab40a28") + b"SCLASS01"
SEAL_BYTES = 44
MAX_FILE_BYTES = 2**31 - 1
_IN_MEMORY = "model in memory"
_GET_AGAIN = "Get the file again from where it was trained, or train again"
_TRAIN = "Train a model: softclass train DATA"


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model file that was read and checked.

    Attributes
    ----------
    data : bytes
        The whole file; a session takes it as it is, since runtimes skip the seal.
    manifest : Manifest
        Its facts.
    digest : str
        SHA-256 of the content, in hexadecimal, as `inspect` shows it.
    notes : tuple of Note
        What a reader should know: SC850, SC851.
    """

    data: bytes
    manifest: Manifest
    digest: str
    notes: tuple[Note, ...] = ()

    @property
    def body(self) -> bytes:
        """The ONNX model without the seal, a copy."""
        return self.data[:-SEAL_BYTES]


def seal(body: bytes, manifest: Manifest) -> bytes:
    """
    Put the facts beside a graph and close the file.

    Parameters
    ----------
    body : bytes
        As `build_graph` returns it.
    manifest : Manifest
        Its facts.

    Returns
    -------
    bytes
        The content of a model file.

    Raises
    ------
    ModelFileError
        SC407, if it would not fit into an ONNX file.

    Examples
    --------
    >>> seal_bytes(b"").hex()[:24]
    '9ab40a2853434c4153533031'
    """
    facts = manifest.to_json()
    entry = length_field(1, b"softclass") + length_field(2, facts)
    length = len(body) + len(entry) + len(facts) + SEAL_BYTES
    if length > MAX_FILE_BYTES:
        raise _too_large(length)
    return seal_bytes(body + length_field(14, entry))


def seal_bytes(body: bytes) -> bytes:
    """Return the bytes with a seal behind them."""
    return body + SEAL + hashlib.sha256(body).digest()


def open_model(source: str | Path | bytes | bytearray | memoryview, *, digest: str | None = None) -> OpenedModel:
    """
    Read a model file, or refuse it with a sentence; nothing in it is run.

    Parameters
    ----------
    source : path or bytes
        The file, or its content.
    digest : str, optional
        The SHA-256 that the content must have, as `inspect` shows it.

    Returns
    -------
    OpenedModel
        Graph and facts agree, and every byte was looked at.

    Raises
    ------
    UsageError, PathError
        SC208 for an address; SC603, SC605 if there is no readable file.
    ModelFileError
        SC401 another kind of file; SC402 damaged; SC403 newer; SC404 forbidden content; SC405 facts invalid; SC406
        facts and graph disagree; SC407 over 2 GB.

    Examples
    --------
    >>> open_model(b"x,y\\n1,2\\n")
    Traceback (most recent call last):
    ...
    softclass.errors.ModelFileError: [SC401] model in memory: must be a softclass model; this looks like text. Train a
    model: softclass train DATA
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_bytes(bytes(source), _IN_MEMORY, digest, ())
    where = shown_path(source)
    try:
        data = read_bytes(source, limit=MAX_FILE_BYTES)
    except TooLargeError:
        raise _too_large(_stat(source).st_size, where) from None
    return _open_bytes(data, where, digest, _open_to_others(source))


def save_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> Path:
    """
    Write a sealed model; what stood there stays intact until the new file is complete.

    Parameters
    ----------
    path : path
        Of the file.
    data : bytes
        As `seal` returns them; they are read back before anything is written.
    overwrite : bool, default False
        Replace a file that is there.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    UsageError, PathError
        SC204, SC208, SC604, SC605.
    ModelFileError
        SC4xx, if the bytes are not a model.

    Examples
    --------
    >>> save_bytes("model.onnx", b"")
    Traceback (most recent call last):
    ...
    softclass.errors.ModelFileError: [SC402] model in memory: the file ends before it begins: it is empty. Get the file
    again from where it was trained, or train again
    """
    open_model(data)
    return atomic_write(path, lambda file: file.write(data), overwrite=overwrite)


def _open_bytes(data: bytes, where: str, digest: str | None, notes: tuple[Note, ...]) -> OpenedModel:
    """Checksum, then the walk, then the facts; whatever is refused is refused with the name of the file."""
    try:
        found = _unseal(data)
        if digest is not None and digest.lower() != found:
            rule = f"the digest must be {shown(digest)}; it is {found}"
            raise ModelFileError("SC402", rule, hint="This is another file than the one you expect")
        graph = read_graph(data, len(data) - SEAL_BYTES)
        shapes = check_shapes(graph)
        if graph.facts is None:
            raise ModelFileError("SC405", "the file must hold facts; it has none", hint=_GET_AGAIN)
        manifest = Manifest.from_json(graph.facts)
        check_agreement(graph, shapes, manifest)
    except ModelFileError as error:
        error.where = f"{where}, {error.where}" if error.where else where
        raise
    if manifest.unread:
        word = "fact" if len(manifest.unread) == 1 else "facts"
        text = f"{word} of a later softclass left unread: {shown(', '.join(manifest.unread))}"
        notes = (*notes, Note("SC851", text, count=len(manifest.unread)))
    return OpenedModel(data, manifest, found, notes)


def _unseal(data: bytes) -> str:
    """Return the digest of the content, which must be the one in the seal."""
    if len(data) < SEAL_BYTES or data[-SEAL_BYTES:-32] != SEAL:
        raise _why_no_seal(data)
    found = hashlib.sha256(memoryview(data)[:-SEAL_BYTES])
    if found.digest() != data[-32:]:
        raise ModelFileError(
            "SC402",
            "the checksum does not fit: the file was damaged, or changed after softclass wrote it",
            hint=_GET_AGAIN,
        )
    return found.hexdigest()


def _why_no_seal(data: bytes) -> ModelFileError:
    """Tell a damaged model from another ONNX file and from files of other kinds."""
    if not data:
        return ModelFileError("SC402", "the file ends before it begins: it is empty", hint=_GET_AGAIN)
    tail = data[-SEAL_BYTES:-32]
    if tail[:10] == SEAL[:10] and tail[10:].isdigit():
        return newer(f"seal {tail[10:].decode()}; this softclass knows {SEAL[10:].decode()}", "")
    if looks_like_onnx(data):
        return ModelFileError(
            "SC401",
            "must be a softclass model; this is an ONNX file, but not one that softclass sealed",
            hint="If another tool saved it again, use the file as softclass wrote it",
        )
    kind = kind_of_file(data)
    if data[0] == 8 and not kind:  # field 1, ir_version: how every model begins
        damage = "the file is damaged: it ends in the middle, or goes on behind its end"
        return ModelFileError("SC402", damage, hint=_GET_AGAIN)
    looks = f"this looks like {kind}" if kind else "its content is unknown"
    if "pickle" in kind or "joblib" in kind:
        looks += ", and nothing is unpickled"
    return ModelFileError("SC401", f"must be a softclass model; {looks}", hint=_TRAIN)


def _open_to_others(path: str | Path) -> tuple[Note, ...]:
    """A model that everyone may change is worth a remark."""
    if os.name != "posix" or not _stat(path).st_mode & stat.S_IWOTH:
        return ()
    name = shown_path(path)
    return (Note("SC850", f"every user of this machine may change {name}", hint=f"chmod o-w {name}"),)


def _stat(path: str | Path) -> os.stat_result:
    """What the system says of a file; one that has gone away since it was read has no size and no mode."""
    try:
        return os.stat(path)
    except OSError:
        return os.stat_result((0,) * 10)


def _too_large(length: int, where: str = _IN_MEMORY) -> ModelFileError:
    return ModelFileError(
        "SC407",
        f"a model file may have {MAX_FILE_BYTES:,} bytes, the limit of ONNX; this one has {length:,}",
        where=where,
        hint="Lower --max-categories, or leave out columns",
    )


def refuse_unfinished(path: Path) -> None:
    """Refuse a run that was interrupted, which has no model yet."""
    if not path.exists() and path.name and (checkpoints_of(path) / CONFIG_FILE).is_file():
        raise PathError(
            "SC603", "the run was interrupted and has no model yet", where=shown_path(path),
            hint=f"softclass train --resume {shown_path(path)} goes on",
        )  # fmt: skip
