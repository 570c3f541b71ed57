"""Which links are asked, at which address, and under which name."""

import ssl
import threading
import time

import pytest
import trustme

from ungray.fetch import addresses, blob_path

from .conftest import PUBLIC, is_public, resolve

PRIVATE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254"),
    *(
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "198.18.0.1",
        "192.0.2.1",
        "240.0.0.1",
    ),
    *("255.255.255.255", "224.0.0.1", "239.255.255.250"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", "fd00::1", "fec0::1", "ff02::1"),
    *("2001:db8::1", "100::1", "::127.0.0.1", "::8.8.8.8", "2001::1", "64:ff9b:1::8.8.8.8", "fd00:ec2::254"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("", "localhost", "8.8.8.8.8", "8.8.8", "0x08080808", "08.8.8.8", "8.8.8.8/32"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_public_network_is_not_public(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"),
        *("::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"),
    ],
)
def test_what_is_of_the_public_network_is_public(address):
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost.", "LOCALHOST", "127.0.0.1", "127.0.0.2", "0", "0.0.0.0", "2130706433"),
        *(
            "0x7f.1",
            "0x7f000001",
            "127.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
        ),
        *("good.test@localhost", "good.test:80@127.0.0.1", "good.test%40@127.0.0.1", "127.0.0.1."),
        *("169.254.169.254", "10.0.0.1", "192.168.0.1", "[fe80::1]", "[fd00::1]"),
    ],
)
def test_this_machine_and_its_network_are_refused_by_whatever_name_and_not_even_asked(
    hosts, start, fetched, host
):
    inside = start(address="127.0.0.1", port=hosts.server_port)
    inside.serves("/a.jpg")
    link = f"http://{host}:{hosts.server_port}/a.jpg"
    outcome = fetched(link, attempts=1)[link]
    assert outcome.sha256 == ""
    assert outcome.reason.startswith(("not a public address: ", "unknown host"))
    assert inside.connections == hosts.connections == 0


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("file:///etc/passwd", "not a web address (file)"),
        ("data:image/gif;base64,R0lGODlhAQABAAAAACw=", "not a web address (data)"),
        ("ftp://good.test/a.jpg", "not a web address (ftp)"),
        ("javascript:alert(1)", "not a web address (javascript)"),
        ("/a.jpg", "not a web address (no scheme)"),
        ("good.test/a.jpg", "not a web address (no scheme)"),
        ("", "not a web address (no scheme)"),
        ("http://", "not a web address (no host, or no such port)"),
        ("http://good.test:99999/a.jpg", "not a web address (no host, or no such port)"),
        ("http://good.test:port/a.jpg", "not a web address"),
        ("http://[abc]/a.jpg", "not a web address"),
        ("http://0177.0.0.1/a.jpg", "not a web address"),
        ("http://１２７.0.0.1/a.jpg", "not a web address"),
        ("http://a\0b/", "not a web address"),
        ("http://good.test/a\r\nHost: other.test/", "not a web address"),
        ("http://good.test/" + "a" * 70_000, "not a web address"),
        ("http://a..b/a.jpg", "unknown host"),
        ("http://xn--a/a.jpg", "unknown host"),
        ("http://" + "a" * 300 + "/a.jpg", "unknown host"),
        ("http://good.test.nowhere.invalid/", "unknown host"),
    ],
)
def test_what_is_no_web_address_is_refused(hosts, fetched, link, reason):
    assert fetched(link, attempts=1)[link].reason == reason
    assert hosts.connections == 0


def test_the_connection_goes_to_the_address_that_was_checked_though_the_name_moves_on(
    hosts, start, fetched, store
):
    inside = start(address="127.0.0.1", port=hosts.server_port)
    inside.serves("/a.jpg")
    content = hosts.serves("/a.jpg")
    asked = []

    def rebinds(host):
        asked.append(host)
        return [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]

    link = hosts.link("rebinds.test", "/a.jpg")
    assert blob_path(store, fetched(link, resolve=rebinds)[link].sha256).read_bytes() == content
    assert asked == ["rebinds.test"]
    assert (hosts.connections, inside.connections) == (1, 0)
    assert fetched(link, resolve=rebinds)[link].reason == "not a public address: rebinds.test"
    assert (hosts.connections, inside.connections) == (1, 0)


def test_a_redirect_is_checked_anew_though_it_leads_to_the_same_name(hosts, start, fetched):
    inside = start(address="127.0.0.1", port=hosts.server_port)
    hosts.answers["/a.jpg"] = lambda handler: handler.send(status=302, Location="/b.jpg")
    hosts.serves("/b.jpg")
    given = iter([[PUBLIC], ["127.0.0.1"]])
    link = hosts.link("rebinds.test", "/a.jpg")
    outcome = fetched(link, resolve=lambda host: next(given))[link]
    assert outcome.reason == "not a public address: rebinds.test"
    assert [request.path for request in hosts.asked] == ["/a.jpg"]
    assert inside.connections == 0


def test_the_second_address_is_tried_where_the_first_does_not_answer(hosts, fetched, store):
    content = hosts.serves("/a.jpg")
    link = hosts.link("two.test", "/a.jpg")
    outcome = fetched(
        link,
        resolve=lambda host: ["127.0.0.54", PUBLIC],
        is_public=lambda address: address.startswith("127.0.0.5"),
        attempts=1,
    )[link]
    assert blob_path(store, outcome.sha256).read_bytes() == content


def test_a_host_is_addressed_by_its_name_and_told_no_password_no_cookie_and_no_page_we_came_from(
    hosts, fetched
):
    hosts.answers["/a.jpg"] = lambda handler: handler.send(
        status=302, Location="/b.jpg", Set_Cookie="id=1; Path=/"
    )
    hosts.serves("/b.jpg", Set_Cookie="id=2; Path=/")
    link = f"http://user:secret@Name.TEST:{hosts.server_port}/a.jpg"
    again = hosts.link("name.test", "/b.jpg")
    outcomes = fetched(link, again, connections=1)
    assert all(outcome.sha256 for outcome in outcomes.values())
    for request in hosts.asked:
        assert request.headers["Host"] == f"name.test:{hosts.server_port}"
        assert not {"Cookie", "Authorization", "Referer"} & set(request.headers)
        assert request.headers["Accept-Encoding"] == "identity"
        assert "ungray" in request.headers["User-Agent"]
    assert len(hosts.asked) == 3


def test_a_proxy_and_passwords_of_the_environment_are_not_used(hosts, fetched, monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("default login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    hosts.serves("/a.jpg")
    link = hosts.link("name.test", "/a.jpg")
    assert fetched(link)[link].sha256
    assert "Authorization" not in hosts.asked[0].headers


def test_a_name_server_that_never_answers_costs_its_photo_and_no_other(hosts, fetched):
    hosts.serves("/a.jpg")
    over = threading.Event()

    def hangs(host):
        if host == "hangs.test":
            over.wait(30)
        return resolve(host)

    slow, good = hosts.link("hangs.test", "/a.jpg"), hosts.link("good.test", "/a.jpg")
    began = time.monotonic()
    outcomes = fetched(slow, good, resolve=hangs, timeout=0.5, attempts=1, connections=2)
    assert outcomes[slow].reason == "timed out: no name server answered"
    assert outcomes[good].sha256
    assert time.monotonic() - began < 20  # the name server hangs for 30
    over.set()


@pytest.fixture
def secure(hosts, monkeypatch, tmp_path):
    """The stand-in behind TLS, its certificate good for name.test and signed by an authority we know."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("name.test").configure_cert(context)
    hosts.greeted = []
    context.sni_callback = lambda socket, name, _: hosts.greeted.append(name)
    hosts.socket = context.wrap_socket(hosts.socket, server_side=True, do_handshake_on_connect=False)
    hosts.serves("/a.jpg")
    return hosts


def https(server, host):
    return server.link(host, "/a.jpg").replace("http:", "https:")


def test_tls_asks_for_the_name_and_verifies_it_though_we_dial_an_address(secure, fetched):
    good, wrong = https(secure, "name.test"), https(secure, "other.test")
    assert fetched(good)[good].sha256
    assert secure.greeted == ["name.test"]
    assert fetched(wrong)[wrong].reason == "its certificate is not valid for this host"
    assert secure.greeted == ["name.test", "other.test"], "a certificate will not get better by asking again"
    assert [request.host for request in secure.asked] == ["name.test"]


def test_a_connection_verified_for_one_name_serves_no_other_name_at_that_address(secure, fetched):
    links = [https(secure, host) for host in ("name.test", "other.test")]
    outcomes = fetched(*links, connections=1)
    assert [bool(outcomes[link].sha256) for link in links] == [True, False]
    assert secure.connections == 2


def test_the_dot_at_the_end_of_a_name_is_no_part_of_the_name_in_a_certificate(secure, fetched):
    link = https(secure, "name.test.")
    assert fetched(link, resolve=lambda host: [PUBLIC])[link].sha256


def test_a_certificate_of_an_unknown_authority_is_refused(secure, fetched, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    link = https(secure, "name.test")
    assert fetched(link)[link].reason == "its certificate is not valid for this host"
    assert secure.asked == []


def test_the_rule_of_these_tests_is_the_real_one_but_for_the_stand_in():
    assert is_public(PUBLIC)
    assert not addresses.is_public(PUBLIC)
    assert not is_public("127.0.0.1")
