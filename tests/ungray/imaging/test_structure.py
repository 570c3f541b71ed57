import io
import struct
import time

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from tests import costly_photos as costly
from ungray.imaging import photo_files, structure
from ungray.imaging.photos import PhotoError, probe, read_rgb


@pytest.mark.parametrize("name", costly.FILES)
def test_a_small_file_that_costs_much_is_refused_before_it_is_decoded(name):
    content = costly.FILES[name]()
    for read in (probe, read_rgb, photo_files.read_photo):
        start = time.process_time()
        with pytest.raises(PhotoError, match=r"^damaged: "):
            read(content)
        assert time.process_time() - start < 1


def encoded(kind, **options):
    written = io.BytesIO()
    Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(written, kind, **options)
    return written.getvalue()


def test_what_a_few_cost_that_many_would_is_read():
    """The limits are where no camera, scanner or editor goes."""
    for content in (
        costly.jpeg_with_exif(15),
        costly.png_with(costly.chunk(b"eXIf", costly.directory(15))),
        costly.webp_with_exif(15),
        *(costly.with_exif(kind, 15) for kind in ("AVIF", "HEIF", "JXL")),
        costly.psd_with_exif(15),
        costly.tiff_of_one_tile(1024),
        costly.jpeg_of_segments(4000),
        costly.progressive_jpeg(80, size=(256, 256)),
        costly.png_of_profiles(2),
    ):
        assert read_rgb(content).ndim == 3


def test_a_scan_is_counted_where_it_is_one_and_not_in_a_thumbnail_or_behind_the_end():
    thumbnails = costly.segment(0xE5, b"\xff\xda" * 30_000)
    plain = costly.encoded("JPEG")
    for content in (plain[:2] + thumbnails + plain[2:], plain + b"\xff\xda\0\2" * 1000):
        assert structure.objection(content) == ""
        assert read_rgb(content).shape == (16, 16, 3)
    assert structure.objection(costly.progressive_jpeg(120, size=(64, 64))) != ""


def test_restarts_and_filling_are_no_segments():
    plain = encoded("JPEG", quality=95, restart_marker_blocks=1)
    assert plain.count(b"\xff\xd0") > 1
    filled = plain.replace(b"\xff\xda", b"\xff" * 50_000 + b"\xda", 1)
    for content in (plain, filled):
        assert structure.objection(content) == ""
    assert (read_rgb(filled) == read_rgb(plain)).all()


def test_a_profile_in_many_parts_many_rows_a_strip_and_tiny_chunks_pass():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(5_000_000)
    assert structure.objection(encoded("JPEG", icc_profile=profile)) == ""
    rows = io.BytesIO()
    tifffile.imwrite(rows, np.zeros((20_000, 4), np.uint8), rowsperstrip=1)
    assert structure.objection(rows.getvalue()) == ""
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages, bigtiff=True) as writer:
        for _ in range(200):
            writer.write(np.zeros((4, 4), np.uint8))
    assert structure.objection(pages.getvalue()) == ""
    png = encoded("PNG")
    at = png.index(b"IDAT") - 4
    size = int.from_bytes(png[at : at + 4], "big")
    body = png[at + 8 : at + 8 + size]
    tiny = b"".join(costly.chunk(b"IDAT", body[n : n + 1]) for n in range(len(body)))
    tiny = png[:at] + tiny + png[at + 12 + size :]
    assert structure.objection(tiny) == ""
    assert (read_rgb(tiny) == read_rgb(png)).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_a_directory_is_understood_in_either_byte_order_and_size(order, big):
    written = io.BytesIO()
    with tifffile.TiffWriter(written, bigtiff=big, byteorder=order) as writer:
        writer.write(np.zeros((16, 16), np.uint8), extratags=[(0xC001, "H", 200_000, [1] * 200_000, True)])
    plain = written.getvalue()
    assert structure.objection(plain) == ""
    # The same entry three thousand times, as long as there is no other room than the end of the file.
    entry = struct.pack(order + ("HHQQ" if big else "HHII"), 0xC001, 3, 200_000, 64)
    count = struct.pack(order + ("Q" if big else "H"), 3000)
    link = struct.pack(order + ("Q" if big else "I"), len(plain))
    at = 8 if big else 4
    assert structure.objection(plain[:at] + link + plain[at + len(link) :] + count + entry * 3000) != ""


def test_damaged_directories_are_no_reason_to_refuse():
    """What EXIF data says is left out where it is damaged; see test_photos."""
    loop = struct.pack("<HHIIHHII", 0x8769, 4, 1, 8, 0x9286, 7, 0xFFFFFFF0, 0)
    for exif in (
        b"II*\0\x08\0\0\0\x02\0" + loop + bytes(4),
        b"II*\0\xff\xff\xff\xff",
        b"II",
        b"",
        b"MM\0*" + b"\xff" * 99,
    ):
        assert structure.objection(costly.png_with(costly.chunk(b"eXIf", exif))) == ""


def test_chunks_without_end_are_refused():
    many = costly.png_with(costly.chunk(b"tEXt", b"a\0b") * 6000)
    empty = costly.png_with(costly.chunk(b"IDAT", b"") * 9000)
    assert structure.objection(many) == "damaged: a PNG of more than 5,000 chunks"
    assert structure.objection(empty) == "damaged: a PNG of too many chunks for its bytes"


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_file_cut_anywhere_is_looked_at_without_a_fault(cut):
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
        assert structure.objection(encoded(kind)[:cut]) == ""
