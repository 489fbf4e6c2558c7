"""``ase-l2h info``: versions, devices, backends, weights, parameter sets."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from ase_l2h.cli.common import Verb
from ase_l2h.cli.weights import list_weights, weights_table

__all__ = ["gather", "info", "versions"]

PACKAGES = ("ase-l2h", "ase", "jax", "jaxlib", "jax-md", "flax", "numpy", "scipy")


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that results depend on."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def gather() -> dict[str, Any]:
    """Everything that ``info`` prints, JSON-able."""
    import jax

    from ase_l2h.potentials.parameters import GUPTA_SETS, STILLINGER_WEBER_SETS
    from ase_l2h.rollout.backends import available_backends

    return {
        "versions": versions(),
        "platform": platform.platform(),
        "devices": [
            {"id": d.id, "platform": d.platform, "kind": d.device_kind}
            for d in jax.devices()
        ],
        "backends": list(available_backends()),
        "weights": list_weights(),
        "gupta": {n: list(s.symbols) for n, s in GUPTA_SETS.items()},
        "stillinger_weber": {n: [s.symbol] for n, s in STILLINGER_WEBER_SETS.items()},
    }


@click.command(cls=Verb)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """Print versions, devices, backends, weights and parameter sets."""
    facts = gather()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, number in facts["versions"].items():
        click.echo(f"{name:9}{number or 'not installed'}")
    click.echo(f"platform {facts['platform']}")
    devices = (f"{d['platform']}:{d['id']} ({d['kind']})" for d in facts["devices"])
    click.echo(f"devices  {', '.join(devices)}")
    click.echo(f"backends {', '.join(facts['backends'])}")
    click.echo("\nweights")
    click.echo(weights_table(facts["weights"]))
    click.echo("\nparameter sets")
    for family, sets in (("gupta", facts["gupta"]), ("sw", facts["stillinger_weber"])):
        for name, symbols in sets.items():
            click.echo(f"  {f'{family}:{name}':18}{' '.join(symbols)}")
