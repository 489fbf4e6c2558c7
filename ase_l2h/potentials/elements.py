"""Chemical symbols in the order of atomic numbers (ASE is not imported down here)."""

from __future__ import annotations

from collections.abc import Iterable

from ase_l2h.errors import InputError

__all__ = ["SYMBOLS", "atomic_number", "by_atomic_number"]

# Index 0 is ASE's placeholder "X", so that SYMBOLS[Z] is the element Z.
_TABLE = (
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni "
    "Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe "
    "Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg "
    "Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg "
    "Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
SYMBOLS = tuple(_TABLE.split())
_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}


def atomic_number(symbol: str) -> int:
    """Atomic number of a chemical symbol.

    Raises
    ------
    InputError
        When ``symbol`` is no element.
    """
    try:
        return _NUMBERS[symbol]
    except KeyError:
        raise InputError(
            f"{symbol!r} is not a chemical symbol; write it as in 'Au'"
        ) from None


def by_atomic_number(symbols: Iterable[str]) -> tuple[str, ...]:
    """The distinct symbols, ascending in atomic number: the order of species slots."""
    return tuple(sorted(set(symbols), key=atomic_number))
