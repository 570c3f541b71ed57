import hashlib
import io
import os
import pickle
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import CIFAR10

from stages.scrape import cifar10, flowers102, gather, manifest
from stages.storage.tables import read_table
from ungray.errors import UngrayError
from ungray.imaging import photos

BATCHES = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]


def md5(content):
    return hashlib.md5(content).hexdigest()


def pixels(number, *, photos_a_batch=3):
    """The photos of batch ``number`` as CIFAR-10 stores them: a row each, red then green then blue."""
    return np.random.default_rng(number).integers(0, 256, (photos_a_batch, 3072), dtype=np.uint8)


def python_2(content):
    """``content`` pickled as Python 2 did: protocol 2, byte strings, NumPy under its old names."""

    def short(text):
        return b"U" + bytes([len(text)]) + text.encode("latin1")

    def one(value):
        if isinstance(value, dict):
            return b"}(" + b"".join(one(k) + one(v) for k, v in value.items()) + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(one(item) for item in value) + b"e"
        if isinstance(value, str):
            return short(value)
        if isinstance(value, int):
            return b"J" + value.to_bytes(4, "little", signed=True)
        raw = value.tobytes()
        shape = (
            b"J"
            + value.shape[0].to_bytes(4, "little")
            + b"J"
            + value.shape[1].to_bytes(4, "little")
            + b"\x86"
        )
        kind = (
            b"cnumpy\ndtype\n" + short("u1") + b"K\0K\x01\x87R(K\x03" + short("|") + b"NNNJ\xff\xff\xff\xff"
        )
        kind += b"J\xff\xff\xff\xffK\0tb"
        array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + short("b") + b"\x87R"
        return array + b"(K\x01" + shape + kind + b"\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"

    return b"\x80\x02" + one(content) + b"."


@pytest.fixture
def cifar():
    """The files of a tiny CIFAR-10 in its original format: name to bytes."""
    files = {"batches.meta": python_2({"num_vis": 3072, "label_names": ["airplane", "cat"]})}
    for number, name in enumerate(BATCHES):
        files[name] = python_2({"labels": [1, 0, 1], "data": pixels(number), "filenames": ["a", "b", "c"]})
    return files


@pytest.fixture
def cifar_folder(cifar, tmp_path):
    folder = tmp_path / "sets/cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name, content in cifar.items():
        (folder / name).write_bytes(content)
    return folder


def jpeg(number):
    written = io.BytesIO()
    Image.fromarray(pixels(number)[0].reshape(32, 32, 3)).resize((48, 32)).save(written, "JPEG")
    return written.getvalue()


@pytest.fixture
def flowers(tmp_path):
    """The files of a tiny Flowers102: six photos of three kinds."""
    savemat(tmp_path / "labels.mat", {"labels": np.array([[1, 1, 102, 102, 8, 8]])})
    savemat(tmp_path / "set.mat", {"trnid": [[5, 1]], "valid": [[3]], "tstid": [[2, 6, 4]]})
    return {f"jpg/image_{number:05d}.jpg": jpeg(number) for number in range(1, 7)} | {
        "imagelabels.mat": (tmp_path / "labels.mat").read_bytes(),
        "setid.mat": (tmp_path / "set.mat").read_bytes(),
    }


@pytest.fixture
def flowers_folder(flowers, tmp_path):
    folder = tmp_path / "sets/flowers-102"
    for name, content in flowers.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def archive(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Host(ThreadingHTTPServer):
    """Stands in for the makers: ``files`` by path, ``asked`` what was fetched, ``cut`` what breaks off."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.cut = {}, [], set()

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *about):
        pass

    def do_GET(self):
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = content[: len(content) // 2] if self.path in self.server.cut else content
        self.server.asked.append(self.path)
        self.wfile.write(half)


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = Host()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cifar_host(host, cifar, monkeypatch):
    """The host, with a tiny CIFAR-10 whose checksums torchvision takes for the real ones."""
    packed = archive({f"cifar-10-batches-py/{name}": content for name, content in cifar.items()})
    host.files["/cifar-10-python.tar.gz"] = packed
    monkeypatch.setattr(CIFAR10, "url", host.url("/cifar-10-python.tar.gz"))
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(packed))
    for parts in ("train_list", "test_list"):
        monkeypatch.setattr(CIFAR10, parts, [[name, md5(cifar[name])] for name, _ in getattr(CIFAR10, parts)])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(cifar["batches.meta"])})
    return host


@pytest.fixture
def flowers_host(host, flowers, monkeypatch):
    """The host, with a tiny Flowers102."""
    packed = archive({name: content for name, content in flowers.items() if name.startswith("jpg/")})
    served = {"102flowers.tgz": packed, **{name: flowers[name] for name in ("imagelabels.mat", "setid.mat")}}
    host.files |= {f"/{name}": content for name, content in served.items()}
    monkeypatch.setattr(flowers102, "PAGE", host.url("/"))
    monkeypatch.setattr(flowers102, "CHECKSUMS", {name: md5(content) for name, content in served.items()})
    return host


@pytest.fixture
def scrape(scrape_params, raw, tmp_path, monkeypatch):
    """Runs a source as the stage does, in a folder of its own; returns the manifest as it is read."""
    monkeypatch.chdir(tmp_path)

    def run(source, **changes):
        params = scrape_params(source=source, **{"timeout": 2, **changes})
        manifest.write(gather.run(params, raw), tmp_path / "manifest.csv")
        return read_table(tmp_path / "manifest.csv", made_by="scrape")

    return run


def said(scrape, *arguments, **changes):
    with pytest.raises(UngrayError) as caught:
        scrape(*arguments, **changes)
    return str(caught.value)


# CIFAR-10


@pytest.mark.parametrize("named", ["the folder itself", "the one above"])
def test_cifar_from_a_folder_keeps_pixels_classes_and_split(cifar_folder, scrape, raw, named):
    table = scrape("cifar10", dataset_folder=str(cifar_folder if "itself" in named else cifar_folder.parent))
    assert table["query"].value_counts().to_dict() == {"cat": 12, "airplane": 6}
    assert table["split"].value_counts().to_dict() == {"train": 15, "test": 3}
    assert set(table["status"]) == {"kept"}
    for _, row in table.iterrows():
        batch, number = row["url"].removeprefix("cifar-10-batches-py/").split("#")
        stored = pixels(BATCHES.index(batch))[int(number)].reshape(3, 32, 32).transpose(1, 2, 0)
        np.testing.assert_array_equal(photos.read_rgb(raw / row["file"]), stored)
    cats = table[table["query"] == "cat"]
    assert list(cats["rank"]) == list(range(1, 13))
    assert list(cats["split"]) == ["train"] * 10 + ["test"] * 2, "rank follows the batches"


def test_cifar_is_the_same_bytes_every_time(cifar_folder, scrape, raw, contents, tmp_path):
    scrape("cifar10", dataset_folder=str(cifar_folder))
    first, table = contents(raw), (tmp_path / "manifest.csv").read_bytes()
    for path in raw.rglob("*.png"):
        path.unlink()
    scrape("cifar10", dataset_folder=str(cifar_folder))
    assert contents(raw) == first
    assert (tmp_path / "manifest.csv").read_bytes() == table


def test_a_relative_dataset_folder_is_one_in_the_repository(cifar_folder, scrape):
    assert len(scrape("cifar10", dataset_folder="sets")) == 18


def test_cifar_is_downloaded_once_and_checked(cifar_host, scrape, tmp_path):
    assert len(scrape("cifar10")) == 18
    fetched = len(cifar_host.asked)
    assert fetched > 0
    assert len(scrape("cifar10")) == 18
    assert len(cifar_host.asked) == fetched, "the second run fetched nothing"
    assert not list((tmp_path / ".cache").rglob("*.tar.gz")), "the archive is not kept twice"


def test_a_download_that_was_damaged_afterwards_is_fetched_again(cifar_host, scrape, tmp_path):
    table = scrape("cifar10")
    (batch,) = (tmp_path / ".cache").rglob("data_batch_3")
    batch.write_bytes(batch.read_bytes()[:-100])
    assert scrape("cifar10").equals(table)


def test_another_archive_than_torchvision_knows_is_refused_and_left_out(cifar_host, scrape, tmp_path):
    good = cifar_host.files["/cifar-10-python.tar.gz"]
    cifar_host.files["/cifar-10-python.tar.gz"] = archive({"cifar-10-batches-py/batches.meta": b"other"})
    message = said(scrape, "cifar10")
    assert cifar_host.url("/cifar-10-python.tar.gz") in message
    assert md5(good) in message
    assert "scrape.dataset_folder" in message
    assert [p.name for p in (tmp_path / ".cache").rglob("*") if p.is_file()] == ["lock"]
    cifar_host.files["/cifar-10-python.tar.gz"] = good
    assert len(scrape("cifar10")) == 18


def test_a_download_cut_in_the_middle_says_so_and_the_next_run_ends_well(cifar_host, scrape):
    cifar_host.cut.add("/cifar-10-python.tar.gz")
    assert "scrape.dataset_folder" in said(scrape, "cifar10")
    cifar_host.cut.clear()
    assert len(scrape("cifar10")) == 18


def test_killed_while_unpacking_the_next_run_unpacks_anew(cifar_host, scrape, tmp_path, monkeypatch):
    makefile = tarfile.TarFile.makefile

    def stopped(self, member, target):
        if "batch_4" in member.name:
            raise KeyboardInterrupt
        makefile(self, member, target)

    monkeypatch.setattr(tarfile.TarFile, "makefile", stopped)
    with pytest.raises(KeyboardInterrupt):
        scrape("cifar10")
    monkeypatch.setattr(tarfile.TarFile, "makefile", makefile)
    assert not list((tmp_path / ".cache").rglob("data_batch_1"))
    cifar_host.files.clear()
    assert len(scrape("cifar10")) == 18, "from the archive that had arrived"


def test_an_unreachable_host_names_the_way_out(cifar_host, scrape, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/cifar-10-python.tar.gz"
        monkeypatch.setattr(CIFAR10, "url", url)
        message = said(scrape, "cifar10")
    assert url in message
    assert "refused" in message
    assert "scrape.dataset_folder" in message
    assert "cifar-10-batches-py" in message


def test_a_missing_archive_names_the_way_out(cifar_host, scrape):
    cifar_host.files.clear()
    message = said(scrape, "cifar10")
    assert "Not Found" in message
    assert "scrape.dataset_folder" in message


def test_a_silent_host_is_given_up(cifar_host, scrape, monkeypatch):
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{silent.getsockname()[1]}/c.tar.gz")
        assert "timed out" in said(scrape, "cifar10", timeout=1)
    assert socket.getdefaulttimeout() == before


# Files that somebody changed


class Hostile:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize("name", ["batches.meta", "data_batch_2", "test_batch"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_that_would_run_a_program_is_refused_and_runs_nothing(
    cifar_folder, scrape, tmp_path, name, protocol
):
    (cifar_folder / name).write_bytes(pickle.dumps({"label_names": ["cat"], "data": Hostile()}, protocol))
    message = said(scrape, "cifar10", dataset_folder=str(cifar_folder))
    assert str(cifar_folder / name) in message
    assert "system" in message
    assert not (tmp_path / "owned").exists()


HOSTILE = {
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(S'a'\nS'upper'\ntR.",
    "a module's attribute by path": b"\x80\x04\x8c\x05numpy\x8c\rcore.os.system\x93.",
    "import of a module": b"cstages.scrape.cifar10\npickle\n.",
    "numpy's own loader": b"cnumpy\nload\n(S'x'\ntR.",
    "a class by instance": b"(ios\nsystem\n.",
    "an extension code": b"\x80\x02\x82\x01.",
    "a persistent id": b"Pid\n.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_pickle_reaches_anything_but_arrays(kind, tmp_path):
    (tmp_path / "batch").write_bytes(HOSTILE[kind])
    with pytest.raises(UngrayError, match="batch"):
        cifar10.read_pickle(tmp_path / "batch")


def test_flags_for_numpy_in_a_pickle_reach_no_numpy(tmp_path):
    """These say that the 8 bytes are the address of an object; NumPy's own unpickling believes it."""
    pickle_of_pointers = (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R"
        b"(K\x01K\x08\x85cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
        b"\x89U\x08AAAAAAAAtbs."
    )
    (tmp_path / "batch").write_bytes(pickle_of_pointers)
    array = cifar10.read_pickle(tmp_path / "batch")["data"]
    assert (array.dtype, array.tolist()) == (np.uint8, [65] * 8)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_that_python_3_pickled_are_read_too(protocol, order, tmp_path):
    array = np.array(pixels(1), order=order)
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": array, "labels": [1, 2]}, protocol))
    content = cifar10.read_pickle(tmp_path / "batch")
    np.testing.assert_array_equal(content["data"], array)
    assert content["labels"] == [1, 2]


DAMAGED = {
    "cut": lambda whole: whole[:-500],
    "empty": lambda whole: b"",
    "a web page": lambda whole: b"<html>moved</html>",
    "other numbers": lambda whole: pickle.dumps({"data": np.zeros((3, 3072)), "labels": [0, 1, 1]}, 4),
    "other width": lambda whole: pickle.dumps({"data": np.zeros((3, 99), np.uint8), "labels": [0, 1, 1]}, 4),
    "fewer labels": lambda whole: pickle.dumps({"data": pixels(0), "labels": [0, 1]}, 4),
    "unknown class": lambda whole: pickle.dumps({"data": pixels(0), "labels": [0, 1, 7]}, 4),
    "a list": lambda whole: pickle.dumps([1], 4),
    "shape and bytes that differ": lambda whole: whole.replace(
        b"J\x03\0\0\0J\0\x0c\0\0", b"J\x09\0\0\0J\0\x0c\0\0"
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_batch_is_named_in_one_sentence(kind, cifar_folder, scrape):
    batch = cifar_folder / "data_batch_5"
    changed = DAMAGED[kind](batch.read_bytes())
    assert changed != batch.read_bytes()
    batch.write_bytes(changed)
    message = said(scrape, "cifar10", dataset_folder=str(cifar_folder))
    assert str(batch) in message
    assert "\n" not in message


def test_a_missing_batch_and_a_wrong_folder_are_named(cifar_folder, scrape, tmp_path):
    (cifar_folder / "data_batch_5").unlink()
    assert "data_batch_5 is missing" in said(scrape, "cifar10", dataset_folder=str(cifar_folder))
    message = said(scrape, "cifar10", dataset_folder=str(tmp_path / "nowhere"))
    assert "scrape.dataset_folder" in message
    assert "cifar-10-batches-py" in message
    assert "flowers-102" in said(scrape, "flowers102", dataset_folder=str(cifar_folder))


# Flowers102


def check_flowers(table, raw, flowers):
    assert table["query"].value_counts().to_dict() == {
        "pink primrose": 2, "bird of paradise": 2, "blackberry lily": 2,
    }  # fmt: skip
    by_url = table.set_index("url")
    for number, split in enumerate(["train", "test", "val", "test", "train", "test"], start=1):
        row = by_url.loc[f"flowers-102/jpg/image_{number:05d}.jpg"]
        assert row["split"] == split
        assert (raw / row["file"]).read_bytes() == flowers[f"jpg/image_{number:05d}.jpg"]
    assert list(table[table["query"] == "pink primrose"]["rank"]) == [1, 2]


def test_flowers_from_a_folder_keep_bytes_names_and_split(flowers_folder, flowers, scrape, raw):
    check_flowers(scrape("flowers102", dataset_folder=str(flowers_folder.parent)), raw, flowers)


def test_flowers_are_downloaded_once_and_checked(flowers_host, flowers, scrape, raw):
    check_flowers(scrape("flowers102"), raw, flowers)
    fetched = len(flowers_host.asked)
    scrape("flowers102")
    assert len(flowers_host.asked) == fetched


def test_what_arrived_of_flowers_is_not_fetched_again_after_a_failure(flowers_host, flowers, scrape, raw):
    split = flowers_host.files.pop("/setid.mat")
    assert "setid.mat" in said(scrape, "flowers102")
    flowers_host.files["/setid.mat"] = split
    flowers_host.asked.clear()
    check_flowers(scrape("flowers102"), raw, flowers)
    assert set(flowers_host.asked) == {"/setid.mat"}


def test_a_flower_missing_from_an_excerpt_is_a_refused_row(flowers_folder, scrape):
    (flowers_folder / "jpg/image_00003.jpg").unlink()
    table = scrape("flowers102", dataset_folder=str(flowers_folder)).set_index("url")
    row = table.loc["flowers-102/jpg/image_00003.jpg"]
    assert (row["status"], row["reason"], row["file"]) == ("refused", "the file is missing", "")
    assert (table["status"] == "kept").sum() == 5


@pytest.mark.parametrize("name", ["imagelabels.mat", "setid.mat"])
def test_damaged_labels_of_flowers_are_named(name, flowers_folder, scrape):
    path = flowers_folder / name
    path.write_bytes(path.read_bytes()[:100])
    assert f"{path} is damaged" in said(scrape, "flowers102", dataset_folder=str(flowers_folder))
    path.unlink()
    assert f"{path} is missing" in said(scrape, "flowers102", dataset_folder=str(flowers_folder))


def test_labels_and_split_that_contradict_each_other_are_named(flowers_folder, scrape):
    savemat(flowers_folder / "imagelabels.mat", {"labels": np.array([[1, 1]])})
    assert "do not exist" in said(scrape, "flowers102", dataset_folder=str(flowers_folder))


def test_a_dataset_folder_outside_must_be_absolute(scrape_params):
    shipped = scrape_params().model_dump()
    with pytest.raises(ValueError, match="absolute"):
        type(scrape_params()).model_validate(shipped | {"dataset_folder": "../sets"})
