"""Whole searches in machine code of this processor, made by the system's compiler.

Optional: needs a C++ compiler (``c++``, or the one that ``CXX`` names, with arguments
if it likes) when it is used for the first time, and nothing else. Structures fill the
lanes of a vector: sixteen (eight in double precision) of a processor with AVX-512,
eight with AVX, else four. They take all their steps before the next ones, so weights
and state stay in the cache. Compiled libraries are kept in the cache folder.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ase_l2h._internal.cache import cache_folder
from ase_l2h._internal.private import written_by_others
from ase_l2h._internal.remembered import Remembered
from ase_l2h.errors import InputError
from ase_l2h.optimizers.base import SearchState
from ase_l2h.optimizers.rule_steps import RuleOptimizer
from ase_l2h.rollout.kernels import layout as fused
from ase_l2h.rollout.kernels.compilers import SHORTEST, run_alone, vector_bytes
from ase_l2h.rollout.kernels.macros import Macros, as_options
from ase_l2h.rollout.kernels.threads import share_out
from ase_l2h.rules.lbfgs import Lbfgs
from ase_l2h.system import System

__all__ = [
    "EVALUATOR",
    "FLAGS",
    "advance",
    "build",
    "compiled",
    "compiler",
    "compiler_command",
    "evaluate",
    "prepare",
    "supports",
]

LOGGER = logging.getLogger(__name__)
# JAX's name of the event that machine code was compiled.
COMPILED = "/jax/core/compile/machine_code_duration"
# Single points need no rule; they use the library of quenches.
EVALUATOR = RuleOptimizer(Lbfgs())
_CHANGED = frozenset(fused.CHANGED)
_DEFINED: Remembered[tuple[tuple[str, int | str], ...]] = Remembered()
FLAGS = (
    *("-std=c++20", "-O3", "-march=native", "-fPIC", "-shared"),
    *("-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"),
)


def compiler_command() -> list[str]:
    """The C++ compiler with the arguments of ``CXX``; empty where there is none.

    Raises
    ------
    InputError
        When ``CXX`` is no command line.
    """
    chosen = os.environ.get("CXX", "")
    try:
        words = shlex.split(chosen) or ["c++"]
    except ValueError as error:
        raise InputError(
            f"the variable CXX is {chosen!r}, which is not a command line ({error}); "
            "correct it"
        ) from error
    program = shutil.which(words[0])
    if program is not None:
        return [program, *words[1:]]
    if chosen.strip():
        _say_missing(words[0])
    return []


@lru_cache(maxsize=8)
def _say_missing(program: str) -> None:
    """Warn once: otherwise a misspelt name would only make searches slow."""
    LOGGER.warning(
        "no machine code is compiled: CXX names '%s', and there is no such program",
        program,
    )


def compiler() -> str | None:
    """Path of the C++ compiler, None where there is none."""
    command = compiler_command()
    return command[0] if command else None


def widest() -> int:
    """Bytes of a vector of this processor.

    A compiler takes longer vectors to pieces, and then needs ten times as long for code
    that is four times slower.
    """
    return _widest(os.environ.get("CXX", ""), FLAGS)


# Looking for the compiler takes longer than many a launch.
@lru_cache(maxsize=8)
def _widest(_chosen: str, flags: tuple[str, ...]) -> int:
    return vector_bytes([*compiler_command(), *flags])


def supports(
    optimizer: Any, potential: Any, system: System, double: bool = False
) -> str | None:
    """Why this backend cannot run a search; None when it can."""
    reason = fused.missing(optimizer, potential, system, double)
    if reason is not None:
        return reason
    if compiler() is None:
        return "there is no C++ compiler; install one, or name it in CXX"
    return None


def build(
    macros: Macros,
    folder: Path,
    lanes: int | None = None,
    options: Sequence[str] = (),
) -> Path:
    """Compile the kernels into ``folder``, unless that has been done.

    An existing library is used only if it belongs to this user or the administrator,
    nobody else can write it, and its hash is right. Otherwise it is compiled again. If
    others can write the folder, or this user cannot, a private temporary folder is used
    instead. The log reports both.

    Raises
    ------
    RuntimeError
        With the message of the compiler.
    """
    count = widest() // 4 if lanes is None else lanes
    arguments = [*FLAGS, *options, f"-DLANES={count}", f"-I{fused.KERNELS}"]
    arguments += as_options(macros)
    sources = sorted(p for p in fused.KERNELS.rglob("*") if p.suffix in (".h", ".cpp"))
    return compiled(fused.KERNELS / "host.cpp", arguments, folder, sources)


def compiled(
    main: Path, arguments: Sequence[str], folder: Path, sources: Sequence[Path]
) -> Path:
    """The library of a C++ file and all the ``sources`` it is made of.

    Folder and errors are those of :func:`build`.
    """
    command = compiler_command()
    if not command:
        raise RuntimeError("there is no C++ compiler; install one, or name it in CXX")
    content = b"".join(p.read_bytes() for p in sources)
    kind = platform.machine() + platform.processor() + _processor()
    text = " ".join([*command, *arguments, kind])
    digest = hashlib.sha256(content + text.encode()).hexdigest()[:16]
    library = _private(folder) / f"native-{digest}.so"
    if library.exists():
        fault = _fault(library)
        if fault is None:
            return library
        LOGGER.warning("compiling the machine code again: %s", fault)
    handle, name = tempfile.mkstemp(suffix=".so", dir=library.parent)
    os.close(handle)
    command += [*arguments, str(main), "-o", name]
    result = run_alone(command)
    jax.monitoring.record_event_duration_secs(COMPILED, result.seconds)
    if result.code != 0:
        os.unlink(name)
        raise RuntimeError(f"{command[0]} failed: {result.errors[:1000]}")
    # Two atomic renames, hash first: another process may do the same, and one that sees
    # only the hash compiles again.
    os.chmod(name, 0o700)
    handle, stored = tempfile.mkstemp(suffix=".sha256", dir=library.parent)
    with open(handle, "w", encoding="ascii") as stream:
        stream.write(_content_hash(Path(name)))
    os.replace(stored, library.with_suffix(".sha256"))
    os.replace(name, library)
    return library


def _private(folder: Path) -> Path:
    """The folder, created if needed, or a temporary one if it cannot be trusted."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fault = written_by_others(folder)
        if fault is None and not os.access(folder, os.W_OK | os.X_OK):
            fault = f"{folder} cannot be written"
    except OSError as error:
        fault = f"{folder} cannot be used ({error})"
    return folder if fault is None else _temporary(fault)


@lru_cache(maxsize=8)
def _temporary(fault: str) -> Path:
    """A folder of this process, for machine code that cannot be kept."""
    LOGGER.warning(
        "machine code is kept in a temporary folder of this process: %s", fault
    )
    folder = tempfile.mkdtemp(prefix="ase-l2h-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _fault(library: Path) -> str | None:
    """Why a library must not be loaded."""
    stored = library.with_suffix(".sha256")
    try:
        for path in (library, stored):
            fault = written_by_others(path)
            if fault is not None:
                return fault
        if stored.read_text(encoding="ascii") != _content_hash(library):
            return f"{library} is damaged"
    except (OSError, UnicodeError):
        return f"the hash of {library} cannot be read"
    return None


def _content_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _processor() -> str:
    """Text that differs between processors with different machine code."""
    information = Path("/proc/cpuinfo")
    if not information.is_file():
        return ""
    lines = information.read_text(errors="replace").splitlines()
    kinds = ("model name", "flags", "Features", "CPU part")
    return "".join(sorted({line for line in lines if line.startswith(kinds)}))


@lru_cache(maxsize=64)
def load(library: Path) -> Any:
    """The function ``advance`` of a compiled library."""
    function = ctypes.CDLL(str(library)).advance
    function.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    function.restype = ctypes.c_bool
    return function


@lru_cache(maxsize=64)
def _built(macros: tuple[tuple[str, int | str], ...], folder: Path, lanes: int) -> Any:
    return load(build(dict(macros), folder, lanes))


@lru_cache(maxsize=64)
def _narrow(macros: tuple[tuple[str, int | str], ...], folder: Path, lanes: int) -> Any:
    """The library for small batches; None if it cannot be compiled."""
    try:
        return _built(macros, folder, lanes)
    except (RuntimeError, OSError) as error:
        LOGGER.warning(
            "no machine code for small batches, which are slower without it: %s", error
        )
        return None


def library_function(
    optimizer: Any,
    potential: Any,
    system: System,
    double: bool,
    batch: int | None = None,
) -> Any:
    """The compiled function for a search; built at the first call.

    A ``batch`` that fits in half of the lanes gets code for half as many, which is
    twice as fast on many processors, where vectors are as short as that. Results are
    the same to the bit.
    """
    # The macros depend only on these.
    many = np.ndim(system.species) > 1
    case = (many, system.cell is None, system.free is None, double)
    macros = _DEFINED.get(
        (optimizer, potential),
        case,
        lambda: _macros(optimizer, potential, system, double),
    )
    width, folder = widest(), cache_folder() / "native"
    lanes, narrow = width // (8 if double else 4), None
    if batch is not None and batch <= lanes // 2 and width > SHORTEST:
        narrow = _narrow(macros, folder, lanes // 2)
    return _built(macros, folder, lanes) if narrow is None else narrow


def _macros(
    optimizer: Any, potential: Any, system: System, double: bool
) -> tuple[tuple[str, int | str], ...]:
    macros = fused.definitions(optimizer, potential, system)
    if double:
        macros["DOUBLE"] = 1
    return tuple(macros.items())


def prepare(
    optimizer: Any,
    potential: Any,
    system: System,
    double: bool = False,
    batch: int | None = None,
) -> str | None:
    """Compile the code of a search; returns the error message, or None."""
    try:
        library_function(optimizer, potential, system, double, batch)
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


def advance(
    optimizer: Any,
    potential: Any,
    system: System,
    state: SearchState,
    n_steps: int,
    function: Any = None,
    threads: int | None = None,
) -> SearchState:
    """Take ``n_steps`` steps; the interpreter lock is released meanwhile.

    Every structure has its own vector lane: its result is the same to the bit whatever
    the batch, and whichever thread runs it.

    Parameters
    ----------
    optimizer, potential, system, state, n_steps
        See :func:`ase_l2h.rollout.trajectories.advance`; leaves may be JAX arrays.
    function
        What ``load`` gives; compiled here when None.
    threads
        Number of threads; one per processor when None.

    Returns
    -------
    SearchState
        Of NumPy arrays.
    """
    if function is None:
        double, batch = state.positions.dtype == np.float64, state.positions.shape[2]
        function = library_function(optimizer, potential, system, double, batch)
    work = fused.launch(optimizer, potential, system, state, n_steps)
    return _run(function, work, n_steps, threads)


def evaluate(
    potential: Any,
    system: System,
    state: SearchState,
    function: Any = None,
    threads: int | None = None,
) -> SearchState:
    """Energy and force at the present positions; see :func:`.trajectories.evaluate`."""
    if function is None:
        double, batch = state.positions.dtype == np.float64, state.positions.shape[2]
        function = library_function(EVALUATOR, potential, system, double, batch)
    work = fused.launch(EVALUATOR, potential, system, state, 1, only_evaluate=True)
    return _run(function, work, 0, threads)


def _run(
    function: Any, work: fused.Launch, n_steps: int, threads: int | None
) -> SearchState:
    held, real = {}, work.state.positions.dtype
    for name, array in work.arrays.items():
        kind = fused.number_type(name, real)
        if name in _CHANGED:
            held[name] = np.array(array, kind, order="C")
        else:
            held[name] = np.ascontiguousarray(array, kind)
    # As bytes, because NumPy would describe the fields at every access to the address.
    block = work.block(_address, held).reshape(1).view(np.uint8)
    share_out(function, _address(block), work.numbers["batch"], threads)
    return work.finish(held, n_steps)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
