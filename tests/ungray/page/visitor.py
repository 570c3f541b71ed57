"""The web page as a person starts it, and a visitor without a browser who speaks as its script does."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[3]


class Server:
    """``colorize serve`` in a process of its own, its temporary folders below ``top``."""

    def __init__(self, top, *options):
        self.top = top
        top.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(top)}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.log = (top / "log.txt").open("w+")
        command = "import sys; from ungray.page import main; main(sys.argv[1:])"
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

    def memory(self):
        """Its resident memory in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def files(self):
        """What lies in its folders, but for its own examples."""
        names = [path for path in self.top.glob("colorize-serve-*/**/*") if path.is_file()]
        return [path for path in names if path.parent.name != "examples"]

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


class Visitor:
    """One browser tab. ``async with`` it."""

    def __init__(self, address):
        self.address = address
        self.session = secrets.token_hex(5)
        self.client = httpx.AsyncClient(base_url=address, timeout=120)

    async def __aenter__(self):
        config = (await self.client.get("/config")).json()
        names = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
        self.events = {}
        for event in config["dependencies"]:
            for part, kind in event["targets"]:
                self.events.setdefault((names.get(part), kind), event["id"])
        self.controls = {
            (part["props"].get("label"), kind): event["id"]
            for event in config["dependencies"]
            for at, kind in event["targets"]
            for part in config["components"]
            if part["id"] == at and event["backend_fn"]
        }
        started = asyncio.Event()
        self.heart = asyncio.create_task(self._beat(started))
        await started.wait()
        return self

    async def __aexit__(self, *_):
        self.heart.cancel()
        # A server that is gone has cut it off already.
        with contextlib.suppress(asyncio.CancelledError, httpx.TransportError):
            await self.heart
        await self.client.aclose()

    async def _beat(self, started):
        address = f"/gradio_api/heartbeat/{self.session}"
        try:
            async with self.client.stream("GET", address, timeout=None) as beats:
                async for _ in beats.aiter_lines():
                    started.set()
        finally:
            started.set()

    async def upload(self, *photos):
        """Send files, (name, content) each; return the paths they got."""
        files = [("files", (name, content)) for name, content in photos]
        response = await self.client.post("/gradio_api/upload", files=files)
        if response.status_code == 503:
            raise Busy(response.text)
        response.raise_for_status()
        return response.json()

    async def call(self, event, *data):
        """Have the page answer an event, (element, kind), and return what it gives."""
        number = self.events.get(event, self.controls.get(event))
        body = {"data": list(data), "fn_index": number, "session_hash": self.session, "event_data": None}
        response = await self.client.post("/gradio_api/queue/join", json=body)
        if response.status_code == 503:
            raise Busy(response.text)
        response.raise_for_status()
        mine = response.json()["event_id"]
        where = f"/gradio_api/queue/data?session_hash={self.session}"
        async with self.client.stream("GET", where) as messages:
            async for line in messages.aiter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed" and message["event_id"] == mine:
                    assert message["success"], message
                    return message["output"]["data"]
        raise AssertionError("the page hung up")

    async def open(self, name, content, model, saturation=1, vivid=False):
        """Drop a photo; return the addresses of its gray and colored picture, or None, and what is said."""
        (path,) = await self.upload((name, content))
        shown, said = await self.call(("drop", "upload"), file(path), model, saturation, vivid)
        return addresses(shown), said

    async def fetch(self, address):
        """Return the content at an address of the page."""
        response = await self.client.get(address)
        response.raise_for_status()
        return response.content


def file(path):
    """What the page's script says of an upload."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def addresses(shown):
    """The addresses in what the page gives for pictures; None if it leaves them as they are."""
    if not isinstance(shown, list) or not all(shown):
        return None
    return [f"/gradio_api/file={part['path']}" for part in shown]
