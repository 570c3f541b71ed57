"""A list of addresses: a text file with one per line, or a CSV file with a column ``url``."""

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
"""The columns of a CSV file; all but the first are optional."""

SHOWN = 80
"""The number of characters of a wrong line that an error shows."""


def gather(params: Params, raw: Path) -> Iterator[Link]:
    """Yield a link for each address in the file ``params.urls``; its rank is its position in its query.

    In a text file, empty lines and lines that start with # are ignored. The query of a photo without one is
    the file's name.

    Raises:
        UngrayError: the file is missing, not text, has other columns, contains no address, or has a wrong
            line.
    """
    params.check_environment()
    path = params.url_list()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UngrayError(
            f"scrape.urls: {path} is not text in UTF-8 ({error.reason}); save it as UTF-8"
        ) from None
    rows = dict(_rows_of_csv(text, path) if path.suffix.lower() == ".csv" else _rows_of_text(text))
    wrong = [
        f"line {line} ({_shown(row['url'])})" for line, row in rows.items() if not _is_web_address(row["url"])
    ]
    if wrong:
        raise UngrayError(
            f"scrape.urls: {path}: not a web address (http:// or https://): "
            f"{', '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if wrong[3:] else ''}; fix or remove them"
        )
    if not rows:
        raise UngrayError(f"scrape.urls: {path} lists no address; write one per line into it")
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
                    "columns; put quotes around a cell that contains a comma"
                )
            if any(cell.strip() for cell in cells):
                # not strict: cells at the end of a line may be left out
                named = zip(header, map(str.strip, cells), strict=False)
                yield reader.line_num, {"url": ""} | dict(named)
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise UngrayError(f"scrape.urls: {where} is not valid CSV ({error}); fix it") from None


def _shown(text: str) -> str:
    """Return ``text`` in quotes, truncated."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, url))
    except ValueError:
        return False
