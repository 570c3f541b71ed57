"""A photo from the network, fetched as warily as the harvest fetches its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ungray import fetch
from ungray.errors import UngrayError
from ungray.imaging import photos

LIMITS = fetch.Limits(
    connections=1,
    connections_per_host=1,
    delay=0.0,
    attempts=3,
    timeout=15.0,
    deadline=120.0,
    max_bytes=200_000_000,
    max_pixels=photos.MAX_PIXELS,
    # Those tags ask to be left out of collections that models learn from; here one person looks at one photo.
    honor_opt_out=False,
)


def download(url: str, *, limits: fetch.Limits = LIMITS) -> bytes:
    """Return the photo at ``url``, a file of one of the formats of :mod:`ungray.imaging.photos`, as it came.

    Only http and https, and only public addresses, at every redirect anew; see :mod:`ungray.fetch`.

    Raises:
        UngrayError: there is no photo to be had; a few words say why.
    """
    with tempfile.TemporaryDirectory(prefix="colorize-", ignore_cleanup_errors=True) as folder:
        (outcome,) = fetch.fetch_all([url], limits=limits, store=Path(folder))
        if outcome.reason:
            raise UngrayError(outcome.reason)
        return fetch.blob_path(Path(folder), outcome.sha256).read_bytes()
