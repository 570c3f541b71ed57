import io
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from stages.params import load_all
from stages.scrape import blocking, gather, journal, manifest, searches, take_out, traces
from stages.storage import blocklist, tables
from stages.storage.blocklist import address_mark, encoded
from ungray.errors import UngrayError
from ungray.imaging import duplicates, photos
from ungray.system.files import sha256, whole_file

ROOT = Path(__file__).parents[2]
ADDRESS = "https://photos.example/jane-doe/portrait.jpg"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A working tree as scrape, filter and prepare leave it; its photos are the sample's."""
    top = tmp_path_factory.mktemp("tree")
    for name in ("params.yaml", "data/blocked.csv", "data/review.csv"):
        (top / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, top / name)
    raw = top / "data/raw"
    raw.mkdir()
    params = load_all(ROOT / "params.yaml")["scrape"]
    attempts = gather.run(params.model_copy(update={"source": "sample", "sample_crops": 2}), raw)
    manifest.write(attempts, top / traces.MANIFEST)
    table = tables.read_table(top / traces.MANIFEST, made_by="scrape")
    table.loc[table["query"] == "people", ["url", "source_page", "photograph"]] = [
        [ADDRESS, "https://photos.example/jane-doe", ""],
        ["https://photos.example/other.jpg", "https://photos.example/", ""],
    ]
    tables.write_table(table, top / traces.MANIFEST)
    looks = [duplicates.phash(photos.read_rgb(raw / file)) for file in table["file"]]
    verdicts = table[["file", "query", "sha256", "photograph"]].assign(verdict="kept", reason="", phash=looks)
    tables.write_table(verdicts, top / traces.VERDICTS)
    index = pd.concat([prepared(table, ""), prepared(table, "_r1")])
    for file in index["file"]:
        (top / "data/prepared" / file).parent.mkdir(parents=True, exist_ok=True)
        (top / "data/prepared" / file).write_bytes(b"small " + file.encode())
    tables.write_table(index, top / traces.INDEX)
    return top


@pytest.fixture
def tree(template, tmp_path, monkeypatch):
    """A copy of the template, the current folder."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared(table, ending):
    return pd.DataFrame(
        {"file": "train/" + table["sha256"].str[:16] + ending + ".jpg", "photo": table["sha256"].str[:16]}
    )


@pytest.fixture
def portrait(tree):
    """The photo at ADDRESS: its file and its checksum."""
    table = tables.read_table(traces.MANIFEST, made_by="scrape")
    row = table[table["url"] == ADDRESS].iloc[0]
    return tree / "data/raw" / row["file"], row["sha256"]


def run(*names, near=False, dry_run=False):
    take_out.take_out([str(name) for name in names], near=near, dry_run=dry_run)


def holding(tree, *words):
    """The files that bear one of ``words`` in their name or content."""
    return {
        p.relative_to(tree).as_posix()
        for p in tree.rglob("*")
        if p.is_file() and any(word in p.name or word.encode() in p.read_bytes() for word in words)
    }


def everything(tree):
    return {p.relative_to(tree).as_posix(): p.read_bytes() for p in tree.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "named",
    ["its file", "relative", "a rotated copy", "a copy elsewhere", "its checksum", "16 digits", "its URL"],
)
def test_however_it_is_named_it_is_gone(tree, portrait, tmp_path_factory, named):
    path, checksum = portrait
    elsewhere = tmp_path_factory.mktemp("mail") / "my portrait.png"
    shutil.copy(path, elsewhere)
    run(
        {
            "its file": path,
            "relative": path.relative_to(tree),
            "a rotated copy": tree / f"data/prepared/train/{checksum[:16]}_r1.jpg",
            "a copy elsewhere": elsewhere,
            "its checksum": checksum,
            "16 digits": checksum[:16],
            "its URL": ADDRESS,
        }[named]
    )
    assert holding(tree, checksum[:16]) == {"data/blocked.csv", "data/manifest.csv"}
    assert holding(tree, "jane-doe") == set()
    assert elsewhere.exists(), "a person's own copy stays"


def test_the_manifest_says_no_more_than_its_checksum_and_why(tree, portrait):
    _, checksum = portrait
    before = tables.read_table(traces.MANIFEST, made_by="scrape").set_index("sha256")
    run(checksum)
    after = tables.read_table(traces.MANIFEST, made_by="scrape").set_index("sha256")
    row = after.loc[checksum]
    assert (row["status"], row["reason"], row["query"]) == ("refused", "taken out", "people")
    assert {name for name, value in row.items() if value not in ("", 0)} == {
        "source", "query", "rank", "status", "reason"
    }  # fmt: skip
    pd.testing.assert_frame_equal(after.drop(checksum), before.drop(checksum))


def test_it_is_blocked_by_checksum_and_look(tree, portrait):
    path, checksum = portrait
    original = path.read_bytes()
    look = duplicates.phash(photos.read_rgb(original))
    run(path)
    (row,) = blocklist.read_blocklist().to_dict("records")
    words = encoded(duplicates.sketch(duplicates.signature(photos.read_rgb(original)).corners))
    assert row == {
        "sha256": checksum, "phash": look, "words": words, "addresses": address_mark(ADDRESS)
    }  # fmt: skip
    assert len(words) > 1000


def test_the_look_is_found_without_verdicts_too(tree, portrait):
    path, _ = portrait
    look = duplicates.phash(photos.read_rgb(path))
    traces.VERDICTS.unlink()
    run(ADDRESS)
    assert blocklist.read_blocklist()["phash"].tolist() == [look]


def test_other_photos_and_their_rows_stay_as_they_are(tree, portrait):
    _, checksum = portrait
    before = everything(tree)
    run(checksum)
    after = everything(tree)
    changed = {"data/blocked.csv", "data/manifest.csv", "data/verdicts.csv", "data/prepared/index.csv"}
    assert {name for name, content in after.items() if before[name] != content} == changed
    assert {name for name in before.keys() - after.keys() if checksum[:16] not in name} == set()
    index = tables.read_table(traces.INDEX, made_by="prepare")
    assert sorted(index["file"]) == sorted(
        p.relative_to(traces.INDEX.parent).as_posix() for p in traces.INDEX.parent.rglob("*.jpg")
    )


def test_the_same_bytes_under_two_queries_go_together(tree, portrait):
    path, checksum = portrait
    twin = tree / "data/raw/faces" / path.name
    twin.parent.mkdir()
    shutil.copy(path, twin)
    table = tables.read_table(traces.MANIFEST, made_by="scrape")
    row = table[table["sha256"] == checksum].assign(
        query="faces", file=f"faces/{path.name}", url=ADDRESS + "?2"
    )
    tables.write_table(pd.concat([table, row]), traces.MANIFEST)
    run(path)
    assert not twin.exists()
    assert holding(tree, "jane-doe") == set()


CACHED = [
    ".cache/scrape/blobs/{2}/{64}",
    ".cache/scrape/blobs/{2}/.{64}.partial",
    ".cache/prepare/0123456789abcdef/{16}_256_inner+3.5.0123456789abcdef.jpg",
    ".cache/review/0123456789abcdef/{16}-160.webp",
    ".dvc/tmp/exps/standalone/tmpa/data/raw/people/{16}.png",
    "data/.prepared.partial/train/{16}_r2.jpg",
    "data/.raw.partial/people/{16}.png",
    ".cache/pixels/0123456789abcdef/pixels.npy",
    "data/prepared/train-00000.tar",
    "data/.prepared.partial/train-00000.tar",
    ".dvc/tmp/exps/standalone/tmpa/data/prepared/train-00000.tar",
    ".cache/train/0123456789abcdef/grid-0000.jpg",
    ".cache/train/0123456789abcdef/checkpoint.pt",
    ".cache/check/photos.jpg",
    "reports/grids/worst.jpg",
    "reports/filter/kept.jpg",
    "reports/train/plots/images/grid/0001.jpg",
    "reports/report.html",
    "dvc_plots/index.html",
]
UNTOUCHED = [
    ".cache/scrape/blobs/ff/" + "f" * 64,
    ".cache/prepare/0123456789abcdef/ffffffffffffffff_256.0123456789abcdef.jpg",
    ".cache/reproduced",
    "reports/metrics.json",
    "reports/filter/counts.csv",
    "data/models/colorizer.safetensors",
    "data/inbox/{16}.png",
    "reports/colors.webp",
    "reports/remedies.png",
    "reports/web_page.webp",
    "reports/tune/history.png",
    "reports/charts/curves.png",
]


def put(tree, names, checksum):
    paths = []
    for name in names:
        path = tree / name.replace("{64}", checksum).replace("{16}", checksum[:16]).replace(
            "{2}", checksum[:2]
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pixels")
        paths.append(path)
    return paths


def test_caches_and_pictures_that_may_hold_it_go_and_no_others(tree, portrait):
    _, checksum = portrait
    gone, stays = put(tree, CACHED, checksum), put(tree, UNTOUCHED, checksum)
    run(checksum)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in stays if not path.exists()] == [], "a folder of a person's own photos, too"


PICTURES = {
    "train": {"reports/filter/kept.jpg", "dvc_plots/index.html"},
    "val": {"reports/train/plots/images/grid/0001.jpg", "reports/film.webp", "reports/report.html"},
    "test": {"reports/grids/worst.jpg", "reports/compare/grid.jpg", "reports/report.html"},
    "": set(),
}


@pytest.mark.parametrize("split", PICTURES)
def test_only_pictures_made_of_its_side_of_the_split_go_and_each_is_named(tree, portrait, capsys, split):
    path, checksum = portrait
    every = put(tree, set.union(*PICTURES.values()), checksum)
    index = tables.read_table(traces.INDEX, made_by="prepare").assign(split="train")
    own = index["photo"] == checksum[:16]
    index.loc[own, "split"] = split
    tables.write_table(index[~own] if not split else index, traces.INDEX)
    run(path)
    gone = {one.relative_to(tree).as_posix() for one in every if not one.exists()}
    assert gone == PICTURES[split] | PICTURES["train"]
    said = capsys.readouterr().out
    assert {name for name in gone if f"removed, since it may show it: {name}" in said} == gone


def test_a_decision_by_hand_and_its_note_go_too(tree, portrait):
    _, checksum = portrait
    head, other = "sha256,file,decision,note\n", f"{'0' * 64},a/b.png,keep,\n"
    traces.REVIEW.write_text(f"{head}{checksum},people/x.png,keep,Jane Doe herself\n{other}")
    run(checksum)
    assert traces.REVIEW.read_text() == head + other


def test_a_dry_run_changes_nothing_and_says_what_would_be(tree, portrait, capsys):
    path, checksum = portrait
    put(tree, CACHED, checksum)
    before = everything(tree)
    run(path, dry_run=True)
    assert everything(tree) == before
    said = capsys.readouterr().out
    assert f"people/{path.name}" in said
    assert "would be blocked" in said
    assert (
        "removed: 10 files; rows: 2 of data/prepared/index.csv, 1 of data/verdicts.csv, 1 of data/man" in said
    )


def test_done_twice_is_done_once(tree, portrait, capsys):
    path, checksum = portrait
    run(path)
    once = everything(tree)
    for name in (checksum, checksum[:16], path):
        run(name)
        assert everything(tree) == once
    assert "removed: 0 files" in capsys.readouterr().out


@pytest.mark.parametrize("moment", ["before the files", "before the manifest"])
@pytest.mark.parametrize("named", ["its file", "its URL"])
def test_interrupted_it_is_blocked_and_the_same_command_ends_the_work(
    tree, portrait, monkeypatch, moment, named
):
    path, checksum = portrait
    name = {"its file": path, "its URL": ADDRESS}[named]

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "before the files":
            patch.setattr(traces, "remove", stop)
        else:
            write = tables.write_table
            patch.setattr(tables, "write_table", lambda t, p: stop() if p == traces.MANIFEST else write(t, p))
        with pytest.raises(KeyboardInterrupt):
            run(name)
    assert blocklist.read_blocklist()["sha256"].tolist() == [checksum]
    run(name)
    assert holding(tree, checksum[:16]) == {"data/blocked.csv", "data/manifest.csv"}
    assert holding(tree, "jane-doe") == set()
    assert len(blocklist.read_blocklist()) == 1


def reencoded(path, **options):
    """The photo at ``path`` as another file: half as large, as JPEG."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=70)
    return written.getvalue()


def test_a_copy_in_another_format_is_recognized_and_taken_only_when_asked(tree, portrait, tmp_path_factory):
    path, checksum = portrait
    mailed = tmp_path_factory.mktemp("mail") / "me.jpg"
    mailed.write_bytes(reencoded(path))
    before = everything(tree)
    with pytest.raises(UngrayError) as caught:
        run(mailed)
    assert f"looks like people/{path.name}" in str(caught.value)
    assert "--near" in str(caught.value)
    assert everything(tree) == before
    run(mailed, near=True)
    assert holding(tree, checksum[:16]) == {"data/blocked.csv", "data/manifest.csv"}


def add(tree, content, query, address):
    """Put one more photo into the tree, as scrape and filter would."""
    row = manifest.keep(content, raw=tree / "data/raw", source="bing", query=query, rank=90, url=address)
    table = tables.read_table(traces.MANIFEST, made_by="scrape")
    tables.write_table(pd.concat([table, pd.DataFrame([vars(row)])]), traces.MANIFEST)
    verdicts = tables.read_table(traces.VERDICTS, made_by="filter")
    look = {"file": row.file, "sha256": row.sha256, "phash": duplicates.phash(photos.read_rgb(content))}
    tables.write_table(pd.concat([verdicts, pd.DataFrame([look])]).fillna(""), traces.VERDICTS)
    return row


def test_near_duplicates_are_told_and_taken_when_asked(tree, portrait, capsys):
    path, _ = portrait
    twin = add(tree, reencoded(path), "faces", "https://elsewhere.example/jane.jpg")
    run(path)
    said = capsys.readouterr().out
    assert f"similar, still here: {twin.file}" in said
    assert "--near" in said
    assert (tree / "data/raw" / twin.file).exists()
    assert holding(tree, "jane-doe") == set()
    run(tree / "data/raw" / twin.file)
    assert not (tree / "data/raw" / twin.file).exists()
    assert len(blocklist.read_blocklist()) == 2


def test_near_takes_the_twin_too(tree, portrait, capsys):
    path, checksum = portrait
    twin = add(tree, reencoded(path), "faces", "https://elsewhere.example/jane.jpg")
    run(path, near=True)
    assert set(blocklist.read_blocklist()["sha256"]) == {checksum, twin.sha256}
    assert holding(tree, "jane") == set()
    assert "alike" not in capsys.readouterr().out


def test_crops_of_the_same_photograph_are_told_and_the_original_is_left(tree, capsys):
    first, second = sorted((tree / "data/raw/animals").glob("*.png"))
    run(first)
    said = capsys.readouterr().out
    assert f"animals/{second.name} (cut from the same photograph)" in said
    assert "not deleted, which is up to you: sample skimage.data/chelsea.png" in said
    assert second.exists()


def test_two_at_once(tree, portrait):
    path, checksum = portrait
    other = next((tree / "data/raw/food").glob("*.png"))
    run(path, other.stem)
    assert set(blocklist.read_blocklist()["sha256"]) == {checksum, sha256_of_stem(other.stem)}
    assert not path.exists()
    assert not other.exists()


def sha256_of_stem(stem):
    table = tables.read_table(traces.MANIFEST, made_by="scrape")
    return next(checksum for checksum in table["sha256"] if checksum.startswith(stem))


@pytest.mark.parametrize(
    "name",
    ["0" * 16, "0" * 64, "nowhere.jpg", "https://photos.example/unknown.jpg", "data/raw", "", "people"],
)
def test_what_names_no_photo_is_said_and_nothing_is_changed(tree, portrait, name):
    before = everything(tree)
    with pytest.raises(UngrayError, match="is not a file"):
        run(portrait[1], name)
    assert everything(tree) == before


def test_files_that_are_no_photo_of_ours_are_said(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mail")
    (folder / "letter.jpg").write_text("Dear Sir or Madam")
    with pytest.raises(UngrayError, match=r"letter\.jpg is not a photo of this collection: not an image"):
        run(folder / "letter.jpg")
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    with pytest.raises(UngrayError, match="none looks like it"):
        run(folder / "noise.png")


@pytest.mark.parametrize("content", [None, "", "sha256\n", "<<<<<<< HEAD\n", "sha256,phash\n<<<<<<< HEAD,\n"])
def test_a_damaged_list_is_said_and_nothing_is_removed(tree, portrait, content):
    if content is None:
        blocklist.BLOCKED.unlink()
    else:
        blocklist.BLOCKED.write_text(content)
    with pytest.raises(UngrayError, match=r"data/blocked\.csv.*`git checkout data/blocked\.csv`"):
        run(portrait[1])
    assert portrait[0].exists()


def test_a_photo_that_does_not_decode_is_blocked_by_its_checksum(tree, portrait):
    content = portrait[0].read_bytes()[:5000]
    row = manifest.keep(
        content, raw=tree / "data/raw", source="bing", query="x", rank=1, url="http://x.example/"
    )
    table = tables.read_table(traces.MANIFEST, made_by="scrape")
    tables.write_table(pd.concat([table, pd.DataFrame([vars(row)])]), traces.MANIFEST)
    run("http://x.example/")
    marks = " ".join([address_mark("http://x.example/")])
    assert blocklist.read_blocklist().to_dict("records") == [
        {"sha256": sha256(content), "phash": "", "words": "", "addresses": marks}
    ]


def test_the_list_is_sorted_and_learns_a_hash_that_was_missing(tree):
    def known(phash, *addresses):
        return blocking.Remembered(None, phash, set(addresses))

    blocking.add({"b" * 64: known("", "http://b/1"), "a" * 64: known("0123456789abcdef")})
    blocking.add({"b" * 64: known("fedcba9876543210", "http://b/2"), "a" * 64: known("")})
    marks = " ".join(sorted(map(address_mark, ("http://b/1", "http://b/2"))))
    assert blocklist.BLOCKED.read_text() == (
        f"sha256,phash,words,addresses\n{'a' * 64},0123456789abcdef,,\n{'b' * 64},fedcba9876543210,,{marks}\n"
    )


def test_scrape_refuses_what_is_blocked_and_says_no_more_of_it(tree, portrait, scrape_params):
    _, checksum = portrait
    raw = tree / "again"
    attempts = gather.run(
        scrape_params(source="sample", sample_crops=2), raw, taken_out=blocking.TakenOut.of([checksum])
    )
    (refused,) = [attempt for attempt in attempts if attempt.status == "refused"]
    assert (refused.reason, refused.sha256, refused.query) == ("taken out", checksum, "people")
    assert refused.url + refused.file + refused.source_page + refused.photograph + refused.license == ""
    assert sum(p.is_file() for p in raw.rglob("*")) == len(attempts) - 1
    assert not list(raw.rglob(f"{checksum[:16]}*"))


def test_its_address_is_struck_out_of_searches_and_downloads_which_go_on_being_replayed(tree, portrait):
    path, checksum = portrait
    urn, other = f"urn:sha256:{checksum}", "https://photos.example/other.jpg"
    about = {
        "reason": "",
        "fetched_at": "2026-11-01T00:00:00Z",
        "refresh": 0,
        "terms": "t",
        "honored_opt_out": True,
    }
    with journal.open_journal(put(tree, [".cache/scrape/journal/downloads.jsonl"], checksum)[0]) as known:
        for url, gave in [
            (ADDRESS, ""),
            (ADDRESS, checksum),
            (ADDRESS + "?large", checksum),
            (other, "f" * 64),
        ]:
            known.add(journal.Entry(url=url, sha256=gave, **about))
    search = tree / ".cache/scrape/searches/0123456789abcdef"
    answer = [
        ("https://photos.example/first.jpg", "https://photos.example/"),
        (ADDRESS, "https://jane-doe.example/"),
    ]
    searches.save(search, answer, refresh=0)
    searches.save(search, [(other, "page")], refresh=1)
    run(path)
    assert holding(tree, "jane-doe") == set()
    with journal.open_journal(tree / ".cache/scrape/journal/downloads.jsonl") as known:
        assert [entry.sha256 for entry in known.about(urn)] == ["", checksum, checksum]
        assert [entry.sha256 for entry in known.about(other)] == ["f" * 64]
    assert searches.load(search, upto=1) == {0: [answer[0], (urn, "")], 1: [(other, "page")]}


def test_found_by_a_search_it_is_refused_unasked_ever_after(bing, tree, scrape_params):
    bing.finds("cats", "/photo/1.jpg", "/photo/2.jpg", "/photo/3.jpg")
    address = bing.url("/photo/2.jpg")

    def scrape():
        raw = tree / "data/raw"
        shutil.rmtree(raw)
        raw.mkdir()
        out = blocking.TakenOut.here()
        attempts = gather.run(scrape_params(source="bing", queries=("cats",)), raw, taken_out=out)
        manifest.write(attempts, traces.MANIFEST)
        return traces.MANIFEST.read_bytes()

    scrape()
    traces.VERDICTS.unlink()
    run(address)
    left, connections = traces.MANIFEST.read_bytes(), bing.connections
    assert holding(tree, "/photo/2.jpg") == set()
    assert scrape() == left, "what take_out leaves of the manifest is what scrape makes of it"
    assert bing.connections == connections
    assert holding(tree, "/photo/2.jpg") == set()


def _saved(picture, kind, **options):
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return written.getvalue()


def _cut(image, share):
    across, down = round(image.width * share), round(image.height * share)
    return image.crop((across, down, image.width, image.height))


COPIES = {
    "WebP, 150 pixels": lambda image: _saved(image.resize((150, 150)), "WEBP", quality=80),
    "mirrored": lambda image: _saved(ImageOps.mirror(image), "JPEG", quality=85),
    "turned": lambda image: _saved(image.rotate(90, expand=True), "JPEG", quality=85),
    "cut by 5 %": lambda image: _saved(_cut(image, 0.05), "JPEG", quality=85),
    "cut by 10 %": lambda image: _saved(_cut(image, 0.1), "PNG"),
    "framed": lambda image: _saved(ImageOps.expand(image, image.width // 15, "white"), "JPEG", quality=85),
}


@pytest.fixture
def copy(portrait, request):
    with Image.open(portrait[0]) as image:
        return COPIES[request.param](image.convert("RGB"))


def kept_bytes(tree):
    return {sha256(p.read_bytes()) for p in tree.rglob("*") if p.is_file()}


@pytest.mark.parametrize("copy", COPIES, indirect=True)
def test_a_copy_from_another_address_is_not_kept_and_not_asked_for_again(
    bing, tree, portrait, scrape_params, copy, monkeypatch
):
    path, checksum = portrait
    run(path)
    bing.own["/copy"] = copy
    bing.finds("cats", "/copy", "/photo/3.jpg")
    kept = []

    @contextmanager
    def seen(path, **options):
        with whole_file(path, **options) as partial:
            yield partial
            kept.append(partial.read_bytes())

    monkeypatch.setattr("ungray.fetch.whole_file", seen)

    def scrape():
        shutil.rmtree(tree / "data/raw")
        (tree / "data/raw").mkdir()
        params = scrape_params(source="bing", queries=("cats",))
        return gather.run(params, tree / "data/raw", taken_out=blocking.TakenOut.here())

    rows = scrape()
    assert [(row.status, row.reason) for row in rows] == [("refused", "taken out"), ("kept", "")]
    assert (rows[0].sha256, rows[0].url, rows[0].file) == (checksum, "", "")
    assert sha256(copy) not in kept_bytes(tree)
    assert len(kept) == 1, "the copy's bytes were not kept for a moment"
    assert copy not in kept
    assert scrape() == rows
    assert bing.fetched["/copy"] == 1


@pytest.mark.parametrize("copy", COPIES, indirect=True)
def test_a_copy_in_a_folder_is_refused(tree, portrait, scrape_params, tmp_path_factory, copy):
    path, checksum = portrait
    run(path)
    box = tmp_path_factory.mktemp("box")
    (box / "one.png").write_bytes(copy)
    shutil.copy(next((tree / "data/raw/galaxy").iterdir()), box / "two.png")
    raw = tree / "again"
    rows = gather.run(
        scrape_params(source="folder", folder=str(box)), raw, taken_out=blocking.TakenOut.here()
    )
    assert [(row.status, row.reason) for row in rows] == [("refused", "taken out"), ("kept", "")]
    assert rows[0].sha256 == checksum
    assert [p.name[:16] for p in raw.rglob("*.*")] == [rows[1].sha256[:16]]


def test_a_copy_that_was_there_before_goes_with_the_next_run(bing, tree, portrait, scrape_params):
    path, _ = portrait
    with Image.open(path) as image:
        bing.own["/copy"] = COPIES["mirrored"](image.convert("RGB"))
    bing.finds("cats", "/copy", "/photo/3.jpg")
    params = scrape_params(source="bing", queries=("cats",))
    gather.run(params, tree / "more", taken_out=blocking.TakenOut.here())
    run(path)
    shutil.rmtree(tree / "more")
    rows = gather.run(params, tree / "more", taken_out=blocking.TakenOut.here())
    assert [row.status for row in rows] == ["refused", "kept"]
    assert sha256(bing.own["/copy"]) not in kept_bytes(tree)


def test_its_address_is_not_asked_again_when_a_new_search_finds_it(bing, tree, scrape_params):
    bing.finds("cats", "/photo/1.jpg", "/photo/2.jpg", "/photo/3.jpg")
    raw = tree / "data/raw"

    def scrape(refresh):
        shutil.rmtree(raw)
        raw.mkdir()
        params = scrape_params(source="bing", queries=("cats",), refresh=refresh)
        attempts = gather.run(params, raw, taken_out=blocking.TakenOut.here())
        manifest.write(attempts, traces.MANIFEST)
        return attempts

    scrape(0)
    traces.VERDICTS.unlink()
    run(bing.url("/photo/2.jpg"))
    shutil.rmtree(tree / ".cache/scrape")
    bing.changed.add(2)  # not even where it gives another photo now
    rows = scrape(1)
    assert [row.reason for row in rows] == ["", "taken out", ""]
    assert bing.fetched == {"/photo/1.jpg": 2, "/photo/2.jpg": 1, "/photo/3.jpg": 2}
    assert holding(tree / "data", "/photo/2.jpg") == set()
