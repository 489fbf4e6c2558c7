"""``ase-l2h weights``: fetching from servers that lie, cut, delay and redirect.

Every server is on loopback. A manifest of the tests' own lists a bundled file and one
that is published on such a server.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from ase_l2h import _download, _weight_files
from ase_l2h.weights import load_weights, manifest, pretrained_folder

BUNDLED = "near"
NAME = "far"
FILE = "far-1.safetensors"
PATH = f"/weights/{FILE}"
ENTRY = manifest()["weights"][manifest()["default"]]
CONTENT = (pretrained_folder() / ENTRY["file"]).read_bytes()
TAMPERED = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
HALF = CONTENT[: len(CONTENT) // 2]
CACHED = f"{NAME}-{ENTRY['sha256'][:12]}.safetensors"

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Asks its server what to do."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        answers = self.server.answers[self.path]
        # The last answer is given for ever.
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)

    def log_message(self, *_: Any) -> None:
        """Standard error is for what the program says."""

    def head(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Gives the answers it was told, and counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[str] = []
        self.sent = 0
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested; anything else is a mistake here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def whole(content: bytes, length: int | None = None, **headers: object) -> Answer:
    """Send all of it, perhaps under a wrong length."""

    def answer(handler: Handler) -> None:
        announced = len(content) if length is None else length
        handler.head(Content_Length=announced, **headers)
        handler.wfile.write(content)

    return answer


def unannounced(content: bytes, **headers: object) -> Answer:
    """Send all of it until the connection ends, and no length."""

    def answer(handler: Handler) -> None:
        handler.head(**headers)
        handler.wfile.write(content)

    return answer


def status(number: int, **headers: object) -> Answer:
    def answer(handler: Handler) -> None:
        handler.head(number, Content_Length=0, **headers)

    return answer


def raw(content: bytes) -> Answer:
    return lambda handler: handler.wfile.write(content) and None


def endless(number: int = 200, **headers: object) -> Answer:
    """Send without end, up to what would be a failure of the test."""

    def answer(handler: Handler) -> None:
        handler.head(number, **headers)
        for _ in range(2000):
            handler.wfile.write(bytes(50_000))
            handler.server.sent += 50_000

    return answer


def silent(begin: bytes = b"") -> Answer:
    """Begin, and say no more."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(begin)
        handler.server.closing.wait(10)

    return answer


def dripping(handler: Handler) -> None:
    """A byte now and then: no single one is late."""
    handler.head(Content_Length=len(CONTENT))
    for i in range(len(CONTENT)):
        handler.wfile.write(CONTENT[i : i + 1])
        if handler.server.closing.wait(0.05):
            return


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.answers[PATH] = [whole(CONTENT)]
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}
    )
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The cache folder, which does not exist yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ASE_L2H_CACHE", str(folder))
    return folder


@pytest.fixture
def publish(tmp_path, monkeypatch, cache) -> Callable[..., Path]:
    """Puts a manifest with a bundled and a published file into force."""
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setattr(_download, "PAUSE", 0.01)
    numbers = iter(range(100))

    def publish(url: str | None, content: bytes = CONTENT) -> Path:
        folder = tmp_path / f"pretrained-{next(numbers)}"
        folder.mkdir()
        (folder / "near.safetensors").write_bytes(CONTENT)
        far = {k: v for k, v in ENTRY.items() if k != "file"}
        far |= {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
        far |= {} if url is None else {"url": url}
        weights = {BUNDLED: ENTRY | {"file": "near.safetensors"}, NAME: far}
        text = json.dumps({"default": BUNDLED, "weights": weights})
        (folder / "manifest.json").write_text(text)
        monkeypatch.setattr(_weight_files, "pretrained_folder", lambda: folder)
        return folder

    return publish


@pytest.fixture
def published(server, publish) -> Path:
    """Folder of the manifest in force."""
    return publish(server.url + PATH)


@pytest.fixture
def fails(run, cache) -> Callable[..., str]:
    """Run a download that must fail: exit code 1, one sentence, nothing kept."""

    def call(*arguments: object) -> str:
        before = {path: path.read_bytes() for path in cache.glob("*")}
        result = run("weights", "download", NAME, *arguments)
        assert result.exit_code == 1, (result.output, result.exception)
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert {path: path.read_bytes() for path in cache.glob("*")} == before
        return line.removeprefix("Error: ")

    return call


def state(run) -> str:
    rows = json.loads(run("weights", "list", "--json").stdout)
    return {row["name"]: row["status"] for row in rows}[NAME]


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


def test_info_tells_what_the_file_or_else_the_manifest_says(run, published, cache):
    before = json.loads(run("weights", "info", NAME, "--json").stdout)
    assert before["status"] == "not downloaded"
    assert (before["path"], before["features"], before["card"]) == (None, None, None)
    (published / f"{NAME}.md").write_text("# far\n\nA card.\n")
    run("weights", "download", NAME)
    after = json.loads(run("weights", "info", NAME, "--json").stdout)
    for key in ("name", "url", "sha256", "bytes", "horizon", "tasks", "architecture"):
        assert before[key] == after[key]
    assert (after["status"], after["path"]) == ("cached", str(cache / CACHED))
    assert set(after["features"]) > {"step"}
    stages = ENTRY["stages"]
    assert before["seeds"] == after["seeds"] == [stage["seed"] for stage in stages]
    assert before["updates"] == after["updates"] == sum(s["updates"] for s in stages)
    text = run("weights", "info", NAME).stdout
    assert text.endswith("\n\n# far\n\nA card.\n")
    for said in (ENTRY["sha256"], f"{ENTRY['horizon']}\n", ", ".join(ENTRY["tasks"])):
        assert said in text


def test_info_of_ones_own_file(run, refused, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(CONTENT)
    facts = json.loads(run("weights", "info", path, "--json").stdout)
    assert (facts["name"], facts["status"]) == ("mine", "own file")
    assert (facts["url"], facts["card"]) == (None, None)
    assert facts["sha256"] == ENTRY["sha256"]
    assert run("weights", "path", path).stdout == f"{path}\n"
    # What a terminal would obey is not printed.
    metadata = json.dumps({"horizon": 5, "tasks": ["LJ7\x1b[2J"], "updates": 3})
    length = int.from_bytes(CONTENT[:8], "little")
    header = json.loads(CONTENT[8 : 8 + length])["__metadata__"]
    path.write_bytes(save(load(CONTENT), header | {"metadata": metadata}))
    text = run("weights", "info", path).stdout
    assert "\x1b" not in text
    for line in ("tasks LJ7?[2J", "updates 3", "seeds unknown", "status own file"):
        assert line in [" ".join(shown.split()) for shown in text.splitlines()]
    path.write_bytes(HALF)
    assert "not an intact weight file" in refused("weights", "info", path)


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
    "cut": (raw(HEAD + HALF), 3, "cut after"),
    "cut, no length": (unannounced(HALF), 3, f"ended after {len(HALF)} of"),
    "cut chunk": (
        raw(CHUNKED + b"400\r\n" + CONTENT[:99]),
        3,
        "the connection was cut",
    ),
    "empty": (unannounced(b""), 3, f"ended after 0 of {len(CONTENT)} bytes"),
    "hangs up": (raw(b""), 3, "cut before an answer"),
    "no web server": (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), 3, "cut before an answer"),
    "heads without end": (
        raw(b"HTTP/1.1 200 OK\r\n" + 1000 * b"X: y\r\n"),
        3,
        "cut before an answer",
    ),
    "circle": (status(302, Location=PATH), 31, "redirects in circles"),
    "to a file": (status(302, Location="file:///etc/passwd"), 1, "no web address"),
    "to nowhere": (status(302, Location="http://[::"), 1, "no web address"),
    "to no host": (status(302, Location=f"http://{70 * 'a'}.a/"), 1, "no web address"),
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
    server.answers[PATH] = [whole(gzip.compress(CONTENT), Content_Encoding="gzip")]
    assert run("weights", "download", NAME).exit_code == 0
    assert (cache / CACHED).read_bytes() == CONTENT


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
    assert time.monotonic() - begun < 2


def test_a_name_server_that_delays_is_given_up_in_time(fails, publish, monkeypatch):
    publish("http://weights.invalid/far.safetensors")
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    begun = time.monotonic()
    assert "gave no complete answer within 0.3 s" in fails("--timeout", 0.3)
    assert time.monotonic() - begun < 2
    over.set()


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


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


def test_what_the_sentence_advises_works(run, publish, cache):
    publish(f"http://127.0.0.1:{closed_port()}{PATH}")
    run("weights", "download", NAME)
    (cache / CACHED).write_bytes(CONTENT)
    assert run("weights", "download", NAME).stdout.startswith(f"{NAME}: cached")
    assert load_weights(NAME).sha256 == ENTRY["sha256"]


def test_a_proxy_that_is_not_there_is_named(fails, server, published, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "")
    assert "the proxy cannot be reached (Connection refused)" in fails()
    assert server.requests == []


def test_a_server_without_encryption_is_no_secure_one(fails, server, publish):
    publish(server.url.replace("http:", "https:") + PATH)
    assert "no secure connection" in fails()


@pytest.mark.parametrize("base", ["/weights", "/weights/", PATH])
def test_a_mirror_on_the_web(run, server, publish, cache, base):
    publish(f"http://127.0.0.1:{closed_port()}/elsewhere/{FILE}")
    result = run("weights", "download", NAME, "--from", server.url + base)
    assert result.exit_code == 0, result.output
    assert server.requests == [PATH]
    assert (cache / CACHED).read_bytes() == CONTENT


@pytest.mark.parametrize("file", [FILE, CACHED])
def test_a_mirror_in_a_folder(run, server, published, cache, tmp_path, file):
    """As published, or a copy of another cache; or the file itself, of any name."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / file).write_bytes(CONTENT)
    (tmp_path / "any.safetensors").write_bytes(CONTENT)
    for source in (mirror, mirror / file, tmp_path / "any.safetensors"):
        result = run("weights", "download", NAME, "--from", source)
        assert result.exit_code == 0, result.output
        assert (cache / CACHED).read_bytes() == CONTENT
        (cache / CACHED).unlink()
    assert server.requests == []


def test_a_file_that_is_published_nowhere_comes_from_a_mirror(
    run, refused, publish, tmp_path
):
    publish(None)
    assert "published nowhere" in refused("weights", "download", NAME)
    (tmp_path / f"{NAME}.safetensors").write_bytes(CONTENT)
    assert run("weights", "download", NAME, "--from", tmp_path).exit_code == 0
    assert load_weights(NAME).sha256 == ENTRY["sha256"]


def test_mirrors_are_not_trusted(fails, server, published, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for content in (TAMPERED, HALF, b"", bytes(6_000_000)):
        (mirror / FILE).write_bytes(content)
        sentence = fails("--from", mirror)
        assert f"{mirror / FILE} is not the file that was released" in sentence
    server.answers["/other.safetensors"] = [whole(TAMPERED)]
    sentence = fails("--from", f"{server.url}/other.safetensors")
    assert "/other.safetensors is not the file that was released" in sentence


def test_passwords_of_a_mirror_are_not_shown(fails, refused, published):
    url = f"http://me:secret@127.0.0.1:{closed_port()}/w"
    assert "secret" not in fails("--from", url)
    sentence = refused("weights", "download", NAME, "--from", "ftp://me:secret@host/w")
    assert "'ftp://host/w' is no address" in sentence


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'NAME...'"),
        (["helium"], f"no weights named 'helium'; choose one of {NAME}, {BUNDLED}"),
        (["near.safetensors"], "no weights named 'near.safetensors'"),
        ([NAME, "helium"], "no weights named 'helium'"),
        ([NAME, "--from", "ftp://host/w"], "begins with http:// or https://"),
        ([NAME, "--from", "file:///etc"], "begins with http:// or https://"),
        ([NAME, "--from", "http://"], "names a host"),
        ([NAME, "--from", "http://[::/w"], "is no address"),
        ([NAME, "--from", "http://host:port/w"], "is no address"),
        ([NAME, "--from", "http://host:99999/w"], "is no address"),
        ([NAME, "--from", "http://*/w"], "is no address"),
        ([NAME, "--from", "no/such/folder"], "'no/such/folder' is no mirror"),
        ([NAME, "--from", ""], "'' is no mirror"),
        ([NAME, "--from", "~nobody-here/w"], "is no mirror"),
        ([BUNDLED, "--from", "no/such/folder"], "is no mirror"),
        ([NAME, "--timeout", "0"], "timeout is 0 s"),
        ([NAME, "--timeout", "-3"], "timeout is -3 s"),
        ([NAME, "--timeout", "nan"], "timeout is nan s"),
        ([NAME, "--timeout", "inf"], "timeout is inf s"),
        ([NAME, "--timeout", "soon"], "'soon' is not a valid float"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_opens_no_connection(
    refused, server, published, cache, monkeypatch, arguments, said
):
    monkeypatch.setattr(_download, "_fetch", lambda *_: pytest.fail("it was fetched"))
    assert said in refused("weights", "download", *arguments)
    assert not cache.exists()


def test_a_folder_without_the_file_is_bad_input(refused, published, tmp_path):
    sentence = refused("weights", "download", NAME, "--from", tmp_path)
    assert f"{tmp_path} has no {FILE}; copy the file there first" in sentence


@pytest.mark.parametrize("content", [TAMPERED, HALF, b"", bytes(6_000_000)])
def test_a_damaged_file_in_the_cache_is_seen_and_replaced(
    run, refused, fails, server, published, cache, content
):
    cache.mkdir()
    (cache / CACHED).write_bytes(content)
    assert state(run) == "damaged"
    remedy = f"run `ase-l2h weights download {NAME}`"
    for verb in (("path",), ("info",), ("verify",)):
        assert refused("weights", *verb, NAME).endswith(remedy)
    assert run("weights", "verify").exit_code == 2
    with pytest.raises(ValueError, match="run `ase-l2h weights download"):
        load_weights(NAME)
    # What replaces it must be better.
    server.answers[PATH] = [whole(TAMPERED), whole(CONTENT)]
    fails()
    assert run("weights", "download", NAME).stdout.startswith(f"{NAME}: downloaded")
    assert load_weights(NAME).sha256 == ENTRY["sha256"]


def test_versions_of_the_package_share_a_cache(run, server, publish, cache):
    """Neither takes the other's file for a damaged one of its own."""
    header = int.from_bytes(CONTENT[:8], "little")
    other = save(load(CONTENT), json.loads(CONTENT[8 : 8 + header])["__metadata__"])
    other = other.replace(b"LJ13", b"LJ14")
    for content in (CONTENT, other):
        publish(server.url + PATH, content)
        server.answers[PATH] = [whole(content)]
        assert run("weights", "download", NAME).exit_code == 0
    assert len(list(cache.iterdir())) == 2
    publish(server.url + PATH)
    assert state(run) == "cached"
    assert len(server.requests) == 2


def test_a_cache_folder_that_cannot_be_written(
    refused, server, published, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("precious")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("ASE_L2H_CACHE", str(folder))
        sentence = refused("weights", "download", NAME)
        assert f"cannot write to the cache folder {folder}: " in sentence
        assert sentence.endswith("set ASE_L2H_CACHE to a folder that can be written")
    assert server.requests == []
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_folder_without_permission(refused, server, published, cache):
    cache.mkdir(mode=0o500)
    assert "Permission denied; set ASE_L2H_CACHE" in refused(
        "weights", "download", NAME
    )
    assert server.requests == []


def test_a_full_disk_leaves_nothing(fails, published, cache, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    cache.mkdir()
    assert f"cannot write {cache / CACHED}: No space left on device" in fails()


def test_the_cache_is_the_users_unless_the_environment_says_otherwise(
    published, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ASE_L2H_CACHE", "~/weights")
    assert _weight_files.cache_folder() == tmp_path / "weights"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASE_L2H_CACHE", "here")
    assert _weight_files.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ASE_L2H_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    folder = _weight_files.cache_folder()
    assert folder.is_relative_to(tmp_path)
    assert "ase_l2h" in folder.parts
    assert list(tmp_path.glob("**/*ase_l2h*")) == []


def test_others_of_the_group_may_read_the_cache(run, published, cache):
    before = os.umask(0o027)
    try:
        run("weights", "download", NAME)
    finally:
        os.umask(before)
    assert (cache / CACHED).stat().st_mode & 0o777 == 0o640


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


PROGRAM = """
import pathlib, sys
import ase_l2h._weight_files as files
folder = pathlib.Path(sys.argv.pop(1))
files.pretrained_folder = lambda: folder
from ase_l2h.cli.main import cli
try:
    cli()
finally:
    for name in ("jax", "ase", "pooch"):
        print(name, name in sys.modules, file=sys.stderr)
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The program in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_neither_listing_nor_downloading_needs_jax(server, published):
    for arguments in (
        ["list"],
        ["info", BUNDLED],
        ["path", BUNDLED],
        ["download", NAME],
    ):
        out, messages = start(published, "weights", *arguments).communicate(timeout=60)
        assert out
        assert messages.splitlines()[:2] == ["jax False", "ase False"]


def test_what_is_bundled_does_not_even_need_pooch(published):
    out, messages = start(published, "weights", "path", BUNDLED).communicate(timeout=60)
    assert out == f"{published / 'near.safetensors'}\n"
    assert "pooch False" in messages


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
    assert time.monotonic() - begun < 3
    assert (process.returncode, out) == (code, "")
    if kind == signal.SIGINT:
        assert "Error: interrupted" in messages.splitlines()
        assert "Traceback" not in messages
    assert list(cache.iterdir()) == []
