"""Every kind of photo that real tools write comes out right.

Files are made by ImageMagick, exiftool, libjpeg's cjpeg, tifffile and Pillow, with real profiles where the
system has them, and compared in Lab with the photo they were made from or with ImageMagick's own reading.
What colorize reads of them, which has 16 bits where the file has, must have the same lightness.
"""

import io
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, TiffImagePlugin
from skimage import data
from skimage.color import rgb2lab

from ungray.imaging import photo_files
from ungray.imaging.photos import PhotoError, probe, read_rgb

PROFILES = Path("/usr/share/color/icc")
SCENE = cv2.resize(data.astronaut()[:384, :512], (160, 120), interpolation=cv2.INTER_AREA)


def tool(*names):
    found = next((path for path in map(shutil.which, names) if path), None)
    return found or pytest.skip(f"{names[0]} is not installed")


def magick(*arguments):
    command = [tool("magick", "convert"), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def profile(name):
    """A real ICC profile; Debian has them in icc-profiles-free, colord-data and libgs-common."""
    found = next(iter(sorted(PROFILES.rglob(name))), None)
    return found or pytest.skip(f"the profile {name} is not installed")


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def make(tmp_path):
    """Let ImageMagick make a file of the scene; return its path."""
    scene, srgb = tmp_path / "scene.png", tmp_path / "srgb.icc"
    Image.fromarray(SCENE).save(scene)
    srgb.write_bytes(srgb_profile())

    def run(name, *arguments, icc=None):
        through = ["-profile", srgb, "-profile", icc] if icc else []
        magick(scene, *through, *arguments, tmp_path / name)
        return tmp_path / name

    return run


def by_magick(path, *, on_white=True):
    """ImageMagick's own reading of a file's first picture: upright sRGB, on white or as if opaque."""
    written, srgb = path.with_suffix(".read.png"), path.with_suffix(".srgb.icc")
    srgb.write_bytes(srgb_profile())
    opaque = [*(["-background", "white", "-alpha", "remove"] if on_white else []), "-alpha", "off"]
    srgb_of_8_bits = ["-profile", srgb, "-colorspace", "sRGB", "-depth", "8"]
    magick(f"{path}[0]", "-auto-orient", *srgb_of_8_bits, *opaque, f"png24:{written}")
    return cv2.imread(str(written))[..., ::-1]


def gray_level(rgb):
    """Gray, 0..255, of the lightness of a photo: CIE 15 and sRGB, by scikit-image."""
    lightness = rgb2lab(rgb)[..., 0]
    y = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    return 255 * np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)


def assert_same_gray(path, rgb, *, most=1):
    """What colorize reads has the lightness of rgb, to one level of 8 bits."""
    photo = photo_files.read_photo(path if isinstance(path, bytes) else path.read_bytes())
    assert (photo.height, photo.width) == rgb.shape[:2]
    off = np.abs(photo.gray / 257 - gray_level(rgb))
    if photo.alpha is not None:  # rgb is on white
        off = off[photo.alpha == np.iinfo(photo.alpha.dtype).max]
    assert off.max() <= most, f"{off.max()} at most, {off.mean()} on average"


def read_by_both(path):
    """The photo in 8 bits, as the stages read it, once colorize is found to read the same lightness."""
    rgb = read_rgb(path)
    assert_same_gray(path, rgb)
    return rgb


def lab_distance(read, expected):
    """Mean and 99th percentile of the distance in Lab; 1 is just visible."""
    assert read.dtype == np.uint8
    assert read.shape == expected.shape
    first, second = (
        cv2.cvtColor(np.divide(p, 255, dtype=np.float32), cv2.COLOR_RGB2Lab) for p in (read, expected)
    )
    distance = np.linalg.norm(first - second, axis=2)
    return distance.mean(), np.percentile(distance, 99)


def assert_same_colors(read, expected, *, mean=0.7, p99=2.0):
    found = lab_distance(read, expected)
    assert found[0] <= mean, found
    assert found[1] <= p99, found


def in_gray():
    lightness = cv2.cvtColor(np.divide(SCENE, 255, dtype=np.float32), cv2.COLOR_RGB2Lab)[..., 0]
    gray = cv2.cvtColor(np.dstack([lightness, lightness * 0, lightness * 0]), cv2.COLOR_Lab2RGB)
    return (gray[..., 0].clip(0, 1) * 255 + 0.5).astype(np.uint8)


# ---- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_written_by_exiftool_is_applied(tmp_path, orientation):
    stored = {
        1: SCENE,
        2: SCENE[:, ::-1],
        3: SCENE[::-1, ::-1],
        4: SCENE[::-1],
        5: SCENE.transpose(1, 0, 2),
        6: np.rot90(SCENE),
        7: SCENE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(SCENE, -1),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    image.save(tmp_path / "a.jpg", quality=98, subsampling=0)
    image.save(tmp_path / "b.png")
    image.save(tmp_path / "c.webp", lossless=True)
    image.save(tmp_path / "d.tif", compression="tiff_lzw")
    tifffile.imwrite(tmp_path / "e.tif", stored.astype(np.uint16) * 257, photometric="rgb")
    files = sorted(tmp_path.iterdir())
    command = [tool("exiftool"), "-q", "-n", f"-IFD0:Orientation={orientation}", "-overwrite_original"]
    subprocess.run([*command, *files], check=True)
    for file in files:
        assert_same_colors(read_by_both(file), SCENE, mean=1.2, p99=4)


# ---- color profiles


@pytest.mark.parametrize(
    ("name", "mean", "p99"),
    [
        ("AdobeRGB1998.icc", 0.5, 2),
        ("ProPhotoRGB.icc", 0.6, 2.5),
        ("WideGamutRGB.icc", 0.6, 2.5),
        ("ECI-RGBv2.icc", 0.5, 2),
        ("SwappedRedAndGreen.icc", 0.5, 2),
        ("srgb.icc", 0.6, 1),
    ],
)
def test_a_photo_in_another_color_space_has_its_colors(make, name, mean, p99):
    icc = profile(name)
    for file in ("a.png", "a.tif"):
        assert_same_colors(read_by_both(make(file, icc=icc)), SCENE, mean=mean, p99=p99)
    deep = make("b.tif", "-depth", "16", icc=icc)
    assert_same_colors(read_rgb(deep), SCENE, mean=mean, p99=p99)
    assert_same_gray(deep, by_magick(deep), most=1.2)  # read_rgb rounds before it converts
    jpeg = make("a.jpg", "-quality", "98", "-sampling-factor", "4:4:4", icc=icc)
    assert_same_colors(read_by_both(jpeg), by_magick(jpeg))
    webp = make("a.webp", "-define", "webp:lossless=true", icc=icc)
    assert_same_colors(read_by_both(webp), SCENE, mean=mean, p99=p99)


@pytest.mark.parametrize(
    ("name", "light"),
    [
        ("Gray.icc", lambda level: level),  # name of the profile, linear light of a level
        (
            "Gray-CIE_L.icc",
            lambda level: np.where(level > 0.08, ((100 * level + 16) / 116) ** 3, level / 9.033),
        ),
        ("ProPhotoRGB.icc", lambda level: level**1.8),
        ("AdobeRGB1998.icc", lambda level: level ** (563 / 256)),
    ],
)
def test_tones_of_16_bits_are_those_of_their_profiles_formula(name, light):
    ramp = np.tile(np.arange(0, 65536, 16, dtype=np.uint16), (4, 1))
    y = light(ramp / 65535)
    expected = 255 * np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)
    stored = {"minisblack": ramp, "rgb": np.dstack([ramp] * 3)}
    for kind in ["minisblack"] if name.startswith("Gray") else stored:
        written = io.BytesIO()
        tifffile.imwrite(written, stored[kind], photometric=kind, iccprofile=profile(name).read_bytes())
        assert np.abs(photo_files.read_photo(written.getvalue()).gray / 257 - expected).max() <= 0.1


def display_p3():
    """Apple's Display P3: sRGB's tone curve, and these colorants (XYZ under D50) out of its own profile."""
    made = bytearray(srgb_profile())
    count = struct.unpack_from(">I", made, 128)[0]
    colorants = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    for entry in range(count):
        tag, offset, _ = struct.unpack_from(">4sII", made, 132 + 12 * entry)
        if tag in colorants:
            struct.pack_into(">3i", made, offset + 8, *(round(v * 65536) for v in colorants[tag]))
    return bytes(made)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photo_of_a_telephone_in_display_p3_has_its_colors(image_format):
    # What red, a skin tone and gray of sRGB are in Display P3, by the formulas of both.
    stored = {(234, 51, 35): (255, 0, 0), (220, 173, 143): (229, 171, 138), (90, 90, 90): (90, 90, 90)}
    for p3, srgb in stored.items():
        written = io.BytesIO()
        options = {"lossless": True} if image_format == "WEBP" else {"quality": 100, "subsampling": 0}
        Image.new("RGB", (16, 16), p3).save(written, image_format, icc_profile=display_p3(), **options)
        read = read_by_both(written.getvalue())
        assert np.abs(read.astype(int) - srgb).max() <= 3


@pytest.mark.parametrize("name", ["Gray.icc", "Gray-CIE_L.icc"])
@pytest.mark.parametrize("file", ["a.jpg", "a.png", "a.tif", "b.png", "b.tif"])
def test_a_gray_photo_with_a_tone_curve_of_its_own_has_its_tones(make, name, file):
    depth = ["-depth", "16"] if file[0] == "b" else []
    options = ["-quality", "98", "-colorspace", "Gray", "-profile", profile("sgray.icc")]
    path = make(file, *options, "-profile", profile(name), *depth)
    read = read_rgb(path)
    assert_same_gray(path, by_magick(path) if depth else read)  # read_rgb rounds before it converts
    assert np.ptp(read, axis=2).max() <= 1
    # Gray.icc is linear light, so its 8 bits are few in the shadows.
    assert_same_colors(read, by_magick(path), mean=0.6, p99=6)


def test_a_gray_photo_with_a_profile_for_rgb_has_that_profiles_tones():
    gray = in_gray()
    adobe = profile("AdobeRGB1998.icc").read_bytes()
    pictures = []
    for image in (Image.fromarray(gray), Image.fromarray(gray).convert("RGB")):
        written = io.BytesIO()
        image.save(written, "PNG", icc_profile=adobe)
        pictures.append(read_by_both(written.getvalue()))
    assert np.abs(np.subtract(*pictures, dtype=int)).max() <= 1
    assert np.abs(pictures[0][..., 0] - gray.astype(int)).max() > 1


@pytest.mark.parametrize("file", ["a.jpg", "a.tif", "b.tif"])
def test_a_photo_for_print_has_its_colors_by_its_profile(make, file):
    depth = ["-depth", "16"] if file[0] == "b" else []
    path = make(file, "-quality", "98", *depth, icc=profile("default_cmyk.icc"))
    with Image.open(path) as image:
        assert image.mode == "CMYK"
    assert_same_colors(read_by_both(path), by_magick(path), mean=1, p99=2.5)


@pytest.mark.parametrize("file", ["a.jpg", "a.tif"])
def test_a_photo_for_print_without_a_profile_has_the_plain_colors_of_its_inks(make, file):
    path = make(file, "-colorspace", "CMYK", "-quality", "98")
    assert_same_colors(read_by_both(path), SCENE, mean=1, p99=3)


def test_a_jpeg_of_adobe_in_luma_chroma_and_black_has_its_colors(tmp_path):
    # Stored are Y, Cb, Cr of the inks, and black inverted (Pillow inverts all four as it writes). No tool at
    # hand writes it, but all read it.
    inks = np.asarray(Image.fromarray(SCENE).convert("CMYK"))
    ycc = np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr"))
    Image.fromarray(np.dstack([255 - ycc, inks[..., 3]]), "CMYK").save(tmp_path / "a.jpg", quality=98)
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    content[content.index(b"Adobe") + 11] = 2  # the transform: YCCK
    (tmp_path / "a.jpg").write_bytes(content)
    read = read_by_both(tmp_path / "a.jpg")
    assert_same_colors(read, by_magick(tmp_path / "a.jpg"))
    assert_same_colors(read, SCENE, mean=1.5, p99=5)


def test_a_profile_for_another_kind_of_photo_is_ignored(tmp_path):
    for name in ("default_cmyk.icc", "Gray.icc", "ITULab.icc", "LCMSXYZI.ICM"):
        written = io.BytesIO()
        Image.fromarray(SCENE).save(written, "PNG", icc_profile=profile(name).read_bytes())
        assert np.array_equal(read_by_both(written.getvalue()), SCENE)
    inks = Image.fromarray(SCENE).convert("CMYK")
    plain, wrong = io.BytesIO(), io.BytesIO()
    inks.save(plain, "TIFF")
    inks.save(wrong, "TIFF", icc_profile=profile("AdobeRGB1998.icc").read_bytes())
    assert np.array_equal(read_by_both(plain.getvalue()), read_by_both(wrong.getvalue()))


def test_a_photo_whose_profile_is_srgb_costs_no_conversion():
    photo = cv2.resize(data.astronaut(), (1600, 1200))
    seconds = {}
    for name, icc in (("plain", None), ("srgb", srgb_profile()), ("display p3", display_p3())):
        written = io.BytesIO()
        Image.fromarray(photo).save(written, "JPEG", quality=92, icc_profile=icc)
        taken = []
        for _ in range(7):
            started = time.process_time()
            read = read_rgb(written.getvalue())
            taken.append(time.process_time() - started)
        seconds[name] = min(taken)
        if name == "plain":
            expected = read
        if name == "srgb":
            assert np.array_equal(read, expected)
    assert seconds["srgb"] < 2.2 * seconds["plain"] < seconds["display p3"]


# ---- bits, alpha, palettes, and what else formats offer


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.png", ["-depth", "16"]),
        ("a.tif", ["-depth", "16"]),
        ("a.tif", ["-depth", "16", "-compress", "LZW"]),
        ("a.tif", ["-depth", "16", "-compress", "Zip", "-endian", "MSB"]),
        ("a.tif", ["-depth", "16", "-interlace", "plane"]),
        ("a.tif", ["-depth", "16", "-define", "tiff:tile-geometry=64x64"]),
        ("a.tif", ["-depth", "16", "-interlace", "plane", "-define", "tiff:tile-geometry=64x64"]),
        ("a.tif", ["-depth", "16", "-interlace", "plane", "-compress", "Zip"]),
        ("a.tif", ["-depth", "16", "-compress", "Zstd"]),
        ("a.tif", ["-depth", "16", "-compress", "LZMA"]),
        ("a.png", ["-define", "png:bit-depth=16", "-interlace", "PNG"]),
        ("a.tif", ["-compress", "RLE"]),
        ("a.tif", ["-interlace", "plane"]),
        ("a.png", ["-interlace", "PNG"]),
        ("a.jpg", ["-interlace", "JPEG", "-quality", "100", "-sampling-factor", "4:4:4"]),
        ("a.bmp", ["-define", "bmp:format=bmp2"]),
        ("a.bmp", ["-define", "bmp:format=bmp3"]),
        ("a.bmp", ["-define", "bmp:format=bmp4"]),
        ("a.gif", ["(", "+clone", "-negate", ")"]),
        ("a.tif", ["(", "+clone", "-negate", ")"]),
        ("a.webp", ["-define", "webp:lossless=true", "(", "+clone", "-negate", ")"]),
    ],
)
def test_a_color_photo_of_any_kind_is_the_scene(make, name, arguments):
    path = make(name, *arguments)
    read = read_by_both(path)
    assert probe(path.read_bytes())[1:] == (160, 120)
    assert_same_colors(read, by_magick(path), mean=0.4, p99=1)
    # A GIF has 256 colors.
    mean, p99 = (4, 16) if name == "a.gif" else (0.7, 2.5)
    assert_same_colors(read, SCENE, mean=mean, p99=p99)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": True},
        {"compression": "zstd"},
        {"compression": "lzma"},
        {"tile": (64, 64)},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
def test_a_scan_written_by_tifffile_is_the_scene(tmp_path, dtype, planar, options):
    stored = SCENE.astype(dtype) * (257 if dtype == np.uint16 else 1)
    stored = np.ascontiguousarray(np.moveaxis(stored, 2, 0)) if planar == "separate" else stored
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, **options)
    assert np.array_equal(read_by_both(tmp_path / "a.tif"), SCENE)
    assert photo_files.read_photo((tmp_path / "a.tif").read_bytes()).bits == 8 * stored.itemsize


WHITE_IS_ZERO = ["-define", "quantum:polarity=min-is-white"]
FLOAT = ["-define", "quantum:format=floating-point"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.png", ["-depth", "16"]),
        ("a.png", ["-depth", "4"]),
        ("a.png", ["-depth", "2"]),
        ("a.tif", ["-depth", "16"]),
        ("a.tif", ["-depth", "16", "-compress", "LZW", "-endian", "MSB"]),
        ("a.tif", ["-depth", "12"]),
        ("a.tif", ["-depth", "4"]),
        ("a.tif", ["-depth", "32"]),
        ("a.tif", ["-depth", "32", *FLOAT]),
        ("a.png", ["-monochrome"]),
        ("a.tif", ["-monochrome", "-compress", "Group4"]),
        ("a.bmp", ["-monochrome"]),
    ],
)
def test_a_gray_photo_of_any_depth_has_its_tones(make, name, arguments):
    path = make(name, "-colorspace", "Gray", *arguments)
    assert_same_colors(read_by_both(path), by_magick(path), mean=0.4, p99=1)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_scan_whose_white_is_zero_is_no_negative(tmp_path, depth):
    gray = in_gray().astype(np.uint16)
    stored = (255 - gray).astype(np.uint8) if depth == 8 else (65535 - gray * 257)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    assert_same_colors(read_by_both(tmp_path / "a.tif"), np.dstack([gray.astype(np.uint8)] * 3))


ALPHA = ["(", "-size", "160x120", "gradient:", ")", "-alpha", "off", "-compose", "CopyOpacity", "-composite"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.png", [*ALPHA]),
        ("a.png", [*ALPHA, "-define", "png:bit-depth=16"]),
        ("a.tif", [*ALPHA]),
        ("a.tif", [*ALPHA, "-depth", "16"]),
        ("a.tif", [*ALPHA, "-define", "tiff:alpha=associated"]),
        ("a.tif", [*ALPHA, "-define", "tiff:alpha=associated", "-depth", "16"]),
        ("a.webp", [*ALPHA, "-define", "webp:lossless=true"]),
        ("a.bmp", [*ALPHA]),
        ("a.png", ["-colorspace", "Gray", *ALPHA]),
        ("a.png", ["-colorspace", "Gray", *ALPHA, "-define", "png:bit-depth=16"]),
        ("a.tif", ["-colorspace", "Gray", *ALPHA]),
        ("png8:a.png", [*ALPHA, "-colors", "64"]),
        ("png8:a.png", ["-colors", "64"]),
        ("a.gif", ["-colors", "64"]),
        ("a.tif", ["-colors", "64", "-type", "Palette"]),
        ("bmp3:a.bmp", ["-colors", "64", "-type", "Palette"]),
        ("bmp3:a.bmp", ["-colors", "16", "-type", "Palette", "-compress", "RLE"]),
        ("a.bmp", ["-define", "bmp:subtype=RGB565"]),
        ("a.bmp", ["-define", "bmp:subtype=RGB555"]),
    ],
)
def test_alpha_is_laid_on_white_and_a_palette_has_its_colors(make, tmp_path, name, arguments):
    if ":" in name:
        kind, name = name.split(":")
        make(name.replace("a.", "b."), *arguments)
        magick(tmp_path / name.replace("a.", "b."), f"{kind}:{tmp_path / name}")
        path = tmp_path / name
    else:
        path = make(name, *arguments)
    assert_same_colors(read_by_both(path), by_magick(path), mean=0.6, p99=1.5)
    photo = photo_files.read_photo(path.read_bytes())
    if photo.alpha is not None:
        # Where hardly anything is left of colors multiplied by alpha, 8 bits tell no more.
        seen = photo.alpha > 0.7 * photo.alpha.max()
        off = np.abs(photo.gray / 257 - gray_level(by_magick(path, on_white=False)))
        assert off[seen].max() <= 1.5


@pytest.mark.parametrize("arguments", [ALPHA, ["-colorspace", "Gray", *ALPHA], ["-colors", "64"]])
def test_alpha_and_palettes_go_with_a_profile(make, arguments):
    gray = "Gray" in arguments
    options = ["-profile", profile("sgray.icc"), "-profile", profile("Gray-CIE_L.icc")] if gray else []
    path = make("a.png", *arguments, *options, icc=None if gray else profile("AdobeRGB1998.icc"))
    assert_same_colors(read_by_both(path), by_magick(path), mean=0.8, p99=2.5)


def test_a_gray_tone_of_16_bits_marked_as_transparent_comes_out_white():
    gray = np.repeat(np.arange(0, 4096, 64, dtype=np.uint16)[None], 8, axis=0) * 16
    written = io.BytesIO()
    Image.fromarray(gray).save(written, "PNG")
    content = written.getvalue()
    mark = b"tRNS" + struct.pack(">H", int(gray[0, 9]))
    chunk = struct.pack(">I", 2) + mark + struct.pack(">I", zlib.crc32(mark))
    at = content.index(b"IDAT") - 4
    read = read_by_both(content[:at] + chunk + content[at:])[..., 0]
    expected = ((gray.astype(int) + 128) // 257).astype(np.uint8)
    expected[:, 9] = 255
    assert np.array_equal(read, expected)
    photo = photo_files.read_photo(content[:at] + chunk + content[at:])
    assert photo.bits == 16
    assert np.array_equal(photo.gray, gray)
    assert np.array_equal(photo.alpha == 0, gray == gray[0, 9])


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("kind", ["unspecified", "assocalpha", "unassalpha"])
def test_a_fourth_channel_is_taken_for_what_the_file_says_it_is(tmp_path, kind, dtype, planar):
    top = np.iinfo(dtype).max
    alpha = np.tile(np.linspace(0.5, 1, 160), (120, 1))
    colors = SCENE / 255 * (alpha[..., None] if kind == "assocalpha" else 1)
    stored = (np.dstack([colors, alpha]) * top + 0.5).astype(dtype)
    planes = np.ascontiguousarray(np.moveaxis(stored, 2, 0))
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored if planar == "contig" else planes,
        photometric="rgb",
        planarconfig=planar,
        extrasamples=[kind],
    )
    photo = photo_files.read_photo((tmp_path / "a.tif").read_bytes())
    assert np.abs(photo.gray / 257 - gray_level(SCENE)).max() <= (2.1 if dtype == np.uint8 else 0.1)
    if kind == "unspecified":  # of infrared, as scanners give it
        assert photo.alpha is None
    else:
        assert np.array_equal(photo.alpha, stored[..., 3])


def test_a_tiff_of_16_bits_in_any_compression_is_read_in_silence(tmp_path, capfd):
    for compression in ("zlib", "lzw", "zstd", "lzma"):
        tifffile.imwrite(
            tmp_path / "a.tif", SCENE.astype(np.uint16) * 257, photometric="rgb", compression=compression
        )
        assert photo_files.read_photo((tmp_path / "a.tif").read_bytes()).bits == 16
    assert capfd.readouterr().err == ""


def test_a_photo_in_lab_has_its_colors(make):
    # In 8 bits a step of a or b is 1.
    assert_same_colors(read_by_both(make("a.tif", "-colorspace", "Lab")), SCENE, mean=1.5, p99=4)


@pytest.mark.parametrize(
    "options",
    [["-arithmetic"], ["-arithmetic", "-progressive"], ["-rgb"], ["-restart", "1"], ["-dct", "float"]],
)
def test_a_jpeg_of_any_coding_is_read(tmp_path, options):
    Image.fromarray(SCENE).save(tmp_path / "a.ppm")
    command = [tool("cjpeg"), "-quality", "98", "-sample", "1x1", *options]
    ran = subprocess.run([*command, "-outfile", tmp_path / "a.jpg", tmp_path / "a.ppm"], capture_output=True)
    if ran.returncode:
        pytest.skip(f"this cjpeg knows no {options[0]}")
    assert_same_colors(read_by_both(tmp_path / "a.jpg"), SCENE, mean=1.2, p99=4)


# ---- what is not read says so


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"photometric": "separated", "tags": {332: 2}},
            "other inks than those of CMYK is not supported",
        ),
        ({"photometric": 32845}, "colors are of the kind LOGLUV is not supported"),
        (
            {"photometric": 6, "tags": {530: (2, 2)}},
            "YCbCr with fewer colors than pixels, but no JPEG, is not",
        ),
        ({"photometric": "rgb", "sampleformat": 6}, "complex samples of 8 bits .RGB. is not supported"),
        ({"photometric": "rgb", "compression": 34661}, "compression JBIG is not supported"),
        ({"photometric": "rgb", "compression": 48}, "compression 48 is not supported"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_tiff_of_a_kind_that_is_not_read_says_what_it_is(options, words):
    photometric = {"rgb": 2, "separated": 5}.get(options["photometric"], options["photometric"])
    samples = 4 if photometric == 5 else 3
    tags = {
        256: 8, 257: 8, 258: (8,) * samples, 259: options.get("compression", 1), 262: photometric,
        277: samples, 278: 8, 339: (options.get("sampleformat", 1),) * samples, **options.get("tags", {}),
    }  # fmt: skip
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in (tags | {273: 0, 279: 64 * samples}).items():
        directory[tag] = value
    written = io.BytesIO()
    directory.save(written)
    for read in (read_rgb, photo_files.read_photo):
        with pytest.raises(PhotoError, match=words):
            read(written.getvalue() + bytes(64 * samples))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (in_gray().astype(np.float32), "floating-point values beyond 0..1; save it"),
        (np.full((9, 9), np.nan, np.float32), "some of its values are NaN; save it"),
        (in_gray().astype(np.int16) * 100, "values with a sign; save it"),
        (in_gray().astype(np.int32) * 100, "values with a sign; save it"),
    ],
)
def test_numbers_whose_white_cannot_be_told_are_refused_not_guessed(tmp_path, pixels, words):
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    for read in (read_rgb, lambda path: photo_files.read_photo(path.read_bytes())):
        with pytest.raises(PhotoError, match=words):
            read(tmp_path / "a.tif")


def test_a_jpeg_with_hardly_any_data_for_its_size_is_refused_before_it_is_decoded():
    written = io.BytesIO()
    Image.fromarray(SCENE[:16, :16]).save(written, "JPEG")
    content = bytearray(written.getvalue())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 13000, 13000)
    for read in (probe, read_rgb):
        with pytest.raises(PhotoError, match="too few bytes"):
            read(bytes(content))
    flat = io.BytesIO()
    Image.new("L", (3000, 2000), 128).save(flat, "JPEG", quality=1, optimize=True, progressive=True)
    assert read_by_both(flat.getvalue()).shape == (2000, 3000, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_hostile_files_are_refused_in_little_memory():
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.hostile_photos"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    grown, refused = map(int, ran.stdout.split())
    assert refused >= 20
    assert grown < 100, f"{grown} MiB"
