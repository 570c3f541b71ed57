"""What a results page of Bing says of photos, read out of whatever markup and JSON it consists of.

Bing describes each result by JSON in an attribute of an element: ``murl`` is the address of the photo,
``purl`` that of the page that shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from lxml import etree

DEEPEST = 512
"""Elements within each other; a browser's own limit. Beyond it, closing tags take longer and longer."""

STEP = 65536
"""Bytes that the parser is given at a time."""

MARK = '"murl"'
"""What an attribute that describes a result holds."""


def results(page: str) -> list[tuple[str, str]]:
    """Return the results that ``page`` shows, in order: address of the photo, and of the page that shows it.

    The second is empty where it is no web address. The first may be anything; it has been cleaned as browsers
    clean addresses.

    Raises:
        ValueError: the page is nested deeper than :data:`DEEPEST`.
    """
    described = _described(page)
    found = [(_address(_value(text, "murl")), _address(_value(text, "purl"))) for text in described]
    return [
        (photo, shown_by if re.match("https?://", shown_by, re.IGNORECASE) else "")
        for photo, shown_by in found
        if photo
    ]


class _Descriptions:
    """Takes what the parser comes upon, and keeps the attributes that describe a result; builds no tree."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.depth = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"a results page nested deeper than {DEEPEST} elements")
        self.texts += [text for text in attributes.values() if MARK in text]

    def end(self, tag: str) -> None:
        self.depth -= 1

    def close(self) -> list[str]:
        return self.texts


def _described(page: str) -> list[str]:
    if not page.strip():
        return []
    parser = etree.HTMLParser(target=_Descriptions(), encoding="utf-8")
    content = page.encode(errors="replace")
    for start in range(0, len(content), STEP):
        parser.feed(content[start : start + STEP])
    return parser.close()


def _value(text: str, name: str) -> str:
    """Return the text under ``name`` in the JSON object ``text``; empty if there is none."""
    try:
        described = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        # JSON cut short, in another dialect, or nested without end; the value alone may stand all the same.
        cut_out = re.search(rf'"{name}"\s*:\s*"((?:[^"\\]|\\.)*+)"', text, re.DOTALL)
        return _unescaped(cut_out[1]) if cut_out else ""
    value = described.get(name) if isinstance(described, dict) else None
    return value if isinstance(value, str) else ""


def _unescaped(text: str) -> str:
    try:
        return json.loads(f'"{text}"', strict=False)
    except ValueError:  # escapes that JSON does not have
        return text


def _address(text: str) -> str:
    """Return an address as browsers read it: without line ends and blanks around it, blanks in it encoded."""
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    text = re.sub("^[\0-\x20]+|[\0-\x20]+$|[\t\n\r]", "", text)
    return text.replace(" ", "%20")
