import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stages.train.run import run
from ungray.networks import save_model


def trained_model(tiny, prepared, report, **changes):
    params = tiny["train"].model_copy(update=changes)
    result = run(params, tiny["machine"], prepared=prepared, report=report)
    shutil.rmtree(result.work)
    return result.model


def model_bytes(model, path):
    save_model(path, model)
    return path.read_bytes()


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with its own working cache."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(tiny, prepared, here):
    """A function that trains with changed params, and returns the result and the model's bytes."""

    def train(report="r", *, machine=(), on_epoch=None, **changes):
        params = tiny["train"].model_copy(update=changes)
        options = tiny["machine"].model_copy(update=dict(machine))
        result = run(params, options, prepared=prepared, report=here / report, on_epoch=on_epoch)
        shutil.rmtree(result.work)
        save_model(here / "m.safetensors", result.model)
        return result, (here / "m.safetensors").read_bytes()

    return train


@pytest.fixture
def served(tmp_path):
    """The address of a web server over ``tmp_path``, and the answers (HTTP status) it gives before files."""
    first = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            if first:
                self.send_error(first.pop())
            else:
                super().do_GET()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", first
    server.shutdown()
    server.server_close()
