"""Accept code changes that do not change outputs: dvc.lock gets the current code without a training.

Each stage that differs from dvc.lock only in its code runs twice, with the earlier code and the current code,
on the sample or on 40 photos of the collection, with params.yaml reduced to 30 training steps. If all outputs
have the same bytes, `dvc commit` puts the current code into dvc.lock. Any other stage is named, with the
reason, and left to `dvc repro`; the exit code is then 1. Equal bytes on a few photos are strong evidence, but
not proof.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.accept.trial import Side, finish, first_difference, take_photos
from stages.params import load_all, read_yaml
from ungray.errors import UngrayError
from ungray.system.console import run_command
from ungray.system.files import sha256
from ungray.system.terminal import Parser, tell

CODE = "stages/"
MANIFEST, RAW = "data/manifest.csv", "data/raw"


def main() -> None:
    """Try the stages whose code changed, and commit those whose outputs have the same bytes."""
    Parser(prog="python -m stages.accept", description=__doc__).parse_args()
    load_all()
    pipeline = read_yaml(Path("dvc.yaml"))["stages"]
    status = _status(Path())
    if not status.keys() & pipeline.keys():
        tell("accept: nothing to do; dvc.lock is up to date with the code")
        return
    refused = {stage: reason for stage in pipeline if (reason := _other_change(stage, status.get(stage, [])))}
    code = _code()
    tried = [stage for stage in pipeline if stage in status and stage not in refused]
    found: dict[str, str] = {}
    if tried:
        Path(".cache").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="accept-", dir=".cache") as folder:
            found = _try(tried, pipeline, Path(folder).resolve())
    accepted = [stage for stage, reason in found.items() if not reason]
    if _code() != code:
        raise UngrayError("accept: stages/ changed during the trial; nothing was committed, run it again")
    if accepted:
        done = _run("dvc", "commit", "--force", *accepted)
        if done.returncode:
            raise UngrayError(f"accept: dvc commit failed: {done.stderr.strip().splitlines()[-1]}")
        tell(f"accept: dvc.lock is updated to today's code of {', '.join(accepted)}")
    refused |= {stage: reason for stage, reason in found.items() if reason}
    for stage in pipeline:
        if stage in refused:
            tell(f"accept: {stage} is left to `dvc repro`: {refused[stage]}")
    if refused:
        sys.exit(1)


def _try(tried: list[str], pipeline: dict[str, Any], folder: Path) -> dict[str, str]:
    """Run all stages up to the last one of ``tried``; for each of these, return how it differs, or "".

    Each stage gets the outputs of the earlier code, so that a stage that differs does not affect later ones.
    """
    lock = read_yaml(Path("dvc.lock"))["stages"]
    made = {name for stage in pipeline for name in _outputs(pipeline[stage])}
    listed = {dep["path"] for entry in lock.values() for dep in entry.get("deps", [])}
    inputs = {name for name in listed - made if not name.startswith(CODE)}
    before, now = (Side(folder / name, inputs=inputs) for name in ("before", "now"))
    from_sample = read_yaml(Path("params.yaml"))["scrape"]["source"] == "sample"
    if not from_sample:
        take_photos(now.folder, Path(MANIFEST), Path(RAW))
    found = {}
    stages = list(pipeline)
    for stage in stages[: stages.index(tried[-1]) + 1]:
        outputs = _outputs(pipeline[stage])
        if stage == "scrape" and not from_sample:
            before.take(outputs, now)
            if stage in tried:
                found[stage] = "its photos are not the sample; that run takes them from the cache"
            continue
        earlier = _earlier_code(stage, lock[stage], folder) if stage in tried else None
        if stage in tried and earlier is None:
            found[stage] = "no commit has the code that dvc.lock names; commit code and dvc.lock together"
        tell(f"accept: trying {stage}" if earlier else f"accept: running {stage}")
        running = [now.start(stage, Path.cwd())]
        if earlier:
            running.append(before.start(stage, earlier))
        errors = finish(running)
        if earlier is None:
            if errors[0]:
                raise UngrayError(f"accept: {stage} fails in the trial ({errors[0]}); nothing was committed")
            before.take(outputs, now)
            continue
        if errors[1]:
            raise UngrayError(
                f"accept: {stage} fails with its earlier code ({errors[1]}); nothing was committed"
            )
        found[stage] = f"it fails: {errors[0]}" if errors[0] else ""
        found[stage] = found[stage] or first_difference(outputs, before.folder, now.folder)
        now.take(outputs, before)
    return found


def _earlier_code(stage: str, entry: dict[str, Any], folder: Path) -> Path | None:
    """Return a checkout, in ``folder``, of the code that made ``entry`` of dvc.lock; None if not found."""
    made_at = ""
    for commit in _git("log", "--format=%H", "--", "dvc.lock").split():
        if _lock_of(commit).get(stage) != entry:
            break
        made_at = commit
    made_at = made_at or _git("rev-parse", "HEAD").strip()
    checkout = folder / made_at
    if not checkout.exists():
        _git("clone", "--quiet", "--shared", "--no-checkout", ".", str(checkout))
        _git("-C", str(checkout), "checkout", "--quiet", made_at, "--", ".", ":!data", ":!reports")
        shutil.copy2("dvc.lock", checkout)
    others = _names(_status(checkout).get(stage, []))
    return None if any(name.startswith(CODE) for name in others) else checkout


@cache
def _lock_of(commit: str) -> dict[str, Any]:
    return YAML(typ="safe").load(_git("show", f"{commit}:./dvc.lock"))["stages"]


def _other_change(stage: str, entries: list[Any]) -> str:
    """Return what besides code makes ``stage`` stale, from ``entries`` of ``dvc status``; "" if nothing."""
    others = sorted(name for name in _names(entries) if not name.startswith(CODE))
    return f"besides its code, {' and '.join(others[:3])} changed" if others else ""


def _names(entries: list[Any]) -> list[str]:
    """Return what ``dvc status --json`` lists for a stage: files, and others such as "command"."""
    names: list[str] = []
    for entry in entries:
        if not isinstance(entry, dict):
            names.append(str(entry).removeprefix("changed "))
            continue
        for files in entry.values():
            for name, change in files.items():
                names.append(f"{name} ({', '.join(change)})" if isinstance(change, dict) else name)
    return names


def _outputs(stage: dict[str, Any]) -> list[str]:
    """Return the paths of all outputs of a stage of dvc.yaml."""
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return [name for out in listed for name in ([out] if isinstance(out, str) else out)]


def _code() -> str:
    """Return a checksum of all files of ``stages/``."""
    files = sorted(
        path for path in Path(CODE).rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    return sha256("".join(f"{path} {sha256(path.read_bytes())}\n" for path in files).encode())


def _status(checkout: Path) -> dict[str, Any]:
    done = _run("dvc", "status", "--json", cwd=checkout)
    if done.returncode:
        raise UngrayError(f"accept: dvc status failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def _git(*arguments: str) -> str:
    done = _run("git", *arguments)
    if done.returncode:
        raise UngrayError(f"accept: git {arguments[0]} failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    run_command(main)
