"""Runs commands where everything they ask of the network and every file they leave is seen.

Run by test_nothing_leaves.py as ``unshare --net --mount python watched.py``, with the commands as JSON on
standard input: the network has nothing but a loopback, whose name server writes down what it is asked, and
over each folder of the disk lies a layer that takes all that is written. What came of each command is JSON on
standard output.
"""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
NO_SUCH_NAME = 0x8183
"""Flags of a name server's answer: there is no such name."""

SYSTEM = ("proc", "sys", "dev")
"""Folders of / that are no disk's."""

SHARED = Path("/dev/shm")
"""A file system in memory, which this process gets its own of: what is seen lies there."""


class NameServer:
    """Answers that no name exists, and writes down which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, sender = self.socket.recvfrom(4096)
            self.asked.append(_name(query))
            header = query[:2] + struct.pack(">5H", NO_SUCH_NAME, 1, 0, 0, 0)
            self.socket.sendto(header + query[12:], sender)


def _name(query: bytes) -> str:
    labels, place = [], 12
    while length := query[place]:
        labels.append(query[place + 1 : place + 1 + length].decode("ascii", "backslashreplace"))
        place += 1 + length
    return ".".join(labels)


class Disk:
    """Folders in which new files are seen."""

    def __init__(self) -> None:
        mount("-t", "tmpfs", "seen", SHARED)
        self.layers = {}
        for folder in sorted(Path("/").iterdir()):
            if folder.is_symlink() or not folder.is_dir() or folder.name in SYSTEM:
                continue
            upper, work = (SHARED / "seen" / folder.name / name for name in ("upper", "work"))
            upper.mkdir(parents=True)
            work.mkdir()
            layers = f"lowerdir={folder},upperdir={upper},workdir={work}"
            for options in (layers, f"{layers},userxattr"):
                if not mount("-t", "overlay", "seen", "-o", options, folder, fails=True):
                    self.layers[folder] = upper
                    break

    def written(self) -> list[str]:
        """Return the files that were written since the start, by their paths."""
        found = [
            folder / path.relative_to(upper)
            for folder, upper in self.layers.items()
            for path in upper.rglob("*")
            if path.is_file() or path.is_symlink()
        ]
        return sorted(map(str, [*found, *(path for path in SHARED.iterdir() if path.name != "seen")]))


def mount(*arguments: object, fails: bool = False) -> int:
    """Mount something; return the exit code of ``mount``."""
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode and not fails:
        sys.exit(f"cannot mount: {done.stderr}")
    return done.returncode


def raise_loopback() -> None:
    """Switch on the loopback of this network namespace, which starts without."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def run(commands: list[dict], environment: dict[str, str]) -> list[dict]:
    """Run commands side by side; those with ``seconds`` are servers, ended by Ctrl-C after the longest."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    command["arguments"],
                    cwd=command["folder"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            for command in commands
        ]
        said = [""] * len(commands)
        if seconds := max(command["seconds"] for command in commands):
            said = [process.stdout.readline() for process in started]
            time.sleep(seconds)
            for process in started:
                process.send_signal(signal.SIGINT)
        said = [before + process.communicate()[0] for before, process in zip(said, started, strict=True)]
    return [{"code": process.returncode, "said": text} for process, text in zip(started, said, strict=True)]


def main() -> None:
    """Do what standard input asks for."""
    wanted = json.load(sys.stdin)
    raise_loopback()
    disk = Disk()
    resolv = SHARED / "seen" / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    mount("--bind", resolv, "/etc/resolv.conf")
    server = NameServer()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment |= wanted["environment"]
    commands = wanted["commands"]
    # Servers are left alone for a while: all together, after the others.
    together = [[number] for number, command in enumerate(commands) if not command["seconds"]]
    together.append([number for number, command in enumerate(commands) if command["seconds"]])
    came = {}
    before = disk.written()
    for numbers in together:
        asked = len(server.asked)
        results = run([commands[number] for number in numbers], environment)
        now = disk.written()
        seen = {"asked": server.asked[asked:], "wrote": [f for f in now if f not in before]}
        came |= {number: result | seen for number, result in zip(numbers, results, strict=True)}
        before = now
    found = {"seen": [str(folder) for folder in disk.layers], "came": [came[n] for n in range(len(commands))]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
