"""Train photos in shards: tar archives in WebDataset's layout, read from a folder or an object store.

``prepare`` writes shards if ``prepare.shard_photos`` is over 0; data/prepared/index.csv names each photo's
shard. A shard is fetched whole with fsspec, which supports folders, http(s), S3, GCS and DVC's own remotes.
Fetched data is not trusted: every photo must have the digest that the index gives it.

WebDataset and LitData are not used to read shards. With either, an interrupted training resumes at exactly
the same batch only if the state of their workers is saved, and WebDataset's authors advise against trying
(https://github.com/webdataset/webdataset/issues/177).
"""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath

import fsspec
import pandas as pd
from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_exponential

from ungray.errors import UngrayError
from ungray.system.files import sha256

ATTEMPTS = 5
"""How often a shard is requested; the waits between attempts are 1, 2, 4 and 8 seconds."""

FINAL = (FileNotFoundError, PermissionError, ImportError)
"""Errors that another attempt would not fix."""

WAY_OUT = (
    "`dvc pull data/prepared` fetches shards and index.csv, `dvc repro --force prepare` makes them again; "
    "if machine.stream names another place, copy the shards of this data/prepared there"
)


class Shards:
    """The shards of the photos ``train``, rows of index.csv, at ``address``.

    ``address`` is a folder or any address that fsspec opens: https://host/folder, s3://bucket/folder ...

    Raises:
        UngrayError: ``train`` has no shards, or fsspec cannot open the address.
    """

    def __init__(self, train: pd.DataFrame, address: str) -> None:
        if "shard" not in train:
            raise UngrayError(
                f"machine.stream is {address}, but data/prepared/index.csv lists no shards; set "
                "prepare.shard_photos, or clear machine.stream in params.yaml"
            )
        self._address = address.rstrip("/")
        self._digests = {
            str(name): dict(zip(rows["file"], rows["digest"], strict=True))
            for name, rows in train.groupby("shard")
        }
        try:
            self._files, self._folder = fsspec.core.url_to_fs(self._address)
        except (ValueError, ImportError) as error:
            raise UngrayError(
                f"machine.stream is {address}, which cannot be opened ({error}); name a folder or an address "
                "that fsspec supports; s3:// needs `pip install -e '.[s3]'`, and gs:// needs '.[gs]'"
            ) from None

    def names(self) -> list[str]:
        """Return the names of all shards, sorted."""
        return sorted(self._digests)

    def read(self, name: str) -> dict[str, bytes]:
        """Return the JPEG files in the shard ``name``, by their names in the index. Thread-safe.

        Raises:
            UngrayError: it is missing, damaged, cannot be fetched, or does not match the index.
        """
        content = self._fetch(name)
        members = _members(content)
        digests = self._digests[name]
        found = {file: members.get(PurePosixPath(file).name, b"") for file in digests}
        right = sum(sha256(photo)[:16] == digests[file] for file, photo in found.items())
        if right < len(digests):
            raise UngrayError(
                f"the shard {self._address}/{name} is damaged or belongs to another index.csv ({right} of "
                f"its {len(digests)} photos match); {WAY_OUT}"
            )
        return found

    def _fetch(self, name: str) -> bytes:
        attempts = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(),
            retry=retry_if_not_exception_type(FINAL),
            reraise=True,
        )
        try:
            return attempts(self._files.cat_file, f"{self._folder}/{name}")
        except FileNotFoundError:
            raise UngrayError(f"the shard {self._address}/{name} is missing; {WAY_OUT}") from None
        except Exception as error:  # the clients of object stores raise any kind of error
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UngrayError(
                f"the shard {self._address}/{name} cannot be fetched ({reason}); fix that and start again; "
                "progress is kept"
            ) from None


def _members(content: bytes) -> dict[str, bytes]:
    """Return the files of a tar archive by name; of a damaged one, those before the damage."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                members[member.name] = content[member.offset_data : member.offset_data + member.size]
    except Exception:  # for damaged and hostile archives, tarfile raises more than its own errors
        return members
    return members
