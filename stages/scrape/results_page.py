"""Parses a results page of Bing, tolerating broken markup and JSON.

Bing describes each result with JSON in an attribute of an element: ``murl`` is the address of the photo,
``purl`` that of the page that shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from lxml import etree

DEEPEST = 512
"""The deepest nesting of elements, which is also the limit of browsers; beyond it, parsing gets slow."""

STEP = 65536
"""The number of bytes that are passed to the parser at a time."""

MARK = '"murl"'
"""Attributes that describe a result contain this text."""


def results(page: str) -> list[tuple[str, str]]:
    """Return the results on ``page``, in order: the address of the photo, and that of the page that shows it.

    The second is empty if it is no web address. The first may be anything; it is normalized as browsers do
    it.

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
    """A parser target that collects the attributes that describe a result, and builds no tree."""

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
        # The JSON is truncated, invalid, or nested too deeply; the value alone may still be intact.
        cut_out = re.search(rf'"{name}"\s*:\s*"((?:[^"\\]|\\.)*+)"', text, re.DOTALL)
        return _unescaped(cut_out[1]) if cut_out else ""
    value = described.get(name) if isinstance(described, dict) else None
    return value if isinstance(value, str) else ""


def _unescaped(text: str) -> str:
    try:
        return json.loads(f'"{text}"', strict=False)
    except ValueError:  # invalid escapes
        return text


def _address(text: str) -> str:
    """Return an address as browsers normalize it: stripped, without line ends, with spaces encoded."""
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    text = re.sub("^[\0-\x20]+|[\0-\x20]+$|[\t\n\r]", "", text)
    return text.replace(" ", "%20")
