"""``ase-l2h weights download`` from servers that lie, cut, delay and redirect."""

from __future__ import annotations

import gzip
import signal
import socket
import threading
import time

import numpy as np
import pytest
from loopback import (
    BUNDLED,
    CACHED,
    CHUNKED,
    CONTENT,
    ENTRY,
    FILE,
    HALF,
    HEAD,
    NAME,
    PATH,
    TAMPERED,
    Answer,
    Handler,
    closed_port,
    dripping,
    endless,
    raw,
    silent,
    start,
    state,
    status,
    unannounced,
    whole,
)

from ase_l2h.weights import download as _download
from ase_l2h.weights.load import load_weights


def test_what_is_downloaded_is_used_and_never_downloaded_again(
    run, server, published, cache
):
    assert state(run) == "not downloaded"
    result = run("weights", "download", NAME)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{NAME}: downloaded, {cache / CACHED}\n"
    assert result.stderr == ""
    assert [path.name for path in cache.iterdir()] == [CACHED]
    assert (cache / CACHED).read_bytes() == CONTENT
    assert state(run) == "cached"
    again = run("weights", "download", NAME, BUNDLED, "default")
    assert [line.split(",")[0] for line in again.stdout.splitlines()] == [
        f"{NAME}: cached",
        f"{BUNDLED}: bundled",
        "default: bundled",
    ]
    assert server.requests == [PATH]
    assert run("weights", "path", NAME).stdout == f"{cache / CACHED}\n"
    assert f"{NAME}: intact" in run("weights", "verify").stdout
    far, near = load_weights(NAME), load_weights(BUNDLED)
    assert (far.name, far.sha256) == (NAME, near.sha256)
    for key, leaf in near.rule.theta.items():
        np.testing.assert_array_equal(far.rule.theta[key], leaf)


def test_nothing_is_downloaded_unasked(run, refused, server, published, cache):
    said = (
        f"the weights '{NAME}' are not on this machine; run `ase-l2h weights download "
        f"{NAME}`"
    )
    with pytest.raises(ValueError, match=r"not on this machine; run `ase-l2h") as error:
        load_weights(NAME)
    assert str(error.value) == said
    assert refused("search", "LJ7", "--weights", NAME) == said
    for verb in ("path", "verify"):
        assert refused("weights", verb, NAME) == said
    assert NAME not in run("weights", "verify").stdout
    run("weights", "list")
    run("weights", "info", NAME)
    run("info")
    assert server.requests == []
    assert not cache.exists()


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_redirects_are_followed(run, server, published, cache, number):
    server.answers["/hop.safetensors"] = [status(number, Location="/hop-2")]
    server.answers["/hop-2"] = [endless(number, Location=server.url + PATH)]
    mirror = server.url + "/hop.safetensors"
    result = run("weights", "download", NAME, "--from", mirror)
    assert result.exit_code == 0, result.output
    assert (cache / CACHED).read_bytes() == CONTENT
    assert server.requests == ["/hop.safetensors", "/hop-2", PATH]
    # The body of a redirect is nothing anybody asked for.
    assert server.sent < 20_000_000


def test_a_cut_download_is_begun_anew(run, server, published, cache):
    for first in (raw(HEAD + HALF), raw(b""), status(503), whole(HALF, len(CONTENT))):
        server.answers[PATH] = [first, raw(CHUNKED + b"400\r\n"), whole(CONTENT)]
        result = run("weights", "download", NAME)
        assert result.exit_code == 0, result.output
        assert (cache / CACHED).read_bytes() == CONTENT
        assert server.requests == [PATH] * 3
        server.requests.clear()
        (cache / CACHED).unlink()


BAD_ANSWERS: dict[str, tuple[Answer, int, str]] = {
    # answer, requests, words of the sentence
    "missing": (status(404), 1, "it answered 404 (Not Found)"),
    "forbidden": (status(403), 1, "it answered 403 (Forbidden)"),
    "nothing": (status(204), 1, "it answered 204"),
    "strange": (status(299), 1, "it answered 299"),
    "broken": (status(500), 3, "it answered 500 (Internal Server Error)"),
    "busy": (status(503), 3, "it answered 503"),
    "another page": (whole(b"<html>Log in!</html>"), 1, "announced '20' bytes"),
    "announces less": (whole(CONTENT, 100), 1, "announced '100' bytes"),
    "announces more": (whole(CONTENT, 10**15), 1, "announced '1000000000000000' bytes"),
    "announces nonsense": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + CONTENT),
        1,
        "announced 'many' bytes",
    ),
    "one byte more": (unannounced(CONTENT + b"x"), 1, "sends more than the"),
    "without end": (endless(), 1, "sends more than the"),
    "in chunks without end": (
        raw(CHUNKED + 1000 * (b"400\r\n" + bytes(1024) + b"\r\n")),
        1,
        "sends more than the",
    ),
    "packed bomb": (
        unannounced(gzip.compress(bytes(10**7)), Content_Encoding="gzip"),
        1,
        "sends more than the",
    ),
    "packed nonsense": (
        unannounced(CONTENT, Content_Encoding="gzip"),
        1,
        "cannot be decoded",
    ),
    # Bytes of a form that is read with another package only, few and many of them.
    "packed otherwise": (
        whole(HALF, Content_Encoding="br"),
        1,
        "packed as 'br', which was not asked for",
    ),
    "packed otherwise, more": (
        unannounced(2 * CONTENT, Content_Encoding="zstd"),
        1,
        "packed as 'zstd'",
    ),
    "cut": (raw(HEAD + HALF), 3, "it was cut after"),
    "cut, no length": (unannounced(HALF), 3, f"cut after {len(HALF)} of"),
    "cut chunk": (
        raw(CHUNKED + b"400\r\n" + CONTENT[:99]),
        3,
        "it was cut after",
    ),
    "empty": (unannounced(b""), 3, f"cut after 0 of {len(CONTENT)} bytes"),
    "hangs up": (raw(b""), 3, "cut before an answer"),
    "no web server": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), 3, "cut before an answer"),
    "heads without end": (
        raw(b"HTTP/1.1 200 OK\r\n" + 1000 * b"X: y\r\n"),
        3,
        "cut before an answer",
    ),
    "circle": (status(302, Location=PATH), 31, "redirects in circles"),
    "to a file": (status(302, Location="file:///etc/passwd"), 1, "not a web address"),
    "to nowhere": (status(302, Location="http://[::"), 1, "not a web address"),
    "to no host": (
        status(302, Location=f"http://{70 * 'a'}.a/"),
        1,
        "not a web address",
    ),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_servers_that_do_not_give_the_file(fails, server, published, cache, name):
    answer, requests, said = BAD_ANSWERS[name]
    server.answers[PATH] = [answer]
    sentence = fails()
    assert said in sentence
    assert f"cannot download {server.url}{PATH}: " in sentence
    assert f"copy {FILE} ({len(CONTENT)} bytes) from elsewhere to " in sentence
    assert str(cache / CACHED) in sentence
    assert len(server.requests) == requests
    # What the kernel takes before anybody reads, not a hundred million.
    assert server.sent < 20_000_000


@pytest.mark.parametrize(
    "send",
    [
        whole,
        unannounced,
        lambda content: whole(gzip.compress(content), Content_Encoding="gzip"),
    ],
    ids=["plain", "no length", "packed"],
)
def test_wrong_content_of_the_right_length_is_not_kept(
    fails, run, server, published, send
):
    server.answers[PATH] = [send(TAMPERED)]
    sentence = fails()
    assert f"{server.url}{PATH} is not the file that was released" in sentence
    assert f"not {ENTRY['sha256'][:12]}" in sentence
    assert state(run) == "not downloaded"


def test_what_a_server_packs_on_its_own_account_is_unpacked(
    run, server, published, cache
):
    wishes = []

    def packed(handler: Handler) -> None:
        wishes.append(handler.headers["Accept-Encoding"])
        whole(gzip.compress(CONTENT), Content_Encoding="gzip")(handler)

    server.answers[PATH] = [packed]
    assert run("weights", "download", NAME).exit_code == 0
    assert (cache / CACHED).read_bytes() == CONTENT
    assert wishes == ["identity"]


@pytest.mark.parametrize(
    "answer",
    [silent(), silent(HEAD[:20]), silent(HEAD), silent(HEAD + HALF), dripping],
    ids=["no answer", "half a head", "no body", "half a body", "drips"],
)
def test_servers_that_delay_are_given_up_in_time(fails, server, published, answer):
    server.answers[PATH] = [answer]
    begun = time.monotonic()
    sentence = fails("--timeout", 0.3)
    assert "gave no complete answer within 0.3 s" in sentence
    assert time.monotonic() - begun < 10


def test_a_name_server_that_delays_is_given_up_in_time(fails, publish, monkeypatch):
    publish("http://weights.invalid/far.safetensors")
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60) and [])
    begun = time.monotonic()
    assert "gave no complete answer within 0.3 s" in fails("--timeout", 0.3)
    assert time.monotonic() - begun < 10
    over.set()


def test_offline_one_sentence_tells_what_to_copy_and_where(
    fails, publish, cache, monkeypatch
):
    url = f"http://127.0.0.1:{closed_port()}{PATH}"
    publish(url)
    assert fails() == (
        f"cannot download {url}: no connection (Connection refused); copy {FILE} "
        f"({len(CONTENT)} bytes) from elsewhere to {cache / CACHED}, or name a mirror "
        "with --from"
    )

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    publish("http://weights.invalid/")
    assert "no connection (Name or service not known); copy far.safetensors" in fails()


def test_a_proxy_that_is_not_there_is_named(fails, server, published, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "")
    assert "the proxy cannot be reached (Connection refused)" in fails()
    assert server.requests == []


def test_a_server_without_encryption_is_no_secure_one(fails, server, publish):
    publish(server.url.replace("http:", "https:") + PATH)
    assert "no secure connection" in fails()


def test_downloads_at_the_same_time_end_with_one_sound_file(server, published, cache):
    """Who is done finds the whole file, although others still replace it."""
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            barrier.wait(10)
            _download.download(NAME)
            assert (cache / CACHED).read_bytes() == CONTENT
        except BaseException as error:
            failures.append(error)

    arrived = threading.Barrier(8)

    # All of them have looked into the cache by then, so that all of them write.
    def together(handler: Handler) -> None:
        arrived.wait(10)
        whole(CONTENT)(handler)

    server.answers[PATH] = [together]
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert server.requests == [PATH] * 8
    assert [path.name for path in cache.iterdir()] == [CACHED]


@pytest.mark.parametrize(
    ("kind", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_an_interrupted_download_leaves_nothing(server, published, cache, kind, code):
    server.answers[PATH] = [silent(HEAD + HALF)]
    process = start(published, "weights", "download", NAME)
    deadline = time.monotonic() + 60
    while not server.requests:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    begun = time.monotonic()
    process.send_signal(kind)
    out, messages = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert (process.returncode, out) == (code, "")
    if kind == signal.SIGINT:
        assert "Error: interrupted" in messages.splitlines()
        assert "Traceback" not in messages
    assert list(cache.iterdir()) == []
