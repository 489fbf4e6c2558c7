"""``ase-l2h weights``: which weights there are, where, whether sound; and more."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ase_l2h.cli.common import Program, Verb
from ase_l2h.search.names import HOP

if TYPE_CHECKING:
    from ase_l2h.weights.files import WeightFile

__all__ = ["list_weights", "shortened", "weights", "weights_table"]


def list_weights() -> list[dict[str, Any]]:
    """The released weights; the hash of every file that is here was checked."""
    from ase_l2h.weights.files import PORTFOLIO, manifest, released

    rows = []
    for name in sorted(manifest()["weights"]):
        entry = manifest()["weights"][name]
        rows.append(
            {
                "name": name,
                "default": name in manifest()["default"].split(PORTFOLIO),
                "role": entry["role"],
                "status": released(name).status(),
                "architecture": entry["architecture"],
                "horizon": entry["horizon"],
                "tasks": list(entry["tasks"]),
                "sha256": entry["sha256"],
                "bytes": entry["bytes"],
            }
        )
    return rows


def weights_table(rows: list[dict[str, Any]]) -> str:
    """The weight files by role: a line for each, and which are loaded when."""
    from ase_l2h.weights.files import ROLES

    names, rules = (
        max(len(row[key]) for row in rows) for key in ("name", "architecture")
    )
    lines = [f"  {'':{names}}  {'rule':{rules}}  steps  trained on"]
    for role, purpose in ROLES.items():
        group = [row for row in rows if row["role"] == role]
        if not group:
            continue
        usual, _ = Counter(row["status"] for row in group).most_common(1)[0]
        lines.append(f"{role} ({usual}): {purpose}")
        lines += [
            f"  {row['name']:{names}}  {row['architecture']:{rules}}  "
            f"{row['horizon']:5}  {shortened(row['tasks'])}"
            + (f" ({row['status']})" if row["status"] != usual else "")
            for row in group
        ]
        if role == "default":
            lines += _loaded_when()
        if usual == "not downloaded":
            lines.append("  to get one: ase-l2h weights download NAME --from URL|DIR")
        lines.append("")
    return "\n".join(lines[:-1])


def _loaded_when() -> list[str]:
    from ase_l2h.weights.files import manifest

    known = manifest()
    loaded = {f"auto, {kind}": name for kind, name in known["auto"].items()}
    loaded |= {"learned": known["default"], "hops": HOP}
    width = max(map(len, loaded), default=0)
    return [f"  {when:{width}}  loads {name}" for when, name in loaded.items()]


def shortened(tasks: list[str]) -> str:
    """Names of targets as ranges: LJ13, LJ38 and LJ75 are LJ13-75.

    Alloys are their elements and the number of all atoms, those of one number
    together: Ag19Au19 is AgAu 38.
    """
    sizes: dict[tuple[str, ...], set[int]] = {}
    for task in tasks:
        parts = re.findall(r"([A-Za-z]+)(\d+)", task)
        symbols = tuple(symbol for symbol, _ in parts)
        sizes.setdefault(symbols, set()).add(sum(int(count) for _, count in parts))
    ranges = {s: "-".join(map(str, sorted({min(n), max(n)}))) for s, n in sizes.items()}
    clusters = sorted((s != ("LJ",), *s, ranges[s]) for s in sizes if len(s) == 1)
    alloys: dict[str, list[str]] = {}
    for symbols in sorted(s for s in sizes if len(s) > 1):
        alloys.setdefault(ranges[symbols], []).append("".join(symbols))
    words = [f"{symbol}{span}" for _, symbol, span in clusters]
    words += [f"{'/'.join(names)} {span}" for span, names in alloys.items()]
    return ", ".join(words)


@click.group(cls=Program)
def weights() -> None:
    """List, check and download weights of the learned optimizer."""


@weights.command("list", cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """List the released weights by what they are for.

    Bundled and cached ones are ready for use; others ('not downloaded', 'damaged') need
    'ase-l2h weights download NAME' first, and those without an address '--from' a
    mirror, such as the folder 'pretrained' of a checkout.
    """
    rows = list_weights()
    click.echo(json.dumps(rows, indent=2) if as_json else weights_table(rows))


@weights.command(cls=Verb)
@click.argument("names", nargs=-1, metavar="[NAME|FILE]...")
def verify(names: tuple[str, ...]) -> None:
    """Check weight files, by name or path; all on this machine when none is given."""
    from ase_l2h.weights.files import manifest, released
    from ase_l2h.weights.load import load_weights

    here = (
        name
        for name in sorted(manifest()["weights"])
        if released(name).status() != "not downloaded"
    )
    for name in names or here:
        loaded = load_weights(name)
        click.echo(f"{name}: intact, sha256 {loaded.sha256}")


@weights.command(cls=Verb)
@click.argument("name", metavar="NAME|FILE")
def path(name: str) -> None:
    """Print where a weight file lies, once its size and hash are found right."""
    from ase_l2h.weights.files import find_weight_file

    file = find_weight_file(name)
    file.read()
    click.echo(file.path)


@weights.command(cls=Verb)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from",
    "source",
    metavar="URL|DIR",
    help="Mirror: a folder or the file itself, by URL or path.",
)
@click.option(
    "--timeout",
    type=float,
    metavar="SECONDS",
    help="Give up on a file after this time (120).",
)
def download(names: tuple[str, ...], source: str | None, timeout: float | None) -> None:
    """Download released weights that are not bundled into the user's cache.

    Wherever a file comes from, its size and SHA-256 must be those of the manifest in
    the package. ASE_L2H_CACHE names another folder for the cache.
    """
    from ase_l2h.weights import download as _download
    from ase_l2h.weights.files import released

    before = [released(name).status() for name in names]
    limit = _download.TIMEOUT if timeout is None else timeout
    for name, status in zip(names, before, strict=True):
        file = _download.download(name, source, timeout=limit)
        done = status if status in ("bundled", "cached") else "downloaded"
        click.echo(f"{name}: {done}, {file.path}")


@weights.command(cls=Verb)
@click.argument("name", metavar="NAME|FILE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(name: str, as_json: bool) -> None:
    """Print what is known of a weight file, and its card."""
    from ase_l2h.weights.files import find_weight_file

    facts = _facts(find_weight_file(name))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    card = facts.pop("card")
    for place in ("path", "url"):
        if facts[place] is None:
            del facts[place]
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        click.echo(f"{key:{width}}  {_text(value)}")
    if card is not None:
        click.echo(f"\n{card}", nl=False)


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{_text(key)} {_text(of)}" for key, of in value.items())
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    # A file of unknown origin may hold what a terminal takes for commands.
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _facts(file: WeightFile) -> dict[str, Any]:
    """Of a file on this machine what it says itself, else what the manifest says."""
    import hashlib

    from ase_l2h.weights.files import pretrained_folder, unpack

    status = file.status()
    here = status != "not downloaded"
    if here:
        content = file.read()
        _, (architecture, features, metadata) = unpack(content, file.path)
        sha256, size = hashlib.sha256(content).hexdigest(), len(content)
    else:
        assert file.entry is not None
        metadata, features = file.entry, None
        architecture = metadata["architecture"]
        sha256, size = metadata["sha256"], metadata["bytes"]
    updates, seeds = _training(metadata)
    card = pretrained_folder() / f"{file.name}.md"
    carded = file.entry is not None and card.is_file()
    return {
        "name": file.name,
        "status": status,
        "path": str(file.path) if here else None,
        "url": (file.entry or {}).get("url"),
        "architecture": architecture,
        "features": features,
        "horizon": metadata["horizon"],
        "tasks": metadata["tasks"],
        "updates": updates,
        "seeds": seeds,
        "sha256": sha256,
        "bytes": size,
        "card": card.read_text(encoding="utf-8") if carded else None,
    }


def _training(metadata: dict[str, Any]) -> tuple[int | None, list[int] | None]:
    """Outer updates and seeds: of all stages of released weights, of one's own run.

    None where the file does not say.
    """
    stages = metadata.get("stages")
    if not isinstance(stages, list):
        run = metadata.get("training")
        seed = run.get("seed") if isinstance(run, dict) else None
        stages = [{"updates": metadata.get("updates"), "seed": seed}]
    updates = [s.get("updates") for s in stages if isinstance(s, dict)]
    seeds = [s.get("seed") for s in stages if isinstance(s, dict)]
    known = [u for u in updates if isinstance(u, int)]
    found = [s for s in seeds if isinstance(s, int)]
    return sum(known) if known else None, found or None
