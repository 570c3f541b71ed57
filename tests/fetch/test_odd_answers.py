"""What no host should answer: a good photo comes through, all else is a refusal in a few words."""

import itertools

import pytest

from stages.fetch import blob_path

from .cases import ODD


@pytest.fixture(scope="module")
def run(start, tmp_path_factory, fetch_into):
    """All of them at once: the store, and outcomes by name, of the odd one and of a good photo."""
    server, store = start(), tmp_path_factory.mktemp("store")
    links = {}
    for name, case in ODD.items():
        server.answers[f"/{name}/photo.jpg"] = case.answer
        server.serves(f"/good/{name}.jpg")
        links[name] = [
            server.link(f"{name}.test", path) for path in (f"/{name}/photo.jpg", f"/good/{name}.jpg")
        ]
    outcomes = fetch_into(
        store,
        *itertools.chain(*links.values()),
        attempts=1,
        timeout=20.0,
        deadline=60.0,
        connections_per_host=1,
    )
    return store, {name: [outcomes[link] for link in pair] for name, pair in links.items()}


@pytest.mark.parametrize("name", ODD)
def test_a_good_photo_is_kept_and_all_else_is_refused_in_a_few_words(run, name):
    store, outcomes = run
    case, (odd, good) = ODD[name], outcomes[name]
    assert good.reason == ""
    assert odd.reason == case.reason
    if not case.reason:
        assert blob_path(store, odd.sha256).read_bytes() == case.kept
