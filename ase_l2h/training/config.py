"""The settings of a training run: a frozen record, read from TOML."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase_l2h._internal.files import read_regular
from ase_l2h.errors import InputError
from ase_l2h.training.drawn import Drawn
from ase_l2h.training.es import SHAPINGS

__all__ = ["TrainingConfig", "read_config"]

LARGEST_COUNT = 10_000_000
# Entries that older records lack; their absence means the default.
LATER = ("backend", "margin", "log_alpha", "pool", "rattle", "drawn")
CHOICES = {
    "estimator": ("es", "esmc", "ga"),
    "shaping": SHAPINGS,
    "quench": ("fire", "gd"),
    "loss": ("final", "best"),
    "normalise": ("adam", "spread"),
    "backend": ("scan", "native"),
}


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Settings of one meta-training.

    Parameters
    ----------
    tasks
        Target names; repeat one to give it more directions.
    updates
        Outer updates.
    horizon
        Inner steps of an unroll, to which the rule's clock is compressed; the horizon
        the weights are made for.
    horizons
        ``(shortest, longest)``: every task's horizon is drawn anew in every update,
        log-uniform between them; always ``horizon`` when empty.
    quench, quench_steps
        What follows the unroll inside the loss, and for how many steps: ``"fire"``, or
        ``"gd"``, the paper's gradient descent, at rate 0.002.
    loss
        Where the quench starts: ``"final"``, the last point (the paper's), or
        ``"best"``, the lowest one seen.
    directions, starts
        Perturbation directions per update, and starts per direction.
    deal
        Each direction unrolls one task, the tasks taking turns; otherwise every
        direction unrolls all tasks, which selection among directions needs (GA).
    share_starts
        The directions of a task have their starts in common: theta itself is then
        unrolled once per task instead of once per direction.
    estimator
        ``"es"``, ``"esmc"`` or ``"ga"``.
    shaping
        How ES and ESMC use the losses: ``"none"``, ``"sign"`` or ``"ranks"``, see
        :class:`~ase_l2h.training.es.ES`.
    sigma
        Perturbation scale.
    margin
        Standard errors by which a mutant of GA must beat its parent; with 0 any gain
        will do, a lucky one, too.
    learning_rate, decay, decay_every
        Adam's rate, multiplied by ``decay`` every ``decay_every`` updates. GA has none.
    normalise
        Unit of the loss: ``"adam"``, the lowest energy Adam finds (the paper's), or
        ``"spread"``, the spread of the clipped losses of the task in this update, so
        that a large cluster's small relative differences count as much as a small
        cluster's large ones.
    hit_bonus
        Subtracted, in units of the spread, from the loss of a start that reaches the
        lowest energy known for its task; needs ``normalise = "spread"``.
    architecture
        Name of the learned rule.
    features
        Switches of the rule's inputs.
    pool
        Unroll from minima, of which each task has so many
        (:mod:`~ase_l2h.training.pools`), and not from random structures, which is 0.
        The loss is then by how much the energy falls below that of the minimum; what
        ends higher counts as no fall.
    rattle
        ``[least, most]`` standard deviation of the noise that is added to a minimum
        before an unroll, in length scales; drawn for every start.
    drawn
        Landscapes drawn at random, which are added to the tasks: their ``count``,
        ``sizes = [smallest, largest]``, and how many of them are ``alloys``, see
        :mod:`~ase_l2h.training.drawn`.
    rotate
        Turn every start at random, so that the frame carries no information.
    together
        Sets of weights unrolled in one call; 0 takes one on a CPU and all of a task on
        an accelerator. Results agree to rounding errors only.
    backend
        What runs the unrolls: ``"scan"``, or on a CPU ``"native"``, machine code made
        by the system's compiler, about twice as fast; results agree to rounding
        errors.
    log_alpha
        The paper's rule has its alpha perturbed, and followed, in the logarithm: a
        perturbation that suits the network drowns an alpha of 0.01.
    seed
        Everything random follows from it.
    initial
        Weight file to start from; untrained when None.
    """

    tasks: tuple[str, ...]
    updates: int = 1000
    horizon: int = 1000
    horizons: tuple[int, ...] = ()
    quench: str = "fire"
    quench_steps: int = 150
    loss: str = "final"
    directions: int = 12
    starts: int = 32
    deal: bool = True
    share_starts: bool = True
    estimator: str = "esmc"
    shaping: str = "none"
    sigma: float = 0.1
    margin: float = 0.0
    learning_rate: float = 0.02
    decay: float = 0.98
    decay_every: int = 10
    normalise: str = "adam"
    hit_bonus: float = 0.0
    architecture: str = "coordinatewise"
    features: dict[str, Any] = dataclasses.field(default_factory=dict)
    pool: int = 0
    rattle: tuple[float, ...] = (0.1, 0.4)
    drawn: dict[str, Any] = dataclasses.field(default_factory=dict)
    rotate: bool = False
    together: int = 0
    backend: str = "scan"
    log_alpha: bool = False
    seed: int = 0
    initial: str | None = None

    def __post_init__(self) -> None:
        counts = ("updates", "horizon", "directions", "starts", "decay_every")
        from_zero = [("quench_steps", 0), ("together", 0)]
        for name, lowest in [(name, 1) for name in counts] + from_zero:
            if not lowest <= getattr(self, name) <= LARGEST_COUNT:
                raise InputError(
                    f"{name} is {getattr(self, name)}; give {lowest} to {LARGEST_COUNT}"
                )
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}; give a number from 0 to 2^32 - 1")
        if not self.tasks:
            raise InputError("the configuration names no tasks; add tasks = ['LJ13']")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is '{getattr(self, name)}'; choose one of "
                    f"{', '.join(choices)}"
                )
        if self.estimator == "ga" and (self.deal or self.shaping != "none"):
            raise InputError(
                "estimator 'ga' selects one direction for all tasks and knows no "
                'shaping; set deal = false and shaping = "none"'
            )
        if not 0 <= self.margin < math.inf or (self.margin and self.estimator != "ga"):
            raise InputError(
                f"margin is {self.margin}; give 0 or more, with estimator 'ga'"
            )
        if self.horizons and not (
            len(self.horizons) == 2
            and 1 <= self.horizons[0] <= self.horizons[1] <= LARGEST_COUNT
        ):
            raise InputError(
                f"horizons is {list(self.horizons)}; give [shortest, longest]"
            )
        if self.hit_bonus < 0 or (self.hit_bonus and self.normalise != "spread"):
            raise InputError(
                f"hit_bonus is {self.hit_bonus}; give 0 or more, with "
                'normalise = "spread"'
            )
        if not (self.pool == 0 or (2 <= self.pool <= 10_000 and self.pool % 2 == 0)):
            raise InputError(f"pool is {self.pool}; give an even number, 2 to 10000")
        if not (
            len(self.rattle) == 2 and 0 <= self.rattle[0] <= self.rattle[1] < math.inf
        ):
            raise InputError(f"rattle is {list(self.rattle)}; give [least, most]")
        if not self.pool and self.rattle != TrainingConfig.rattle:
            raise InputError(
                f"rattle is {list(self.rattle)}, the noise of structures of a pool; "
                "set pool, too, or leave rattle out"
            )
        if self.pool and self.normalise != "spread":
            raise InputError(
                f"normalise is '{self.normalise}', which is for random starts; with a "
                'pool set normalise = "spread"'
            )
        if self.pool and self.loss == "best":
            raise InputError(
                "loss is 'best', which from a minimum is that minimum itself; with a "
                "pool leave it out"
            )
        if self.drawn:
            Drawn.of(self.drawn)
        for name in ("sigma", "learning_rate", "decay"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; give a number > 0")

    def todict(self) -> dict[str, Any]:
        """JSON-able copy; entries of LATER are left out at their defaults."""
        entries = dataclasses.asdict(self)
        for field in dataclasses.fields(self):
            usual = field.default
            if field.default_factory is not dataclasses.MISSING:
                usual = field.default_factory()
            if field.name in LATER and entries[field.name] == usual:
                del entries[field.name]
        return entries


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# The TOML types allowed for each type of entry, and their names in messages.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "int": ("a whole number", _is_whole),
    "float": ("a number", lambda v: _is_whole(v) or isinstance(v, float)),
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "str": ("text in quotes", lambda v: isinstance(v, str)),
    "str | None": ("text in quotes", lambda v: v is None or isinstance(v, str)),
    "dict[str, Any]": ("a table", lambda v: isinstance(v, dict)),
    "tuple[int, ...]": (
        "a list of whole numbers",
        lambda v: isinstance(v, list) and all(_is_whole(t) for t in v),
    ),
    "tuple[float, ...]": (
        "a list of numbers",
        lambda v: (
            isinstance(v, list) and all(_is_whole(t) or isinstance(t, float) for t in v)
        ),
    ),
    "tuple[str, ...]": (
        "a list of target names",
        lambda v: isinstance(v, list) and all(isinstance(t, str) for t in v),
    ),
}


def read_config(path: Path) -> TrainingConfig:
    """Read a training configuration.

    Raises
    ------
    InputError
        When the file is no TOML, or has unknown or impossible entries.
    """
    try:
        entries = tomllib.loads(read_regular(path).decode())
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); check it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    known = {f.name: str(f.type) for f in dataclasses.fields(TrainingConfig)}
    unknown = sorted(set(entries) - set(known))
    if unknown:
        raise InputError(
            f"{path} has unknown entries {', '.join(unknown)}; known are "
            f"{', '.join(sorted(known))}"
        )
    if "tasks" not in entries:
        raise InputError(f"{path} names no tasks; add for example tasks = ['LJ13']")
    for name, value in entries.items():
        wanted, fits = _KINDS[known[name]]
        if not fits(value):
            raise InputError(f"{path}: {name} is {value!r}; give {wanted}")
        if known[name] == "float":
            entries[name] = float(value)
        if isinstance(value, list):
            entries[name] = tuple(value)
    try:
        return TrainingConfig(**entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
