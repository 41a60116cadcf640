"""Decoding: every kind of pixel becomes 8-bit grey or colour by one rule (catalogue I03 to I09)."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from asserts import assert_bit_equal
from softclass.data.decode import Decoded, Header, ImageFault, decode, decode_open, limits, read_header
from softclass.data.image_set import ImageSpec

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)  # taller than wide it is not: 12 x 20
COLOUR = ImageSpec(12, 20, 3)
GREY = ImageSpec(12, 20, 1)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(content: bytes, spec: ImageSpec = COLOUR) -> Decoded:
    with limits():
        found = decode(io.BytesIO(content), spec)
    assert isinstance(found, Decoded), found
    return found


def refusal(content: bytes, spec: ImageSpec = COLOUR) -> ImageFault:
    with limits():
        found = decode(io.BytesIO(content), spec)
    assert isinstance(found, ImageFault)
    return found


def header(content: bytes) -> Header:
    with limits():
        found = read_header(io.BytesIO(content))
    assert isinstance(found, Header)
    return found


def png(width: int, height: int, depth: int, colour: int, rows: bytes, chunks: bytes = b"") -> bytes:
    """A PNG file made by hand: what Pillow cannot write it must still read."""
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = png_chunk(b"IHDR", ihdr) + chunks + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


# ---- plain pixels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_exact_formats_give_the_pixels_that_were_saved(kind):
    assert_bit_equal(PICTURE, read(encoded(Image.fromarray(PICTURE), kind)).pixels)


def test_lossless_webp_gives_the_pixels_that_were_saved():
    assert_bit_equal(PICTURE, read(encoded(Image.fromarray(PICTURE), "WEBP", lossless=True)).pixels)


def test_jpeg_is_close_to_what_was_saved():
    smooth = np.full((12, 20, 3), (200, 100, 50), dtype=np.uint8)

    found = read(encoded(Image.fromarray(smooth), "JPEG", quality=95)).pixels

    assert np.abs(found.astype(int) - smooth).max() <= 3


def test_colour_becomes_grey_by_the_documented_weights():
    red, green, blue = (PICTURE[..., channel].astype(np.int64) for channel in range(3))
    expected = ((19595 * red + 38470 * green + 7471 * blue + 32768) // 65536).astype(np.uint8)

    assert_bit_equal(expected[..., np.newaxis], read(encoded(Image.fromarray(PICTURE)), GREY).pixels)


def test_grey_becomes_colour_by_repetition():
    grey = PICTURE[..., 0]

    assert_bit_equal(np.stack([grey] * 3, axis=-1), read(encoded(Image.fromarray(grey))).pixels)


def test_one_bit_becomes_0_and_255():
    bits = PICTURE[..., 0] > 127

    assert_bit_equal(
        np.where(bits, 255, 0).astype(np.uint8)[..., None], read(encoded(Image.fromarray(bits)), GREY).pixels
    )


def test_palette_becomes_its_colours():
    palette = Image.fromarray(PICTURE).quantize(16)

    assert_bit_equal(np.asarray(palette.convert("RGB")), read(encoded(palette)).pixels)


@pytest.mark.parametrize(("mode", "is_grey"), [("L", True), ("1", True), ("LA", True), ("RGB", False), ("P", False)])
def test_header_knows_grey_by_the_mode(mode, is_grey):
    assert header(encoded(Image.new(mode, (3, 2)))).is_grey == is_grey


@pytest.mark.parametrize(("colour", "is_grey"), [((7, 7, 7), True), ((7, 7, 8), False)])
def test_colour_image_is_grey_if_all_its_channels_are_equal(colour, is_grey):
    assert read(encoded(Image.new("RGB", (3, 2), colour))).is_grey == is_grey


# ---- I04: more than 8 bits


def test_16_bit_grey_ramp_is_divided_by_257():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)

    found = read(encoded(Image.fromarray(ramp)), ImageSpec(256, 256, 1))

    assert_bit_equal(np.round(ramp / 257).astype(np.uint8)[..., None], found.pixels)
    assert abs(found.pixels.mean() - 127.5) <= 0.5
    assert found.is_deep


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("PPM", "I"), ("TIFF", "I")]
)
def test_16_bit_grey_is_one_picture_in_every_format(kind, mode):
    values = np.linspace(0, 65535, 240).astype(np.uint16).reshape(12, 20)
    image = Image.fromarray(values.astype(np.int32)) if mode == "I" else Image.fromarray(values)

    assert_bit_equal(
        ((values.astype(int) + 128) // 257).astype(np.uint8)[..., None], read(encoded(image, kind), GREY).pixels
    )


@pytest.mark.parametrize(("colour", "n_channels"), [(2, 3), (6, 4)])
def test_16_bit_colour_takes_the_upper_byte(colour, n_channels):
    values = RNG.integers(0, 65536, (12, 20, n_channels)).astype(">u2")
    values[..., 3:] = 65535
    rows = b"".join(b"\0" + row.tobytes() for row in values)

    found = read(png(20, 12, 16, colour, rows))

    assert_bit_equal((values[..., :3] >> 8).astype(np.uint8), found.pixels)
    assert found.is_deep


def test_bmp_of_16_bits_a_pixel_is_not_deep():
    # 5, 6 and 5 bits: a header by hand, since Pillow does not write this kind.
    dib = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 0, 4, 0, 0, 0, 0)
    content = b"BM" + struct.pack("<IHHI", 14 + 40 + 4, 0, 0, 54) + dib + b"\xff\x7f\x00\x00"

    found = read(content, ImageSpec(1, 2, 3))

    assert found.pixels.tolist() == [[[255, 255, 255], [0, 0, 0]]]
    assert not found.is_deep


def test_12_bit_tiff_is_spread_over_8_bits():
    # Two pixels of 12 bits, 4095 and 0, in three bytes.
    entries = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 3)]
    content = b"II*\0" + struct.pack("<I", 12) + b"\xff\xf0\x00\x00" + struct.pack("<H", len(entries))
    content += b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in entries) + struct.pack("<I", 0)

    assert read(content, ImageSpec(1, 2, 1)).pixels.ravel().tolist() == [255, 0]


def test_floating_point_between_0_and_1_is_scaled():
    values = np.array([[0.0, 0.5, 1.0, 0.1]], dtype=np.float32)

    assert read(encoded(Image.fromarray(values), "TIFF"), ImageSpec(1, 4, 1)).pixels.ravel().tolist() == [
        0,
        128,
        255,
        26,
    ]


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan"), float("inf")])
def test_other_floating_point_is_refused(value):
    found = refusal(encoded(Image.fromarray(np.full((2, 2), value, dtype=np.float32)), "TIFF"))

    assert str(found.as_error("a.tif")) == (
        "[SC344] a.tif: floating-point pixels must lie in [0, 1]; some do not. Save it with 8 bits a channel"
    )


def test_32_bit_integers_beyond_16_bits_are_refused():
    found = refusal(encoded(Image.fromarray(np.full((2, 2), 70000, dtype=np.int32)), "TIFF"))

    assert (found.code, found.reason) == ("SC344", "32-bit pixels must lie in 0..65535; some do not")


# ---- I05: transparency


def test_transparency_is_laid_over_white():
    alpha = RNG.integers(0, 256, (12, 20, 1), dtype=np.uint8)
    found = read(encoded(Image.fromarray(np.concatenate([PICTURE, alpha], axis=-1))))
    exact = (PICTURE.astype(float) * alpha + 255.0 * (255 - alpha)) / 255

    assert_bit_equal(np.round(exact).astype(np.uint8), found.pixels)
    assert found.was_transparent


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_colours_under_alpha_0_do_not_matter(kind):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    alpha = np.where(PICTURE[..., :1] > 127, 255, 0).astype(np.uint8)
    other = np.where(alpha == 0, 255 - PICTURE, PICTURE)
    first, second = (
        read(encoded(Image.fromarray(np.concatenate([colours, alpha], axis=-1)), kind, **options)).pixels
        for colours in (PICTURE, other)
    )

    assert_bit_equal(first, second)


def test_opaque_alpha_is_no_transparency():
    opaque = np.concatenate([PICTURE, np.full((12, 20, 1), 255, dtype=np.uint8)], axis=-1)
    found = read(encoded(Image.fromarray(opaque)))

    assert_bit_equal(PICTURE, found.pixels)
    assert not found.was_transparent


def test_grey_with_alpha_is_laid_over_white():
    found = read(encoded(Image.fromarray(np.array([[[100, 0], [100, 255]]], dtype=np.uint8))), ImageSpec(1, 2, 1))

    assert found.pixels.ravel().tolist() == [255, 100]


@pytest.mark.parametrize(
    ("depth", "pixels", "key", "expected"),
    [
        (1, b"\0\x40", 1, [0, 255]),
        (1, b"\0\x40", 0, [255, 255]),
        (2, b"\0\x60", 1, [255, 170]),
        (4, b"\0\x5f", 5, [255, 255]),
        (4, b"\0\x5a", 5, [255, 170]),
        (8, b"\0\x05\x55", 5, [255, 85]),
        (16, b"\0\x05\x00\x55\x55", 0x0500, [255, 85]),
    ],
)
def test_grey_key_for_transparent_pixels_counts_in_its_own_depth(depth, pixels, key, expected):
    content = png(2, 1, depth, 0, pixels, png_chunk(b"tRNS", struct.pack(">H", key)))

    assert read(content, ImageSpec(1, 2, 1)).pixels.ravel().tolist() == expected


def test_colour_key_makes_its_colour_white():
    content = png(2, 1, 8, 2, b"\0\1\2\3\4\5\6", png_chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)))

    assert read(content, ImageSpec(1, 2, 3)).pixels.tolist() == [[[255, 255, 255], [4, 5, 6]]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_palette_with_transparent_entries_is_laid_over_white(transparency):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])

    found = read(encoded(palette, transparency=transparency), ImageSpec(1, 2, 3))

    assert found.pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]


# ---- I06: other colours


def test_cmyk_becomes_colour():
    inks = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], dtype=np.uint8)

    found = read(encoded(Image.frombytes("CMYK", (3, 1), inks.tobytes()), "TIFF"), ImageSpec(1, 3, 3))

    assert found.pixels.tolist() == [[[0, 255, 255], [0, 0, 0], [255, 255, 255]]]


def test_inverted_cmyk_of_adobe_is_honoured():
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    content = encoded(white, "JPEG", quality=100)  # Pillow writes the Adobe marker and inverts

    assert b"Adobe" in content
    assert read(content, ImageSpec(16, 16, 3)).pixels.min() >= 252


def test_lab_becomes_colour():
    # L = 255 of 255 is white, 0 is black; a and b are signed, 0 is neutral.
    lab = Image.frombytes("LAB", (2, 1), bytes([255, 0, 0, 0, 0, 0]))

    found = read(encoded(lab, "TIFF"), ImageSpec(1, 2, 3)).pixels

    assert found[0, 0].min() >= 253
    assert found[0, 1].max() <= 2


def test_colour_profile_is_ignored_and_told():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read(encoded(Image.fromarray(PICTURE), icc_profile=profile))

    assert_bit_equal(PICTURE, found.pixels)
    assert found.has_profile


# ---- I07: orientation

UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


# Without the noise that JPEG is bad at.
SMOOTH = np.asarray(Image.fromarray(PICTURE[:3, :4]).resize((20, 12), Image.Resampling.BICUBIC))


def with_orientation(orientation: int, kind: str, picture: np.ndarray = PICTURE) -> bytes:
    """The picture as a camera held in that way stores it, with the tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = Image.fromarray(picture)
    stored = upright if UNDO[orientation] is None else upright.transpose(UNDO[orientation])
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}[kind]
    return encoded(stored, kind, exif=exif, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_eight_orientations_of_a_picture_are_one_tensor(kind, orientation):
    assert_bit_equal(PICTURE, read(with_orientation(orientation, kind)).pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_eight_orientations_of_a_jpeg_agree_within_3_levels(orientation):
    upright, turned = (read(with_orientation(held, "JPEG", SMOOTH)).pixels.astype(int) for held in (1, orientation))

    assert np.abs(turned - upright).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_header_states_the_upright_size(kind, orientation):
    found = header(with_orientation(orientation, kind))

    assert (found.height, found.width) == (12, 20)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_counts_as_none(exif):
    assert read(encoded(Image.fromarray(PICTURE), "JPEG", exif=exif)).pixels.shape == (12, 20, 3)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_orientation_that_does_not_exist_counts_as_none(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert_bit_equal(PICTURE, read(encoded(Image.fromarray(PICTURE), exif=exif)).pixels)


# ---- I08: frames


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_is_used(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    first, second = Image.new("RGB", (20, 12), (255, 0, 0)), Image.new("RGB", (20, 12), (0, 255, 0))
    found = read(encoded(first, kind, save_all=True, append_images=[second], **options))

    assert found.pixels.reshape(-1, 3).tolist() == [[255, 0, 0]] * 240
    assert found.has_frames


# ---- I02, I03: damage and size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_half_a_file_gives_no_pixels(kind):
    content = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)

    found = refusal(content[: len(content) // 2])

    assert (found.code, found.is_image) == ("SC341", True)


@pytest.mark.parametrize("missing", [1, 2])
def test_jpeg_needs_no_end_marker(missing):
    content = encoded(Image.fromarray(PICTURE), "JPEG")

    assert_bit_equal(read(content).pixels, read(content[:-missing]).pixels)


@pytest.mark.parametrize("missing", range(8, 60))
def test_jpeg_that_lost_its_last_pixels_is_refused(missing):
    content = encoded(Image.fromarray(PICTURE), "JPEG", quality=95)

    assert refusal(content[:-missing]).reason == "cut off before its end"


@pytest.mark.parametrize("missing", [2, 20, 200])
def test_progressive_jpeg_must_be_whole(missing):
    content = encoded(Image.fromarray(PICTURE), "JPEG", progressive=True)

    assert refusal(content[:-missing]).reason == "cut off before its end"


def test_png_needs_no_end_chunk():
    content = encoded(Image.fromarray(PICTURE))

    assert_bit_equal(PICTURE, read(content[:-12]).pixels)


def test_damage_is_told_as_such():
    content = bytearray(encoded(Image.fromarray(PICTURE)))
    content[60] ^= 0xFF

    assert str(refusal(bytes(content)).as_error("a.png")) == "[SC341] a.png: must be a readable image; it is damaged"


def test_more_pixels_than_allowed_are_refused_before_decoding():
    bomb = png(2**16, 2**16, 8, 0, b"")

    assert (
        str(refusal(bomb).as_error("a.png"))
        == "[SC342] a.png: an image must have at most 67,108,864 pixels; it has more"
    )


def test_slightly_too_many_pixels_are_refused_too():
    # Pillow only warns between its limit and twice that.
    assert refusal(png(8192, 8193, 8, 0, b"")).code == "SC342"


def test_header_with_too_many_pixels_is_refused():
    with limits():
        found = read_header(io.BytesIO(png(2**16, 2**16, 8, 0, b"")))

    assert isinstance(found, ImageFault)
    assert found.code == "SC342"


def test_gif_frame_larger_than_its_screen_is_refused():
    # A screen of 1 x 1, a first frame of 60,000 x 60,000.
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, 60000, 60000, 0) + b"\x02\x02\x44\x01\x00;"

    assert refusal(screen + frame).code == "SC342"


@pytest.mark.parametrize(
    "content", [b"%PDF-1.7\n", b"\x80\x04\x95", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"SIMPLE  =  T"]
)
def test_other_content_is_no_image(content):
    found = refusal(content)

    assert (found.reason, found.is_image) == ("not an image", False)


def test_empty_file_is_named_so():
    assert refusal(b"").reason == "empty"


# ---- the rest


def test_size_1x1_is_an_image():
    assert read(encoded(Image.new("RGB", (1, 1), (1, 2, 3)))).pixels.reshape(-1, 3).tolist() == [[1, 2, 3]] * 240


@pytest.mark.parametrize("size", [(1, 60000), (60000, 1)])
def test_very_long_images_are_decoded_without_growing(size):
    assert read(encoded(Image.new("L", size, 9)), ImageSpec(160, 160, 1)).pixels.tolist() == [[[9]] * 160] * 160


def test_limits_of_pillow_are_put_back():
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    with limits(), limits():
        inside = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES

    assert inside == (64 * 2**20, False)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def test_half_decoded_pixels_are_refused_even_where_another_library_allows_them(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    content = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)))

    assert refusal(content[: len(content) // 2]).code == "SC341"


def test_warnings_of_pillow_do_not_escape():
    palette = Image.fromarray(PICTURE).quantize(4)
    content = encoded(palette, transparency=b"\x00\xff\x80\x10")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(content)

    assert caught == []


def test_image_from_python_is_decoded_like_its_file():
    content = with_orientation(6, "PNG")
    with limits():
        found = decode_open(Image.open(io.BytesIO(content)), COLOUR)

    assert isinstance(found, Decoded)
    assert_bit_equal(read(content).pixels, found.pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
@given(data=st.data())
@settings(max_examples=30)
def test_any_damage_gives_pixels_or_a_refusal(kind, data):
    content = bytearray(encoded(Image.fromarray(PICTURE), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with limits():
        found = decode(io.BytesIO(bytes(content)), COLOUR)
        size = read_header(io.BytesIO(bytes(content)))

    assert isinstance(found, Decoded | ImageFault)
    assert isinstance(size, Header | ImageFault)
