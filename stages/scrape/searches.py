"""The answers to searches in the working cache: a live search runs once and is replayed afterward.

An answer is a file ``<search>/<refresh>.json``, written atomically. A failed search leaves no file, so the
next run repeats it. Raising ``scrape.refresh`` searches again; the older answers stay in front.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ungray.system.files import whole_file

Answer = Sequence[tuple[str, str]]
"""The address of each photo and of the page that shows it, best first."""


def load(search: Path, *, upto: int) -> dict[int, Answer]:
    """Return the answers in the folder ``search`` by ``scrape.refresh``, up to and including ``upto``."""
    return {
        int(path.stem): [(url, page) for url, page in json.loads(path.read_text(encoding="utf-8"))]
        for path in search.glob("[0-9]*.json")
        if int(path.stem) <= upto
    }


def save(search: Path, answer: Answer, *, refresh: int) -> None:
    """Write ``answer`` to the folder ``search``."""
    with whole_file(search / f"{refresh}.json") as partial:
        partial.write_text(json.dumps(answer, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def merged(answers: Mapping[int, Answer]) -> list[tuple[str, str]]:
    """Return all answers merged: older links keep their position, new ones follow."""
    links: dict[str, str] = {}
    for refresh in sorted(answers):
        for url, page in answers[refresh]:
            links.setdefault(url, page)
    return list(links.items())
