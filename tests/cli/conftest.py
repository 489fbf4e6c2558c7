"""What the tests of the command line share."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner, Result
from loopback import BUNDLED, CONTENT, ENTRY, NAME, PATH, Server, whole

from ase_l2h.cli.main import cli
from ase_l2h.weights import download as _download
from ase_l2h.weights import files as _weight_files


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Call the program in this process, as ``run("search", "LJ7", ...)``."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(cli, [str(a) for a in arguments])

    return call


@pytest.fixture(scope="session")
def refused(run) -> Callable[..., str]:
    """Call the program with bad input: exit code 2, one sentence, nothing printed."""

    def call(*arguments: object) -> str:
        result = run(*arguments)
        assert result.exit_code == 2, (result.output, result.exception)
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "Traceback" not in line
        return line.removeprefix("Error: ")

    return call


@pytest.fixture
def lj7() -> Atoms:
    """Seven distorted atoms of a cube, nowhere near the origin."""
    corners = np.argwhere(np.ones((2, 2, 2)))[:7]
    noise = np.random.default_rng(5).normal(0, 0.03, (7, 3))
    return Atoms("Ar7", positions=1.15 * corners + noise + [30.0, -20.0, 10.0])


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Path:
    """What processes of their own compile, for all of them."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server that gives the published file until it is told otherwise."""
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
        far["sha256"] = hashlib.sha256(content).hexdigest()
        far["bytes"] = len(content)
        far |= {} if url is None else {"url": url}
        weights = {BUNDLED: ENTRY | {"file": "near.safetensors"}, NAME: far}
        auto = {"one element": BUNDLED}
        text = json.dumps({"default": BUNDLED, "auto": auto, "weights": weights})
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
