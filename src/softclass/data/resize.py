"""An image of any size to the model's size: the one rule, for training and prediction alike.

All three ways use Pillow's ``BILINEAR`` filter, antialiased, without ``draft`` and without ``reducing_gap``, and leave
an image that already has the model's size untouched.

* ``crop``: the image is scaled so that it just covers the model's size; the side that fits becomes the model's, the
  other side is rounded half up in proportion; the middle is cut out, starting at floor((w - W) / 2).
* ``pad``: the image is scaled so that it just fits inside, the other side rounded half up; it is centred on 0 (black),
  starting at floor((W - w) / 2).
* ``stretch``: both sides become the model's.
"""

from __future__ import annotations

from PIL import Image

from softclass.data.image_set import ImageSpec

MAX_PIXELS = 64 * 2**20  # of an image, and of what it is scaled to before the middle is cut out
_BILINEAR = Image.Resampling.BILINEAR


def resize(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """Return the image at the size of `spec`; the mode stays what it is.

    Examples
    --------
    >>> from PIL import Image
    >>> resize(Image.new("L", (640, 480)), ImageSpec(160, 160, 1)).size
    (160, 160)
    """
    if image.size == (spec.width, spec.height):
        return image
    if spec.resize == "stretch":
        return image.resize((spec.width, spec.height), _BILINEAR)
    return _crop(image, spec) if spec.resize == "crop" else _pad(image, spec)


def _crop(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """Cover the model's size, then cut out the middle."""
    width, height = image.size
    if spec.width * height >= spec.height * width:  # the width fits, the height sticks out
        width, height = spec.width, _in_proportion(height, spec.width, width)
    else:
        width, height = _in_proportion(width, spec.height, height), spec.height
    left, top = (width - spec.width) // 2, (height - spec.height) // 2
    if width * height > MAX_PIXELS:
        # A picture of 1 x 60,000 pixels would become one of 160 x 9,600,000 only to lose nearly all of it: the same
        # region is taken from the original instead.
        across, down = image.width / width, image.height / height
        box = (left * across, top * down, (left + spec.width) * across, (top + spec.height) * down)
        return image.resize((spec.width, spec.height), _BILINEAR, box=box)
    scaled = image.resize((width, height), _BILINEAR)
    return scaled.crop((left, top, left + spec.width, top + spec.height))


def _pad(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """Fit inside the model's size, then centre on black."""
    width, height = image.size
    if spec.width * height <= spec.height * width:  # the width is the tight side
        width, height = spec.width, max(1, _in_proportion(height, spec.width, width))
    else:
        width, height = max(1, _in_proportion(width, spec.height, height)), spec.height
    padded = Image.new(image.mode, (spec.width, spec.height), 0)
    padded.paste(image.resize((width, height), _BILINEAR), ((spec.width - width) // 2, (spec.height - height) // 2))
    return padded


def _in_proportion(side: int, new: int, old: int) -> int:
    """floor(side * new / old + 1/2), in integers."""
    return (2 * side * new + old) // (2 * old)
