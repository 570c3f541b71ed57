"""A photo whose owner wants it out: nothing of it is left, and nothing brings it back. With real DVC."""

import hashlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from stages.params import load_all
from stages.scrape import gather

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).parents[2]


def md5s(top):
    """MD5 to path of every file of a clone, DVC's cache and remote included, Git's own store left out."""
    files = [p for p in top.rglob("*") if p.is_file() and ".git" not in p.relative_to(top).parts]
    return {hashlib.md5(p.read_bytes()).hexdigest(): p for p in files}


def table(clone, name):
    return pd.read_csv(clone.path / name, dtype=str, keep_default_na=False)


def reencoded(source, target):
    with Image.open(source) as image:
        image.convert("RGB").resize((200, 200)).save(target, quality=80)


@pytest.fixture
def box(tmp_path_factory):
    """A person's folder of photos: the sample's, one from each photograph of a query."""
    top = tmp_path_factory.mktemp("box")
    scraped = top / "scraped"
    scraped.mkdir()
    params = load_all(ROOT / "params.yaml")["scrape"].model_copy(
        update={"source": "sample", "sample_crops": 2}
    )
    for attempt in gather.run(params, scraped):
        target = top / "photos" / attempt.query / f"holiday {attempt.sha256[:4]}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scraped / attempt.file, target)
    return top / "photos"


def test_taken_out_it_is_nowhere_and_does_not_come_back(tiny_clone, box):
    clone = tiny_clone
    clone.set(scrape__source="folder", scrape__folder=str(box), filter__min_chroma_p95=0.0)
    clone.run("dvc", "repro", "--force")
    clone.run("dvc", "push")
    clone.commit("ran")
    index = table(clone, "data/prepared/index.csv")
    # The two pieces of the cat overlap: one goes with the other.
    alone = index[(index["split"] == "train") & (index["query"] != "animals")]
    photo = alone.iloc[0]["photo"]
    row = table(clone, "data/manifest.csv").set_index("sha256").filter(regex=f"^{photo}", axis=0).iloc[0]
    own = box / row["url"]
    traces = [*clone.path.glob(f"data/*/**/{photo}*"), *clone.path.glob(f".cache/**/{photo}*")]
    assert len([path for path in traces if "prepared" in str(path)]) >= 2
    held = {hashlib.md5(path.read_bytes()).hexdigest() for path in traces}
    stored = {path.parent.name + path.name for path in clone.path.glob("data/remote/files/md5/*/*")}
    assert held & stored, "the remote had it"

    said = clone.run("python", "-m", "stages.scrape.take_out", f"data/raw/{row['file']}").stdout
    assert row["url"] in said, "the person's own file is named, and left"
    assert own.exists()
    # The same bytes under another name and in another folder, and the photo as a smaller JPEG.
    shutil.copy(own, box / "galaxy" / "another name.png")
    reencoded(own, box / "galaxy" / "copy.jpg")
    clone.run("dvc", "repro")

    assert not [path for path in clone.path.rglob(f"{photo}*") if ".git" not in path.parts]
    assert photo not in table(clone, "data/prepared/index.csv")["photo"].tolist()
    attempts = table(clone, "data/manifest.csv")
    refused = attempts[attempts["sha256"].str.startswith(photo)]
    assert len(refused) == 3
    assert set(refused["status"] + ": " + refused["reason"]) == {"refused: taken out"}
    assert set(refused["file"] + refused["url"] + refused["source_page"]) == {""}
    verdicts = table(clone, "data/verdicts.csv")
    assert photo not in "".join(verdicts["sha256"])
    assert not attempts["url"].str.endswith("copy.jpg").any()

    commands = re.findall(r"dvc gc .* --remote .*", said)
    assert [command.split()[-1] for command in commands] == ["bundled"]
    for command in commands:
        clone.run(*command.split(), "--force")
    clone.run("dvc", "push")
    clone.commit("a photo taken out")
    found = md5s(clone.path)
    left = {found[md5] for md5 in held & found.keys()}
    assert left == set()
    names = {path.parent.name + path.name for path in clone.path.rglob("files/md5/*/*")}
    assert held & names == set()
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro").stdout
    assert "in sync" in clone.run("dvc", "status", "--cloud").stdout


def test_what_names_no_photo_is_one_sentence(repro, command):
    done = command("stages.scrape.take_out", "https://photos.example/me.jpg", folder=repro.path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: https://photos.example/me.jpg is not a file, nor a checksum or URL")
    assert len(done.stderr.strip().splitlines()) == 1
    assert repro.run("git", "status", "--porcelain").stdout == ""


def test_its_help_shows_examples(command, tmp_path):
    shown = command("stages.scrape.take_out", "--help", folder=tmp_path).stdout
    assert "python -m stages.scrape.take_out" in shown
    assert "--dry-run" in shown
