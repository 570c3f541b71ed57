import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from stages.scrape import gather, manifest
from stages.scrape.manifest import folder_name
from stages.scrape.params import Params
from stages.storage.tables import read_table
from ungray.errors import UngrayError


def encoded(color, image_format="JPEG"):
    written = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(written, image_format)
    return written.getvalue()


RED, GREEN, BLUE = (encoded(color) for color in ("red", "green", "blue"))


@pytest.fixture
def inbox(tmp_path):
    """A function that fills the folder inbox with files, path -> bytes, and returns it."""

    def fill(files):
        for name, content in files.items():
            path = tmp_path / "inbox" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "inbox"

    return fill


@pytest.fixture
def gathered(scrape_params, raw):
    """A function that gathers a folder and returns path below it -> its row."""

    def run(folder):
        attempts = gather.run(scrape_params(source="folder", folder=str(folder)), raw)
        assert len({attempt.url for attempt in attempts}) == len(attempts)
        return {attempt.url: attempt for attempt in attempts}

    return run


def test_sub_folders_are_queries_and_photos_at_the_top_take_the_name_of_the_folder(inbox, gathered):
    rows = gathered(inbox({"a.jpg": RED, "cats/a.jpg": RED, "cats/old/b.jpg": GREEN, "dogs/c.JPEG": BLUE}))
    assert {url: row.query for url, row in rows.items()} == {
        "a.jpg": "inbox",
        "cats/a.jpg": "cats",
        "cats/old/b.jpg": "cats/old",
        "dogs/c.JPEG": "dogs",
    }
    assert {row.status for row in rows.values()} == {"kept"}
    assert len({row.file for row in rows.values()}) == 4


def test_the_rank_of_a_photo_is_its_place_by_name_in_its_folder(inbox, gathered):
    rows = gathered(inbox({"a.jpg": RED, "b/a.jpg": RED, "b/z.jpg": GREEN, "c.jpg": GREEN, "d.jpg": BLUE}))
    assert {url: row.rank for url, row in rows.items()} == {
        "a.jpg": 1,
        "c.jpg": 2,
        "d.jpg": 3,
        "b/a.jpg": 1,
        "b/z.jpg": 2,
    }


def test_bytes_are_kept_as_they_came(inbox, gathered, raw, contents):
    unusual = RED + b" what some camera appends \r\n"
    rows = gathered(inbox({"cats/a.jpg": unusual, "cats/b.jpg": GREEN}))
    sha256 = hashlib.sha256(unusual).hexdigest()
    row = rows["cats/a.jpg"]
    assert (row.sha256, row.bytes, row.width, row.height) == (sha256, len(unusual), 20, 10)
    assert contents(raw) == {row.file: unusual, rows["cats/b.jpg"].file: GREEN}


def test_a_file_is_named_by_its_checksum_and_the_format_that_its_content_has(inbox, gathered):
    kinds = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp", "GIF": "gif"}
    rows = gathered(inbox({f"cats/{kind}.jpg": encoded("red", kind) for kind in kinds}))
    for kind, extension in kinds.items():
        row = rows[f"cats/{kind}.jpg"]
        assert row.format == kind
        assert row.file == f"cats/{row.sha256[:16]}.{extension}"


def test_a_text_file_named_jpg_is_refused_as_not_an_image(inbox, gathered, raw):
    rows = gathered(inbox({"cats/a.jpg": RED, "cats/b.jpg": b"shopping list", "cats/c.png": b""}))
    assert [row.status for row in rows.values()] == ["kept", "refused", "refused"]
    assert "not an image" in rows["cats/b.jpg"].reason
    assert "not an image" in rows["cats/c.png"].reason
    assert len(list(raw.rglob("*.*"))) == 1


def test_the_same_photo_twice_in_a_query_is_kept_once_and_in_two_queries_twice(inbox, gathered, raw):
    rows = gathered(inbox({"cats/a.jpg": RED, "cats/b.jpg": RED, "dogs/a.jpg": RED}))
    assert {url: row.status for url, row in rows.items()} == {
        "cats/a.jpg": "kept",
        "cats/b.jpg": "refused",
        "dogs/a.jpg": "kept",
    }
    assert rows["cats/b.jpg"].reason == "same bytes as another of this query"
    assert rows["cats/b.jpg"].file == ""
    assert len(list(raw.rglob("*.jpg"))) == 2


def test_a_folder_that_is_missing_is_named(gathered, tmp_path):
    with pytest.raises(UngrayError) as error:
        gathered(tmp_path / "nowhere")
    assert "scrape.folder" in str(error.value)
    assert str(tmp_path / "nowhere") in str(error.value)


@pytest.mark.parametrize("files", [{}, {"notes.txt": b"hello"}, {"a.jpg": b"junk", "cats/b.png": b"junk"}])
def test_a_folder_without_a_photo_is_named(gathered, inbox, tmp_path, files):
    (tmp_path / "inbox").mkdir()
    folder = inbox(files)
    with pytest.raises(UngrayError) as error:
        gathered(folder)
    assert str(folder) in str(error.value)


def test_a_file_where_the_folder_should_be_is_named(gathered, inbox):
    path = inbox({"a.jpg": RED}) / "a.jpg"
    with pytest.raises(UngrayError, match="is not a folder"):
        gathered(path)


def test_the_folder_we_stand_in_can_be_gathered(gathered, inbox, monkeypatch):
    monkeypatch.chdir(inbox({"a.jpg": RED}))
    assert folder_name(""), "a photo would be written to the root of the file system"
    row = gathered(".")["a.jpg"]
    assert not Path(row.file).is_absolute()


def test_a_path_that_an_experiment_in_a_temporary_copy_cannot_reach_is_refused(scrape_params):
    section = scrape_params().model_dump()
    with pytest.raises(ValueError, match="absolute path"):
        Params.model_validate(section | {"folder": "../photos"})


def test_what_colorize_finds_in_a_folder_is_gathered_too(inbox, gathered):
    names = {"a.jfif": "JPEG", "b.avif": "AVIF", "c.jp2": "JPEG2000", "d.TIFF": "TIFF"}
    rows = gathered(inbox({name: encoded("red", kind) for name, kind in names.items()}))
    kept = {name: row.file.rpartition(".")[2] for name, row in rows.items()}
    assert kept == {"a.jfif": "jpg", "b.avif": "avif", "c.jp2": "jp2", "d.TIFF": "tif"}


NAMES = {
    b"caf\xe9.jpg": r"caf\xe9.jpg",
    b"a\rb.jpg": r"a\x0db.jpg",
    b"a\nb.jpg": r"a\x0ab.jpg",
    b"\x1b[31mred.jpg": r"\x1b[31mred.jpg",
    b'",=1+1,".jpg': '",=1+1,".jpg',
    "日本.JPG".encode(): "日本.JPG",
}
"""Names that files may have on a disk, and what the manifest calls them."""


def test_a_file_or_folder_of_any_name_is_a_row_and_the_manifest_stays_whole(gathered, tmp_path):
    top = os.fsencode(tmp_path / "inbox")
    for name in NAMES:
        for folder in (b"cats", name.removesuffix(b".jpg") + b"\xff"):
            path = Path(os.fsdecode(b"/".join([top, folder, name])))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(RED + name)
    rows = gathered(tmp_path / "inbox")
    assert len(rows) == 2 * len(NAMES)
    assert {row.status for row in rows.values()} == {"kept"}
    assert {url for url in rows if url.startswith("cats/")} == {f"cats/{told}" for told in NAMES.values()}
    manifest.write(rows.values(), tmp_path / "manifest.csv")
    table = read_table(tmp_path / "manifest.csv", made_by="scrape")
    assert set(table["url"]) == set(rows)
    assert set(table["query"]) == {row.query for row in rows.values()}


def test_what_cannot_be_read_is_a_row(gathered, inbox, monkeypatch):
    folder = inbox({"cats/a.jpg": RED, "cats/locked.jpg": GREEN, "cats/large.jpg": BLUE, "dogs/a.jpg": RED})
    (folder / "cats/nowhere.jpg").symlink_to("gone.jpg")
    (folder / "cats/circle.jpg").symlink_to("circle.jpg")
    (folder / "cats/linked.jpg").symlink_to("a.jpg")
    (folder / "circle").symlink_to(folder)
    (folder / "cats/folder.jpg").mkdir()
    os.mkfifo(folder / "cats/pipe.jpg")
    os.truncate(folder / "cats/large.jpg", 3_000_000_000)
    as_it_is = Path.read_bytes, Path.iterdir

    def locked(path, number):
        if path.name in ("locked.jpg", "dogs"):
            raise PermissionError(13, "Permission denied", str(path))
        return as_it_is[number](path)

    monkeypatch.setattr(Path, "read_bytes", lambda path: locked(path, 0))
    monkeypatch.setattr(Path, "iterdir", lambda path: locked(path, 1))
    rows = gathered(folder)
    assert {url: row.reason for url, row in rows.items()} == {
        "cats/a.jpg": "",
        "cats/circle.jpg": "cannot be read: Too many levels of symbolic links",
        "cats/large.jpg": "larger than 2 GB",
        "cats/linked.jpg": "same bytes as another of this query",
        "cats/locked.jpg": "cannot be read: Permission denied",
        "cats/nowhere.jpg": "cannot be read: No such file or directory",
        "dogs": "folder cannot be read: Permission denied",
    }
    assert rows["dogs"].rank == 0


def test_the_stage_tells_of_odd_names_on_a_terminal_that_knows_ascii_only(stage, tmp_path):
    stage.environment = stage.environment | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "inbox") + b"/\xe9t\xe9 \r"))
    folder.mkdir(parents=True)
    (folder / "日本.jpg").write_bytes(RED)
    (folder.parent / "日本").mkdir()
    (folder.parent / "日本/a.jpg").write_bytes(GREEN)
    told, trouble = (run := stage(source="folder", folder=str(folder.parent))).communicate(timeout=120)
    assert run.returncode == 0, trouble
    assert "scrape: 2 photos for 2 queries from folder" in told
    table = read_table(tmp_path / "checkout/data/manifest.csv", made_by="scrape")
    assert sorted(table["query"]) == [r"\xe9t\xe9 \x0d", "日本"]
    assert sorted(table["url"]) == [r"\xe9t\xe9 \x0d/日本.jpg", "日本/a.jpg"]
