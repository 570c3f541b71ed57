"""The answers to searches, kept in the working cache: a live search is asked once, afterwards replayed.

An answer is a file ``<search>/<refresh>.json``, whole or not there. A search that failed leaves none, so the
next run asks again. Raising ``scrape.refresh`` asks anew, and the older answers stay in front.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ungray.system.files import whole_file

Answer = Sequence[tuple[str, str]]
"""The address of each photo and of the page that shows it, best first."""


def known(search: Path, *, upto: int) -> dict[int, Answer]:
    """Return the answers in the folder ``search`` by the refresh that asked for them, ``upto`` the last."""
    return {
        int(path.stem): [(url, page) for url, page in json.loads(path.read_text(encoding="utf-8"))]
        for path in search.glob("[0-9]*.json")
        if int(path.stem) <= upto
    }


def keep(search: Path, answer: Answer, *, refresh: int) -> None:
    """Write ``answer`` into the folder ``search``."""
    with whole_file(search / f"{refresh}.json") as partial:
        partial.write_text(json.dumps(answer, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def merged(answers: Mapping[int, Answer]) -> list[tuple[str, str]]:
    """Return all answers as one: older links keep their place, new ones follow."""
    links: dict[str, str] = {}
    for refresh in sorted(answers):
        for url, page in answers[refresh]:
            links.setdefault(url, page)
    return list(links.items())
