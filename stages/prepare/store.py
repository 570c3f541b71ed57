"""Prepared files kept in the working cache, so that a photo is decoded, resized and encoded only once.

A file's name ends in the digest of its bytes, and the digest is checked before the file is used. A file that
a killed run left half-written, or that was damaged later, counts as missing and is made again. So no file
needs to be synced to disk, which would take longer than all the rest.

``data/prepared`` gets hard links, and so does DVC's cache (``cache.type`` in .dvc/config). The reason: DVC
deletes the output before the stage runs, and for minutes after the last link of thousands of files is gone,
ext4 checks each of their inodes again for every file that is created. That took three quarters of the
stage's time. DVC makes the links read-only; a file that is changed nevertheless no longer has its digest.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from stages.prepare import geometry, views
from stages.prepare.params import Params
from stages.prepare.views import View
from stages.storage import cache
from ungray.imaging import photos
from ungray.system.files import sha256


def folder(params: Params) -> Path:
    """Return the folder for the files that this code, these libraries and these ``params`` produce."""
    modules = [Path(str(module.__file__)) for module in (geometry, views)]
    code = cache.code_fingerprint(*modules, *photos.CODE)
    libraries = [version(name) for name in photos.LIBRARIES]
    return cache.folder(
        "prepare", cache.fingerprint(code, libraries, params.enlarge, params.fit, params.jpeg_quality)
    )


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file in ``folder`` by its key; see :func:`key`."""
    names = (path.stem.rpartition(".") for path in sorted(folder.iterdir()))
    return {key: digest for key, _, digest in names}


def key(photo: str, view: View, params: Params) -> str:
    """Return the key of a file: 16 digits of its photo's checksum, and the view."""
    turned = f"_{params.rotation_border}{view.rotation:+}" if view.turned else ""
    return f"{photo}_{view.size}{turned}"


def link(folder: Path, key: str, digest: str, target: Path) -> bool:
    """Hard-link the file of ``key`` to ``target``; copy it if the file system has no hard links.

    Returns False, and creates nothing, if the file is missing or does not have its ``digest``.
    """
    path = _path(folder, key, digest)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    if digest_of(content) != digest:
        return False
    try:
        target.hardlink_to(path)
    except OSError:
        target.write_bytes(content)
    return True


def write(folder: Path, key: str, content: bytes) -> str:
    """Store ``content`` under ``key``; return its digest."""
    digest = digest_of(content)
    # Never written in place: a damaged file may have other links, and a photo of a Dask worker that is
    # believed lost may be written by two workers at once. The temporary name starts with the photo's key, so
    # that take_out finds what a killed run left behind.
    path = _path(folder, key, digest)
    unfinished = folder / f".{path.stem}.{uuid4().hex}"
    unfinished.write_bytes(content)
    unfinished.replace(path)
    return digest


def _path(folder: Path, key: str, digest: str) -> Path:
    return folder / f"{key}.{digest}.jpg"


def digest_of(content: bytes) -> str:
    """Return the first 16 digits of the SHA-256 of ``content``."""
    return sha256(content)[:16]
