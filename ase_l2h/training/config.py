"""What a training run is told: a frozen record, read from TOML."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

__all__ = ["TrainingConfig", "read_config"]


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """One meta-training.

    Parameters
    ----------
    tasks
        Target names; repeat one to give it more directions.
    updates
        Outer updates.
    horizon
        Inner steps of an unroll; the rule's clock is compressed to it.
    quench_steps
        FIRE steps after the unroll, inside the loss.
    directions, starts
        Perturbation directions per update, dealt out to the tasks in turn, and starts
        per task and update, shared by its directions.
    estimator
        ``"es"`` or ``"esmc"``.
    sigma
        Perturbation scale.
    learning_rate, decay, decay_every
        Adam's rate, multiplied by ``decay`` every ``decay_every`` updates.
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
    rotate
        Turn every start at random, so that the frame carries no information.
    seed
        Everything random follows from it.
    initial
        Weight file to start from; untrained when None.
    """

    tasks: tuple[str, ...]
    updates: int = 1000
    horizon: int = 1000
    quench_steps: int = 150
    directions: int = 12
    starts: int = 32
    estimator: str = "esmc"
    sigma: float = 0.1
    learning_rate: float = 0.02
    decay: float = 0.98
    decay_every: int = 10
    normalise: str = "adam"
    hit_bonus: float = 0.0
    architecture: str = "coordinatewise"
    features: dict[str, Any] = dataclasses.field(default_factory=dict)
    rotate: bool = False
    seed: int = 0
    initial: str | None = None

    def __post_init__(self) -> None:
        counts = ("updates", "horizon", "directions", "starts", "decay_every")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.quench_steps < 0:
            raise ValueError(f"quench_steps is {self.quench_steps}; give 0 or more")
        if not self.tasks:
            raise ValueError("the configuration names no tasks; add tasks = ['LJ13']")
        if self.estimator not in ("es", "esmc"):
            raise ValueError(
                f"estimator is '{self.estimator}'; choose 'es' or 'esmc'"
            )
        if self.normalise not in ("adam", "spread"):
            raise ValueError(
                f"normalise is '{self.normalise}'; choose 'adam' or 'spread'"
            )
        if self.hit_bonus < 0 or (self.hit_bonus and self.normalise != "spread"):
            raise ValueError(
                f"hit_bonus is {self.hit_bonus}; give 0 or more, with "
                'normalise = "spread"'
            )
        for name in ("sigma", "learning_rate", "decay"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number > 0")

    def todict(self) -> dict[str, Any]:
        """JSON-able copy."""
        return dataclasses.asdict(self)


def read_config(path: Path) -> TrainingConfig:
    """Read a training configuration.

    Raises
    ------
    ValueError
        When the file is no TOML, or has unknown or impossible entries.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}") from error
    known = {f.name for f in dataclasses.fields(TrainingConfig)}
    unknown = sorted(set(entries) - known)
    if unknown:
        raise ValueError(
            f"{path} has unknown entries {', '.join(unknown)}; known are "
            f"{', '.join(sorted(known))}"
        )
    if "tasks" not in entries:
        raise ValueError(f"{path} names no tasks; add for example tasks = ['LJ13']")
    entries["tasks"] = tuple(entries["tasks"])
    return TrainingConfig(**entries)
