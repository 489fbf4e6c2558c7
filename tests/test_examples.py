"""The examples of the guides run as printed, and commands have the options shown."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import child_programs
import click
import pytest

from ase_l2h.cli.main import cli
from ase_l2h.weights.files import HISTORY, manifest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Published: the truncated octahedron and the icosahedra of Lennard-Jones (Wales and
# Doye, 1997), the icosahedron of Morse with exponent 6 (Doye and Wales, 1997). The last
# digits of EMT, and of silver, are its own.
LJ13, LJ38 = (-44.326801, 1e-5), (-173.928427, 1e-5)
# Of every block of Python of a page, in their order: the first number that it prints.
PRINTED = {
    "README": [LJ38],
    "start": [LJ38, (-30.92839, 1e-4)],
    "search": [LJ38, (9.3614, 1e-3)],
    "surfaces": [(9.1778, 1e-3)],
    "calculators": [(9.3614, 1e-3), (9.3614, 1e-3)],
    "crystals": [(-4.3366, 1e-4)],
    "own-function": [(-42.439863, 1e-5), (-32.0700, 1e-3)],
    "extending": [LJ13],
    "all-minima": [LJ13],
    "restart": [(-72.659782, 1e-5)],
    "many-machines": [(5.9624, 1e-3), LJ13, LJ13],
}
# Blocks that take minutes, and the first page, whose atoms are the reader's.
LONG = {"action", "hull", "training", "index"}


def page_of(name: str) -> Path:
    """The README, or a page of the documentation."""
    return (ROOT if name == "README" else DOCS) / f"{name}.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


EXAMPLES = {
    f"{name}-{k}": (code, expected)
    for name, numbers in PRINTED.items()
    for k, (code, expected) in enumerate(
        zip(blocks(page_of(name), "python"), numbers, strict=True)
    )
}
CONTINUED = "ThreadPoolExecutor"
# What other tests of the suite do as well, and takes five seconds or more.
SLOW = {
    *("calculators-0", "calculators-1", "crystals-0", "many-machines-0"),
    *("own-function-0", "own-function-1", "search-0", "search-1"),
    *("start-0", "start-1", "surfaces-0"),
}
# One process for the examples: each begins with no names, and in a folder of its own.
READER = f"""{child_programs.PRELUDE}
import contextlib, io, os, traceback
for line in sys.stdin:
    code, folder = json.loads(line)
    os.chdir(folder)
    printed, failure = io.StringIO(), ""
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, {{"__name__": "__main__"}})
        except BaseException:
            failure = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failure]), flush=True)
"""


@pytest.fixture(scope="module")
def printed() -> Iterator[Callable[[str, Path], str]]:
    """What a piece of code prints, in a process that has run others before."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, *child_programs.arguments()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_programs.environment(),
    )
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None

    def run(code: str, folder: Path) -> str:
        print(json.dumps([code, str(folder)]), file=questions, flush=True)
        output, failure = json.loads(answers.readline())
        assert failure == ""
        return output

    yield run
    process.communicate()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in EXAMPLES
    ],
)
def test_an_example_finds_what_it_is_to_find(name, tmp_path, printed):
    code, (energy, tolerance) = EXAMPLES[name]
    # The log of an ASE optimizer comes first.
    lines = printed(code, tmp_path).splitlines()
    firsts = [line.split()[0] for line in lines if line.strip()]
    printed = next(word for word in firsts if re.fullmatch(r"-?\d+(\.\d+)?", word))
    assert float(printed) == pytest.approx(energy, abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LONG - {"index"}))
def test_a_long_example_runs(name, tmp_path):
    for code in blocks(DOCS / f"{name}.md", "python"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr


def test_every_page_with_python_is_run():
    every = [page_of("README"), *DOCS.glob("*.md")]
    pages = {page.stem for page in every if blocks(page, "python")}
    assert pages - LONG == set(PRINTED)


def commands(page: Path) -> list[list[str]]:
    """Words of every call of the program in a block of shell commands."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    calls = (line.partition("ase-l2h ")[2] for line in lines if "ase-l2h " in line)
    calls = (shlex.split(call.partition(">")[0], comments=True) for call in calls)
    return [words for words in calls if words]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda p: p.stem
)
def test_commands_have_the_verbs_and_options_that_a_page_shows(page):
    for verb, *words in commands(page):
        command = cli.commands[verb]
        if isinstance(command, click.Group):
            command = command.commands[words[0]]
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        options = {word for word in words if re.match("--?[a-z]", word)}
        assert options <= known, (page.name, verb, options - known)


def test_examples_load_what_is_installed():
    """Weights of the role `history` are named only where they are downloaded."""
    weights = manifest()["weights"].items()
    history = "|".join(name for name, entry in weights if entry["role"] == HISTORY)
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    lines = [
        line
        for page in pages
        for block in (*blocks(page, "bash"), *blocks(page, "python"))
        for line in block.splitlines()
        if "weights download" not in line
    ]
    lines += [
        line
        for path in (ROOT / "tutorials").glob("*.py")
        for line in path.read_text().splitlines()
    ]
    assert lines
    assert [x for x in lines if re.search(rf"(?<![\w-])({history})(?![\w-])", x)] == []
