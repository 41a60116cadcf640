"""The data sets that come with softclass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from softclass.data import samples
from softclass.data.images import read_images
from softclass.errors import PathError


@pytest.mark.parametrize("name", samples.NAMES)
def test_samples_are_files(name):
    assert samples.path(name).is_file()


def test_unknown_sample_is_refused():
    with pytest.raises(PathError) as caught:
        samples.path("pengins.csv")

    assert str(caught.value) == (
        "[SC603] samples: samples are digits.npz and penguins.csv; got pengins.csv. Did you mean penguins.csv?"
    )


def test_digits_are_those_of_scikit_learn_by_the_documented_rule():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    found = read_images(samples.path("digits.npz"))

    assert np.array_equal(found.pixels[..., 0], np.floor(bunch.images * 255 / 16 + 0.5))
    assert found.labels == tuple(map(str, bunch.target))
    assert (found.label_type, found.pixels.max(), found.pixels.min()) == ("integer", 255, 0)


def test_digits_are_made_again_byte_for_byte():
    script = Path(__file__).resolve().parents[2] / "scripts" / "make_samples.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "digits.npz: as made\n")


def test_penguins_are_the_published_file(shared_data):
    assert samples.path("penguins.csv").read_bytes() == (shared_data / "penguins" / "penguins.csv").read_bytes()
