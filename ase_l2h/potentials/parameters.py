"""Named parameter sets with their sources, and the check that confirms each.

Gupta rows are ``(p, q, r0 / angstrom, xi / eV, A / eV)`` per pair of species;
Stillinger-Weber values are in angstrom and eV.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ase_l2h.errors import InputError
from ase_l2h.potentials.gupta import Gupta
from ase_l2h.potentials.stillinger_weber import StillingerWeber

__all__ = [
    "GUPTA_SETS",
    "STILLINGER_WEBER_SETS",
    "GuptaSet",
    "StillingerWeberSet",
    "gupta_set",
    "gupta_sets_covering",
    "stillinger_weber_set",
]

_LEARN2HOP = (
    "A. Merchant, L. Metz, S. S. Schoenholz, E. D. Cubuk, Learn2Hop, ICML 2021, "
    "Table {} (arXiv:2107.09661)"
)
_LEARN2HOP_GUPTA = _LEARN2HOP.format(4) + ", whose headings A and xi are exchanged"
_PITTAWAY = (
    "F. Pittaway et al., J. Phys. Chem. C 113, 9141 (2009), doi:10.1021/jp9006075"
)
_DU = "Du et al., R. Soc. Open Sci. 6, 190342 (2019), doi:10.1098/rsos.190342"


@dataclass(frozen=True)
class GuptaSet:
    """One named set of Gupta parameters.

    Parameters
    ----------
    name
        Name it is looked up by.
    pairs
        ``{"Ag-Au": (p, q, r0, xi, A), ...}``, lengths in angstrom, energies in eV.
    source
        Where the numbers were printed.
    check
        What confirms them, or which part could not be confirmed.
    """

    name: str
    pairs: Mapping[str, tuple[float, float, float, float, float]]
    source: str
    check: str

    @property
    def symbols(self) -> tuple[str, ...]:
        """Species of the set, ascending in atomic number."""
        return self.potential().symbols

    def potential(self, rc: float | None = None, **cutoff: Any) -> Gupta:
        """The potential of this set, cut off at ``rc`` angstrom when given.

        ``cutoff`` are more arguments of
        :meth:`~ase_l2h.potentials.gupta.Gupta.from_pairs`.
        """
        return Gupta.from_pairs(self.pairs, rc=rc, **cutoff)


@dataclass(frozen=True)
class StillingerWeberSet:
    """One named set of Stillinger-Weber parameters.

    Parameters
    ----------
    name
        Name it is looked up by.
    symbol
        The element.
    values
        Keyword arguments of
        :class:`~ase_l2h.potentials.stillinger_weber.StillingerWeber`.
    source, check
        As for :class:`GuptaSet`.
    """

    name: str
    symbol: str
    values: Mapping[str, float]
    source: str
    check: str

    def potential(self) -> StillingerWeber:
        """The potential of this set."""
        return StillingerWeber(**self.values, symbols=(self.symbol,))


_GUPTA = (
    GuptaSet(
        "Au",
        {"Au-Au": (10.229, 4.036, 2.884, 1.790, 0.2061)},
        f"{_LEARN2HOP_GUPTA}; the gold of F. Cleri and V. Rosato, Phys. Rev. B 48, 22 "
        "(1993)",
        "its row is the Au-Au row of CuAu, which is confirmed as a whole. It is not "
        "the gold of the paper's Table 2: that is Au55",
    ),
    GuptaSet(
        "Au55",
        # jax-md writes U/2 [A sum - sqrt(sum)] with U = 3.454 eV, A = 0.118428.
        {"Au-Au": (10.15, 4.13, 2.96, 3.454 / 2, 3.454 / 2 * 0.118428)},
        "gupta_gold55 of jax-md, after I. L. Garzon and A. Posada-Amarillas, Phys. "
        "Rev. B 54, 11796 (1996)",
        "equals jax_md.energy.gupta_gold55; its Au55 minimum is the -181.89 eV of "
        "Learn2Hop's Table 2",
    ),
    GuptaSet(
        "AgAu",
        {
            "Ag-Ag": (10.85, 3.18, 2.8921, 1.1895, 0.1031),
            "Ag-Au": (10.494, 3.607, 2.8885, 1.4874, 0.1488),
            "Au-Au": (10.139, 4.033, 2.885, 1.8153, 0.2096),
        },
        _LEARN2HOP_GUPTA,
        f"gives the published Ag30Au30 minimum, -188.373819 eV ({_DU}), to 3e-7 eV",
    ),
    GuptaSet(
        "AgPt",
        {
            "Ag-Ag": (10.86, 3.18, 2.8921, 1.1895, 0.1031),
            "Ag-Pt": (10.73, 3.57, 2.833, 1.79, 0.175),
            "Pt-Pt": (10.612, 4.004, 2.7747, 2.695, 0.2975),
        },
        _LEARN2HOP_GUPTA,
        "copied, no published energy at hand; Ag-Pt and Pt-Pt agree with the table of "
        "J. Chem. Phys. 128, 13 (2008), doi:10.1063/1.2897435, as stored in LoDiS, "
        "which has 10.85 for the p of Ag",
    ),
    GuptaSet(
        "PdAu",
        {
            "Pd-Pd": (10.867, 3.742, 2.7485, 1.718, 0.1746),
            "Pd-Au": (10.54, 3.89, 2.816, 1.75, 0.19),
            "Au-Au": (10.299, 4.036, 2.884, 1.79, 0.2061),
        },
        _LEARN2HOP_GUPTA,
        f"copied, no published energy at hand; the 'average' set of {_PITTAWAY}, which "
        "has 10.229 for the p of Au where Learn2Hop prints 10.299",
    ),
    GuptaSet(
        "PdAu_DFTfit",
        {
            "Pd-Pd": (10.8535, 3.7516, 2.7485, 1.6805, 0.1653),
            "Pd-Au": (10.542, 3.8826, 2.816, 1.7867, 0.1843),
            "Au-Au": (10.2437, 4.0445, 2.884, 1.8097, 0.2091),
        },
        f"{_PITTAWAY}, Table 2, 'DFT-fit'",
        "gives the published Au3Pd3 minimum, -18.893036 eV",
    ),
    GuptaSet(
        "PdPt",
        {
            "Pd-Pd": (10.867, 3.742, 2.7485, 1.718, 0.1746),
            "Pd-Pt": (10.74, 3.87, 2.76, 2.2, 0.23),
            "Pt-Pt": (10.612, 4.004, 2.7747, 2.695, 0.2975),
        },
        _LEARN2HOP_GUPTA,
        "copied, no published energy at hand; agrees with the tables of LoDiS (after "
        "Rapallo et al., 2005) and of nanocluster-optimizer up to the p, q of Pt (its "
        "q is 4.0004 in LoDiS)",
    ),
    GuptaSet(
        "CuAu",
        {
            "Cu-Cu": (10.96, 2.278, 2.556, 1.224, 0.0855),
            "Cu-Au": (11.05, 3.0475, 2.556, 1.5605, 0.1539),
            "Au-Au": (10.229, 4.036, 2.884, 1.79, 0.2061),
        },
        "F. Cleri and V. Rosato, Phys. Rev. B 48, 22 (1993), as stored in pele and "
        f"LoDiS, with the lengths of {_DU}",
        f"gives the published Cu30Au30 minimum, -199.346823 eV ({_DU}), to 1e-6 eV",
    ),
    GuptaSet(
        "FeCoNi",
        {
            "Fe-Fe": (10.5, 2.6, 2.553, 1.6179, 0.13315),
            "Fe-Co": (11.038, 2.4379, 2.5248, 1.5515, 0.11246),
            "Fe-Ni": (13.3599, 1.7582, 2.5213, 1.3157, 0.07075),
            "Co-Co": (11.604, 2.286, 2.497, 1.488, 0.095),
            "Co-Ni": (14.0447, 1.6486, 2.4934, 1.2618, 0.0597),
            "Ni-Ni": (16.999, 1.189, 2.49, 1.07, 0.0376),
        },
        "nanocluster-optimizer (github.com/earturor), potentials/gupta.py",
        "gives that repository's Ni3 (-4.332035397 eV) and Fe4Co3Ni3 (-28.251280283 "
        "eV) minima",
    ),
)
GUPTA_SETS: Mapping[str, GuptaSet] = MappingProxyType({s.name: s for s in _GUPTA})

_LONG_DIGITS = {"A": 7.049556277, "B": 0.6022245584}
_SILICON = {"sigma": 2.0951, "a": 1.8, "lam": 21.0, "gamma": 1.2}
_SW = (
    StillingerWeberSet(
        "Si",
        "Si",
        {"epsilon": 2.1683, **_LONG_DIGITS, **_SILICON},
        "Si.sw of LAMMPS, after F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, "
        "5262 (1985)",
        "gives the -277.542399683 eV of a LAMMPS log for 64 atoms at a = 5.431 A",
    ),
    StillingerWeberSet(
        "Si_jax_md",
        "Si",
        {"epsilon": 2.16826, **_LONG_DIGITS, **_SILICON},
        "defaults of jax_md.energy.stillinger_weber",
        "gives the -4.336503155764325 eV per atom of jax-md's test at a = 5.428 A",
    ),
    StillingerWeberSet(
        "Si_learn2hop",
        "Si",
        {"epsilon": 2.168, "A": 7.049, "B": 0.602, **_SILICON},
        _LEARN2HOP.format(5),
        "gives the -277.22 eV of Learn2Hop's Table 2 for 64 atoms at a = 5.38 A (the "
        "paper prints 5.248 A, where it gives -273.13 eV)",
    ),
)
STILLINGER_WEBER_SETS: Mapping[str, StillingerWeberSet] = MappingProxyType(
    {s.name: s for s in _SW}
)


def gupta_set(name: str) -> GuptaSet:
    """A Gupta set by name.

    Raises
    ------
    InputError
        When there is no such set; the message lists the names.
    """
    try:
        return GUPTA_SETS[name]
    except KeyError:
        raise InputError(
            f"no Gupta parameters named {name!r}; choose one of {', '.join(GUPTA_SETS)}"
        ) from None


def gupta_sets_covering(symbols: Iterable[str]) -> tuple[str, ...]:
    """Names of the Gupta sets that know every symbol, the smallest set first."""
    wanted = set(symbols)
    names = [n for n, s in GUPTA_SETS.items() if wanted <= set(s.symbols)]
    return tuple(sorted(names, key=lambda n: len(GUPTA_SETS[n].symbols)))


def stillinger_weber_set(name: str) -> StillingerWeberSet:
    """A Stillinger-Weber set by name.

    Raises
    ------
    InputError
        When there is no such set; the message lists the names.
    """
    try:
        return STILLINGER_WEBER_SETS[name]
    except KeyError:
        raise InputError(
            f"no Stillinger-Weber parameters named {name!r}; choose one of "
            f"{', '.join(STILLINGER_WEBER_SETS)}"
        ) from None
