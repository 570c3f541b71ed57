"""What is read in an answer's headers and body."""

import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from stages.fetch.responses import STEP, Unpacking, opt_out, seconds_to_wait


@pytest.mark.parametrize(("encoding", "window_bits"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
@pytest.mark.parametrize("part", [1, 100, 100_000])
@pytest.mark.parametrize("length", [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP, 3 * STEP + 249])
def test_a_packed_body_comes_out_whole_in_small_pieces(encoding, window_bits, part, length):
    packer = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    packed = packer.compress(bytes(length)) + packer.flush()
    unpacking = Unpacking(encoding)
    parts = (packed[start : start + part] for start in range(0, len(packed), part))
    pieces = [piece for packed_part in parts for piece in unpacking.pieces(packed_part)]
    unpacking.check_end()
    assert b"".join(pieces) == bytes(length)
    assert max(map(len, pieces)) <= STEP


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        *(("0", 0), ("120", 120), (" 7 ", 7), ("", 0), ("soon", 0), ("-5", 0), ("1.5", 0), ("1e3", 0)),
        *(("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 99 Oct 2015", 0), ("9" * 5000, float("inf"))),
    ],
)
def test_retry_after_is_read_or_ignored(header, seconds):
    assert seconds_to_wait(header) == seconds


def test_retry_after_as_a_date_is_the_time_until_then():
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3590 < seconds_to_wait(then) <= 3600


@pytest.mark.parametrize(
    ("lines", "tag"),
    [
        ([], ""),
        (["all"], ""),
        (["nofollow, noarchive"], ""),
        (["noai"], "noai"),
        (["noimageai"], "noimageai"),
        (["noindex"], "noindex"),
        (["noimageindex"], "noimageindex"),
        (["none"], "none"),
        (["nofollow,NoAI"], "noai"),
        (["nofollow", "noimageindex"], "noimageindex"),
        (["googlebot: noindex"], ""),
        (["googlebot: noindex, nofollow, noai"], ""),
        (["googlebot: noindex", "noai"], "noai"),
        (["ungray: noindex"], "noindex"),
        (["Ungray : nofollow, noai"], "noai"),
        (["googlebot: noindex, ungray: noai"], "noai"),
        (["unavailable_after: 25 Jun 2035 15:00:00 PST, noai"], "noai"),
        (["unavailable_after: Wed, 25 Jun 2035 15:00:00 GMT"], ""),
        (["max-image-preview:large, noindex"], "noindex"),
        (["max-snippet: 20"], ""),
        (["noaim, noindexing"], ""),
    ],
)
def test_a_host_opts_out_by_its_tags_for_all_and_for_us_not_by_those_for_another_bot(lines, tag):
    assert opt_out(httpx.Headers([("X-Robots-Tag", line) for line in lines])) == tag
