import contextlib
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, JpegImagePlugin

from ungray.errors import UngrayError
from ungray.imaging.photos import PhotoError, probe, read_rgb, write_rgb
from ungray.system.limits import MAX_PIXELS

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def photo(height=48, width=64):
    """A smooth color photo, no two of its corners alike."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack(
        [x * 255 / (width - 1), y * 255 / (height - 1), 255 - x * 127 / width - y * 127 / height], axis=2
    ).astype(np.uint8)


def encoded(pixels, image_format, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    written = io.BytesIO()
    image.save(written, image_format, **options)
    return written.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, *extra):
    """A PNG whose header claims a size, with hardly any pixels behind it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


def difference(read, expected):
    assert read.dtype == np.uint8
    assert read.shape == expected.shape
    return int(np.abs(read.astype(int) - expected.astype(int)).max())


def assert_uniform(read, color, *, tolerance=0):
    assert difference(read, np.full_like(read, color)) <= tolerance
    assert read.shape[2] == 3


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 98, "subsampling": 0}, 6),
        ("JPEG", {"quality": 98, "subsampling": 0, "progressive": True}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("BMP", {}, 0),
        ("GIF", {}, 24),
    ],
)
def test_every_common_format_is_read_and_recognized(tmp_path, image_format, options, tolerance):
    content = encoded(photo(), image_format, **options)
    (tmp_path / "photo").write_bytes(content)
    assert probe(content) == (image_format, 64, 48)
    assert difference(read_rgb(content), photo()) <= tolerance
    assert np.array_equal(read_rgb(tmp_path / "photo"), read_rgb(content))


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_or_several_pages_the_first_is_taken(image_format):
    first, *others = (Image.new("RGB", (20, 10), color) for color in (RED, GREEN, BLUE))
    options = {"lossless": True} if image_format == "WEBP" else {}
    content = encoded(first, image_format, save_all=True, append_images=others, **options)
    assert_uniform(read_rgb(content), RED)


def test_a_photo_with_a_preview_as_phones_write_it_is_read():
    content = encoded(
        photo(), "MPO", save_all=True, append_images=[Image.new("RGB", (16, 12), RED)], quality=98
    )
    assert probe(content) == ("MPO", 64, 48)
    assert difference(read_rgb(content), photo()) <= 12


def test_a_gray_photo_of_8_bits_gets_three_equal_channels():
    gray = photo()[..., 0]
    assert np.array_equal(read_rgb(encoded(gray, "PNG")), np.stack([gray] * 3, axis=2))


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_a_gray_photo_of_16_bits_is_scaled_to_8(extension):
    gray = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    content = cv2.imencode(extension, gray)[1].tobytes()
    assert difference(read_rgb(content), np.stack([gray / 257] * 3, axis=2).astype(np.uint8)) <= 1


def test_a_dark_gray_photo_of_16_bits_stays_dark():
    content = cv2.imencode(".png", np.full((8, 8), 200, np.uint16))[1].tobytes()
    assert_uniform(read_rgb(content), 0, tolerance=1)


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_a_color_photo_of_16_bits_is_scaled_to_8(extension):
    wide = photo()[..., ::-1].astype(np.uint16) * 257
    assert difference(read_rgb(cv2.imencode(extension, wide)[1].tobytes()), photo()) <= 1


def test_a_color_tiff_of_16_bits_as_scanners_write_it_is_scaled_to_8():
    written = io.BytesIO()
    tifffile.imwrite(written, photo().astype(np.uint16) * 257, photometric="rgb")
    assert difference(read_rgb(written.getvalue()), photo()) <= 1


def test_a_cmyk_jpeg_has_its_colors():
    for color in (RED, GREEN, BLUE, WHITE):
        content = encoded(Image.new("RGB", (16, 16), color).convert("CMYK"), "JPEG", quality=98)
        assert_uniform(read_rgb(content), color, tolerance=3)


def test_a_bitmap_of_black_and_white_is_read():
    assert_uniform(read_rgb(encoded(Image.new("1", (9, 9), 1), "PNG")), WHITE)


def test_a_palette_has_its_colors():
    assert_uniform(read_rgb(encoded(Image.new("RGB", (9, 9), RED).convert("P"), "PNG")), RED)


def half_transparent(mode):
    image = Image.new("RGBA", (20, 10), (*RED, 255))
    image.paste((*GREEN, 0), (10, 0, 20, 10))
    if mode == "P":
        image = Image.fromarray((np.arange(20) // 10 * np.ones((10, 1))).astype(np.uint8))
        image.putpalette([*RED, *GREEN])
    return image


@pytest.mark.parametrize(
    ("mode", "image_format", "options"),
    [
        ("RGBA", "PNG", {}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGBA", "TIFF", {}),
        ("P", "PNG", {"transparency": 1}),
        ("P", "PNG", {"transparency": bytes([255, 0])}),
        ("P", "GIF", {"transparency": 1}),
    ],
)
def test_what_is_transparent_comes_out_white(mode, image_format, options):
    read = read_rgb(encoded(half_transparent(mode), image_format, **options))
    assert_uniform(read[:, :10], RED)
    assert_uniform(read[:, 10:], WHITE)


def test_what_is_half_transparent_is_mixed_with_white():
    assert_uniform(
        read_rgb(encoded(Image.new("RGBA", (9, 9), (*RED, 128)), "PNG")), (255, 127, 127), tolerance=1
    )
    assert_uniform(read_rgb(encoded(Image.new("LA", (9, 9), (0, 128)), "PNG")), (127, 127, 127), tolerance=1)


@pytest.mark.parametrize(("mode", "color", "mark"), [("RGB", GREEN, GREEN), ("L", 9, 9)])
def test_a_color_marked_as_transparent_comes_out_white(mode, color, mark):
    assert_uniform(read_rgb(encoded(Image.new(mode, (9, 9), color), "PNG", transparency=mark)), WHITE)


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 98, "subsampling": 0}, 6),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_comes_out_upright_however_the_camera_was_held(orientation, image_format, options, tolerance):
    upright = photo()
    # Where the first row and the first column of what is stored belong in the upright photo (EXIF 4.6.4).
    stored = {
        1: upright,  # top, left
        2: upright[:, ::-1],  # top, right
        3: upright[::-1, ::-1],  # bottom, right
        4: upright[::-1],  # bottom, left
        5: upright.transpose(1, 0, 2),  # left, top
        6: np.rot90(upright),  # right, top
        7: upright[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: np.rot90(upright, -1),  # left, bottom
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(np.ascontiguousarray(stored), image_format, exif=exif, **options)
    assert difference(read_rgb(content), upright) <= tolerance


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(64)), b"junk"]
)
def test_a_photo_with_damaged_exif_is_read(exif):
    content = encoded(photo(), "JPEG", exif=exif, quality=98, subsampling=0)
    assert difference(read_rgb(content), photo()) <= 6


def red_and_green_swapped():
    """An ICC profile that says: what is stored as red is green, and the other way round."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    at = {bytes(profile[132 + 12 * n : 136 + 12 * n]): 136 + 12 * n for n in range(count)}
    red, green = (bytes(profile[at[tag] : at[tag] + 8]) for tag in (b"rXYZ", b"gXYZ"))
    profile[at[b"rXYZ"] : at[b"rXYZ"] + 8], profile[at[b"gXYZ"] : at[b"gXYZ"] + 8] = green, red
    return bytes(profile)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_embedded_color_profile_is_applied(image_format):
    content = encoded(Image.new("RGB", (16, 16), RED), image_format, icc_profile=red_and_green_swapped())
    assert_uniform(read_rgb(content), GREEN, tolerance=3)


def test_a_profile_of_srgb_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(read_rgb(encoded(photo(), "PNG", icc_profile=profile)), photo()) <= 1


def test_a_profile_and_an_orientation_are_both_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("RGB", (20, 10), RED), "PNG", icc_profile=red_and_green_swapped(), exif=exif)
    assert read_rgb(content).shape == (20, 10, 3)
    assert_uniform(read_rgb(content), GREEN, tolerance=3)


@pytest.mark.parametrize("keep", [0, 10, 140, 300])
def test_a_damaged_profile_is_ignored(keep):
    profile = red_and_green_swapped()[:keep] + b"damage"
    assert difference(read_rgb(encoded(photo(), "PNG", icc_profile=profile)), photo()) == 0


def test_a_profile_for_another_kind_of_photo_is_ignored():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert difference(read_rgb(encoded(photo(), "PNG", icc_profile=profile)), photo()) == 0
    gray = read_rgb(encoded(photo()[..., 0], "PNG", icc_profile=red_and_green_swapped()))
    assert np.array_equal(gray, np.stack([photo()[..., 0]] * 3, axis=2))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_photo_is_refused_not_filled_with_gray(image_format, part):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(noise, image_format)
    with pytest.raises(PhotoError):
        read_rgb(content[: int(len(content) * part)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xd8\xff",
        b"GIF",
        b"some text\n" * 100,
        b"\x89PNG\r\n\x1a\n",
        b"<html><img src='a.jpg'></html>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>',
        b"\0\0\0\x18ftypheic" + bytes(100),
    ],
)
def test_what_is_not_a_photo_is_refused_as_such(content, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(content)
    for read in (probe, read_rgb):
        with pytest.raises(PhotoError, match="not an image"):
            read(content)
    with pytest.raises(PhotoError, match="not an image"):
        read_rgb(tmp_path / "photo.jpg")


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "ICO"])
def test_an_image_of_a_format_that_is_not_ours_is_refused(kind):
    with pytest.raises(PhotoError, match="not an image of a known format"):
        read_rgb(encoded(Image.new("RGB", (16, 16), RED), kind))


@pytest.mark.parametrize(
    ("width", "height"), [(20000, 20000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (14200, 14200)]
)
def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(width, height):
    # Decoding would find next to no pixels and call it damaged.
    for read in (probe, read_rgb):
        with pytest.raises(PhotoError, match="megapixels"):
            read(png(width, height))


def test_a_photo_of_less_than_the_limit_is_not_refused_for_its_size():
    side = int(MAX_PIXELS**0.5)
    assert probe(png(side, side)) == ("PNG", side, side)


def test_a_text_in_a_photo_that_unpacks_to_megabytes_is_refused():
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000)))
    for read in (probe, read_rgb):
        with pytest.raises(PhotoError):
            read(png(4, 4, text))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_a_photo_with_some_bytes_changed_is_read_or_refused_and_nothing_else(image_format):
    rng = np.random.default_rng(1)
    options = {"exif": b"Exif\0\0"} if image_format in ("JPEG", "PNG", "WEBP") else {}
    content = np.frombuffer(encoded(photo(24, 20), image_format, **options), np.uint8)
    for _ in range(200):
        changed = content.copy()
        changed[rng.integers(0, min(300, len(content)), 4)] = rng.integers(0, 256, 4)
        for read in (probe, read_rgb):
            with contextlib.suppress(PhotoError):
                read(changed.tobytes())


def test_a_png_comes_back_exactly_as_it_was_written(tmp_path):
    write_rgb(tmp_path / "photo.png", photo())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "photo.png")), photo())
    assert np.array_equal(read_rgb(tmp_path / "photo.png"), photo())


@pytest.mark.parametrize("name", ["photo.jpg", "photo.jpeg", "PHOTO.JPG", "photo.x.jpg", "日本 été.jpg"])
def test_a_jpeg_is_written_with_its_color_at_full_resolution(tmp_path, name):
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2], stripes[:, 1::2] = RED, BLUE
    write_rgb(tmp_path / name, stripes)
    with Image.open(tmp_path / name) as image:
        assert image.format == "JPEG"
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
    assert difference(read_rgb(tmp_path / name), stripes) < 40


def test_a_lower_quality_makes_a_smaller_file(tmp_path):
    for name, quality in (("fine", 95), ("coarse", 50)):
        for extension in ("jpg", "webp"):
            write_rgb(tmp_path / f"{name}.{extension}", photo(), quality=quality)
    for extension in ("jpg", "webp"):
        sizes = [(tmp_path / f"{name}.{extension}").stat().st_size for name in ("coarse", "fine")]
        assert sizes[0] < sizes[1]


def test_a_webp_is_written(tmp_path):
    write_rgb(tmp_path / "photo.webp", photo())
    assert probe((tmp_path / "photo.webp").read_bytes()) == ("WEBP", 64, 48)
    assert difference(read_rgb(tmp_path / "photo.webp"), photo()) < 40


def test_the_same_photo_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path):
    for extension in ("png", "jpg", "webp"):
        write_rgb(tmp_path / f"a.{extension}", photo())
        write_rgb(tmp_path / f"b.{extension}", photo())
        assert (tmp_path / f"a.{extension}").read_bytes() == (tmp_path / f"b.{extension}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("name", ["photo.tiff", "photo.gif", "photo.txt", "photo"])
def test_a_format_that_cannot_be_written_is_named_with_those_that_can(tmp_path, name):
    with pytest.raises(UngrayError) as error:
        write_rgb(tmp_path / name, photo())
    assert all(word in str(error.value) for word in (name, ".png", ".jpg", ".webp"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "width"), [("photo.webp", 17000), ("photo.jpg", 70000)])
def test_a_photo_too_large_for_a_format_is_an_error_that_leaves_the_old_file(tmp_path, name, width):
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(UngrayError, match=rf"{name}: a photo of {width}x1 "):
        write_rgb(tmp_path / name, np.zeros((1, width, 3), np.uint8))
    assert (tmp_path / name).read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
