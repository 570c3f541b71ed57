"""Prepared files kept in the working cache, so that a photo is decoded, resized and encoded once.

A file's name ends in the digest of its bytes, and it is used only after they were read and have that digest.
What a killed run left half-written, or what was damaged since, counts as not there and is made anew; so
nothing need be synced to disk, which takes longer than all the rest.

``data/prepared`` gets copies. With hard links, what is done to a photo there would be done to the cache, and
nothing is won: DVC replaces them by copies when it takes the stage's output over (ran, with DVC 3.67).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL

from stages import cache, photos
from stages.files import sha256
from stages.prepare import geometry, views
from stages.prepare.params import Params
from stages.prepare.views import View


def folder(params: Params) -> Path:
    """Return the folder for files that this code, these libraries and these ``params`` make."""
    code = cache.code_fingerprint(*[Path(str(module.__file__)) for module in (geometry, photos, views)])
    libraries = [cv2.__version__, np.__version__, PIL.__version__]
    return cache.folder("prepare", cache.fingerprint(code, libraries, params.fit, params.jpeg_quality))


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file in ``folder`` by its key; see :func:`key`."""
    names = (path.stem.rpartition(".") for path in sorted(folder.iterdir()))
    return {key: digest for key, _, digest in names}


def key(photo: str, view: View, params: Params) -> str:
    """Return what a file is found by: 16 digits of its photo's checksum, and the view."""
    turned = f"_{params.rotation_border}{view.rotation:+}" if view.turned else ""
    return f"{photo}_{view.size}{turned}"


def read(folder: Path, key: str, digest: str) -> bytes | None:
    """Return the file of ``key``, None if it is not there or does not have its ``digest``."""
    try:
        content = _path(folder, key, digest).read_bytes()
    except FileNotFoundError:
        return None
    return content if digest_of(content) == digest else None


def write(folder: Path, key: str, content: bytes) -> str:
    """Keep ``content`` under ``key``; return its digest."""
    digest = digest_of(content)
    _path(folder, key, digest).write_bytes(content)
    return digest


def _path(folder: Path, key: str, digest: str) -> Path:
    return folder / f"{key}.{digest}.jpg"


def digest_of(content: bytes) -> str:
    """Return the first 16 digits of the SHA-256 of ``content``."""
    return sha256(content)[:16]
