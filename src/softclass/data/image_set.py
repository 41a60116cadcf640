"""What reading images asks for and gives back, as plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softclass._typing import Pixels
from softclass.errors import UsageError, shown

RESIZE = ("crop", "pad", "stretch")
LONGEST_SIDE = 160  # of the model's input when no size is asked for
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class ImageSpec:
    """The input of a model: every image becomes uint8 pixels of this shape.

    Attributes
    ----------
    height, width : int
        Size in pixels.
    channels : int
        1 for grey, 3 for red, green, blue.
    resize : {"crop", "pad", "stretch"}
        How an image of another size becomes one of this size.

    Examples
    --------
    >>> ImageSpec(28, 28, 1).shape
    (28, 28, 1)
    >>> ImageSpec.from_dict(ImageSpec(28, 28, 1).to_dict()) == ImageSpec(28, 28, 1)
    True
    """

    height: int
    width: int
    channels: int
    resize: str = "crop"

    def __post_init__(self) -> None:
        check_size(self.height, self.width)
        check_channels(self.channels)
        check_resize(self.resize)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (height, width, channels)."""
        return self.height, self.width, self.channels

    def to_dict(self) -> dict[str, int | str]:
        """Return the facts that the model file keeps."""
        return {"height": self.height, "width": self.width, "channels": self.channels, "resize": self.resize}

    @classmethod
    def from_dict(cls, facts: Mapping[str, int | str]) -> ImageSpec:
        """Rebuild from `to_dict`."""
        return cls(int(facts["height"]), int(facts["width"]), int(facts["channels"]), str(facts["resize"]))


@dataclass(frozen=True)
class ImageOptions:
    """How a training set of images is to be read; None means: find out.

    Attributes
    ----------
    size : tuple of int, optional
        (height, width) of the model's input. By default the median of the training images, at most `longest`.
    channels : {1, 3}, optional
        By default 1 if every image is grey, else 3.
    resize : {"crop", "pad", "stretch"}
        How images of another size are brought to it.
    strict : bool
        A file that would be skipped is an error.
    follow_links : bool
        Follow symbolic links that lead out of the folder, and links to folders.
    longest : int
        What the longer side of the input is at most, where no size is asked for.

    Examples
    --------
    >>> ImageOptions(size=(32, 48)).size
    (32, 48)
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    resize: str = "crop"
    strict: bool = False
    follow_links: bool = False
    longest: int = LONGEST_SIDE

    def __post_init__(self) -> None:
        if self.size is not None:
            check_size(*self.size)
        if self.channels is not None:
            check_channels(self.channels)
        check_resize(self.resize)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images as the model sees them, with what is known about each.

    Attributes
    ----------
    name : str
        What messages call the source.
    pixels : uint8 array of shape (n_samples, height, width, channels)
        All of one size.
    labels : tuple of str, optional
        The class of each image; None when there are none.
    files : tuple of str
        Path of each image inside its source, with "/", or ``"index 17"`` in an array.
    parts : array of str, optional
        "fit", "calibration" or "test" for each image, when the source brings its own parts.
    spec : ImageSpec
        The shape of `pixels`, and how it was reached.
    skipped : tuple of (file, reason)
        What was left out.
    label_type : {"string", "integer", "boolean"}
        What the labels were before they became text.
    """

    name: str
    pixels: Pixels
    labels: tuple[str, ...] | None
    files: tuple[str, ...]
    parts: npt.NDArray[np.str_] | None
    spec: ImageSpec
    skipped: tuple[tuple[str, str], ...] = ()
    label_type: str = "string"

    def __len__(self) -> int:
        return len(self.files)


def default_size(heights: list[int], widths: list[int], longest: int = LONGEST_SIDE) -> tuple[int, int]:
    """Return the model's input size for training images of these sizes.

    Height and width are the lower medians of all heights and of all widths. If the longer of the two is above `longest`
    it becomes that, and the shorter one is scaled by the same factor, rounded half up, at least 1.

    Examples
    --------
    >>> default_size([28, 28, 28], [28, 28, 28])
    (28, 28)
    >>> default_size([533, 533, 400], [400, 400, 533])
    (160, 120)
    """
    height, width = _lower_median(heights), _lower_median(widths)
    longer = max(height, width)
    if longer <= longest:
        return height, width
    # Integers throughout: floor(side * longest / longer + 1/2) without a rounding of its own.
    scaled = [max(1, (2 * side * longest + longer) // (2 * longer)) for side in (height, width)]
    return scaled[0], scaled[1]


def _lower_median(sides: list[int]) -> int:
    """The middle value, the lower of the two for an even count: always a size that occurs."""
    return sorted(sides)[(len(sides) - 1) // 2]


def check_size(height: int, width: int) -> None:
    """Refuse a size of the model's input that makes no sense."""
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise UsageError(
            "SC207", f"the image size must lie between 1x1 and {LARGEST_SIDE}x{LARGEST_SIDE}; got {height}x{width}"
        )


def check_channels(channels: int) -> None:
    """Refuse a number of channels other than 1 and 3."""
    if channels not in (1, 3):
        raise UsageError("SC207", f"channels must be 1 (grey) or 3 (colour); got {channels}")


def check_resize(resize: str) -> None:
    """Refuse a way of resizing that does not exist."""
    if resize not in RESIZE:
        raise UsageError("SC207", f'resize must be crop, pad or stretch; got "{shown(resize)}"')
