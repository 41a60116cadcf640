"""Warnings name the line of the caller, not one of ours."""

from __future__ import annotations

import warnings

import softclass
from softclass.data import samples


def test_a_warning_names_the_line_of_the_caller() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = softclass.train(samples.path("penguins.csv"), "species", C=1.0)
        model.predict({**{column.name: [None] for column in model.schema.columns}, "island": ["Atlantis"]})

    assert {warning.filename for warning in caught} == {__file__}
    assert [str(warning.message)[:7] for warning in caught] == ["[SC821]", "[SC802]"]
