"""Remove photos for good, because their owner asked: nothing of them stays, and they are never kept again.

A PHOTO is a file of data/raw or data/prepared, any copy of it, its SHA-256 or the first 16 digits of that (as
in file names), or its URL in data/manifest.csv. Examples:

  python -m stages.scrape.take_out data/raw/people/1169fd9c1325a2c4.jpg --dry-run
  python -m stages.scrape.take_out 1169fd9c1325a2c4 https://example.org/me.jpg
  python -m stages.scrape.take_out from-the-mail.jpg --near      what looks like it, too
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

from stages.params import load_all
from stages.scrape import blocking, traces
from stages.scrape.blocking import Remembered
from stages.scrape.collection import Collection
from stages.storage import blocklist
from ungray.system.console import run_command
from ungray.system.terminal import Parser, tell

AFTERWARDS = """\
What is left to do:
  dvc repro                                     makes everything again from the other photos, the model too
{collect}
  dvc push; git add -A; git commit -m "Take out a photo"
`dvc gc --workspace` deletes from cache and remote everything that the files here do not use. That includes
what only other branches, tags and experiments use, since it may contain the photo. Git's history keeps what
was committed: {committed}; `git filter-repo` rewrites it.
Clones and models that others have cannot be reached from here: inform their owners."""


def main() -> None:
    """Run the command."""
    parser = Parser(
        prog="python -m stages.scrape.take_out",
        description=__doc__,
    )
    parser.add_argument("photos", nargs="+", metavar="PHOTO")
    parser.add_argument("--near", action="store_true", help="remove what looks like it, too")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, do nothing")
    options = parser.parse_args()

    def run() -> None:
        take_out(options.photos, near=options.near, dry_run=options.dry_run)
        if not options.dry_run:
            tell(*_afterwards().split("\n"))

    run_command(run)


def take_out(names: Sequence[str], *, near: bool, dry_run: bool) -> None:
    """Block the photos that ``names`` refer to, remove their traces, and print what was done.

    They are blocked before anything is removed: after an interruption they stay blocked, and the same command
    finishes the work.

    Raises:
        UngrayError: a name refers to no photo; then nothing is changed.
    """
    distance = load_all()["filter"].model_dump()["near_duplicate_distance"]
    collection = Collection.here(near_distance=distance)
    meant = set[str]().union(*(collection.meant(name, near=near) for name in names))
    alike = collection.alike(meant)
    if near:
        meant |= alike.keys()
        alike = {}
    found = traces.find(meant)
    if not dry_run:
        addresses = traces.addresses(meant)
        blocking.add({checksum: _remembered(collection, checksum, addresses) for checksum in meant})
        traces.remove(found, meant)
    would = "would be " if dry_run else ""
    rows = ", ".join(f"{count} of {path}" for path, count in found.rows.items()) or "none"
    tell(
        f"take_out: {', '.join(sorted(map(collection.title, meant)))}",
        f"  {would}blocked in {blocklist.BLOCKED}, by checksum, look and address",
        f"  {would}removed: {len(found.files)} files; rows: {rows} (the manifest's keep the checksum)",
        f"  {would}removed, since they may contain it: {len(found.pictures)} pictures, "
        f"{len(found.mixed)} folders of .cache or shards of data/prepared",
    )
    for picture in found.pictures:
        tell(f"  {would}removed, since it may show it: {picture}")
    for original in collection.originals(meant):
        tell(f"  not deleted, which is up to you: {original}")
    for checksum, why in alike.items():
        tell(f"  similar, still here: {collection.title(checksum)} ({why}); name it too, or add --near")


def _remembered(collection: Collection, checksum: str, addresses: Mapping[str, str]) -> Remembered:
    signature = collection.signature(checksum)
    phash = signature.phash if signature else collection.phashes.get(checksum, "")
    return Remembered(signature, phash, {url for url, other in addresses.items() if other == checksum})


def _afterwards() -> str:
    # Not `dvc remote list`, which wraps long lines.
    config = subprocess.run(
        [sys.executable, "-m", "dvc", "config", "--list"], capture_output=True, text=True, check=False
    ).stdout
    remotes = dict.fromkeys(re.findall(r"^remote\.(.+)\.url=", config, re.MULTILINE))
    commands = [f"  dvc gc --workspace --cloud --remote {name}" for name in remotes]
    tracked = subprocess.run(
        ["git", "ls-files", "data/remote"], capture_output=True, text=True, check=False
    ).stdout
    return AFTERWARDS.format(
        collect="\n".join(commands or ["  dvc gc --workspace"]),
        committed="older rows of data/manifest.csv with the photo's address"
        + (", and under data/remote the photo itself" if tracked else ""),
    )


if __name__ == "__main__":
    main()
