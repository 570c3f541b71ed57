"""What a host can do to a connection that is to be secure: it costs its own photo, and no other."""

import contextlib
import os
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from .conftest import PUBLIC, photo

AUTHORITY = trustme.CA()
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"
"""A TLS record, as it stands: fatal, handshake failure."""


def context(**changes):
    """A server's TLS, its certificate good for name.test."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("name.test").configure_cert(made)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def behind_tls(answer, **changes):
    """A host that shakes hands and answers the request by ``answer(socket)``."""

    def serve(connection):
        with context(**changes).wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            answer(secure)

    return serve


def sends_and_writes_past_tls(sent, written):
    """Answer with a photo's first bytes under TLS, then write these bytes below it."""

    def answer(secure):
        secure.sendall(sent)
        os.write(secure.fileno(), written)

    return answer


def wants_a_certificate(**changes):
    def serve(connection):
        made = context(verify_mode=ssl.CERT_REQUIRED, **changes)
        AUTHORITY.configure_trust(made)
        with contextlib.suppress(ssl.SSLError):
            # Of the connection that stays open the request is read, so that the alert arrives before the end.
            made.wrap_socket(connection.dup(), server_side=True)
        connection.recv(65536)

    return serve


def expired(connection):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.now(UTC) - timedelta(days=1)
    AUTHORITY.issue_cert("name.test", not_after=past).configure_cert(made)
    made.wrap_socket(connection, server_side=True)


def answers_at_once(content):
    return lambda connection: (connection.recv(65536), connection.sendall(content))


PHOTO = photo(1)
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO[:200]
V1_2 = {"maximum_version": ssl.TLSVersion.TLSv1_2}

CASES = {
    "a certificate of ours": (wants_a_certificate(), "its host requires a client certificate"),
    "a certificate of ours, TLS 1.2": (wants_a_certificate(**V1_2), "no secure connection"),
    "garbage for an answer": (
        behind_tls(sends_and_writes_past_tls(b"", b"garbage" * 99)),
        "no secure connection",
    ),
    "garbage in the body": (behind_tls(sends_and_writes_past_tls(HALF, bytes(999))), "no secure connection"),
    "an alert for an answer": (behind_tls(sends_and_writes_past_tls(b"", ALERT)), "no secure connection"),
    "an alert in the body": (behind_tls(sends_and_writes_past_tls(HALF, ALERT)), "no secure connection"),
    "an alert in the body, TLS 1.2": (
        behind_tls(sends_and_writes_past_tls(HALF, ALERT), **V1_2),
        "no secure connection",
    ),
    "half of the body": (behind_tls(lambda secure: secure.sendall(HALF)), "connection broken off"),
    "no TLS": (answers_at_once(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no secure connection"),
    "an alert for a greeting": (answers_at_once(ALERT), "no secure connection"),
    "garbage for a greeting": (answers_at_once(bytes(range(256)) * 9), "no secure connection"),
    # Whether the end of the stream or of the connection comes first is up to the system.
    "no word": (lambda connection: connection.recv(65536), ("no connection", "no secure connection")),
    "an expired certificate": (expired, "its certificate is not valid for this host"),
}


@pytest.fixture
def secure_host(monkeypatch, tmp_path):
    """A function that starts a host by what it does with a connection, and returns a link to it."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    listening = socket.create_server((PUBLIC, 0))

    def start(serve):
        def run():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # the test is over
                    return
                try:
                    serve(connection)
                except OSError:
                    pass  # we hung up on it
                finally:
                    connection.close()

        threading.Thread(target=run, daemon=True).start()
        return f"https://name.test:{listening.getsockname()[1]}/a.jpg"

    yield start
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


@pytest.mark.parametrize("name", CASES)
def test_a_fault_of_tls_is_named_and_the_photo_of_another_host_is_fetched(hosts, fetched, secure_host, name):
    serve, reason = CASES[name]
    hosts.serves("/good.jpg")
    bad, good = secure_host(serve), hosts.link("good.test", "/good.jpg")
    outcomes = fetched(bad, good, attempts=2, timeout=10.0, deadline=60.0)
    assert outcomes[bad].sha256 == ""
    assert outcomes[bad].reason in ([reason] if isinstance(reason, str) else reason)
    assert outcomes[good].sha256


def test_a_photo_counts_though_its_host_takes_leave_without_a_word(fetched, secure_host):
    # No length, no end of TLS: the photo decodes to its end, so it is whole.
    link = secure_host(behind_tls(lambda secure: secure.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + PHOTO)))
    assert fetched(link)[link].sha256


def test_a_photo_counts_though_garbage_follows_it(fetched, secure_host):
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO
    link = secure_host(behind_tls(sends_and_writes_past_tls(whole, bytes(999))))
    assert fetched(link)[link].sha256
