"""Which models there are: DVC's experiments, branches and tags, the workspace, winners of searches, the base.

DVC is the registry; nothing is noted here. A model is known by the MD5 of its file, as DVC knows it: the same
file under several names is one model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem
from dvc.repo import Repo
from dvc.repo.experiments.serialize import ExpState
from dvc.repo.experiments.utils import exp_refs

from stages.evaluate.settings import flat
from ungray.errors import UngrayError
from ungray.imaging.duplicates import Hashes

MODEL, PREPARED, VERDICTS = "data/models/colorizer.safetensors", "data/prepared", "data/verdicts.csv"

SECTIONS = ("scrape", "filter", "prepare")
"""The sections of params.yaml that decide what a model learns from; `train` stands in the model's file."""

WINNERS = ".cache/tune/*/winner/trial-*.safetensors"
"""Where `tune` keeps the model of a search's best trial."""

HASHES = "train_hashes.npy"
"""In a base model's folder: the perceptual hashes of its train photos."""

ReadHashes = Callable[[], Hashes | None]


@dataclass(frozen=True)
class Source:
    """A model, or a folder of colorings.

    ``names`` are those under which it is known, the first one the most important. ``checksum`` is the MD5 of
    its file, or of the names and bytes of the colorings; empty if there is no file, and then ``missing`` says
    why. ``fetch`` takes an empty folder and returns the path of the model, there or elsewhere; it raises an
    UngrayError if the model cannot be had. ``settings`` are those of :data:`SECTIONS`, as text, by key.
    ``train_hashes`` returns the perceptual hashes of its train photos, uint64; None if they are not known.
    """

    names: tuple[str, ...]
    checksum: str
    fetch: Callable[[Path], Path]
    missing: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    train_hashes: ReadHashes = lambda: None

    @property
    def name(self) -> str:
        """All of its names, as text."""
        return " = ".join(self.names)


def of_repository(top: Path) -> tuple[list[Source], list[str]]:
    """Return the models of the workspace, of all branches and tags, and of the experiments on any commit.

    Also returned: the names of experiments that wait, run or failed, each with its state. An experiment whose
    model is neither in DVC's cache nor in a remote has a ``fetch`` that says so.

    Args:
        top: the root of the repository. If DVC and Git are not there, only the workspace's model is returned.
    """
    if not ((top / ".dvc").is_dir() and (top / ".git").exists()):
        return _of_workspace(top, None), []
    with Repo(str(top)) as repo:
        commits = sorted({info.baseline_sha for info in exp_refs(repo.scm) if info.baseline_sha})
        states = repo.experiments.show(revs=["HEAD", *commits], all_branches=True, all_tags=True)
    found: list[Source] = []
    pending: list[str] = []
    readers: dict[str, ReadHashes] = {}
    for state in states:
        if state.rev == "workspace":
            found += _of_workspace(top, state)
            continue
        found += _of_commit(top, state, readers, names=(state.name or state.rev[:7],))
        for one in state.experiments or []:
            (experiment,) = one.revs[:1]
            name = experiment.name or experiment.rev[:7]
            if one.executor is not None and one.executor.state != "success":
                pending.append(f"{name} ({one.executor.state})")
            else:
                found += _of_commit(top, experiment, readers, names=(name,), needs_model=True)
    return found, pending


def of_searches(top: Path) -> list[Source]:
    """Return the winners of the searches by ``python -m stages.tune`` whose model is on this machine."""
    return [
        of_file(path, f"search {path.parents[1].name[:4]}, trial {int(path.stem.removeprefix('trial-'))}")
        for path in sorted(top.glob(WINNERS))
    ]


def of_base(folder: Path) -> list[Source]:
    """Return the base model in ``folder``, if there is one."""
    path = folder / "colorizer.safetensors"
    if not path.is_file():
        return []
    return [replace(of_file(path, "base model"), train_hashes=partial(base_hashes, folder))]


def of_file(path: Path, name: str) -> Source:
    """Return the model at ``path``, or the folder of colorings there.

    Raises:
        UngrayError: there is nothing at ``path``.
    """
    if path.is_dir():
        return Source((name,), _folder_checksum(path), lambda _: path)
    if not path.is_file():
        raise UngrayError(f"{name}={path}: there is no such file or folder")
    return Source((name,), _checksum(path), lambda _: path)


def base_hashes(folder: Path) -> Hashes | None:
    """Return the perceptual hashes of the train photos of the base model in ``folder``; None if unknown."""
    path = folder / HASHES
    if not path.is_file():
        return None
    try:
        return np.load(path, allow_pickle=False).astype(np.uint64)
    except (ValueError, EOFError, OSError):
        raise UngrayError(f"{path} is damaged; `git checkout {path}` restores it") from None


def merged(sources: Iterable[Source]) -> list[Source]:
    """Return ``sources`` with those of one file joined under all of their names, which become unique.

    Two models of one name, as two experiments ``faster`` on different commits, are numbered.
    """
    by_checksum: dict[str, Source] = {}
    for number, source in enumerate(sources):
        key = source.checksum or f"missing {number}"
        if key in by_checksum:
            known = by_checksum[key]
            names = tuple(dict.fromkeys(known.names + source.names))
            # The workspace's params may have been changed since its model was trained.
            by_checksum[key] = replace(source if "workspace" in known.names else known, names=names)
        else:
            by_checksum[key] = source
    return list(_with_unique_names(by_checksum.values()))


def _with_unique_names(sources: Iterable[Source]) -> Iterator[Source]:
    taken: set[str] = set()
    for source in sources:
        name, number = source.name, 2
        while name in taken:
            name, number = f"{source.name} ({number})", number + 1
        taken.add(name)
        yield source if name == source.name else replace(source, names=(name,))


def _of_workspace(top: Path, state: ExpState | None) -> list[Source]:
    path = top / MODEL
    if not path.is_file():
        return []
    found = of_file(path, "workspace")
    if state is None:
        return [found]
    return [replace(found, settings=_settings(state), train_hashes=partial(_train_hashes, top, None))]


def _of_commit(
    top: Path,
    state: ExpState,
    readers: dict[str, ReadHashes],
    *,
    names: tuple[str, ...],
    needs_model: bool = False,
) -> list[Source]:
    """Return the model of a commit, if it has one; with ``needs_model`` a row that says that it has none.

    ``readers`` holds what reads the hashes of the train photos, by the checksum of data/prepared: many
    commits share one.
    """
    if state.data is None:
        why = state.error.msg if state.error else "DVC cannot read it"
        return [_missing(names, why)] if needs_model else []
    model, prepared = (state.data.outs.get(name) for name in (MODEL, PREPARED))
    if model is None or not model.hash:
        return [_missing(names, "it has no model")] if needs_model else []
    key = (prepared and prepared.hash) or state.rev
    reader = readers.setdefault(key, cache(partial(_train_hashes, top, state.rev)))
    fetch = partial(_fetch, top, state.rev)
    return [Source(names, model.hash, fetch, settings=_settings(state), train_hashes=reader)]


def _missing(names: tuple[str, ...], why: str) -> Source:
    def fetch(_: Path) -> Path:
        raise UngrayError(why)

    return Source(names, "", fetch, missing=" ".join(why.split()))


def _fetch(top: Path, rev: str, folder: Path) -> Path:
    """Copy the model of the commit ``rev`` to ``folder``, from DVC's cache or a remote."""
    path = folder / Path(MODEL).name
    try:
        DVCFileSystem(str(top), rev=rev).get_file(MODEL, str(path))
    except FileNotFoundError:
        raise UngrayError(
            "its file is neither in DVC's cache nor in a remote; `dvc push` where it was trained"
        ) from None
    except Exception as error:  # DVC and the clients of remotes raise any kind of error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UngrayError(f"its file cannot be fetched: {reason}") from None
    return path


def _train_hashes(top: Path, rev: str | None) -> Hashes | None:
    """Return the perceptual hashes of the train photos at ``rev``, None the workspace; None if unknown."""
    files = DVCFileSystem(str(top), rev=rev)
    try:
        index, verdicts = (_table(files, name) for name in (f"{PREPARED}/index.csv", VERDICTS))
        train = set(index.loc[index["split"] == "train", "photo"])
        phashes = verdicts.loc[verdicts["sha256"].str[:16].isin(train), "phash"]
        return np.array([int(phash, 16) for phash in phashes if phash], np.uint64)
    except Exception:  # not in the cache, damaged, or of a version that noted less: then it is unknown
        return None


def _table(files: DVCFileSystem, name: str) -> pd.DataFrame:
    with files.open(name) as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def _settings(state: ExpState) -> dict[str, str]:
    found = state.data.params.get("params.yaml", {}) if state.data else {}
    params: Mapping[str, Any] = found.get("data") or {}
    parts = [flat(section, params[section]) for section in SECTIONS if section in params]
    return {key: text for part in parts for key, text in part.items()}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _folder_checksum(folder: Path) -> str:
    found = hashlib.md5(usedforsecurity=False)
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        found.update(f"{path.name}\0{_checksum(path)}\0".encode("utf-8", "surrogateescape"))
    return found.hexdigest()
