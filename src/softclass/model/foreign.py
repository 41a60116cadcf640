"""Files that are no models of ours: what they look like, told by their first bytes and never by opening them."""

from __future__ import annotations

# Magic bytes at an offset, and what people call such a file.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "HDF5, as Keras .h5 files are"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file, as joblib may write"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (4, b"ORTM", "an ORT file, the private format of onnxruntime"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89PNG", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"SQLite format 3", "an SQLite database"),
    (257, b"ustar", "a tar archive"),
)
_PICKLE_STARTS = (b"(dp", b"(lp", b"]q", b"}q", b"ccopy_reg", b"csklearn", b"cnumpy", b"c__", b"(i")
_ZLIB_STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_MOST_FIELDS = 10_000  # at the top level: graph, operator sets, metadata
_LOOKED_AT = 64 * 1024
# Top-level fields of a ModelProto in ONNX, whoever wrote it; domain, model_version, doc_string and the like included.
_ONNX_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})


def kind_of_file(data: bytes) -> str:
    """
    Return what a file looks like, in words.

    Parameters
    ----------
    data : bytes
        Its content, or the beginning of it.

    Returns
    -------
    str
        Such as "pickle"; empty if nothing fits.

    Examples
    --------
    >>> kind_of_file(b"\\x80\\x04\\x95...")
    'pickle'
    """
    if len(data) >= 2 and data[0] == 0x80 and 2 <= data[1] <= 5:
        return "pickle"
    for offset, magic, name in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return name
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_zip(data)
    if data.startswith(_PICKLE_STARTS):
        return "pickle"
    if data.startswith(_ZLIB_STARTS):
        return "zlib data, as joblib may write"
    if len(data) > 9 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return "safetensors"
    return _kind_of_text(data)


def looks_like_onnx(data: bytes) -> bool:
    """Return whether the bytes are, at the top level, whole fields of an ONNX model and nothing else."""
    at, count, numbers = 0, 0, set()
    while at < len(data):
        count += 1
        if count > _MOST_FIELDS:
            return False
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if number not in _ONNX_FIELDS or wire not in (0, 2):
            return False
        value, at = _varint(data, at)
        if wire == 2:
            at += value
        if at > len(data):
            return False
        numbers.add(number)
    return 1 in numbers or 7 in numbers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and the offset behind it; behind the end if it is cut or too long."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    return 0, len(data) + 1


def _kind_of_zip(data: bytes) -> str:
    head, tail = data[:_LOOKED_AT], data[-_LOOKED_AT:]
    if b"data.pkl" in head or b"data.pkl" in tail:
        return "a PyTorch file, which is a zip of pickles"
    if b"config.json" in tail and b"metadata.json" in tail:
        return "a Keras file"
    if b".npy" in head:
        return "an NPZ file"
    return "a zip archive"


def _kind_of_text(data: bytes) -> str:
    start = data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return ""
        text = start[: error.start].decode()
    if not text or any(ord(character) < 32 and character not in "\t\r\n\f" for character in text):
        return ""
    if text[0] in "{[":
        return "JSON"
    return "XML or HTML" if text[0] == "<" else "text"
