"""Faults of reading that strangers' files showed: each kind of file is one that some program writes."""

import io
import os
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from itertools import product
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, PngImagePlugin
from pillow_jxl import JpegXLImagePlugin
from skimage import data

from stages.filter.measures import measure
from tests import unfilled_memory as made
from ungray.fetch.acceptance import decode_whole
from ungray.imaging import decoding, photo_files, photos
from ungray.imaging.photos import PhotoError, probe, read_rgb
from ungray.imaging.reading import raw

pillow_heif.register_heif_opener()
assert JpegXLImagePlugin  # imported so that Pillow writes JPEG XL

ROOT = Path(__file__).parents[3]
SCENE = cv2.resize(data.astronaut()[:384, :512], (160, 120), interpolation=cv2.INTER_AREA)
DEEP = SCENE.astype(np.uint16) * 257
GRAY = np.ascontiguousarray(SCENE[..., 1])
saved, tiff, with_tags = made.saved, made.tiff, made.with_tags


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(png, name, content):
    """A PNG with one more chunk behind its header."""
    return png[:33] + chunk(name, content) + png[33:]


def off(content, expected):
    """By how many levels of 8 bits, at most, either reader is off: colors, or the gray of a gray photo."""
    read = read_rgb(content).astype(float)
    expected = np.dstack([expected] * 3) if expected.ndim == 2 else expected
    assert read.shape == expected.shape
    gray = np.abs(
        photo_files.read_photo(content).gray / 257
        - photo_files.from_array(expected.astype(np.uint8)).gray / 257
    )
    return max(np.abs(read - expected).max(), gray.max())


# ---- nothing of memory is handed on


def outcomes(byte):
    """What becomes of files of every kind in a process whose fresh memory holds a byte."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unfilled_memory"],
        cwd=ROOT,
        env=os.environ | {"GLIBC_TUNABLES": f"glibc.malloc.perturb={byte}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return dict(line.split(": ") for line in ran.stdout.splitlines())


@pytest.mark.skipif(sys.platform != "linux", reason="fills fresh memory as glibc does")
def test_what_is_read_of_a_file_of_any_kind_hangs_on_the_file_alone():
    first, second = outcomes(85), outcomes(170)
    assert first == second
    assert first.pop("tiff, short jpeg strip") == "refused refused"
    assert len(first) > 200
    for name, outcome in first.items():
        whole = name.endswith("whole") and not name.startswith("bmp rle")
        assert ("refused" not in outcome) if whole else (outcome == "refused refused"), f"{name}: {outcome}"


def test_filter_and_harvest_refuse_a_tiff_of_which_most_rows_are_missing(tmp_path):
    content = made.short_jpeg_strip()
    (tmp_path / "a.tif").write_bytes(content)
    assert "damaged" in measure(tmp_path / "a.tif").damage
    with pytest.raises(PhotoError, match="damaged"):
        decode_whole(content, max_pixels=10**6)


def test_an_image_that_pillow_only_opened_is_read_as_its_file_is():
    with pytest.raises(PhotoError, match="damaged"):
        photo_files.from_image(Image.open(io.BytesIO(made.short_jpeg_strip())))
    written = tiff(DEEP, photometric="rgb")
    assert photo_files.from_image(Image.open(io.BytesIO(written))).bits == 16


# ---- one rule for damage: read is what has all of its pixels


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_is_read_and_one_without_some_pixels_is_not(progressive):
    content = saved(SCENE, "JPEG", progressive=progressive)
    for whole in (content[:-1], content[:-2], content + b"junk", content[:-2] + b"\0\0" + content[-2:]):
        assert np.array_equal(read_rgb(whole), read_rgb(content))
        assert np.array_equal(photo_files.read_photo(whole).gray, photo_files.read_photo(content).gray)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0x55
    flipped[len(content) // 2 + 1] ^= 0xFF
    for cut in (content[: len(content) * 3 // 10] + b"\xff\xd9", content[:-30] + b"\xff\xd9"):
        for read in (read_rgb, photo_files.read_photo):
            with pytest.raises(PhotoError, match="damaged"):
                read(cut)
        with pytest.raises(PhotoError, match="damaged"):
            decode_whole(cut, max_pixels=10**6)


def test_a_png_without_its_end_or_with_a_damaged_text_is_read_and_with_damaged_pixels_is_not():
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", "of no use")
    content = saved(SCENE, "PNG", pnginfo=about)
    damaged = bytearray(content)
    damaged[content.index(b"of no use")] ^= 1
    late = content[:-12] + chunk(b"tEXt", b"Comment\0behind")[:-1] + b"?" + content[-12:]
    for whole in (content[:-12], content[:-5], bytes(damaged), late):
        assert off(whole, SCENE) <= 1
    broken = bytearray(content)
    broken[content.index(b"IDAT") + 2000] ^= 1
    for read in (read_rgb, photo_files.read_photo):
        with pytest.raises(PhotoError, match="damaged"):
            read(bytes(broken))


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_tiff_is_refused_where_a_tag_that_describes_its_pixels_cannot_be_read(byteorder, bigtiff):
    content = tiff(DEEP, byteorder=byteorder, bigtiff=bigtiff, photometric="rgb", compression="zlib")
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        places = {tag.code: tag.offset for tag in file.pages.first.tags if tag.code in (258, 277, 284, 305)}
    for code, place in places.items():
        broken = bytearray(content)
        broken[place + 2 : place + 4] = struct.pack(byteorder + "H", 99)  # there is no such type of tag
        if code == 305:  # Software says nothing about pixels
            assert off(bytes(broken), SCENE) <= 1
            continue
        for read in (read_rgb, photo_files.read_photo, lambda one: decode_whole(one, max_pixels=10**6)):
            with pytest.raises(PhotoError, match=f"damaged: tag {code} "):
                read(bytes(broken))
    assert len(places) == 4


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_a_tiff_cut_within_its_directory_is_refused_and_its_colors_are_not_guessed(compression, recwarn):
    content = saved(SCENE, "TIFF", compression=compression)
    for cut in range(1, 12):
        with suppress(PhotoError):
            assert off(content[:-cut], SCENE) <= 1
    with pytest.raises(PhotoError, match=r"damaged: .*[a-z]{4}"):  # says what, in words
        read_rgb(content[: len(content) // 2])
    about = saved(SCENE, "TIFF", compression=compression, tiffinfo={40_000: "said of it, last in the file"})
    recwarn.clear()
    assert off(about[:-9], SCENE) <= 1
    assert not recwarn.list  # Pillow would warn, with the path of its module


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "JXL"])
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(range(64))], ids=len)
def test_damaged_exif_data_are_left_out_by_all_readers_of_all_kinds(kind, exif):
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}, "JXL": {"lossless": True}}.get(kind, {})
    try:
        content = saved(SCENE, kind, exif=exif, **options)
    except (OSError, ValueError, SyntaxError):
        assert kind == "AVIF", "which is not written with the longer one"
        return
    assert read_rgb(content).shape == SCENE.shape
    assert photo_files.read_photo(content).gray.shape == SCENE.shape[:2]
    assert not measure_of(content).damage


def measure_of(content):
    class InMemory:
        def read_bytes(self):
            return content

        def __fspath__(self):
            return "photo"

    return measure(InMemory())


# ---- PNG


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gray", [True, False])
def test_the_gamma_of_a_png_counts_where_it_has_no_profile(gray, bits):
    ramp = np.tile(np.arange(256, dtype=np.uint16), (4, 1))
    stored = ramp.astype(np.uint8) if bits == 8 else ramp * 257
    content = cv2.imencode(".png", stored if gray else np.dstack([stored] * 3))[1].tobytes()
    linear = with_chunk(content, b"gAMA", struct.pack(">I", 100_000))
    y = ramp / 255
    expected = 255 * np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)
    assert np.abs(photo_files.read_photo(linear).gray / 257 - expected).max() <= 1
    assert np.abs(read_rgb(linear)[..., 1] - expected).max() <= 1
    usual = with_chunk(content, b"gAMA", struct.pack(">I", 45_455))
    for same in (usual, with_chunk(linear, b"sRGB", b"\0")):
        assert np.array_equal(photo_files.read_photo(same).gray, photo_files.read_photo(content).gray)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if not gray:
        tagged = with_chunk(linear, b"iCCP", b"x\0\0" + zlib.compress(profile))
        assert np.abs(read_rgb(tagged)[..., 1] - ramp).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_tone_marked_as_transparent_is_so_in_gray_of_few_bits(bits):
    levels = 2**bits
    tones = np.arange(8 * levels, dtype=np.uint8).reshape(levels, 8) % levels
    packed = np.packbits(np.unpackbits(tones[..., None], axis=2)[..., 8 - bits :].reshape(levels, -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", 8, levels, bits, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        chunk(b"tRNS", struct.pack(">H", 1)),
        chunk(b"IDAT", zlib.compress(rows)),
    ]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")
    photo = photo_files.read_photo(content)
    assert np.array_equal(photo.alpha == 0, tones == 1)
    assert np.array_equal(photo.gray, tones.astype(int) * 65535 // (levels - 1))
    assert (read_rgb(content)[tones == 1] == 255).all()


# ---- TIFF


@pytest.mark.parametrize("top", [255, 65535])
def test_a_palette_has_its_colors_whether_they_are_of_8_bits_or_16(top):
    indexed = Image.fromarray(SCENE).quantize(256)
    palette = np.reshape(indexed.getpalette(), (256, 3)).T.astype(np.uint16) * (top // 255)
    content = tiff(np.asarray(indexed), photometric="palette", colormap=palette)
    assert off(content, np.asarray(indexed.convert("RGB"))) <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_gray_and_alpha_are_told_apart_in_pixels_or_planes(planar, dtype, kind):
    top = np.iinfo(dtype).max
    gray = (DEEP if dtype == np.uint16 else SCENE)[..., 1]
    alpha = np.tile(np.linspace(top // 2, top, 160).astype(dtype), (120, 1))
    stored = gray if kind == "unassalpha" else (gray / top * alpha + 0.5).astype(dtype)
    both = np.stack([stored, alpha], axis=2 if planar == "contig" else 0)
    content = tiff(both, photometric="minisblack", planarconfig=planar, extrasamples=[kind])
    photo = photo_files.read_photo(content)
    assert photo.bits == 8 * np.dtype(dtype).itemsize
    assert np.array_equal(photo.alpha, alpha)
    assert np.abs(photo.gray / 257 - SCENE[..., 1]).max() <= (0 if kind == "unassalpha" else 1.1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_highlights_of_a_floating_point_photo_are_drawn_nearer_not_cut(dtype):
    light = np.concatenate([np.linspace(0, 0.79, 300), np.linspace(1, 4, 100)]).astype(dtype)
    gray = photo_files.read_photo(tiff(np.tile(light, (8, 1)), photometric="minisblack")).gray[0].astype(int)
    assert (np.diff(gray) >= 0).all()
    assert len(np.unique(gray[300:])) > 90
    assert np.abs(gray[:300] / 65535 - light[:300]).max() < 1e-3
    assert off(tiff((SCENE / 255).astype(dtype), photometric="rgb"), SCENE) <= 1


def test_the_full_photo_is_taken_where_a_smaller_copy_stands_first():
    written = io.BytesIO()
    with tifffile.TiffWriter(written) as writer:
        writer.write(cv2.resize(SCENE, (40, 30)), photometric="rgb", subfiletype=1, metadata=None)
        writer.write(SCENE, photometric="rgb", metadata=None)
    content = written.getvalue()
    assert probe(content) == ("TIFF", 160, 120)
    assert off(content, SCENE) == 0
    assert photo_files.read_photo(content).pages == 1


def test_the_full_photo_is_taken_where_it_lies_below_its_smaller_copy():
    written = io.BytesIO()
    with tifffile.TiffWriter(written) as writer:
        writer.write(cv2.resize(SCENE, (40, 30)), photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(SCENE, photometric="rgb", metadata=None)
    assert off(written.getvalue(), SCENE) == 0


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_of_more_than_8_bits_packed_has_its_tones(bits, channels):
    pixels = DEEP[..., :channels] >> (16 - bits)
    rows = np.unpackbits(pixels.astype(">u2").view(np.uint8).reshape(*pixels.shape, 2), axis=3)[
        ..., 16 - bits :
    ]
    packed = np.packbits(rows.reshape(120, -1), axis=1).tobytes()
    content = with_directory(packed, 258, (bits,) * channels, photometric=2 if channels == 3 else 1)
    photo = photo_files.read_photo(content)
    assert photo.bits == 16
    assert off(content, SCENE if channels == 3 else SCENE[..., 0]) <= 1


def with_directory(pixels, *more, photometric, order="<"):
    """A TIFF of 160x120 in one strip, with one more tag."""
    bits = dict([more])[258]
    tags = {256: 160, 257: 120, 258: bits, 259: 1, 262: photometric, 273: 0, 277: len(bits), 278: 120}
    directory = photos_directory(order)
    for tag, value in (tags | {279: len(pixels)}).items():
        directory[tag] = value
    written = io.BytesIO()
    directory.save(written)
    return written.getvalue() + pixels


def photos_directory(order):
    from PIL import TiffImagePlugin

    return TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", [8, 9], ids=["cielab", "icclab"])
def test_lab_of_8_and_16_bits_has_its_colors(kind, bits):
    lab_profile, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    lab = imagecodecs.cms_transform(
        SCENE,
        ImageCms.ImageCmsProfile(srgb).tobytes(),
        ImageCms.ImageCmsProfile(lab_profile).tobytes(),
        colorspace="rgb",
        outcolorspace="lab",
        outdtype=np.float64,
    )
    scale, top = (1, 255) if bits == 8 else (256, 65535)
    ab = np.round(lab[..., 1:] * scale).astype(int) + (128 * scale if kind == 9 else 0)
    stored = np.dstack([np.round(lab[..., 0] / 100 * top).astype(int), ab]) & top
    stored = stored.astype("u1" if bits == 8 else "<u2")
    content = with_directory(stored.tobytes(), 258, (bits,) * 3, photometric=kind)
    assert np.abs(read_rgb(content).astype(int) - SCENE).mean() <= (1.5 if bits == 8 else 0.6)
    assert photo_files.read_photo(content).bits == bits


@pytest.mark.parametrize(
    ("compression", "dtype"),
    [
        *product(["jpeg2000", "jpegxl", "lerc", "zstd"], [np.uint8, np.uint16]),
        ("webp", np.uint8),
    ],
)
def test_a_tiff_in_a_newer_compression_is_read_in_a_process_of_its_own(monkeypatch, compression, dtype):
    content = tiff(
        SCENE if dtype == np.uint8 else DEEP,
        photometric="rgb",
        compression=compression,
        compressionargs={"jpegxl": {"lossless": True}, "webp": {"lossless": True}}.get(compression, {}),
    )
    asked = []
    limited = decoding.limited
    monkeypatch.setattr(decoding, "limited", lambda work, *given: asked.append(work) or limited(work, *given))
    assert off(content, SCENE) < 0.01
    assert bool(asked) == (compression != "zstd")


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("pixels", [SCENE, DEEP], ids=["8", "16"])
def test_a_bigtiff_of_either_byte_order_is_read(byteorder, pixels):
    content = tiff(pixels, photometric="rgb", bigtiff=True, byteorder=byteorder)
    assert off(content, SCENE) < 0.01


def test_32_bits_are_taken_at_16():
    content = tiff(DEEP.astype(np.uint32) * 65537, photometric="rgb")
    assert off(content, SCENE) < 0.01
    assert photo_files.read_photo(content).bits == 16


# ---- pages


def scans(*, count=3):
    written = io.BytesIO()
    with tifffile.TiffWriter(written) as writer:
        for page in range(count):
            pixels = np.roll(SCENE, 20 * page, axis=1)
            writer.write(pixels, photometric="rgb", metadata=None, description=f"page {page}")
    return written.getvalue()


def test_each_page_of_a_tiff_can_be_read():
    for page in range(3):
        photo = photo_files.read_photo(scans(), page)
        assert (photo.pages, photo.width) == (3, 160)
        assert np.array_equal(photo.gray, photo_files.from_array(np.roll(SCENE, 20 * page, axis=1)).gray)
    with pytest.raises(PhotoError, match="has 3 pages, and this would be number 4"):
        photo_files.read_photo(scans(), 3)


def test_pages_are_written_as_one_tiff_with_what_is_said_of_each():
    pages = [photo_files.read_photo(scans(), page) for page in range(3)]
    colors = [np.roll(SCENE, 20 * page, axis=1) for page in range(3)]
    content = photo_files.encode_pages(zip(pages, colors, strict=True))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        assert len(file.pages) == 3
        for page, expected in zip(file.pages, colors, strict=True):
            assert np.array_equal(page.asarray(), expected)
    with Image.open(io.BytesIO(content)) as image:
        for page in range(3):
            image.seek(page)
            assert image.tag_v2[ExifTags.Base.ImageDescription] == f"page {page}"
            assert "icc_profile" in image.info


# ---- further kinds


def turned(kind):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "Agfa"
    return {"exif": exif.tobytes() if kind == "JXL" else exif}


@pytest.mark.parametrize(
    ("kind", "options", "suffix"),
    [
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, "avif"),
        ("HEIF", {"quality": -1, "chroma": 444, "matrix_coefficients": 0}, "heic"),
        ("JPEG2000", {}, "jp2"),
        ("JXL", {"lossless": True}, "jxl"),
    ],
)
def test_a_photo_of_a_newer_kind_is_the_scene(kind, options, suffix):
    content = saved(SCENE, kind, **options)
    assert probe(content) == (kind, 160, 120)
    assert off(content, SCENE) <= (6 if kind == "AVIF" else 1)
    assert photo_files.read_photo(content).format == suffix


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "JXL"])
def test_alpha_of_a_newer_kind_is_kept(kind):
    alpha = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (120, 1))
    content = saved(np.dstack([SCENE, alpha]), kind, **({"lossless": True} if kind == "JXL" else {}))
    assert np.abs(photo_files.read_photo(content).alpha.astype(int) - alpha).max() <= 3


@pytest.mark.parametrize("kind", ["AVIF", "JXL"])
def test_exif_data_of_a_newer_kind_are_kept(kind):
    photo = photo_files.read_photo(saved(SCENE, kind, **turned(kind)))
    exif = Image.Exif()
    exif.load(photo.metadata.exif)
    assert exif[ExifTags.Base.Make] == "Agfa"
    assert exif[ExifTags.Base.Orientation] == 1


def test_a_heic_is_turned_once():
    image = Image.fromarray(SCENE)
    image.info["exif"] = turned("HEIF")["exif"].tobytes()
    content = saved(image, "HEIF", quality=-1, chroma=444, matrix_coefficients=0)
    assert content.count(b"irot") == 1
    assert off(content, np.rot90(SCENE, -1)) <= 1


@pytest.mark.parametrize("pixels", [DEEP, DEEP[..., 1].copy()], ids=["rgb", "gray"])
def test_16_bits_of_jpeg_xl_are_kept(pixels):
    photo = photo_files.read_photo(
        imagecodecs.jpegxl_encode(pixels, lossless=True, photometric="rgb" if pixels.ndim > 2 else "gray")
    )
    assert photo.bits == 16
    assert len(np.unique(photo.gray)) > 200


@pytest.mark.parametrize(
    ("width", "height"), [(160, 120), (300, 200), (64, 64), (999, 1), (640, 360), (8, 256)]
)
@pytest.mark.parametrize("boxes", [False, True])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(width, height, boxes):
    content = imagecodecs.jpegxl_encode(np.zeros((height, width, 3), np.uint8), usecontainer=boxes)
    assert (content[:2] == b"\xff\x0a") != boxes
    assert probe(content) == ("JXL", width, height)


def test_a_profile_in_a_jpeg_2000_counts():
    swapped = imagecodecs.cms_profile(
        "rgb", whitepoint=(0.3127, 0.329, 1), primaries=(0.3, 0.6, 1, 0.64, 0.33, 1, 0.15, 0.06, 1), gamma=2.2
    )
    content = saved(np.full((32, 32, 3), (200, 30, 30), np.uint8), "JPEG2000")
    at = content.index(b"colr") - 4
    (length,) = struct.unpack_from(">I", content, at)
    box = struct.pack(">I4s3B", 11 + len(swapped), b"colr", 2, 0, 0) + swapped
    header = content.index(b"jp2h") - 4
    (size,) = struct.unpack_from(">I", content, header)
    changed = content[:header] + struct.pack(">I", size + len(box) - length) + content[header + 4 : at] + box
    red, green, _ = read_rgb(changed + content[at + length :])[5, 5]
    assert green > 150 > 60 > red


@pytest.mark.parametrize("packed", [False, True])
def test_a_psd_is_the_scene(packed):
    assert probe(made.photoshop(packed=packed))[0] == "PSD"
    assert off(made.photoshop(packed=packed), SCENE) == 0


def test_a_fourth_channel_of_a_psd_is_a_selection_unless_its_layers_say_it_is_transparency():
    content = made.photoshop(packed=False)
    four = content[:12] + struct.pack(">H", 4) + content[14:] + np.zeros((120, 160), np.uint8).tobytes()
    assert photo_files.read_photo(four).alpha is None
    layers = struct.pack(">IIh", 10, 2, -1) + bytes(4)
    seen = four[:34] + layers + four[38:]
    assert not photo_files.read_photo(seen).alpha.any()


def test_a_psd_of_16_bits_says_what_it_is():
    content = made.photoshop(packed=False)
    with pytest.raises(PhotoError, match="a PSD of 3 channels of 16 bits in mode 3 is not supported"):
        read_rgb(content[:22] + struct.pack(">H", 16) + content[24:])


def negative():
    """A raw file as a camera's: a mosaic of red, green and blue in 16 bits of linear light (DNG 1.4)."""
    light = ((SCENE / 255) ** 2.2 * 60000).astype(np.uint16)
    mosaic = light[..., 1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = light[0::2, 0::2, 0], light[1::2, 1::2, 2]

    def fractions(numbers):
        return [part for number in numbers for part in (round(number * 10000), 10000)]

    to_srgb = [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570]
    tags = [
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        (50721, 10, 9, fractions(to_srgb), True),
        (50728, 5, 3, fractions([1, 1, 1]), True),
        (50717, 4, 1, 65535, True),
        (271, 2, 0, "Agfa", True),
        (50708, 2, 0, "Agfa Box", True),
    ]
    return tiff(mosaic, photometric="cfa", extratags=tags)


def test_a_raw_file_of_a_camera_is_developed():
    pytest.importorskip("rawpy")
    assert probe(negative()) == ("RAW", 160, 120)
    read = read_rgb(negative())
    assert np.corrcoef(read.ravel(), SCENE.ravel())[0, 1] > 0.97
    photo = photo_files.read_photo(negative())
    assert (photo.bits, photo.format, photo.metadata.exif is not None) == (16, "raw", True)
    with pytest.raises(PhotoError, match="damaged"):
        read_rgb(negative()[:20000])


def test_a_raw_file_says_what_reads_it_where_rawpy_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(PhotoError, match=r"raw file; `pip install ungray\[raw\]` reads it"):
        raw.decode(negative())
    with pytest.raises(PhotoError, match="raw file"):
        probe(negative())


def fall(content):
    os.abort()


def test_a_decoder_that_falls_over_ends_nothing_else():
    with pytest.raises(PhotoError, match="its decoder broke down"):
        decoding.limited(fall, saved(SCENE, "JXL"))
    assert off(saved(SCENE, "JXL", lossless=True), SCENE) <= 1


def test_every_kind_that_is_read_has_an_extension_and_every_extension_goes_into_folders():
    from ungray.cli.outputs import FORMATS, OTHERS
    from ungray.imaging.reading.formats import SUFFIXES

    assert {f".{extension}" for extension in photos.FORMATS.values()} <= SUFFIXES
    assert set(FORMATS) | set(OTHERS) == SUFFIXES
