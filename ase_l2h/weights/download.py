"""Fetch released weights into the user's cache, from their address or a mirror.

Wherever a file comes from, it is held in memory until its size and SHA-256 are those of
the packaged manifest; only then is it written, whole or not at all. Files are small, so
a cut download is begun anew.
"""

from __future__ import annotations

import os
import queue
import tempfile
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ase_l2h._internal.cache import CACHE_VARIABLE
from ase_l2h._internal.files import write_atomically
from ase_l2h.errors import InputError, RunError
from ase_l2h.weights.files import MAX_BYTES, WeightFile, released

__all__ = ["TIMEOUT", "DownloadError", "download"]

TIMEOUT = 120.0
LONGEST_TIMEOUT = 86_400.0
# Of several addresses of a server, one may lead nowhere.
CONNECT_TIMEOUT = 10.0
ATTEMPTS = 3
PAUSE = 1.0
# What requests unpacks without other packages.
UNPACKED = ("identity", "gzip", "x-gzip", "deflate")
# Seconds between two looks for Ctrl-C.
LOOK = 0.2


class DownloadError(RunError):
    """The weights could not be fetched or kept, through no fault of the input."""


class _Fault(Exception):
    """Why an address does not give the file; the reason is part of a sentence."""


class _Cut(_Fault):
    """A reason that may have gone the next time."""


def download(
    name: str, source: str | None = None, *, timeout: float = TIMEOUT
) -> WeightFile:
    """Make sure that released weights are on this machine, and sound.

    Parameters
    ----------
    name
        A name of the manifest. Bundled weights, and those in the cache, need no
        connection.
    source
        Mirror to use instead of the manifest's URL: an http(s) URL or a path, of a
        folder that holds the file or (``.safetensors``) of the file itself.
    timeout
        Seconds until the download is given up, name servers and restarts included.

    Raises
    ------
    InputError
        For an unknown name, a source that is none, a file that the mirror's folder does
        not have, and a cache folder that cannot be written.
    DownloadError
        When the file cannot be fetched, is not the one that was released, or cannot
        be written. Whatever lay in its place is still there.
    """
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise InputError(
            f"the timeout is {timeout:g} s; give more than 0 and at most "
            f"{LONGEST_TIMEOUT:g}"
        )
    file = released(name)
    place = None if source is None else _place(source, file)
    if file.status() in ("bundled", "cached"):
        return file
    assert file.entry is not None
    if place is None:
        if "url" not in file.entry:
            raise InputError(
                f"no address is known for the weights '{file.name}'; name the folder "
                "`pretrained` of a checkout, or a mirror, with --from"
            )
        place = _address(file.entry["url"], file)
    _try_folder(file.path.parent)
    if isinstance(place, Path):
        content, shown = _copy(place), str(place)
    else:
        shown = _without_password(place)
        try:
            content = _fetch(place, file.entry["bytes"], timeout)
        except _Fault as fault:
            raise DownloadError(
                f"cannot download {shown}: {fault}; copy {file.released_as} "
                f"({file.entry['bytes']} bytes) from elsewhere to {file.path}, or name "
                "a mirror with --from"
            ) from fault
    fault = file.fault(content)
    if fault is not None:
        raise DownloadError(
            f"{shown} is not the file that was released ({fault}) and was not kept; "
            "name another mirror with --from"
        )
    try:
        write_atomically(file.path, content, shared=True)
    except OSError as error:
        raise DownloadError(f"cannot write {file.path}: {error.strerror}") from error
    return file


def _place(source: str, file: WeightFile) -> str | Path:
    """URL or path of the file, from the URL or path of a mirror."""
    if "://" in source:
        return _address(source, file)
    # Unlike those of Path, these functions raise nothing, and "" is no folder.
    source = os.path.expanduser(source)
    path = Path(source)
    if os.path.isdir(source):
        # A checkout, and a copy of another machine's cache, are mirrors, too.
        for name in (file.released_as, f"{file.name}.safetensors", file.path.name):
            if os.path.isfile(path / name):
                return path / name
        raise InputError(
            f"the folder {path} has no {file.released_as}; copy the file there first"
        )
    if path.suffix == ".safetensors" and os.path.isfile(path):
        return path
    raise InputError(
        f"'{source}' is not a mirror; give an http(s) URL, a folder, or the path of "
        "a .safetensors file"
    )


def _address(source: str, file: WeightFile) -> str:
    import requests

    try:
        parts = urlsplit(source)
        if parts.scheme not in ("http", "https"):
            raise ValueError
        if not parts.path.endswith(".safetensors"):
            path = f"{parts.path.rstrip('/')}/{quote(file.released_as)}"
            parts = parts._replace(path=path)
        # Finds whatever else an address may lack, and opens no connection.
        return requests.Request("GET", parts.geturl()).prepare().url or ""
    except ValueError as error:  # those of requests among them
        raise InputError(
            f"'{_without_password(source)}' is not the address of a mirror; give one "
            "that begins with http:// or https:// and names a host"
        ) from error


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _try_folder(folder: Path) -> None:
    """Create the cache folder and see that it can be written, before any transfer."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to the cache folder {folder}: {error.strerror}; set "
            f"{CACHE_VARIABLE} to a folder that can be written"
        ) from error


def _copy(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; check the path"
        ) from error


def _fetch(url: str, size: int, timeout: float) -> bytes:
    """Content of a URL, waiting no longer than ``timeout`` for anything.

    The connection lives in a thread of its own: asking a name server knows no timeout,
    and a socket's begins anew with every byte. The thread writes no file, so that it
    may be left behind, by Ctrl-C too.
    """
    stopped = threading.Event()
    answers: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(_attempts(url, size, timeout, stopped))
        except BaseException as error:
            answers.put(error)

    threading.Thread(target=work, name="ase_l2h download", daemon=True).start()
    deadline = time.monotonic() + timeout
    try:
        while True:
            # In short waits: a signal that comes as one begins would not end it.
            left = deadline - time.monotonic()
            try:
                answer = answers.get(timeout=min(max(left, 0), LOOK))
                break
            except queue.Empty:
                if left <= 0:
                    said = f"it gave no complete answer within {timeout:g} s"
                    raise _Fault(said) from None
    finally:
        stopped.set()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _attempts(url: str, size: int, timeout: float, stopped: threading.Event) -> bytes:
    for left in reversed(range(ATTEMPTS)):
        try:
            return _attempt(url, size, timeout, stopped)
        except _Cut:
            if left == 0 or stopped.wait(PAUSE):
                raise
    raise AssertionError("the last attempt returns or raises")


class _Memory:
    """What arrives, as a file that takes no more than was announced."""

    def __init__(self, size: int, stopped: threading.Event) -> None:
        self.content = bytearray()
        self.size = size
        self.stopped = stopped

    def write(self, chunk: bytes) -> None:
        if self.stopped.is_set():
            raise _Fault("nobody waits for it any more")
        if len(self.content) + len(chunk) > self.size:
            raise _Fault(f"it sends more than the {self.size} bytes of the file")
        self.content += chunk

    def flush(self) -> None:
        """There is nothing behind it."""


def _attempt(url: str, size: int, timeout: float, stopped: threading.Event) -> bytes:
    import pooch
    from requests import exceptions

    memory = _Memory(min(size, MAX_BYTES), stopped)
    responses: list[Any] = []

    def inspect(response: Any, **_: Any) -> None:
        responses.append(response)
        if response.is_redirect:
            # Whose body would be read to its end, however far that is.
            response.close()
        else:
            _check_head(response.status_code, response.headers, size)

    # Longer than whoever waits in `_fetch`, so that one place tells of the delay.
    longest = timeout + PAUSE
    fetch = pooch.HTTPDownloader(
        timeout=(min(CONNECT_TIMEOUT, longest), longest),
        hooks={"response": inspect},
        headers={"Accept-Encoding": "identity"},
    )
    try:
        fetch(url, memory, None)
    # Addresses that make no sense are no exceptions of requests everywhere.
    except (exceptions.RequestException, ValueError) as error:
        raise _reason(error, len(memory.content), size) from error
    finally:
        for response in responses:
            response.close()
    if len(memory.content) < size:
        raise _Cut(f"it was cut after {len(memory.content)} of {size} bytes")
    return bytes(memory.content)


def _check_head(status: int, headers: Any, size: int) -> None:
    """Refuse what cannot be the file before any of it is read."""
    if status != HTTPStatus.OK:
        known = status in HTTPStatus.__members__.values()
        phrase = HTTPStatus(status).phrase if known else "unknown status"
        kind = _Cut if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _Fault
        raise kind(f"it answered {status} ({phrase})")
    packed = headers.get("Content-Encoding", "identity").lower()
    if packed not in UNPACKED:
        raise _Fault(f"it sends the file packed as {packed!r}, which was not asked for")
    length = headers.get("Content-Length", str(size))
    if "Content-Encoding" not in headers and length != str(size):
        raise _Fault(f"it announced {length!r} bytes instead of {size}")


def _reason(error: Exception, received: int, size: int) -> _Fault:
    """What went wrong in a connection, in the words of the system where it has any."""
    from requests import exceptions

    cause: BaseException | None = error
    system: OSError | None = None
    while cause is not None:
        # The exceptions of requests are OSErrors, too, but without an error number.
        if isinstance(cause, OSError) and cause.strerror:
            system = cause
        cause = cause.__cause__ or cause.__context__
    said = f" ({system.strerror})" if system is not None else ""
    if isinstance(error, exceptions.Timeout):
        return _Fault("it does not answer")
    if isinstance(error, exceptions.SSLError):
        return _Fault(f"no secure connection{said}")
    if isinstance(error, exceptions.ProxyError):
        return _Fault(f"the proxy cannot be reached{said}")
    if isinstance(error, exceptions.TooManyRedirects):
        return _Fault("it redirects in circles")
    if isinstance(error, ValueError):
        return _Fault("it redirects to something that is not a web address")
    if isinstance(error, exceptions.ContentDecodingError):
        return _Fault("its answer cannot be decoded")
    if isinstance(error, exceptions.ChunkedEncodingError) or received:
        return _Cut(f"it was cut after {received} of {size} bytes{said}")
    if system is None or isinstance(system, ConnectionResetError):
        return _Cut(f"it was cut before an answer{said}")
    return _Fault(f"no connection{said}")
