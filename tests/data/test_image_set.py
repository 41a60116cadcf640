"""The values that reading images asks for and gives back."""

from __future__ import annotations

import pytest

from softclass.data.image_set import ImageOptions, ImageSpec, default_size
from softclass.errors import UsageError


@pytest.mark.parametrize(
    ("heights", "widths", "expected"),
    [
        ([28], [28], (28, 28)),
        ([10, 20], [30, 40], (10, 30)),  # the lower one of two in the middle
        ([160], [160], (160, 160)),
        ([161], [161], (160, 160)),
        ([480], [640], (120, 160)),
        ([333], [500], (107, 160)),  # 106.56
        ([1], [1000], (1, 160)),  # 0.16 would be nothing
        ([5], [320], (3, 160)),  # 2.5 is rounded up
    ],
)
def test_default_size_follows_its_rule(heights, widths, expected):
    assert default_size(heights, widths) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageSpec(0, 5, 1), "[SC207] the image size must lie between 1x1 and 4096x4096; got 0x5"),
        (lambda: ImageOptions(size=(5, 5000)), "[SC207] the image size must lie between 1x1 and 4096x4096; got 5x5000"),
        (lambda: ImageSpec(5, 5, 2), "[SC207] channels must be 1 (grey) or 3 (colour); got 2"),
        (lambda: ImageOptions(channels=4), "[SC207] channels must be 1 (grey) or 3 (colour); got 4"),
        (lambda: ImageOptions(resize="fit"), '[SC207] resize must be crop, pad or stretch; got "fit"'),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(UsageError) as caught:
        make()

    assert str(caught.value) == message
