"""Web servers on loopback that lie, cut, delay and redirect, and what they publish."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ase_l2h.weights.load import manifest, pretrained_folder

BUNDLED = "near"
NAME = "far"
FILE = "far-1.safetensors"
PATH = f"/weights/{FILE}"
ENTRY = manifest()["weights"][manifest()["default"].split("+")[0]]
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
    """Send a head alone."""

    def answer(handler: Handler) -> None:
        handler.head(number, Content_Length=0, **headers)

    return answer


def raw(content: bytes) -> Answer:
    """Send these bytes, head or not, and hang up."""
    return lambda handler: handler.wfile.write(content) and None


def endless(number: int = 200, **headers: object) -> Answer:
    """Send without end, up to what would be a failure of the test."""

    def answer(handler: Handler) -> None:
        handler.head(number, **headers)
        for _ in range(2000):
            handler.wfile.write(bytes(50_000))
            handler.server.sent += 50_000
        raise AssertionError("somebody read a hundred million bytes")

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


def state(run) -> str:
    """What ``weights list`` says of the published file."""
    rows = json.loads(run("weights", "list", "--json").stdout)
    return {row["name"]: row["status"] for row in rows}[NAME]


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


PROGRAM = """
import pathlib, sys
import ase_l2h.weights.files as files
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
    """The program in a process of its own, which leaves nothing else in the cache."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(folder), *arguments],
        env=os.environ | {"ASE_L2H_COMPILED": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
