"""What is read in an answer's headers and body."""

import contextlib
import gzip
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from tests.properties import example, given, st
from ungray.fetch.responses import STEP, FetchError, Unpacking, opt_out, seconds_to_wait


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
        *(("Sun Nov  6 08:49:37 1994", 0), ("Wed, 21 Oct 20150000000000000000 07:28:00 GMT", 0)),
        *(("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 99 Oct 2015", 0), ("9" * 5000, float("inf"))),
    ],
)
def test_retry_after_is_read_or_ignored(header, seconds):
    assert seconds_to_wait(header) == seconds


def test_retry_after_as_a_date_is_the_time_until_then():
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3590 < seconds_to_wait(then) <= 3600


@pytest.mark.parametrize(
    ("lines", "rule"),
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
        (["noml"], "noml"),
        (["index, follow, NoML"], "noml"),
        (["max-image-preview: none"], ""),
        (["max-image-preview:none, noarchive"], ""),
        (["max-video-preview: -1, max-snippet: 0, noai"], "noai"),
        (["googlebot: max-image-preview: none, noindex"], ""),
        (["googlebot: max-snippet: 5, noai"], ""),
        (["googlebot: unavailable_after: Wed, 25 Jun 2035 15:00:00 GMT, noindex"], ""),
        (["googlebot/2.1: noindex, noai"], ""),
        (["Some Bot: noindex, noai"], ""),
        (["ungray/1.0: nofollow, noai"], "noai"),
        (["ungray: max-snippet: 5, noai"], "noai"),
        (["*: noai"], "noai"),
        (["googlebot: noindex, *: noimageai"], "noimageai"),
        ([": noai", "googlebot: noml"], "noai"),
        (["noai;"], "noai"),
        (["nofollow; noimageai"], "noimageai"),
        (['"nofollow, noai"'], "noai"),
        (["'googlebot: noindex; noai'"], ""),
        (['ungray: "noai"'], "noai"),
    ],
)
def test_a_host_opts_out_by_its_rules_for_all_and_for_us_not_by_those_for_another_bot(lines, rule):
    wish = opt_out(httpx.Headers([("X-Robots-Tag", line) for line in lines]))
    assert wish == (f"X-Robots-Tag: {rule}" if rule else "")


@pytest.mark.parametrize(
    ("values", "reserved"),
    [
        *(([], False), (["0"], False), (["1"], True), ([" 1 "], True), (["0", "1"], True), (["0, 1"], True)),
        *((["10"], False), (["true"], False), ([""], False)),
        *((['"1"'], True), (['1; policy="https://example.com/"'], True), (["0; 1"], False)),
    ],
)
def test_a_host_opts_out_by_the_tdm_reservation_protocol(values, reserved):
    headers = httpx.Headers([("TDM-Reservation", value) for value in values])
    assert opt_out(headers) == ("tdm-reservation: 1" if reserved else "")


@given(st.lists(st.tuples(st.sampled_from(["X-Robots-Tag", "tdm-reservation"]), st.binary(max_size=60))))
def test_opting_out_is_decided_whatever_the_headers_hold(lines):
    opt_out(httpx.Headers([(name.encode(), value) for name, value in lines]))


@given(st.text(max_size=60) | st.from_regex(r"\w{0,4},? ?\d{1,25} \w{3} \d{1,25} [\d:]{0,12} ?[-+]?\w{0,9}"))
@example("Wed, 21 Oct 20150000000000000000 07:28:00 GMT")
@example("Wed, 21 Oct 2015 07:28:00 +99999999999999999999")
def test_retry_after_is_a_number_of_seconds_whatever_it_says(header):
    assert seconds_to_wait(header) >= 0


@pytest.mark.parametrize("part", [1, 7, 100_000])
@pytest.mark.parametrize("members", [[b"a" * 10], [b"a" * STEP, b"b"], [b"", b"a", b"", b"b" * 3 * STEP]])
@pytest.mark.parametrize("behind", [b"", bytes(512), b"what else"])
def test_a_gzip_of_several_members_comes_out_whole_and_padding_is_no_part_of_it(part, members, behind):
    packed = b"".join(map(gzip.compress, members)) + behind
    unpacking = Unpacking("x-gzip")
    parts = (packed[start : start + part] for start in range(0, len(packed), part))
    pieces = [piece for packed_part in parts for piece in unpacking.pieces(packed_part)]
    unpacking.check_end()
    assert b"".join(pieces) == b"".join(members)
    assert max(map(len, pieces)) <= STEP


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]), st.integers(1, 50))
def test_a_body_of_any_bytes_is_unpacked_or_refused(content, encoding, part):
    for packed in (content, gzip.compress(content) + content, zlib.compress(content) + content):
        unpacking = Unpacking(encoding)
        with contextlib.suppress(FetchError):
            for start in range(0, len(packed), part):
                assert all(len(piece) <= STEP for piece in unpacking.pieces(packed[start : start + part]))
            unpacking.check_end()


@given(st.text(max_size=30))
def test_a_content_encoding_of_any_words_is_learnt_or_refused(words):
    with contextlib.suppress(FetchError):
        assert Unpacking(words).encoding in ("", "gzip", "deflate")
