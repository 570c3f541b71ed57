"""What a source of photos is. A new one is one small module and one line in ``gather.SOURCES``.

The module has a function ``gather(params, raw)`` that yields something for each photo it knows of:

- an :class:`~stages.scrape.manifest.Attempt`, made by ``manifest.keep``, where it has the bytes at hand,
- or a :class:`Link`, where it knows an address only. Links are downloaded for it, by ``downloads``: in
  parallel, politely, with nothing that comes back trusted, and once only.

A whole source, with one line ``"pairs": pairs.gather`` in ``SOURCES`` and one word in ``Params.source``::

    def gather(params: Params, raw: Path) -> Iterator[Link]:
        for rank, url in enumerate(Path(params.pairs).read_text().split(), start=1):
            yield Link(source="pairs", query="pairs", rank=rank, url=url)

What all sources share is done for them: photos that were taken out are refused, the same bytes twice in a
query are kept once, the rows are sorted and written.
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
    """The address of a photo that is to be downloaded; its fields are those of the row it becomes.

    ``rank`` is its place in the answer to ``query``, from 1; ``source_page`` the page that shows the photo.
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
"""``gather(params, raw)`` of a source: ``raw`` is the folder below which ``manifest.keep`` writes photos."""
