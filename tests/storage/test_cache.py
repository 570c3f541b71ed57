from stages.storage import cache


def test_a_fingerprint_changes_with_any_part_and_with_nothing_else():
    first = cache.fingerprint({"a": 1, "b": [1, 2]}, "x")
    assert first == cache.fingerprint({"b": [1, 2], "a": 1}, "x")
    assert len({first, cache.fingerprint({"a": 1, "b": [2, 1]}, "x"), cache.fingerprint({"a": 1}, "x")}) == 3


def test_changed_code_changes_its_fingerprint(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "notes.txt").write_text("no code")
    before = cache.code_fingerprint(tmp_path)
    (tmp_path / "notes.txt").write_text("still none")
    assert cache.code_fingerprint(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2")
    assert cache.code_fingerprint(tmp_path) != before


def test_a_folder_of_the_cache_is_made_where_one_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cache.folder("pixels", "abc") == tmp_path / ".cache/pixels/abc"
    assert (tmp_path / ".cache/pixels/abc").is_dir()
