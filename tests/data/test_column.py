"""The facts about columns and classes, in a file and back."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from softclass.data.column import Column, Dropped, Label, Schema, SchemaOptions, graph_input, shell_word
from softclass.data.dialect import Dialect
from softclass.errors import ModelFileError


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bill length (mm)", "bill length (mm)"),
        ("特征1", "特征1"),
        ("logits", "column/logits"),
        ("probabilities", "column/probabilities"),
        ("label", "column/label"),
        ("softclass/x", "column/softclass/x"),
        ("column/label", "column/label"),
    ],
)
def test_names_in_the_graph(name, found):
    assert graph_input(name, ()) == found


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("a", "a"),
        ("特征1", "特征1"),
        ("a b", "'a b'"),
        ("a'b", "'a'\\''b'"),
        ("", "''"),
        ("$x", "'$x'"),
        ("a\x1b", "'a\\u001b'"),
    ],
)
def test_names_as_one_types_them(name, typed):
    assert shell_word(name) == typed


@pytest.mark.parametrize(("name", "kind"), [("a", "number"), ("b", "datetime"), ("c", None)])
def test_forced_kind(name, kind):
    assert SchemaOptions(number=("a",), datetime=("b",), drop=("c",)).forced_kind(name) == kind


# --------------------------------------------------------------------------------------------------- facts and back
FULL = Schema(
    "y",
    (Label("1", "integer"), Label("2", "integer")),
    (
        Column("a", "a", "number", 1, True, 1.0, 2.0, na_values=("-9",)),
        Column("label", "column/label", "boolean", 0, true="yes", false="no"),
        Column("d", "d", "datetime", 0, minimum=0.0, maximum=1e9, date_format="iso"),
        Column("c", "c", "category", 3, integer=True),
    ),
    ids=("key",),
    dropped=(Dropped("e", "constant", "SC805"),),
    dialect=Dialect(";", ",", ".", "utf-16", True),
)


@pytest.mark.parametrize("schema", [FULL, replace(FULL, dialect=None, target=None, classes=())])
def test_facts_survive_json(schema):
    stored = json.dumps(schema.to_dict(), allow_nan=False)

    assert Schema.from_dict(json.loads(stored)) == schema


def broken(path, value):
    facts = json.loads(json.dumps(FULL.to_dict()))
    place = facts
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return facts


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ([], "[SC405] schema: must be an object; got list"),
        (broken(["target"], 3), '[SC405] schema: "target" breaks its rule; got 3'),
        (broken(["extra"], 3), '[SC405] schema: the keys are closed; "extra" is unknown'),
        (broken(["ids"], KeyError), '[SC405] schema: the keys are closed; "ids" is absent'),
        (broken(["ids"], ["a", "a"]), "[SC405] schema: \"ids\" breaks its rule; got ['a', 'a']"),
        (broken(["columns", 0, "kind"], "text"), '[SC405] columns[0]: the keys are closed; "integer" is unknown'),
        (broken(["columns", 0, "minimum"], float("nan")), '[SC405] columns[0]: "minimum" breaks its rule; got nan'),
        (broken(["columns", 0, "missing"], True), '[SC405] columns[0]: "missing" breaks its rule; got True'),
        (broken(["columns", 1, "true"], None), '[SC405] columns[1]: "true" breaks its rule; got None'),
        (broken(["columns", 1], 3), "[SC405] columns[1]: must be an object; got int"),
        (broken(["columns", 2, "name"], "a"), '[SC405] columns: "name" must be unique; one occurs twice'),
        (broken(["columns", 2, "input"], "a"), '[SC405] columns: "input" must be unique; one occurs twice'),
        (broken(["classes", 1, "name"], "1"), '[SC405] classes: "name" must be unique; one occurs twice'),
        (broken(["classes", 1, "name"], "02"),
         '[SC405] classes[1]: "name" of an integer class is a whole number in digits'),
        (broken(["classes", 0, "type"], "boolean"),
         '[SC405] classes[0]: "name" of a boolean class is true or false'),
        (broken(["classes", 0, "type"], "float"), "[SC405] classes[0]: \"type\" breaks its rule; got 'float'"),
        (broken(["dropped", 0, "code"], 5), '[SC405] dropped[0]: "code" breaks its rule; got 5'),
        (broken(["dialect", "header"], "yes"), "[SC405] dialect: \"header\" breaks its rule; got 'yes'"),
    ],
)  # fmt: skip
def test_facts_that_break_a_rule_are_refused(facts, message):
    with pytest.raises(ModelFileError, match=f"^{re.escape(message)}$"):
        Schema.from_dict(facts)
