"""Decodes untrusted bytes in a separate process whose time and memory are limited.

A few kilobytes can make a decoder use gigabytes, run for minutes, or crash. :func:`limited` decodes such a
file in another process, which is kept for the next one. The process may use memory in proportion to the
pixels that the file's header claims and to the bytes of the file, and is killed when its time is over. The
memory limit works on Linux only; elsewhere only the time limit holds. These limits bound the cost of a file;
they are no protection against code that takes over a decoder.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from ungray.errors import UngrayError
from ungray.imaging.photos import PhotoError, probe

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

R = TypeVar("R")

SECONDS = 60.0
"""Seconds that a photo may take if its caller has no deadline; the largest ones take a tenth of it."""

MEMORY = 512 << 20
"""Bytes of memory that any photo may use, however small."""

PIXEL_MEMORY = 32
"""Further bytes of memory per pixel of a photo, and :data:`FILE_MEMORY` per byte of its file."""

FILE_MEMORY = 8

GRACE = 2.0
"""Seconds past a photo's time after which its process ends by itself, if no other has killed it."""

START = (
    "import sys; sys.path[:] = [{home!r}, *{path!r}]; import ungray; del sys.path[0]; "
    "from ungray.imaging.decoding import serve; serve()"
)
"""The process imports the copy of ungray that runs here, whichever one is installed."""

SIZE = struct.Struct("<Q")
TIME = struct.Struct("<d")


class TooLongError(PhotoError):
    """A photo that was not decoded within its time limit."""


class Decoder:
    """Decodes photos in other processes, and can be stopped. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: set[LimitedProcess] = set()
        self._stopped = False

    def run(self, work: Callable[[bytes], R], content: bytes, *, seconds: float = SECONDS) -> R:
        """Return ``work(content)``, done in another process.

        Args:
            work: a module-level function, or :func:`functools.partial` of one: it is pickled by name. Its
                result is pickled, too.
            content: a photo's file.
            seconds: its time limit; starting a process does not count.

        Raises:
            TooLongError: it took longer.
            PhotoError: ``work`` raised it, it used too much memory, its decoder crashed, or :meth:`close` was
                called.
            Exception: anything else that ``work`` raised.
        """
        request = pickle.dumps(work)
        if self._stopped:
            raise PhotoError("interrupted")
        process = _taken()
        with self._lock:
            self._busy.add(process)
            if self._stopped:
                process.kill("stopped")
        try:
            done, result = pickle.loads(process.ask(request, content, seconds=seconds))
        except BaseException:  # such as Ctrl-C: the process works on what is no longer wanted
            process.kill("left")
            process.close()
            raise
        finally:
            with self._lock:
                self._busy.discard(process)
        _give_back(process)
        if not done:
            raise result
        return result

    def close(self) -> None:
        """Kill the busy processes, so that nobody waits for them; nothing more is decoded."""
        with self._lock:
            self._stopped = True
            for process in self._busy:
                process.kill("stopped")


class LimitedProcess:
    """Another process, which works on one photo at a time, with limits on time and memory."""

    def __init__(self) -> None:
        # An absolute path to this module, whatever the current folder is.
        path = [*filter(None, sys.path), str(Path(__file__).parents[3])]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-c", START.format(home=str(Path(__file__).parents[2]), path=path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | one_thread,
        )
        _all.add(self)
        self.killed = ""
        """Why it was killed: late, stopped or left."""

    def ask(self, work: bytes, content: bytes, *, seconds: float) -> bytes:
        """Return the pickled pair of whether ``work`` succeeded, and what it returned or raised.

        ``work`` is pickled; see :meth:`Decoder.run` for it and for what is raised. Without ``content`` it may
        use the memory of the smallest photo.
        """
        if self._exchange(TIME.pack(seconds) + work) is None:
            raise PhotoError("interrupted") if self.killed else self._not_started()
        # Only now: the time to start and import does not count for the photo.
        timer = threading.Timer(seconds, self.kill, ["late"])
        timer.daemon = True
        timer.start()
        try:
            answer = self._exchange(content)
        finally:
            timer.cancel()
            timer.join()  # or it might kill the process during the next photo
        if answer is not None:
            return answer
        if self.killed == "late":
            raise TooLongError(f"not decoded in {seconds:.3g} s")
        if self.killed:
            raise PhotoError("interrupted")
        ended = self._process.wait()
        if ended == -signal.SIGKILL:  # by the system, when memory is scarce
            raise PhotoError("needs more memory than is available")
        raise PhotoError(f"damaged: its decoder broke down ({_name(ended)})")

    def is_alive(self) -> bool:
        """Return whether the process is alive: the system may have killed it to free memory."""
        return self._process.poll() is None

    def kill(self, why: str) -> None:
        """Kill the process; whoever waits for its answer gets None."""
        self.killed = self.killed or why
        self._process.kill()

    def close(self) -> None:
        """End the process, for which nobody waits, and close its streams."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what could not be sent
                stream.close()  # type: ignore[union-attr]

    def _exchange(self, message: bytes) -> bytes | None:
        """Send a message and return the answer; None if the process is gone."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            _send(message, self._process.stdin)
            return _receive(self._process.stdout)
        except OSError:
            return None

    def _not_started(self) -> UngrayError:
        return UngrayError(
            f"the process that decodes photos did not start ({_name(self._process.wait())}); if nothing "
            "above says why, memory is short"
        )


serving = False
"""Whether this process decodes for another one."""

_everybody = Decoder()
_all: weakref.WeakSet[LimitedProcess] = weakref.WeakSet()
_idle: list[LimitedProcess] = []
_idle_lock = threading.Lock()


def limited(work: Callable[[bytes], R], content: bytes, *, seconds: float = SECONDS) -> R:
    """Return ``work(content)``, done in another process whose time and memory are limited.

    See :meth:`Decoder.run`.
    """
    return _everybody.run(work, content, seconds=seconds)


def stop() -> None:
    """Kill all processes, busy or idle, before this one exits abruptly."""
    for process in list(_all):
        process.kill("stopped")


def serve() -> None:
    """Decode what :class:`LimitedProcess` sends on standard input, until its end."""
    global serving
    serving = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which kills this process
    # Separate streams: what a library prints must not get between the answers.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("r+b") as nowhere:
        for number in (0, 1):
            os.dup2(nowhere.fileno(), number)
        warnings.simplefilter("ignore")
        while (request := _receive(requests)) is not None:
            (seconds,) = TIME.unpack_from(request)
            work = pickle.loads(request[TIME.size :])  # imports its module, not on the photo's time
            _send(b"", answers)
            os.dup2(nowhere.fileno(), 2)  # it has started: from now on only decoders print
            if (content := _receive(requests)) is None:
                break
            _leave_deleted_folder()
            with _time(seconds + GRACE):
                answer = _answer(work, content)
            _send(answer, answers)


def _leave_deleted_folder() -> None:
    """Change to the root folder if the current one is gone: Numba and others cannot work there."""
    try:
        Path.cwd()
    except OSError:
        os.chdir(Path(__file__).anchor)


def _answer(work: Callable[[bytes], Any], content: bytes) -> bytes:
    """Return, pickled, whether ``work(content)`` succeeded, and what it returned or raised."""
    try:
        with memory_limit(MEMORY + FILE_MEMORY * len(content)):
            _, width, height = probe(content) if content else ("", 0, 0)
        # What is no photo, and so comes without content, may name the memory that it needs.
        own = MEMORY if content else getattr(getattr(work, "func", work), "memory", MEMORY)
        with memory_limit(own + FILE_MEMORY * len(content) + PIXEL_MEMORY * width * height):
            return pickle.dumps((True, work(content)), protocol=5)
    except MemoryError:
        return pickle.dumps((False, PhotoError("needs more memory than is available for one of its size")))
    except Exception as error:
        try:
            if not isinstance(error, UngrayError):  # a bug of ours: keep its traceback
                error.add_note(traceback.format_exc())
            return pickle.dumps((False, error))
        except Exception:  # an exception that can't be sent
            return pickle.dumps((False, PhotoError(f"damaged: {type(error).__name__}")))


@contextmanager
def memory_limit(allowed: int) -> Iterator[None]:
    """Let this process use ``allowed`` bytes on top of those it has; a stricter limit stays."""
    used = _address_space()
    if resource is None or used is None:
        yield
        return
    limit, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_least(used + allowed, limit), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _least(wanted: int, limit: int) -> int:
    return wanted if limit == resource.RLIM_INFINITY else min(wanted, limit)


def _address_space() -> int | None:
    """Return the bytes of this process's address space; None if the system does not report them."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return None


@contextmanager
def _time(seconds: float) -> Iterator[None]:
    """End this process if the block takes longer."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _taken() -> LimitedProcess:
    with _idle_lock:
        while _idle:
            process = _idle.pop()
            if process.is_alive():
                return process
            process.close()
    return LimitedProcess()


def _give_back(process: LimitedProcess) -> None:
    with _idle_lock:
        if not process.killed:
            return _idle.append(process)
    process.close()


def _close_idle() -> None:
    with _idle_lock:
        processes = _idle.copy()
        _idle.clear()
    for process in processes:
        process.close()


atexit.register(_close_idle)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # they are the parent's


def _send(message: bytes, stream: IO[bytes]) -> None:
    stream.write(SIZE.pack(len(message)))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """Return the next message; None if the stream has ended."""
    head = stream.read(SIZE.size)
    if len(head) < SIZE.size:
        return None
    (size,) = SIZE.unpack(head)
    message = stream.read(size)
    return message if len(message) == size else None


def _name(ended: int) -> str:
    """Return the name of an exit status: that of the signal, if it was one."""
    try:
        return signal.Signals(-ended).name
    except ValueError:
        return f"exit status {ended}"
