"""Settings and fixtures of all tests.

JAX is set up through its configuration, not through the environment: programs that
tests start must see what a user's shell would give them.
"""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import importlib
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

# Threads of BLAS wait for each other in a loop, which costs a processor that other
# workers share ten times what they compute. Before NumPy and SciPy load theirs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import numpy as np
import pytest
from jax._src import compiler

from ase_l2h.rollout.kernels import native

# Shells start what runs in the background with SIGINT ignored, and programs that tests
# start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tracing makes millions of objects, few of them in cycles: by default, a tenth of the
# suite's time went into looking for these.
gc.set_threshold(100_000, 50, 100)

# Two devices, so that sharding is tested on every machine.
jax.config.update("jax_num_cpu_devices", 2)
# A float32 search must not become float64, or the reverse, by an accident of promotion.
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Bytes of compiled code that are kept from run to run.
MOST_KEPT = 300_000_000


def pytest_configure(config: pytest.Config) -> None:
    """Without optimisation compiling, most of what fast tests do, takes half as long.

    Most programs that they start are optimised, and so is what uses ``optimised``.
    """
    fast = config.option.markexpr == "not slow"
    jax.config.update("jax_disable_most_optimizations", fast)
    if fast:
        native.FLAGS = (*native.FLAGS, "-O0")
        _compile_quickly()
    _keep_compiled(config)
    if fast and config.pluginmanager.has_plugin("cacheprovider"):
        _read_intrinsics_once(config)


# XLA's: loops without the detour by MLIR, and one module of LLVM instead of up to 32.
# Together they halve again what is spent on compiling.
QUICK = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def _compile_quickly() -> None:
    """Give XLA the options ``QUICK`` wherever it is not to optimise.

    JAX has no setting for them but the environment, which programs that tests start
    would inherit, and where a version of XLA that lacks one of them ends the process.
    """
    make = compiler.get_compile_options

    def quick(*arguments: Any, **keywords: Any) -> Any:
        options = make(*arguments, **keywords)
        if jax.config.read("jax_disable_most_optimizations"):
            given = list(options.env_option_overrides)
            options.env_option_overrides = [*given, *QUICK.items()]
        return options

    try:
        jax.jit(lambda: 0, compiler_options=QUICK).lower().compile()
    except jax.errors.JaxRuntimeError:  # this version has none of these
        return
    compiler.get_compile_options = quick


def _keep_compiled(config: pytest.Config) -> None:
    """What is compiled is kept for the other workers, and for the next run.

    In ``.pytest_cache``, which ``--cache-clear`` empties.
    """
    if not config.pluginmanager.has_plugin("cacheprovider"):
        return
    # Workers, which begin later, would empty it again, and of what is needed.
    given = config.invocation_params
    kept = tuple(word for word in given.args if word != "--cache-clear")
    config.invocation_params = dataclasses.replace(given, args=kept)
    folder = config.cache.mkdir("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    machine_code = config.cache.mkdir("machine-code")
    native.cache_folder = lambda: machine_code
    if not hasattr(config, "workerinput"):
        _trim(folder)
        _trim(machine_code / "native")


def _read_intrinsics_once(config: pytest.Config) -> None:
    """Vector instructions are a third of all that the C++ compiler reads.

    It begins with what it has made of them, in the folder of machine code, or reads
    them as always.
    """
    folder = native.cache_folder()
    header = folder / "intrinsics.h"
    flags, native.FLAGS = native.FLAGS, (*native.FLAGS, "-include", str(header))
    command = native.compiler_command()
    if hasattr(config, "workerinput") or not command:
        return
    text = "#ifdef __AVX512F__\n#include <immintrin.h>\n#endif\n"
    header.write_text(text, encoding="ascii")
    new = folder / "intrinsics.new"
    make = [*command, *flags, "-x", "c++-header", str(header), "-o", str(new)]
    # Where the compiler knows nothing of this, the header alone will do.
    if subprocess.run(make, capture_output=True, check=False).returncode == 0:
        new.replace(f"{header}.gch")


def _trim(folder: Path) -> None:
    """Remove what has not been used for longest, where there is too much."""
    if not folder.is_dir():
        return
    files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    excess = sum(path.stat().st_size for path in files) - MOST_KEPT
    while excess > 0:
        oldest = files.pop(0)
        excess -= oldest.stat().st_size
        oldest.unlink()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Of a test marked ``often``, what is not named there is ``slow``."""
    often = item.get_closest_marker("often")
    if often is None or not isinstance(item, pytest.Function):
        return
    if item.callspec.id not in often.args:
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip tests marked ``gpu`` or ``compiler`` where there is none."""
    _check_often(config, items)

    def skip(marker: str, missing: Callable[[], bool], reason: str) -> None:
        marked = [item for item in items if item.get_closest_marker(marker)]
        if marked and missing():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))

    skip("gpu", lambda: jax.default_backend() != "gpu", "JAX sees no GPU")
    skip("compiler", lambda: native.compiler() is None, "there is no C++ compiler here")


def _check_often(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An id that no parameters have would leave its test out without a word."""
    if any("::" in argument for argument in config.args):
        return
    found: dict[str, set[str]] = {}
    named: dict[str, set[str]] = {}
    for item in items:
        often = item.get_closest_marker("often")
        if often is not None and isinstance(item, pytest.Function):
            test = item.nodeid.partition("[")[0]
            found.setdefault(test, set()).add(item.callspec.id)
            named[test] = set(often.args)
    for test, ids in named.items():
        if unknown := ids - found[test]:
            raise pytest.UsageError(f"{test} has no {', '.join(sorted(unknown))}")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that is the same in every run and every order of tests."""
    return np.random.default_rng(20210721)


@pytest.fixture
def optimised() -> Iterator[None]:
    """What the test compiles is optimised, as it is for users."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


# Bytes: a worker that holds more forgets what it has compiled, instead of growing to
# several gigabytes. What is needed again is read from disk.
MOST_MEMORY = 1.0e9
# Bytes that a worker of the fast tests may hold at its worst: two of them, and what
# they start, fit into the memory of a small machine.
MOST_EVER = 1.5e9
# `ru_maxrss` is in kilobytes, but in bytes on a Mac.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


def _resident() -> float:
    """Bytes of memory that this process holds; infinite where nobody says."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return math.inf
    return pages * resource.getpagesize()


def _most() -> float:
    """Bytes of memory that this process held at its worst."""
    return RSS_UNIT * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


_most_before = _most()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """What was compiled is forgotten when a worker has grown.

    The test with which it grows beyond what it may is an error.
    """
    global _most_before
    yield
    before, _most_before = _most_before, _most()
    if before <= MOST_EVER < _most_before and item.get_closest_marker("slow") is None:
        pytest.fail(
            f"with this test its worker has grown to {_most_before / 1e9:.2f} GB; "
            f"{MOST_EVER / 1e9} GB are allowed"
        )
    if _resident() > MOST_MEMORY:
        jax.clear_caches()
        gc.collect()
        # The C library keeps what is freed, unless it is asked to give it back.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@pytest.fixture
def x64() -> Iterator[None]:
    """Double precision for one test; outside it the flag is what it was."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of ``benchmarks``, which is not installed, by its name there.

    What the environment of the other searchers compiles with numba is Python here.
    """
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1]))
    uncompiled = SimpleNamespace(njit=lambda **_: lambda function: function)
    monkeypatch.setitem(sys.modules, "numba", uncompiled)
    return lambda name: importlib.import_module(f"benchmarks.{name}")
