"""Train photos in shards: tar archives in WebDataset's layout, read from a folder or an object store.

``prepare`` writes them where ``prepare.shard_photos`` is over 0; data/prepared/index.csv names each photo's
shard. One is fetched whole, by fsspec, which knows folders, http(s), S3, GCS and DVC's own remotes.
Nothing that was fetched is trusted: every photo must have the digest that the index gives it.

WebDataset and LitData are not used to read them: with neither does a stopped training go on exactly where it
was without their workers' state being kept; WebDataset's authors advise against trying
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
"""So often a shard is asked for; between two attempts are 1, 2, 4, 8 seconds."""

FINAL = (FileNotFoundError, PermissionError, ImportError)
"""What no further attempt mends."""

WAY_OUT = (
    "`dvc pull data/prepared` fetches shards and index.csv, `dvc repro --force prepare` makes them anew; "
    "where machine.stream names another place, copy the shards of this data/prepared there"
)


class Shards:
    """The shards of the photos ``train``, rows of index.csv, at ``address``.

    ``address`` is a folder or what else fsspec opens: https://host/folder, s3://bucket/folder ...

    Raises:
        UngrayError: ``train`` has no shards, or nothing is known that opens such an address.
    """

    def __init__(self, train: pd.DataFrame, address: str) -> None:
        if "shard" not in train:
            raise UngrayError(
                f"machine.stream is {address}, but data/prepared/index.csv knows no shards; set "
                "prepare.shard_photos, or empty machine.stream in params.yaml"
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
                "that fsspec knows; `pip install -e '.[s3]'` or '.[gs]' brings what s3:// and gs:// want"
            ) from None

    def names(self) -> list[str]:
        """Return the names of all shards, sorted."""
        return sorted(self._digests)

    def read(self, name: str) -> dict[str, bytes]:
        """Return the JPEG files in the shard ``name``, by their names in the index. Threads may call it.

        Raises:
            UngrayError: it is missing, damaged, cannot be fetched, or is not the one of the index.
        """
        content = self._fetch(name)
        members = _members(content)
        digests = self._digests[name]
        found = {file: members.get(PurePosixPath(file).name, b"") for file in digests}
        right = sum(sha256(photo)[:16] == digests[file] for file, photo in found.items())
        if right < len(digests):
            raise UngrayError(
                f"the shard {self._address}/{name} is damaged or of another index.csv ({right} of its "
                f"{len(digests)} photos are as they should be); {WAY_OUT}"
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
            raise UngrayError(f"the shard {self._address}/{name} is not there; {WAY_OUT}") from None
        except Exception as error:  # the clients of object stores raise anything
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UngrayError(
                f"the shard {self._address}/{name} cannot be fetched ({reason}); see to it and start again: "
                "what was done is not lost"
            ) from None


def _members(content: bytes) -> dict[str, bytes]:
    """Return the files of a tar archive by name, those before the damage if it is damaged."""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                members[member.name] = content[member.offset_data : member.offset_data + member.size]
    except Exception:  # of damaged and hostile archives tarfile raises more than its own errors
        return members
    return members
