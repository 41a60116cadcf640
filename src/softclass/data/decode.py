"""One image file to pixels: the only place where images are decoded, for training, evaluation and prediction alike.

The order: first frame, EXIF orientation, transparency over white, 8 bits a channel, grey or colour, `resize`.

=====================  ================================================================================
pixels in the file     become
=====================  ================================================================================
1 bit                  0 and 255
palette                its colours
16-bit grey            v / 257, rounded (12-bit: v * 255 / 4095, rounded)
16-bit colour          the upper byte of each value, at most one level below v / 257
32-bit whole numbers   as 16-bit grey if all lie in 0..65535, else refused
floating point         v * 255, rounded, if all lie in [0, 1], else refused
transparency           laid over white; colours under alpha 0 do not matter
CMYK, YCCK, LAB, HSV   red, green, blue without a colour profile; Adobe's inverted CMYK is honoured
colour to grey         (19595 R + 38470 G + 7471 B + 32768) // 65536
=====================  ================================================================================
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFile, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin, _imaging

from softclass.data.image_set import ImageSpec
from softclass.data.resize import MAX_PIXELS, resize
from softclass.data.signatures import HEAD_BYTES, looks_like_image
from softclass.data.tiff_errors import TiffErrors
from softclass.errors import ImageError

# Named here so that Pillow never loads its other 40 formats to look for a WEBP or TIFF reader.
_RARER = (WebPImagePlugin.WebPImageFile.format, TiffImagePlugin.TiffImageFile.format)
FORMATS = ("JPEG", "PNG", "GIF", "BMP", *_RARER, "PPM")
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class ImageFault:
    """Why a file gave no pixels."""

    code: str
    reason: str
    is_image: bool = True  # it begins like one: damaged rather than something else

    def as_error(self, where: str) -> ImageError:
        """Return the refusal as the error that --strict makes of it."""
        if self.code == "SC342":
            return ImageError("SC342", f"an image must have at most {MAX_PIXELS:,} pixels; it has more", where=where)
        if self.code == "SC344":
            return ImageError("SC344", self.reason, where=where, hint="Save it with 8 bits a channel")
        return ImageError("SC341", f"must be a readable image; it is {self.reason}", where=where)


@dataclass(frozen=True, eq=False)
class Header:
    """What an image says of itself before it is decoded."""

    height: int
    width: int
    is_grey: bool  # by its mode; False means: its pixels decide


@dataclass(frozen=True, eq=False)
class Decoded:
    """The pixels of one image, and what was done to get them."""

    pixels: npt.NDArray[np.uint8]  # (height, width, channels) of the spec
    height: int  # upright, before resizing
    width: int
    is_grey: bool = True
    is_deep: bool = False
    has_frames: bool = False
    was_transparent: bool = False
    has_profile: bool = False
    is_progressive: bool = False


_NOT_AN_IMAGE = ImageFault("SC341", "not an image", is_image=False)
_EMPTY = ImageFault("SC341", "empty", is_image=False)
_CUT_OFF = ImageFault("SC341", "cut off before its end")
_DAMAGED = ImageFault("SC341", "damaged")
TOO_LARGE = ImageFault("SC342", f"larger than {MAX_PIXELS:,} pixels")


class _PixelTypeError(ValueError):
    """A pixel type without a rule."""


class _Limits:
    """Pillow's limits as softclass wants them, for as long as anybody decodes; then as they were.

    They are global in Pillow: another library in the process may have raised them or asked for half-decoded images.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._before: tuple[int | None, bool] = (None, False)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._depth == 0:
                self._before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
                Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = MAX_PIXELS, False
                _tiff_errors.listen()
            self._depth += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd metadata is no news
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                yield
        finally:
            with self._lock:
                self._depth -= 1
                if self._depth == 0:
                    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = self._before
                    _tiff_errors.leave()


limits = _Limits()
_tiff_errors = TiffErrors(_imaging.__file__)


def read_header(file: BinaryIO) -> Header | ImageFault:
    """Return size and mode of an image without decoding it; to be called inside ``limits()``."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            # TIFF files already report their upright size. The plain reader is called for PNG too, whose own one
            # would decode all pixels to look for a chunk behind them.
            if image.format != "TIFF" and _orientation(image) >= 5:
                width, height = height, width
            return Header(height, width, image.mode in _GREY_MODES)
    except Exception as error:  # Pillow reports damage by a dozen classes
        return _refusal(error, file)


def decode(file: BinaryIO, spec: ImageSpec) -> Decoded | ImageFault:
    """Return the pixels of an image file as a model of `spec` sees them; to be called inside ``limits()``."""
    result = _decode(file, spec)
    return _without_end_marker(file, spec) if result is _CUT_OFF else result


def _decode(file: BinaryIO, spec: ImageSpec) -> Decoded | ImageFault:
    complaints = _tiff_errors.count()
    try:
        with Image.open(file, formats=FORMATS) as image:
            decoded = to_pixels(image, spec)
            return decoded if _tiff_errors.count() == complaints else _DAMAGED
    except Exception as error:  # Pillow reports damage by a dozen classes
        return _refusal(error, file)


def _without_end_marker(file: BinaryIO, spec: ImageSpec) -> Decoded | ImageFault:
    """Accept a JPEG that lacks nothing but its end: its pixels must not depend on what is put after the cut."""
    file.seek(0)
    content = file.read().rstrip(b"\xff")  # half of a marker would turn the filling into data
    if not content.startswith(b"\xff\xd8\xff"):
        return _CUT_OFF
    first: Decoded | None = None
    for seed in range(8):
        # Random codes: a missing piece of the picture comes out differently each time.
        filling = hashlib.shake_256(bytes([seed])).digest(256).replace(b"\xff", b"\xfe")
        result = _decode(io.BytesIO(content + filling + b"\xff\xd9"), spec)
        if isinstance(result, ImageFault) or result.is_progressive:
            return _CUT_OFF  # a progressive one may have lost whole scans and still look complete
        first = first or result
        if not np.array_equal(first.pixels, result.pixels):
            return _CUT_OFF
    return first or _CUT_OFF


def decode_open(image: Image.Image, spec: ImageSpec) -> Decoded | ImageFault:
    """Return the pixels of an image that somebody opened or made in Python, by the same rules."""
    try:
        return to_pixels(image, spec)
    except Exception as error:  # an image opened from a file may be damaged too
        return _DAMAGED if isinstance(error, UnidentifiedImageError) else _refusal(error, None)


def to_pixels(image: Image.Image, spec: ImageSpec) -> Decoded:
    """Return the pixels of an opened image; raises what Pillow raises."""
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    has_frames = bool(getattr(image, "is_animated", False))
    has_profile = bool(image.info.get("icc_profile"))
    raw_mode = _raw_mode(image)
    image.load()
    if 0 in image.size:
        raise OSError("no pixels")
    upright, height_width = _upright(image)
    plain, was_transparent = _to_grey_or_colour(upright, raw_mode)
    is_grey = plain.mode == "L" or _is_grey(plain)
    wanted = "L" if spec.channels == 1 else "RGB"
    sized = resize(plain if plain.mode == wanted else plain.convert(wanted), spec)
    return Decoded(
        pixels=np.asarray(sized, dtype=np.uint8).reshape(spec.shape),
        height=height_width[0],
        width=height_width[1],
        is_grey=is_grey,
        is_deep=_is_deep(raw_mode) or image.mode == "I",
        has_frames=has_frames,
        was_transparent=was_transparent,
        has_profile=has_profile,
        is_progressive=bool(image.info.get("progressive")),
    )


def conform(pixels: npt.NDArray[np.uint8], spec: ImageSpec) -> npt.NDArray[np.uint8]:
    """Bring one image of an array, (height, width, 1 or 3) uint8, to `spec` by the same rules."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    wanted = "L" if spec.channels == 1 else "RGB"
    sized = resize(image if image.mode == wanted else image.convert(wanted), spec)
    return np.asarray(sized, dtype=np.uint8).reshape(spec.shape)


def _refusal(error: Exception, file: BinaryIO | None) -> ImageFault:
    """What an exception of Pillow means in our words."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return TOO_LARGE
    if isinstance(error, _PixelTypeError):
        return ImageFault("SC344", str(error))
    if isinstance(error, UnidentifiedImageError) and file is not None:
        file.seek(0)
        head = file.read(HEAD_BYTES)
        return _DAMAGED if looks_like_image(head) else _NOT_AN_IMAGE if head else _EMPTY
    return _CUT_OFF if isinstance(error, OSError) and "truncated" in str(error).lower() else _DAMAGED


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, such as "RGB;16B"; "" when the image does not come from one."""
    tiles = getattr(image, "tile", None) or [None]
    args = getattr(tiles[0], "args", None)
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else image.mode if ";" in image.mode else ""


def _is_deep(raw_mode: str) -> bool:
    """Whether each channel has more than 8 bits; "BGR;16" is a BMP with 5 or 6 bits a channel."""
    return not raw_mode.startswith("BGR;1") and (";16" in raw_mode or ";12" in raw_mode)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; broken EXIF counts as none."""
    try:
        found = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # the parser trusts what it reads; no metadata is worth a picture
        return 1
    return found if isinstance(found, int) and found in _TRANSPOSE else 1


def _upright(image: Image.Image) -> tuple[Image.Image, tuple[int, int]]:
    """Turn an image the right way up; return it with its height and width."""
    # A decoded TIFF has been turned already, and its tag removed.
    method = _TRANSPOSE.get(_orientation(image))
    turned = image if method is None else image.transpose(method)
    return turned, (turned.height, turned.width)


def _to_grey_or_colour(image: Image.Image, raw_mode: str) -> tuple[Image.Image, bool]:
    """Return an image of mode L or RGB, and whether anything was transparent."""
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        grey = _to_8_bits(np.asarray(image), mode, raw_mode)
        hole = image.info.get("transparency")
        if mode.startswith("I;16") and isinstance(hole, int):
            holes = np.asarray(image) == hole
            return Image.fromarray(np.where(holes, np.uint8(255), grey)), bool(holes.any())
        return Image.fromarray(grey), False
    if "transparency" in image.info and mode in ("1", "L", "RGB"):
        return _fill_holes(image, raw_mode)
    if mode == "P" and "transparency" not in image.info:
        return image.convert("RGB"), False
    if mode in ("P", "PA", "RGBa"):
        return _over_white(image.convert("RGBA"))
    if mode in ("RGBA", "LA", "La"):
        return _over_white(image.convert("LA") if mode == "La" else image)
    if mode == "1":
        return image.convert("L"), False
    if mode == "LAB":
        return _lab_to_rgb(image), False
    if mode not in ("L", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"):
        raise _PixelTypeError(f"there is no rule for pixels of type {mode}")
    return image if mode in ("L", "RGB") else image.convert("RGB"), False


def _to_8_bits(values: npt.NDArray[Any], mode: str, raw_mode: str) -> npt.NDArray[np.uint8]:
    """Grey values of 16 bits, 32 bits or floating point to 0..255."""
    if mode == "F":
        # A NaN fails both comparisons.
        if not bool(np.all((values >= 0) & (values <= 1))):
            raise _PixelTypeError("floating-point pixels must lie in [0, 1]; some do not")
        scaled: npt.NDArray[np.float64] = np.floor(values.astype(np.float64) * 255 + 0.5)
        return scaled.astype(np.uint8)
    wide = values.astype(np.int64)
    if mode == "I" and wide.size and (wide.min() < 0 or wide.max() > 65535):
        raise _PixelTypeError("32-bit pixels must lie in 0..65535; some do not")
    if "12" in raw_mode:
        return ((2 * wide * 255 + 4095) // (2 * 4095)).astype(np.uint8)
    return ((wide + 128) // 257).astype(np.uint8)  # 257 is odd: no value lies half way


def _fill_holes(image: Image.Image, raw_mode: str) -> tuple[Image.Image, bool]:
    """One colour of a grey or colour image stands for "transparent" (PNG tRNS): make it white."""
    key = image.info["transparency"]
    plain = image.convert("L") if image.mode == "1" else image
    if isinstance(key, int) and plain.mode == "L":
        # Pixels of 2 and 4 bits were spread over 0..255, their key was not.
        wanted = key * {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
        holes = np.asarray(plain) == wanted
    elif isinstance(key, tuple) and plain.mode == "RGB":
        shift = 8 if ";16" in raw_mode else 0
        holes = np.all(np.asarray(plain) == np.array([part >> shift for part in key]), axis=-1)
    else:
        return _over_white(image.convert("RGBA"))
    if not holes.any():
        return plain, False
    values = np.array(plain)
    values[holes] = 255
    return Image.fromarray(values), True


def _over_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Lay an image of mode RGBA or LA over white: (colour * alpha + 255 * (255 - alpha)) / 255, rounded."""
    alpha = image.getchannel("A")
    plain = image.convert("RGB" if image.mode == "RGBA" else "L")
    if alpha.getextrema()[0] == 255:
        return plain, False
    white = Image.new(plain.mode, plain.size, "white")
    return Image.composite(plain, white, alpha), True


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    """CIE L*a*b* to sRGB, by the library for colour management that comes with Pillow."""
    from PIL import ImageCms  # rare, and slow to load

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if converted is None:
        raise _PixelTypeError("there is no rule for pixels of type LAB")
    return converted


def _is_grey(image: Image.Image) -> bool:
    """Whether red, green and blue are equal in every pixel."""
    red, green, blue = image.split()
    return ImageChops.difference(red, green).getbbox() is None and ImageChops.difference(red, blue).getbbox() is None
