"""The interface of photo sources. A new source is one small module and one line in ``gather.SOURCES``.

The module has a function ``gather(params, raw)``, which yields for each photo:

- an :class:`~stages.scrape.manifest.Attempt`, made by ``manifest.keep``, if it has the photo's bytes,
- or a :class:`Link`, if it only has an address. ``downloads`` fetches links in parallel, politely, without
  trusting the response, and only once.

A complete source, with one line ``"pairs": pairs.gather`` in ``SOURCES`` and one word in ``Params.source``::

    def gather(params: Params, raw: Path) -> Iterator[Link]:
        for rank, url in enumerate(Path(params.pairs).read_text().split(), start=1):
            yield Link(source="pairs", query="pairs", rank=rank, url=url)

For all sources, ``gather`` refuses blocked photos, keeps files with the same bytes only once per query, and
sorts the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.scrape.manifest import Attempt
from stages.scrape.params import Params
from stages.storage import tables


@dataclass(frozen=True, kw_only=True)
class Link:
    """The address of a photo to download; its fields are copied to its row in the manifest.

    ``rank`` is its position in the results of ``query``, from 1; ``source_page`` is the page that shows it.
    """

    source: str
    query: str
    rank: int
    url: str
    source_page: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        tables.clean_row(self)


Source = Callable[[Params, Path], Iterator[Attempt | Link]]
"""The function ``gather(params, raw)`` of a source; ``manifest.keep`` writes to the folder ``raw``."""
