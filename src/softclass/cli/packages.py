"""The packages that softclass stands on, and which versions of them are installed."""

from __future__ import annotations

# As in pyproject.toml; a test compares.
NEEDED = (
    "numpy",
    "pyarrow",
    "narwhals",
    "scikit-learn",
    "scipy",
    "threadpoolctl",
    "onnx",
    "onnxruntime",
    "pillow",
    "cyclopts",
    "rich",
    "jinja2",
    "starlette",
    "uvicorn",
)

# What extras bring, by the name of the extra; a test compares too.
EXTRAS = {"torch": "torch"}


def installed_version(name: str) -> str | None:
    """Return the version of a package, None if it is not installed.

    Examples
    --------
    >>> installed_version("no-such-package") is None
    True
    """
    from importlib.metadata import PackageNotFoundError, version  # 20 ms that most failures can do without

    try:
        return version(name)
    except PackageNotFoundError:
        return None
