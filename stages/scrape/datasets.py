"""Finds the files of a public data set: downloaded by torchvision, or in an existing folder."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from stages.scrape.params import Params
from stages.storage import cache
from stages.storage.tables import cell
from ungray.errors import UngrayError
from ungray.system.files import whole_file, whole_folder
from ungray.system.terminal import FULL


@dataclass(frozen=True)
class DataSet:
    """A data set of torchvision.

    Attributes:
        source: its name in params.yaml.
        folder: the folder that contains it in its original format.
        downloads: URLs with their MD5.
        unpack_into: the folder for unpacked archives and other files.
        checksums: the MD5 of files below ``folder``, which are checked in every run.
    """

    source: str
    folder: str
    downloads: Sequence[tuple[str, str]]
    unpack_into: str
    checksums: Mapping[str, str]


def find(data_set: DataSet, params: Params) -> Path:
    """Return the folder with ``data_set``: the one that ``scrape.dataset_folder`` names, else a download.

    It is downloaded to ``.cache/datasets`` only once: a complete archive is not fetched again, and incomplete
    unpacking is repeated. The checksums of a folder named by the user are not verified.

    Raises:
        UngrayError: the folder does not contain it, or the download failed or gave other files.
    """
    if params.dataset_folder:
        named = params.dataset_path()
        for path in (named / data_set.folder, named):
            if path.name == data_set.folder and path.is_dir():
                return path
        raise UngrayError(
            f"scrape.dataset_folder: {params.dataset_folder} contains no folder {data_set.folder}; name the "
            f"folder that does, or leave it empty to download {data_set.source}"
        )
    # It takes seconds to import, and other sources don't need it.
    from torchvision.datasets.utils import check_integrity

    store = cache.folder("datasets", data_set.source)
    folder = store / "unpacked" / data_set.folder
    with FileLock(store / "lock"):  # of two concurrent runs, the second one uses the download of the first
        if not all(check_integrity(folder / name, md5) for name, md5 in data_set.checksums.items()):
            with _give_up_after(params.timeout):
                archives = [_download(url, md5, data_set, store) for url, md5 in data_set.downloads]
            with whole_folder(store / "unpacked") as unpacked:
                for archive in archives:
                    _unpack(archive, unpacked / data_set.unpack_into)
            for archive in archives:
                archive.unlink()
    return folder


def _download(url: str, md5: str, data_set: DataSet, store: Path) -> Path:
    from torchvision.datasets.utils import check_integrity, download_url

    path = store / url.rsplit("/", 1)[-1]
    way_out = (
        f"get {path.name} in another way, unpack it, and set scrape.dataset_folder in params.yaml to the "
        f"folder that contains {data_set.folder}"
    )
    try:
        if not check_integrity(path, md5):
            with whole_file(path) as partial:
                download_url(url, store, filename=partial.name, md5=md5)
    except (OSError, HTTPException, RecursionError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        reason = cell(str(getattr(error, "reason", error)))[:200] or type(error).__name__
        raise UngrayError(f"{url} cannot be downloaded ({reason}); check the network, or {way_out}") from None
    except RuntimeError:  # torchvision raises this for a wrong MD5
        raise UngrayError(
            f"{url} gave another file than torchvision expects, or an incomplete one (MD5 {md5} expected), "
            f"and it was deleted; run it again, or {way_out}"
        ) from None
    return path


def _unpack(path: Path, target: Path) -> None:
    from torchvision.datasets.utils import extract_archive

    target.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".gz", ".tgz"):
        extract_archive(path, target)  # refuses members outside of the target
    else:
        (target / path.name).write_bytes(path.read_bytes())


@contextmanager
def _give_up_after(seconds: float) -> Iterator[None]:
    """Wait for a silent server no longer than ``seconds``; torchvision itself waits forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
