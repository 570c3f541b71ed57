"""Prepared files kept in the working cache, so that a photo is decoded, resized and encoded once.

A file's name ends in the digest of its bytes, and it is used only after they were read and have that digest.
What a killed run left half-written, or what was damaged since, counts as not there and is made anew; so
nothing need be synced to disk, which takes longer than all the rest.

``data/prepared`` gets hard links, and so does DVC's cache (``cache.type`` in .dvc/config). DVC deletes the
output before the stage runs; after thousands of files were deleted for good, ext4 looks at each of them
again for every file that is created in the next minutes, which took three quarters of the stage's time. DVC
makes the links read-only; what is changed all the same no longer has its digest.
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
    """Return the folder for files that this code, these libraries and these ``params`` make."""
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
    """Return what a file is found by: 16 digits of its photo's checksum, and the view."""
    turned = f"_{params.rotation_border}{view.rotation:+}" if view.turned else ""
    return f"{photo}_{view.size}{turned}"


def place(folder: Path, key: str, digest: str, target: Path) -> bool:
    """Make the file of ``key`` appear as ``target``: a hard link, or a copy where the file system has none.

    Returns False, and makes nothing, if the file is not there or does not have its ``digest``.
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
    """Keep ``content`` under ``key``; return its digest."""
    digest = digest_of(content)
    # Never in place: a damaged one may be linked to, and a photo of a lost Dask worker is made by another one
    # while the lost one may still be at it. What a kill leaves is named after its photo: take_out finds it.
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
