"""Put trained weights into ``pretrained/`` with all that is known of their origin.

    python -m benchmarks.release NAME STAGE_FOLDER... [--after RELEASED] [--default]

The stages are training folders in the order in which they followed one another, after
those of weights that are released already; the weights of the last are released.
Configurations and records of all stages are kept beside them, and the manifest is
written anew. ``python -m benchmarks.render`` then writes the card from the measured
records.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ase_l2h.weights.load import load_weights, save_weights

ROOT = Path(__file__).resolve().parent.parent
PRETRAINED = ROOT / "pretrained"


def stage(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Configuration and record of a training folder."""
    config = json.loads((folder / "config.json").read_text())
    lines = (folder / "progress.jsonl").read_text().splitlines()
    return config, [json.loads(line) for line in lines]


def main() -> None:
    """Copy weights, configurations and records; write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("stages", nargs="+", type=Path)
    parser.add_argument("--after", help="released weights that the first began from")
    parser.add_argument("--default", action="store_true")
    arguments = parser.parse_args()
    name = arguments.name
    origin = PRETRAINED / name
    origin.mkdir(parents=True, exist_ok=True)
    manifest_path = PRETRAINED / "manifest.json"
    manifest = {"default": name, "weights": {}}
    if manifest_path.exists():
        manifest = json.loads(manifest_path.read_text())
    history = []
    if arguments.after is not None:
        history += manifest["weights"][arguments.after]["stages"]
        for file in (PRETRAINED / arguments.after).glob("stage-*"):
            shutil.copyfile(file, origin / file.name)
    for number, folder in enumerate(arguments.stages, len(history) + 1):
        config, lines = stage(folder)
        if config["initial"] is not None:
            config["initial"] = f"the weights of stage {number - 1}"
        text = json.dumps(config, indent=2) + "\n"
        (origin / f"stage-{number}.json").write_text(text)
        kept = [
            {k: line[k] for k in ("update", "loss", "hits", "charged_evaluations")}
            for line in lines
        ]
        (origin / f"stage-{number}.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in kept)
        )
        history.append(
            {
                "tasks": list(dict.fromkeys(config["tasks"])),
                "updates": lines[-1]["update"],
                "horizon": config["horizon"],
                "seed": config["seed"],
                "charged_evaluations": lines[-1]["charged_evaluations"],
                "seconds": sum_of_runs([line["seconds"] for line in lines]),
            }
        )
    last = load_weights(arguments.stages[-1] / "weights.safetensors")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    metadata = {
        "horizon": history[-1]["horizon"],
        "tasks": sorted({t for s in history for t in s["tasks"]}),
        "stages": history,
        "commit": commit,
        "licence": "MIT",
    }
    path = PRETRAINED / f"{name}.safetensors"
    save_weights(path, last.rule, metadata)
    if arguments.default:
        manifest["default"] = name
    content = path.read_bytes()
    manifest["weights"][name] = {
        "file": path.name,
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
