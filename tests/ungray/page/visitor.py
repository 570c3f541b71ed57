"""The web page as a person starts it, and a visitor without a browser who speaks as its script does."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[3]


class Server:
    """``colorize serve`` in a process of its own, its temporary folders below ``top``."""

    def __init__(self, top, *options, before=""):
        """Start it; ``before`` is Python that its process runs first."""
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(top)}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.log = (top / "log.txt").open("w+")
        command = f"import sys; {before}\nfrom ungray.page import main; main(sys.argv[1:])"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "--no-browser", "--port", "0", *map(str, options)],
            env=environment, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=self.log,
        )  # fmt: skip
        self.greeting = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.greeting)
        assert found, self.greeting + self.said()
        self.address = found.group()

    def said(self):
        """What it wrote to standard error so far."""
        return (self.top / "log.txt").read_text()

    def workers(self):
        """Its worker processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def memory(self):
        """Its resident memory in MiB, that of its worker processes included."""
        found = 0
        for process in [psutil.Process(self.process.pid), *self.workers()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += process.memory_info().rss
        return found / 2**20

    def files(self):
        """What lies in its folders of photos."""
        return [path for path in self.top.glob("colorize-serve-*/sessions/**/*") if path.is_file()]

    def stop(self, how=signal.SIGINT):
        """End it; return its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        return code


class Busy(Exception):  # noqa: N818
    """The page said that it is busy."""


class Refused(Exception):  # noqa: N818
    """The page said in a sentence, the message, why it does not do something; ``status`` is HTTP's."""

    def __init__(self, response):
        super().__init__(response.json()["error"])
        self.status = response.status_code


class Visitor:
    """One browser tab. ``async with`` it."""

    def __init__(self, address):
        self.client = httpx.AsyncClient(base_url=address, timeout=180, headers={"Origin": address})

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        # A server that is gone has forgotten it already.
        with contextlib.suppress(httpx.TransportError, Refused, Busy):
            await self.leave()
        await self.client.aclose()

    async def ask(self, method, path, **about):
        """Return the answer to a request; the first one begins a session."""
        if "session" not in self.client.headers:
            started = await self.client.post("/api/sessions")
            self.client.headers["Session"] = self._of(started).json()["session"]
        return self._of(await self.client.request(method, path, **about))

    def _of(self, response):
        if response.status_code == 503:
            raise Busy(response.json()["error"])
        if response.is_error:
            raise Refused(response)
        return response

    async def open(self, name, content):
        """Bring a photo; return what the page says of it."""
        answer = await self.ask("POST", "/api/photos", params={"name": name}, content=content)
        return answer.json()

    async def preview(self, photo, **settings):
        """Return the colored picture, JPEG."""
        return (await self.ask("POST", f"/api/photos/{photo['id']}/preview", json=settings)).content

    async def steps(self, photo, **settings):
        """Return what was done for the colored picture, of decode, network, render and encode."""
        answer = await self.ask("POST", f"/api/photos/{photo['id']}/preview", json=settings)
        return set(re.findall(r"(\w+);", answer.headers["server-timing"]))

    async def gray(self, photo):
        """Return the gray picture, JPEG."""
        return (await self.ask("GET", f"/api/photos/{photo['id']}/gray")).content

    async def whole(self, photo, **settings):
        """Return the file name and the content of the download."""
        made = (await self.ask("POST", f"/api/photos/{photo['id']}/whole", json=settings)).json()
        return made["name"], (await self.ask("GET", f"/downloads/{made['key']}")).content

    async def photos(self):
        """Return what the page says of all photos of the session."""
        return (await self.ask("GET", "/api/photos")).json()["photos"]

    async def leave(self):
        """Close the page."""
        if key := self.client.headers.get("session"):
            await self.client.post("/api/leave", content=key)
