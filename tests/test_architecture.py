"""The house is in order: map, sizes, names, and what no file may hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import softclass

ROOT = Path(softclass.__file__).parent
PROJECT = Path(__file__).resolve().parents[1]
SOURCES = sorted(ROOT.rglob("*.py"))
PRIVATE_FILES = {path.stem for path in ROOT.rglob("_[a-z]*.py*")}
JUNK = {"utils", "common", "core", "misc", "base", "helpers", "util"}
FORBIDDEN = re.compile(
    r"\b(import pickle|import marshal|import joblib|torch\.load|allow_pickle=True|(?<![\w.])eval\(|(?<![\w.])exec\("
    r"|yaml\.load|shell=True|mktemp|extractall|import socket|import urllib|import http)\b"
)
# Files outside data/writing.py that open something to write into, and what that is.
WRITERS = {
    "cli/main.py",  # the null device, in the place of a closed stream
    "cli/output.py",  # the null device, in the place of a closed stream
    "cli/failure.py",  # the crash file, which must be new
    "data/writing.py",
}
# The one file that opens a socket: the server of the page, on the loopback.
LISTENERS = {"server/app.py"}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_file = pytest.mark.parametrize("path", SOURCES, ids=_name)


def _folders(folder: Path) -> set[str]:
    """Folders that belong to the project, as the map writes them."""
    ignored = {line.strip("/") for line in (PROJECT / ".gitignore").read_text().split() if line.endswith("/")}
    return {
        f"{path.relative_to(PROJECT).as_posix()}/"
        for path in folder.iterdir()
        if path.is_dir() and path.name not in ignored and not path.name.startswith((".", "__")) and any(path.iterdir())
    }


def test_the_map_of_contributing_shows_the_folders_that_there_are() -> None:
    [shown] = re.findall(r"```text\n(.*?)```", (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    folders = [line.split()[0] for line in shown.splitlines() if re.match(r"\S+/( |$)", line)]

    assert sorted(folders) == sorted((_folders(PROJECT) - {"src/"}) | {"src/softclass/"} | _folders(ROOT))


@each_file
def test_no_file_is_longer_than_600_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


@each_file
def test_no_file_holds_what_runs_foreign_code_or_opens_connections(path: Path) -> None:
    allowed = ["import socket"] if _name(path) in LISTENERS else []

    assert FORBIDDEN.findall(path.read_text(encoding="utf-8")) == allowed


def test_there_is_no_junk_room() -> None:
    names = {path.stem for path in ROOT.rglob("*")}

    assert names & JUNK == set()


@each_file
def test_only_the_session_makes_sessions(path: Path) -> None:
    assert ("InferenceSession" in path.read_text(encoding="utf-8")) == (_name(path) == "model/session.py")


def _writes(node: ast.AST) -> bool:
    """Whether a call opens a file to write into, by its mode, its flags or its name."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in ("write_text", "write_bytes", "NamedTemporaryFile", "mkstemp", "touch"):
        return True
    if called not in ("open", "fdopen"):
        return False
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    flags = " ".join(map(ast.unparse, given))
    return any(re.fullmatch(r"[rbt]*[wax+][rbt+]*", mode) for mode in modes) or "O_WRONLY" in flags or "O_RDWR" in flags


@each_file
def test_only_one_file_opens_files_to_write_into(path: Path) -> None:
    writing = [node.lineno for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _writes(node)]

    assert writing == [] or _name(path) in WRITERS


@pytest.mark.parametrize("call", ['open(p, "w")', 'p.open(mode="xb")', "os.open(p, os.O_RDWR)", 'p.write_text("")'])
def test_writing_is_seen(call: str) -> None:
    assert any(map(_writes, ast.walk(ast.parse(call))))


@pytest.mark.parametrize("call", ["open(p)", 'p.open("rb")', "os.open(p, os.O_RDONLY)", 'archive.open("name")'])
def test_reading_is_not_taken_for_writing(call: str) -> None:
    assert not any(map(_writes, ast.walk(ast.parse(call))))


# Names with an underscore that others have published, or that have no public form.
FOREIGN = {
    "_replace",  # of named tuples, documented
    "_functorch",  # torch 2.13 says nowhere else whether a transform of torch.func is running
    "_are_functorch_transforms_active",
    "_current_level",  # of torch.autograd.forward_ad
}


@each_file
def test_private_names_stay_in_their_file(path: Path) -> None:
    """Names with an underscore are used by their own class or file; a file itself may bear one, as _cpu does."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("softclass")
        for alias in node.names
        if re.match(r"_[a-z]", alias.name) and alias.name not in PRIVATE_FILES
    ]
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
    foreign = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr) and node.attr not in own | FOREIGN
    ]

    assert imported + foreign == []


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


# samples holds a function of its own.
ROOMS = [path for path in SOURCES if path.name == "__init__.py" and path.parent.name not in ("softclass", "samples")]


@pytest.mark.parametrize("path", ROOMS, ids=_name)
def test_a_room_hands_no_names_on(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body

    assert [type(node) for node in body] == [ast.Expr]


@each_file
def test_every_file_says_what_it_is(path: Path) -> None:
    assert re.match(r'(#.*\n)*r?"""[^"]', path.read_text(encoding="utf-8"))


# What every command is called is what it does: `softclass train` calls `train`.
COMMANDS = {("train", "cli/train.py"), ("evaluate", "cli/evaluate.py")}


def _defined(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    """The functions and classes of a file, without those inside others."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def _has_a_reason(path: Path, name: str, formulas: set[str]) -> bool:
    """Whether a name may stand elsewhere too: private, a command, or a formula as the door or a library has it."""
    is_twin = path.parent.name == "functions" and (name in formulas or path.name.startswith("_"))
    return is_twin or name.startswith("_") or (name, _name(path)) in COMMANDS


def test_a_public_name_means_one_thing() -> None:
    """Two definitions of one name are one function, or one of them has the wrong name."""
    formulas = {node.name for node in _defined(ROOT / "functions" / "reference.py")}
    where: dict[str, list[str]] = {}
    for path, name in [(each, node.name) for each in SOURCES for node in _defined(each)]:
        where.setdefault(name, []).extend([] if _has_a_reason(path, name, formulas) else [_name(path)])

    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def _body(node: ast.FunctionDef | ast.ClassDef) -> str:
    """What a function does, without its name and its docstring."""
    has_docstring = ast.get_docstring(node) is not None
    return ast.dump(ast.Module(node.body[has_docstring:], []))


def test_no_function_is_written_twice() -> None:
    """Of some length: two lines that are alike in two rooms cost less than an import between them."""
    written: dict[str, list[str]] = {}
    for path in (path for path in SOURCES if not path.name.startswith("_")):
        for node in _defined(path):
            written.setdefault(_body(node), []).append(f"{_name(path)}: {node.name}")

    assert [names for body, names in written.items() if len(names) > 1 and len(body) > 250] == []
