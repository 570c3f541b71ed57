"""A list of addresses: a text file with one a line, or a CSV file with a column ``url``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from stages.scrape.params import Params
from stages.scrape.source import Link
from ungray.errors import UngrayError

COLUMNS = ("url", "query", "license", "source_page")
"""What a CSV file may hold of each photo; all but the first may be left out."""

SHOWN = 80
"""Letters of what is wrong in a list that an error shows."""


def gather(params: Params, raw: Path) -> Iterator[Link]:
    """Yield a link for each address in the file ``params.urls``, its rank being its place in its query.

    In a text file an empty line, or one that begins with #, is passed over. A photo without a query has the
    file's name as one.

    Raises:
        UngrayError: the file is not there, is no text, has other columns, holds no address, or a line is
        wrong.
    """
    params.check_environment()
    path = params.url_list()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UngrayError(
            f"scrape.urls: {path} is no text in UTF-8 ({error.reason}); save it as UTF-8"
        ) from None
    rows = dict(_rows_of_csv(text, path) if path.suffix.lower() == ".csv" else _rows_of_text(text))
    wrong = [
        f"line {line} ({_shown(row['url'])})" for line, row in rows.items() if not _is_web_address(row["url"])
    ]
    if wrong:
        raise UngrayError(
            f"scrape.urls: {path}: not a web address (http:// or https://): "
            f"{', '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if wrong[3:] else ''}; mend or remove them"
        )
    if not rows:
        raise UngrayError(f"scrape.urls: {path} lists no address; write one a line into it")
    ranks: Counter[str] = Counter()
    for row in rows.values():
        query = row.pop("query", "") or path.stem
        ranks[query] += 1
        yield Link(source="urls", query=query, rank=ranks[query], **row)


def _rows_of_text(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, {"url": line.strip()}


def _rows_of_csv(text: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if "url" not in header or set(header) - set(COLUMNS) or len(set(header)) < len(header):
            raise UngrayError(
                f"scrape.urls: {path} begins with {_shown(','.join(header))}; its first line must name its "
                f"columns: {', '.join(COLUMNS)}, of which only url is needed"
            )
        for cells in reader:
            if len(cells) > len(header):
                raise UngrayError(
                    f"scrape.urls: {path}, line {reader.line_num} has {len(cells)} cells under {len(header)} "
                    "columns; put quotes around a cell that holds a comma"
                )
            if any(cell.strip() for cell in cells):
                # not strict: cells at the end of a line may be left out
                named = zip(header, map(str.strip, cells), strict=False)
                yield reader.line_num, {"url": ""} | dict(named)
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise UngrayError(f"scrape.urls: {where} is no CSV ({error}); mend it") from None


def _shown(text: str) -> str:
    """Return ``text`` in quotes, at most its first letters."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, url))
    except ValueError:
        return False
