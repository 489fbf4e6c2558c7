"""The potential that corresponds to one of matscipy's calculators."""

from __future__ import annotations

from typing import Any

from ase_l2h.potentials.stillinger_weber import StillingerWeber

__all__ = ["matscipy_stillinger_weber"]

# matscipy's names of our parameters; its functions close over them.
_MATSCIPY_NAMES = {name: name for name in ("epsilon", "sigma", "A", "B", "gamma", "a")}
_MATSCIPY_NAMES |= {"lambda1": "lam", "p": "p"}


def matscipy_stillinger_weber(calculator: Any) -> StillingerWeber | None:
    """The parameters, read from matscipy's closures; None for its other potentials."""
    functions: list[Any] = [getattr(calculator, name, None) for name in ("F", "G")]
    home = "matscipy.calculators.manybody.explicit_forms.stillinger_weber"
    if any(getattr(f, "__module__", None) != home for f in functions):
        return None
    values: dict[str, float] = {}
    pending, seen = functions, set()
    while pending:
        function = pending.pop()
        seen.add(function)
        cells = zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        )
        for name, cell in cells:
            content = cell.cell_contents
            if callable(content) and content not in seen:
                pending.append(content)
            elif isinstance(content, int | float):
                values[name] = content
    if not {*_MATSCIPY_NAMES, "costheta0"} <= set(values):
        return None
    ours: dict[str, Any] = {
        name: float(values[theirs]) for theirs, name in _MATSCIPY_NAMES.items()
    }
    # matscipy writes (cos + costheta0)^2.
    ours["cos_theta0"] = -float(values["costheta0"])
    return StillingerWeber(**ours)
