"""What was aimed at in speed, and what the records have."""

from __future__ import annotations

import statistics

from ase_l2h.report.pages import markdown_table
from benchmarks.pages.speed_records import latest
from benchmarks.speed.throughput import BATCH

__all__ = ["aims"]

# Microseconds per structure and step of the paper's rule: `scan`, `native`.
STEP_AIMS = {"LJ13": (3, 2), "LJ38": (10, 6), "LJ75": (25, 15)}
OVER_NATURAL = (
    *("LJ13", "LJ38", "LJ75", "Au13", "Au38", "Au75"),
    *("Ag19Au19", "Ag38Au37"),
)


def aims() -> str:
    """The table of aims."""
    rows = [*_steps(), *_over_natural(), *_waiting(), *_devices()]
    heads = [f"batch of {BATCH}, two cores", "aim", "reached", "met"]
    return markdown_table(heads, rows, numbers=False)


def _row(what: str, aim: float, reached: float, *, least: bool = False) -> list[str]:
    """An aim that is to be reached at most, or at least."""
    met = reached >= aim if least else reached <= aim
    bound = "at least" if least else "at most"
    return [what, f"{bound} {aim:g}", f"{reached:.3g}", "yes" if met else "no"]


def _measured() -> tuple[dict[str, dict], dict[str, dict]]:
    """Evaluations and steps per second, by target."""
    rates = {r["target"]: r for r in latest("throughput") if r["batch"] == BATCH}
    steps = {r["target"]: r for r in latest("native") if "missing" not in r}
    return rates, steps


def _steps() -> list[list[str]]:
    """Microseconds of a step."""
    rows, (_, steps) = [], _measured()
    for name, (scan, compiled) in STEP_AIMS.items():
        if name not in steps:
            continue
        for way, aim in (("scan", scan), ("native", compiled)):
            micro = 1e6 / steps[name]["coordinatewise"][way]["median"]
            rows.append(_row(f"{name}: paper's rule, `{way}`, us", aim, micro))
        half = 1e6 / steps[name]["equivariant"]["scan"]["median"]
        rows.append(_row(f"{name}: equivariant rule, `scan`, us", scan / 2, half))
    return rows


def _over_natural() -> list[list[str]]:
    """Evaluations against natural JAX."""
    rows, (rates, steps) = [], _measured()
    for name in OVER_NATURAL:
        ratio = rates[name]["ratio"].get("natural") if name in rates else None
        if ratio is not None:
            what = f"{name}: evaluations, `scan` over natural JAX"
            rows.append(_row(what, 8, ratio, least=True))
    for name in OVER_NATURAL:
        if name in steps and name in rates:
            natural = rates[name]["evaluations_per_second"]["natural"]["median"]
            ratio = steps[name]["fire"]["native"]["median"] / natural
            what = f"{name}: FIRE steps, `native` over evaluations in natural JAX"
            rows.append(_row(what, 8, ratio, least=True))
    if "LJ38" in rates:
        million = rates["LJ38"]["evaluations_per_second"]["ase_l2h"]["median"] / 1e6
        rows.append(_row("LJ38: million evaluations/s", 1, million, least=True))
    return rows


def _waiting() -> list[list[str]]:
    """The second start of the command."""
    records = latest("start")[-1:]
    return [_row("second start, s", 3, r["second_seconds"]) for r in records]


def _devices() -> list[list[str]]:
    """Two devices, and what a loop in registers gets: no aim of the package."""
    rows = []
    for record in latest("devices")[-1:]:
        if "missing" in record:
            continue
        for key, where in (
            ("ratios", "one process"),
            ("process_ratios", "two processes"),
        ):
            ratio = statistics.median(record[key])
            rows.append(_row(f"two pinned devices, {where}", 1.8, ratio, least=True))
        host = statistics.median(record["host_ratios"])
        rows.append(["two pinned hash loops", "-", f"{host:.3g}", "-"])
    return rows
