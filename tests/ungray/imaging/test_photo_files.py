"""Any photo in, colored files out: depth, transparency, EXIF data, profiles."""

import io
import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin
from skimage import data

from ungray.imaging import photo_files
from ungray.imaging.photos import PhotoError

PHOTO = cv2.resize(data.coffee(), (150, 100), interpolation=cv2.INTER_AREA)
GRAY = np.asarray(Image.fromarray(PHOTO).convert("L"))
DEEP = cv2.GaussianBlur(PHOTO.astype(np.uint16) * 257, (0, 0), 2)
Base = ExifTags.Base


def file(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def opened(content):
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def camera():
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Orientation], exif[Base.Copyright] = "Voigtländer".encode(), 6, "A. Nother"
    taken = {
        Base.DateTimeOriginal: "1957:10:04 19:28:34",
        Base.ExifImageWidth: 150,
        Base.ExifImageHeight: 100,
    }
    exif[ExifTags.IFD.Exif] = taken | {Base.ColorSpace: 65535, Base.UserComment: b"ASCII\0\0\0hello"}
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 12.0, 30.0)}
    return exif.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_of_any_kind_is_read_as_its_gray(mode):
    photo = photo_files.read_photo(file(Image.fromarray(PHOTO).convert(mode), "JPEG", quality=98))
    assert (photo.width, photo.height, photo.bits, photo.format) == (150, 100, 8, "jpg")
    assert photo.alpha is None
    assert np.abs(photo.gray / 257 - photo_files.from_array(PHOTO).gray / 257).mean() < 6


@pytest.mark.parametrize(
    ("mode", "format", "options", "expected"),
    [
        ("RGB", "JPEG", {"subsampling": 2}, 2),  # 4:2:0
        ("RGB", "JPEG", {"subsampling": 2, "exif": camera()}, 2),  # turned
        ("RGB", "JPEG", {"subsampling": 1}, 0),  # 4:4:4
        ("RGB", "JPEG", {"subsampling": 0}, 0),
        ("L", "JPEG", {}, 0),
        ("RGB", "PNG", {}, 0),
    ],
)
def test_a_jpeg_has_color_at_full_resolution_unless_the_photo_had_it_at_half(mode, format, options, expected):
    photo = photo_files.read_photo(file(Image.fromarray(PHOTO).convert(mode), format, **options))
    rgb = np.dstack([photo.gray // 257] * 3).astype(np.uint8)
    assert JpegImagePlugin.get_sampling(opened(photo_files.encode(photo, rgb, format="jpg"))) == expected


@pytest.mark.parametrize("band", [1, 1000, 10**6])
def test_gray_is_the_same_in_bands_of_any_height(monkeypatch, band):
    image = Image.fromarray(PHOTO).convert("CMYK")
    expected = photo_files.from_image(image).gray
    monkeypatch.setattr(photo_files, "BAND", band)
    np.testing.assert_array_equal(photo_files.from_image(image).gray, expected)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("pixels", [DEEP, DEEP[..., 0]], ids=["rgb", "gray"])
def test_16_bits_are_read_and_written(format, pixels):
    turned = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    content = cv2.imencode(".png" if format == "PNG" else ".tif", np.ascontiguousarray(turned))[1].tobytes()
    photo = photo_files.read_photo(content)
    assert photo.bits == 16
    np.testing.assert_array_equal(photo.gray, photo_files.from_array(pixels).gray)
    assert len(np.unique(photo.gray)) > 1000
    for kind in ("png", "tif"):
        again = photo_files.encode(photo, DEEP, format=kind)
        assert photo_files.read_photo(again).bits == 16
        np.testing.assert_array_equal(photo_files.read_photo(again).gray, photo_files.from_array(DEEP).gray)
    written = tifffile.imread(io.BytesIO(photo_files.encode(photo, DEEP, format="tif")))
    np.testing.assert_array_equal(written, DEEP)
    for kind in ("jpg", "webp"):
        assert opened(photo_files.encode(photo, DEEP, format=kind)).mode == "RGB"


@pytest.mark.parametrize("format", ["png", "tif", "webp"])
@pytest.mark.parametrize("source", ["RGBA", "LA", "P"])
def test_alpha_is_kept(format, source):
    alpha = np.tile(np.linspace(0, 255, 150).astype(np.uint8), (100, 1))
    if source == "P":
        alpha = np.where(alpha > 127, 255, 0).astype(np.uint8)
        image = Image.fromarray(np.where(alpha > 0, GRAY // 2 + 100, 0).astype(np.uint8)).convert("P")
        content = file(image, "PNG", transparency=0)
    else:
        image = Image.fromarray(GRAY if source == "LA" else PHOTO)
        image.putalpha(Image.fromarray(alpha))
        content = file(image, "PNG")
    photo = photo_files.read_photo(content)
    found = opened(photo_files.encode(photo, PHOTO, format=format, quality=100))
    assert found.mode == "RGBA"
    assert np.abs(np.asarray(found)[..., 3].astype(int) - alpha).max() <= (1 if format == "webp" else 0)


def test_a_jpeg_has_no_alpha_and_gets_white():
    photo = photo_files.from_array(np.dstack([PHOTO, np.zeros((100, 150), np.uint8)]))
    assert np.asarray(opened(photo_files.encode(photo, PHOTO, format="jpg"))).min() > 250


def test_alpha_of_16_bits_is_kept():
    deep = np.dstack([DEEP, DEEP[..., 1]])
    photo = photo_files.read_photo(cv2.imencode(".png", cv2.cvtColor(deep, cv2.COLOR_RGBA2BGRA))[1].tobytes())
    assert photo.alpha.dtype == np.uint16
    written = cv2.imdecode(
        np.frombuffer(photo_files.encode(photo, DEEP, format="png"), np.uint8), cv2.IMREAD_UNCHANGED
    )
    np.testing.assert_array_equal(cv2.cvtColor(written, cv2.COLOR_BGRA2RGBA), deep)


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_data_is_kept_and_the_photo_is_upright_once(source, target):
    content = file(Image.fromarray(PHOTO), source, exif=camera())
    photo = photo_files.read_photo(content)
    assert (photo.width, photo.height) == (100, 150)
    upright = np.ascontiguousarray(np.rot90(PHOTO, -1))
    assert np.abs(photo.gray / 257 - photo_files.from_array(upright).gray / 257).mean() < 6
    found = opened(photo_files.encode(photo, upright, format=target))
    assert found.size == (100, 150)
    exif = found.getexif()
    taken = exif.get_ifd(ExifTags.IFD.Exif)
    assert exif[Base.Orientation] == 1
    assert exif[Base.Make] == opened(content).getexif()[Base.Make]
    assert exif[Base.Make].encode("latin-1") == "Voigtländer".encode() or source == "TIFF"  # Pillow's: ASCII
    assert exif[Base.Copyright] == "A. Nother"
    assert taken[Base.DateTimeOriginal] == "1957:10:04 19:28:34"
    assert taken[Base.UserComment] == b"ASCII\0\0\0hello"
    assert (taken[Base.ExifImageWidth], taken[Base.ExifImageHeight], taken[Base.ColorSpace]) == (100, 150, 1)
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (48.0, 12.0, 30.0)
    assert Base.StripOffsets not in exif or target == "tif"


@pytest.mark.parametrize("turn", range(1, 9))
def test_16_bits_are_set_upright_as_8_are(turn):
    exif = Image.Exif()
    exif[Base.Orientation] = turn
    flat = photo_files.read_photo(file(Image.fromarray(GRAY), "PNG", exif=exif))
    deep = photo_files.read_photo(file(Image.fromarray(GRAY.astype(np.uint16) * 257), "PNG", exif=exif))
    assert (flat.bits, deep.bits) == (8, 16)
    np.testing.assert_array_equal(flat.gray, deep.gray)


def test_a_thumbnail_is_dropped():
    thumbnail = file(Image.fromarray(PHOTO).resize((30, 20)), "JPEG")
    first = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x31\x01\x02\0\x04\0\0\0abc\0" + b"\x1a\0\0\0"
    second = b"\x02\0" + b"\x01\x02\x04\0\x01\0\0\0\x38\0\0\0"
    second += b"\x02\x02\x04\0\x01\0\0\0" + len(thumbnail).to_bytes(4, "little") + b"\0\0\0\0"
    content = file(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0" + first + second + thumbnail)
    assert content.count(b"\xff\xd8\xff") == 2
    assert opened(content).getexif().get_ifd(ExifTags.IFD.IFD1)
    written = photo_files.encode(photo_files.read_photo(content), PHOTO, format="jpg")
    assert written.count(b"\xff\xd8\xff") == 1
    assert opened(written).getexif()[Base.Software] == "abc"
    assert not opened(written).getexif().get_ifd(ExifTags.IFD.IFD1)


def test_damaged_exif_data_is_dropped_and_the_photo_read():
    content = file(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + bytes(40))
    photo = photo_files.read_photo(content)
    assert photo.width == 150
    assert opened(photo_files.encode(photo, PHOTO, format="jpg")).size == (150, 100)


@pytest.mark.parametrize("format", ["jpg", "png", "webp", "tif"])
def test_what_is_written_is_tagged_srgb(format):
    content = photo_files.encode(photo_files.from_array(GRAY), PHOTO, format=format, quality=100)
    assert content == photo_files.encode(photo_files.from_array(GRAY), PHOTO, format=format, quality=100)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(opened(content).info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    lossless = format in ("png", "tif")
    assert np.abs(np.asarray(opened(content)).astype(int) - PHOTO).max() <= (0 if lossless else 60)


PACKET = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
  xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
  xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" tiff:Make="Voigtl\xc3\xa4nder" tiff:Orientation="6"
  exif:PixelXDimension="150" xmp:Rating="4" hdrgm:Version="1.0">
  <xmp:Thumbnails><rdf:Alt><rdf:li>/9j/4AAQ</rdf:li></rdf:Alt></xmp:Thumbnails>
  <tiff:ImageWidth>150</tiff:ImageWidth>
  <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Gro\xc3\x9fmutter &amp; Kind</rdf:li></rdf:Alt></dc:title>
</rdf:Description></rdf:RDF></x:xmpmeta>

<?xpacket end="w"?>"""


def with_xmp(packet, format):
    if format == "PNG":  # Pillow writes none
        metadata = PngImagePlugin.PngInfo()
        metadata.add_itxt("XML:com.adobe.xmp", packet.decode())
        return file(Image.fromarray(PHOTO), "PNG", pnginfo=metadata)
    if format == "TIFF":
        return file(Image.fromarray(PHOTO), "TIFF", tiffinfo={700: packet})
    return file(Image.fromarray(PHOTO), format, xmp=packet)


def exiftool(content, tmp_path, *options):
    """What exiftool finds in a file, by name; the group before it where an option asks for it."""
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not installed")
    (tmp_path / "photo").write_bytes(content)
    command = ["exiftool", "-json", "-n", *options, tmp_path / "photo"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_is_kept_but_for_what_is_no_longer_so(tmp_path, source, target):
    photo = photo_files.read_photo(with_xmp(PACKET, source))
    assert (photo.width, photo.height) == (100, 150), "the orientation in XMP counts where EXIF has none"
    written = photo_files.encode(photo, PHOTO.swapaxes(0, 1).copy(), format=target)
    found = opened(written)
    packet = found.info["xmp"]
    assert "Großmutter &amp; Kind" in packet.decode()
    assert 'tiff:Make="Voigtländer"' in packet.decode()
    for gone in (
        b"Thumbnails",
        b"9j/4AAQ",
        b"Orientation",
        b"ImageWidth",
        b"PixelXDimension",
        b"hdrgm:Version",
    ):
        assert gone not in packet
    assert found.size == ImageOps.exif_transpose(found).size == (100, 150)
    tags = exiftool(written, tmp_path, "-XMP:all")
    assert (tags["Title"], tags["Rating"], tags["Make"]) == ("Großmutter & Kind", 4, "Voigtländer")
    assert "Orientation" not in tags
    assert "Warning" not in exiftool(written, tmp_path)


@pytest.mark.parametrize(
    "packet",
    [
        b"junk",
        b"<a/>",
        PACKET[:400],
        b"<a>" * 5000 + b"</a>" * 5000,
        PACKET.replace(b"Kind", bytes(300_000)),
        b'<!DOCTYPE a [<!ENTITY b "' + b"c" * 1000 + b'">]>' + PACKET.replace(b"Kind", b"&b;"),
        PACKET.replace(b"Kind", b"k" * 70_000),
    ],
    ids=["junk", "other XML", "cut", "nested", "zeros", "entities", "long"],
)
def test_xmp_that_is_damaged_or_too_long_for_a_jpeg_is_dropped_and_the_photo_read(packet):
    photo = photo_files.read_photo(with_xmp(packet, "TIFF"))
    for format in ("jpg", "png", "webp", "tif"):
        assert "xmp" not in opened(photo_files.encode(photo, PHOTO, format=format)).info


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("source", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "turned"])
def test_the_resolution_is_kept_in_exif_and_in_the_files_own_header(tmp_path, source, target):
    exif = Image.Exif()
    exif[Base.XResolution], exif[Base.YResolution], exif[Base.ResolutionUnit] = 300, 600, 2
    options = {"exif": exif} if source == "WEBP" else {"dpi": (300, 600)}
    across, down = 300, 600
    if source == "turned":
        turn = Image.Exif()
        turn[Base.Orientation] = 6
        options["exif"] = turn
        across, down = 600, 300
    photo = photo_files.read_photo(
        file(Image.fromarray(PHOTO), "JPEG" if source == "turned" else source, **options)
    )
    rgb = np.zeros((photo.height, photo.width, 3), np.uint8)
    written = photo_files.encode(photo, rgb, format=target)
    tags = exiftool(written, tmp_path, "-G")
    assert tags["EXIF:XResolution"] == pytest.approx(across, abs=0.02)
    assert tags["EXIF:YResolution"] == pytest.approx(down, abs=0.02)
    assert tags["EXIF:ResolutionUnit"] == 2
    if target == "jpg":
        assert [tags[f"JFIF:{side}Resolution"] for side in "XY"] == [across, down]
    if target == "png":
        meters = [tags[f"PNG:PixelsPerUnit{side}"] * 0.0254 for side in "XY"]
        assert meters == pytest.approx([across, down], abs=0.02)
    assert "ExifTool:Warning" not in tags
    if target != "webp":
        assert opened(written).info["dpi"] == pytest.approx((across, down), abs=0.02)


def test_a_resolution_in_centimeters_stays_so_in_exif_and_is_one_in_inches_in_the_header():
    exif = Image.Exif()
    exif[Base.XResolution], exif[Base.YResolution], exif[Base.ResolutionUnit] = 100, 100, 3
    found = opened(
        photo_files.encode(
            photo_files.read_photo(file(Image.fromarray(PHOTO), "WEBP", exif=exif)), PHOTO, format="jpg"
        )
    )
    assert (found.info["jfif_unit"], found.info["jfif_density"]) == (1, (254, 254))
    assert (found.getexif()[Base.XResolution], found.getexif()[Base.ResolutionUnit]) == (100, 3)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP"])
def test_a_photo_of_no_resolution_gets_none(source):
    exif = Image.Exif()
    exif[Base.Make] = "Agfa"
    for options in ({}, {"exif": exif}):
        photo = photo_files.read_photo(file(Image.fromarray(PHOTO), source, **options))
        assert photo.metadata.dpi is None
        assert Base.XResolution not in opened(photo_files.encode(photo, PHOTO, format="png")).getexif()
        assert opened(photo_files.encode(photo, PHOTO, format="jpg")).info["jfif_unit"] == 0


@pytest.mark.parametrize("bad", [(0, 0), (1e9, 300), (float("nan"), 300)])
def test_a_resolution_that_is_none_is_left_out(bad):
    image = Image.fromarray(PHOTO)
    image.info["dpi"] = bad
    assert photo_files.from_image(image).metadata.dpi is None


@pytest.mark.parametrize("target", ["jpg", "png", "webp", "tif"])
def test_exif_data_has_the_types_of_the_standard(tmp_path, target):
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Orientation], exif[Base.YCbCrPositioning] = "Agfa", 6, 1
    exif[Base.XResolution], exif[Base.YResolution], exif[Base.ResolutionUnit] = 72, 72, 2
    exif[ExifTags.IFD.Exif] = {
        Base.ExifVersion: b"0232",
        Base.FlashPixVersion: b"0100",
        Base.ComponentsConfiguration: b"\1\2\3\0",
        Base.UserComment: b"ASCII\0\0\0hello",
        Base.MakerNote: b"Agfa\0 of its own kind",
        Base.SceneType: b"\1",
        Base.FileSource: b"\3",
        Base.ShutterSpeedValue: TiffImagePlugin.IFDRational(13, 2),
        Base.ExposureBiasValue: TiffImagePlugin.IFDRational(1, 2),
        Base.ExifImageWidth: 150,
        Base.ExifImageHeight: 100,
        Base.ColorSpace: 1,
    }
    exif[ExifTags.IFD.GPSInfo] = {0: b"\2\3\0\0", 1: "N", 2: (48.0, 12.0, 30.0), 27: b"ASCII\0\0\0GPS"}
    photo = photo_files.read_photo(file(Image.fromarray(PHOTO), "JPEG", exif=exif))
    written = photo_files.encode(photo, PHOTO.swapaxes(0, 1).copy(), format=target)
    metadata = exiftool(written, tmp_path, "-validate", "-warning", "-a", "-G4")
    assert not [said for said in metadata.values() if "Non-standard" in str(said)]
    taken = opened(written).getexif().get_ifd(ExifTags.IFD.Exif)
    assert taken[Base.MakerNote] == b"Agfa\0 of its own kind"
    assert taken[Base.ExposureBiasValue] == 0.5


def linear_profile():
    linear = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    at = linear.index(b"para")
    count = linear.count(b"para")
    assert count >= 1
    linear[at : at + 16] = b"curv" + bytes(4) + b"\0\0\0\0" + linear[at + 12 : at + 16]  # a line: no gamma
    return bytes(linear)


def test_a_profile_is_converted_before_the_photo_is_gray():
    bright = photo_files.read_photo(file(Image.fromarray(PHOTO), "PNG", icc_profile=linear_profile())).gray
    assert bright.mean() > 1.2 * photo_files.from_array(PHOTO).gray.mean()


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "gray"])
def test_a_profile_counts_with_16_bits_as_with_8(kind):
    linear = linear_profile()
    deep = {"RGB": DEEP, "RGBA": np.dstack([DEEP, DEEP[..., :1]]), "gray": DEEP[..., 1]}[kind]
    stream = io.BytesIO()
    more = {"extrasamples": ["unassalpha"]} if kind == "RGBA" else {}
    photometric = "minisblack" if kind == "gray" else "rgb"
    tifffile.imwrite(stream, deep, photometric=photometric, iccprofile=linear, **more)
    photo = photo_files.read_photo(stream.getvalue())
    shallow = Image.fromarray((deep // 257).astype(np.uint8)).convert("RGB")
    expected = photo_files.read_photo(file(shallow, "PNG", icc_profile=linear)).gray
    assert photo.bits == 16
    assert np.abs(photo.gray.astype(int) - expected).mean() < 257
    assert len(np.unique(photo.gray)) > 1.5 * len(np.unique(expected)), "with all of its 16 bits"
    if kind == "RGBA":
        np.testing.assert_array_equal(photo.alpha, DEEP[..., 0])


def test_a_profile_that_is_damaged_or_for_other_photos_changes_nothing():
    plain = photo_files.from_array(DEEP).gray
    gray_only = bytearray(linear_profile())
    gray_only[16:20] = b"GRAY"
    for profile in (b"no profile", bytes(gray_only), linear_profile()[:200]):
        stream = io.BytesIO()
        tifffile.imwrite(stream, DEEP, photometric="rgb", iccprofile=profile)
        np.testing.assert_array_equal(photo_files.read_photo(stream.getvalue()).gray, plain)


@pytest.mark.parametrize("content", [b"", b"no photo", file(Image.fromarray(PHOTO), "PNG")[:3000]])
def test_what_is_no_photo_is_refused(content):
    with pytest.raises(PhotoError):
        photo_files.read_photo(content)


def test_a_format_that_cannot_hold_the_photo_says_so():
    long = photo_files.from_array(np.zeros((2, 17000), np.uint8))
    with pytest.raises(Exception, match=r"17000x2 cannot be written as webp.*use png or tif"):
        photo_files.encode(long, np.zeros((2, 17000, 3), np.uint8), format="webp")
    with pytest.raises(Exception, match="format gif cannot be written; use jpg, png, webp, tif"):
        photo_files.encode(long, np.zeros((2, 17000, 3), np.uint8), format="gif")
