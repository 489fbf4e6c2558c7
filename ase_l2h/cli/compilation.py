"""What XLA compiles in one run is kept for the next: the command line's own cache.

Only a process that the command line started is set up so, through JAX's environment
variables and before JAX is loaded; importing this package changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import sys
import zlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ase_l2h._internal.files import write_atomically
from ase_l2h._internal.private import written_by_others

__all__ = ["COMPILED_VARIABLE", "compiled_folder", "use_compilation_cache"]

COMPILED_VARIABLE = "ASE_L2H_COMPILED"
OFF = "off"
# Oldest files go first once a folder holds more; a search of one size leaves 0.3 MB.
MAX_BYTES = 200_000_000
FOLDER_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
# The time of this file is that of the last look for incomplete ones.
STAMP = "looked-at"
ZSTANDARD = b"\x28\xb5\x2f\xfd"


def compiled_folder() -> Path | None:
    """Where compiled code is kept on this kind of machine; None when switched off.

    ``ASE_L2H_COMPILED`` names another folder, or is ``off``. Machine code of one
    processor may crash another, and home folders are shared: each kind of processor,
    and each version of the compiler, has a folder of its own.
    """
    chosen = os.environ.get(COMPILED_VARIABLE, "")
    if chosen.strip().lower() == OFF:
        return None
    if chosen:
        parent = Path(os.path.expanduser(chosen)).absolute()
    else:
        from ase_l2h._internal.cache import cache_folder

        parent = cache_folder() / "compiled"
    return parent / _machine()


def use_compilation_cache() -> Path | None:
    """Let JAX, which must not be loaded yet, read and keep compiled code.

    A folder that cannot be written to is not used, and neither is one that others can
    write, which is said: the run is slower, not wrong. A cache that the user has set up
    for JAX is left alone.

    Returns
    -------
    pathlib.Path or None
        The folder that is used.
    """
    if "jax" in sys.modules or FOLDER_VARIABLE in os.environ:
        return None
    folder = compiled_folder()
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        fault = written_by_others(folder)
        if fault is None:
            _prune(folder)
            _remove_incomplete(folder)
    except OSError:
        return None
    if fault is not None:
        print(f"Compiled code is not kept: {fault}", file=sys.stderr)
        return None
    if not writable:
        return None
    os.environ[FOLDER_VARIABLE] = str(folder)
    # Everything: a search compiles some twenty small functions, none takes a second.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # XLA takes its own tuning hints (prefer-no-gather) for features that the processor
    # lacks, and says so in an alarming line per function that it loads. A processor
    # that really differs has another folder.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return folder


def _machine() -> str:
    """Short name of what compiled code depends on: processor and compiler."""
    features = platform.machine() + platform.processor()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text(errors="replace").splitlines()
        kinds = ("model name", "flags", "Features", "CPU part")
        features += "".join(sorted({x for x in lines if x.startswith(kinds)}))
    try:
        compiler = version("jaxlib")
    except PackageNotFoundError:
        compiler = "none"
    digest = hashlib.sha256(features.encode()).hexdigest()[:8]
    return f"jaxlib-{compiler}-{digest}"


def _prune(folder: Path) -> None:
    """Remove the files not used for longest where there are more than a folder holds.

    And those of other users, who could write here once, and those that others can
    write: compiled code is run unseen.

    Another process may do the same: a file that is gone already is no trouble.
    """
    if hasattr(os, "geteuid"):
        # Nobody else gets at a file in a folder of this user alone.
        closed = folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) == 0
        for entry in os.scandir(folder):
            status = entry.stat(follow_symlinks=False)
            foreign = status.st_uid not in (os.geteuid(), 0)
            open_to = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if foreign or (open_to and not closed):
                Path(entry.path).unlink(missing_ok=True)
    found = sorted(_files(folder))
    excess = sum(size for _, size, _ in found) - MAX_BYTES
    for _, size, path in found:
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size


def _remove_incomplete(folder: Path) -> None:
    """Remove files that a killed process, or a full disk, has cut off.

    JAX would warn of them in every run, and never write them again. Only files that are
    newer than the last look are read.
    """
    stamp = folder / STAMP
    last = stamp.stat().st_mtime if stamp.exists() else 0.0
    read = False
    for entry in os.scandir(folder):
        try:
            # Clocks of file systems are coarser than that of the processor.
            old = entry.stat().st_mtime < last - 2
            if old or entry.name.startswith(STAMP):
                continue
            content = Path(entry.path).read_bytes()
        except OSError:
            continue
        read = True
        if not _complete(content):
            Path(entry.path).unlink(missing_ok=True)
    if read:
        write_atomically(stamp, b"", shared=True)


def _complete(content: bytes) -> bool:
    """Whether a compressed file can be read to its end, where this can be known.

    JAX takes another compression where ``zstandard`` is installed.
    """
    if content.startswith(ZSTANDARD):
        return True
    try:
        zlib.decompress(content)
    except zlib.error:
        return False
    return True


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Time of the last use, size and path of each file."""
    for entry in os.scandir(folder):
        try:
            status = entry.stat()
        except OSError:
            continue
        used = max(status.st_atime, status.st_mtime)
        yield used, status.st_size, Path(entry.path)
