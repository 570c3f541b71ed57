"""How big the caches are."""

import os

from stages.doctor import caches


def _file(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def test_each_kind_with_its_bytes_and_files_largest_first(tmp_path):
    _file(tmp_path / ".cache/pixels/a/pixels.npy", 500)
    _file(tmp_path / ".cache/train/b/checkpoint.pt", 300)
    _file(tmp_path / ".cache/train/c/checkpoint.pt", 300)
    _file(tmp_path / ".dvc/cache/files/md5/00/11", 50)
    _file(tmp_path / "data/raw/photo.jpg", 7)
    assert list(caches.describe(tmp_path).items()) == [
        (".cache/train", {"bytes": 600, "files": 2}),
        (".cache/pixels", {"bytes": 500, "files": 1}),
        (".dvc/cache", {"bytes": 50, "files": 1}),
        ("data/raw", {"bytes": 7, "files": 1}),
    ]


def test_nothing_was_run_yet(tmp_path):
    assert caches.describe(tmp_path) == {}


def test_dvcs_cache_is_where_its_settings_say(tmp_path):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = bundled\n['remote \"x\"']\n    url = %(y)s\n")
    assert caches.dvc_cache(tmp_path) == tmp_path / ".dvc/cache"
    (tmp_path / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path / 'shared'}\n")
    assert caches.dvc_cache(tmp_path) == tmp_path / "shared"
    _file(tmp_path / "shared/files/md5/00/11", 9)
    assert caches.describe(tmp_path) == {"shared": {"bytes": 9, "files": 1}}


def test_a_hard_link_takes_no_disk_and_a_link_is_not_followed(tmp_path):
    first = _file(tmp_path / "data/raw/one.jpg", 100)
    os.link(first, tmp_path / "data/raw/two.jpg")
    (tmp_path / "data/raw/loop").symlink_to(tmp_path)
    assert caches.size(tmp_path / "data/raw") == (100, 1)


def test_an_experiment_in_a_temporary_folder_tells_of_the_main_checkouts_cache(tmp_path):
    _file(tmp_path / ".cache/pixels/a/pixels.npy", 5)
    inner = tmp_path / ".dvc/tmp/exps/one"
    _file(inner / "data/raw/photo.jpg", 3)
    found = caches.describe(inner)
    assert found[".cache/pixels"]["bytes"] == 5
    assert found[".dvc/tmp/exps/one/data/raw"]["bytes"] == 3
