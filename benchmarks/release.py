"""Put trained weights into ``pretrained/`` with all that is known of their origin.

    python -m benchmarks.release NAME STAGE_FOLDER... [--after RELEASED] [--role ROLE]
        [--default]

The stages are training folders in the order in which they followed one another, after
those of weights that are released already; the weights of the last are released.
Configurations and records of all stages are kept beside them, and the manifest is
written anew. ``python -m benchmarks.pages cards`` then writes the card from the
measured records.

Wheels carry no weights of the role ``history``: ``exclude`` in ``pyproject.toml`` names
them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ase_l2h.search.auto.method import ONE_ELEMENT, SEVERAL_ELEMENTS
from ase_l2h.weights.files import HISTORY, ROLES
from ase_l2h.weights.load import load_weights, save_weights
from benchmarks import paths

Stage = dict[str, Any]
# Of every update.
KEPT = ("update", "loss", "hits", "falls", "charged_evaluations")

AUTO = {"one element": ONE_ELEMENT, "several elements": SEVERAL_ELEMENTS}


def stage(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Configuration and record of a training folder."""
    config = json.loads((folder / "config.json").read_text())
    lines = (folder / "progress.jsonl").read_text().splitlines()
    return config, [json.loads(line) for line in lines]


def earlier_stages(origin: Path, released: dict[str, Any], name: str) -> list[Stage]:
    """The stages of released weights, whose files are copied."""
    for file in (paths.PRETRAINED / name).glob("stage-*"):
        shutil.copyfile(file, origin / file.name)
    return list(released["weights"][name]["stages"])


def keep_stage(origin: Path, number: int, folder: Path) -> Stage:
    """Keep configuration and record of a stage; what the manifest says of it."""
    config, lines = stage(folder)
    if config["initial"] is not None:
        config["initial"] = f"the weights of stage {number - 1}"
    text = json.dumps(config, indent=2) + "\n"
    (origin / f"stage-{number}.json").write_text(text)
    kept = [{k: line[k] for k in KEPT if k in line} for line in lines]
    (origin / f"stage-{number}.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in kept)
    )
    return {
        "tasks": list(dict.fromkeys(config["tasks"])),
        "updates": lines[-1]["update"],
        "horizon": config["horizon"],
        "seed": config["seed"],
        "charged_evaluations": lines[-1]["charged_evaluations"],
        "seconds": sum_of_runs([line["seconds"] for line in lines]),
    }


def current_commit() -> str:
    """The commit that is checked out."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def main() -> None:
    """Copy weights, configurations and records; write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("stages", nargs="+", type=Path)
    parser.add_argument("--after", help="released weights that the first began from")
    parser.add_argument("--role", choices=ROLES, help="(history, or as before)")
    parser.add_argument("--default", action="store_true", help="of `learned`")
    arguments = parser.parse_args()
    name = arguments.name
    origin = paths.PRETRAINED / name
    origin.mkdir(parents=True, exist_ok=True)
    manifest_path = paths.PRETRAINED / "manifest.json"
    manifest = {"default": name, "weights": {}}
    if manifest_path.exists():
        manifest = json.loads(manifest_path.read_text())
    stages: list[Stage] = []
    if arguments.after is not None:
        stages = earlier_stages(origin, manifest, arguments.after)
    for folder in arguments.stages:
        stages.append(keep_stage(origin, len(stages) + 1, folder))
    last = load_weights(arguments.stages[-1] / "weights.safetensors")
    metadata = {
        "horizon": stages[-1]["horizon"],
        "tasks": sorted({task for s in stages for task in s["tasks"]}),
        "stages": stages,
        "commit": current_commit(),
        "licence": "MIT",
    }
    path = paths.PRETRAINED / f"{name}.safetensors"
    save_weights(path, last.rule, metadata)
    if arguments.default:
        manifest["default"] = name
    manifest["auto"] = AUTO
    role = arguments.role or manifest["weights"].get(name, {"role": HISTORY})["role"]
    content = path.read_bytes()
    manifest["weights"][name] = {
        "file": path.name,
        "role": "default" if arguments.default else role,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "architecture": last.metadata["architecture"],
        **metadata,
    }
    manifest_path.write_text(json.dumps(manifest, indent=2) + "\n")


def sum_of_runs(seconds: list[float]) -> float:
    """Time of a stage whose clock starts anew whenever it is resumed."""
    total, previous = 0.0, 0.0
    for value in seconds:
        if value < previous:
            total += previous
        previous = value
    return round(total + previous, 1)


if __name__ == "__main__":
    main()
