"""Which potential acts between the atoms of a TARGET, and with which parameters."""

from __future__ import annotations

from typing import Any

from ase_l2h.errors import InputError

__all__ = [
    "FAMILIES",
    "LONG_NAMES",
    "chosen_potential",
    "default_family",
    "explained_choice",
    "family_of",
    "parse_potential",
    "set_of",
]

FAMILIES = ("lj", "ka", "gupta", "sw")
LONG_NAMES = {
    "lj": "Lennard-Jones",
    "ka": "Kob-Andersen",
    "gupta": "Gupta",
    "sw": "Stillinger-Weber",
}
NOBLE_GASES = {"He", "Ne", "Ar", "Kr", "Xe", "Rn"}


def parse_potential(text: str | None) -> tuple[str | None, str | None]:
    """Family and set of ``FAMILY[:SET]``; None where nothing is said.

    Raises
    ------
    InputError
        For an unknown family.
    """
    if text is None:
        return None, None
    family, colon, name = text.partition(":")
    if family not in FAMILIES or (colon and not name) or (family == "lj" and colon):
        raise InputError(
            f"no potential named '{text}'; write lj, ka, gupta, gupta:SET, sw or "
            "sw:SET ('ase-l2h info' lists the sets)"
        )
    return family, name or None


def family_of(potential: Any) -> str:
    """The family of a potential."""
    names = {
        "LennardJones": "lj",
        "BinaryLennardJones": "ka",
        "Gupta": "gupta",
        "StillingerWeber": "sw",
    }
    return names[type(potential).__name__]


def set_of(family: str, present: set[str]) -> str | None:
    """The parameter set these elements get when none is asked for."""
    from ase_l2h.potentials.parameters import gupta_sets_covering
    from ase_l2h.targets import DEFAULT_SETS, DEFAULT_SILICON

    if family == "lj":
        return None
    if family == "ka":
        return "stoddard-ford"
    if family == "sw":
        return DEFAULT_SILICON
    covering = gupta_sets_covering(present)
    default = DEFAULT_SETS.get(frozenset(present))
    return default if default in covering else next(iter(covering), None)


def explained_choice(family: str, present: set[str]) -> tuple[str, ...]:
    """A sentence about the parameter set that was chosen for the user, and why."""
    from ase_l2h.potentials.parameters import gupta_sets_covering
    from ase_l2h.targets import DEFAULT_SETS

    if family != "gupta":
        return ()
    chosen = set_of(family, present)
    others = [name for name in gupta_sets_covering(present) if name != chosen]
    elements = " and ".join(sorted(present))
    reason = f"the only one that knows {elements}"
    if chosen == DEFAULT_SETS.get(frozenset(present)):
        reason = f"the usual one of {elements}"
    elif others:
        reason = f"the first that knows {elements}"
    more = f"; --potential gupta:SET takes {', '.join(others)}" if others else ""
    return (f"Gupta set {chosen}, {reason}{more}",)


def default_family(present: set[str]) -> str:
    """The family that these elements suggest.

    Raises
    ------
    InputError
        Where they suggest none.
    """
    if present == {"Si"}:
        return "sw"
    if present <= NOBLE_GASES:
        return "lj"
    if present == {"X"}:
        raise InputError(
            "its atoms are of no element (X); --potential lj treats them as "
            "identical Lennard-Jones particles"
        )
    if set_of("gupta", present) is not None:
        return "gupta"
    raise InputError(
        f"there is no default potential for {'-'.join(sorted(present))}; choose one "
        "with --potential ('ase-l2h info' lists the parameter sets)"
    )


def chosen_potential(
    family: str,
    parameters: str | None,
    present: set[str],
    sigma: float | None,
    epsilon: float | None,
    cutoff: float | None = None,
) -> Any:
    """The potential itself.

    Raises
    ------
    InputError
        When it does not suit the elements, or there are no such parameters.
    """
    from ase_l2h.potentials.lennard_jones import LennardJones
    from ase_l2h.potentials.parameters import gupta_set, stillinger_weber_set
    from ase_l2h.targets import kob_andersen

    # A truncated energy makes many minima of one.
    smooth = cutoff is not None
    if family == "lj":
        if len(present) > 1:
            raise InputError(
                f"one sigma and epsilon would treat {' and '.join(sorted(present))} "
                "alike; give all atoms the same name if that is meant, or choose "
                "another --potential"
            )
        return LennardJones(
            epsilon=epsilon or 1.0,
            sigma=sigma or 1.0,
            rc=cutoff,
            smooth=smooth,
        )
    if cutoff is not None and family != "gupta":
        raise InputError(
            f"{LONG_NAMES[family]} has a cut-off of its own; leave --cutoff out"
        )
    if parameters is None:
        parameters = set_of(family, present)
    if family == "ka":
        return kob_andersen(parameters)
    if parameters is None:
        raise InputError(
            f"no Gupta parameters for {'-'.join(sorted(present))} ('ase-l2h info' "
            "lists the sets); choose another --potential"
        )
    if family == "gupta":
        return gupta_set(parameters).potential(rc=cutoff, smooth=smooth)
    chosen = stillinger_weber_set(parameters)
    if present != {chosen.symbol}:
        raise InputError(
            f"the Stillinger-Weber parameters {parameters} are for {chosen.symbol}, "
            f"not {'-'.join(sorted(present))}; choose another --potential"
        )
    return chosen.potential()
