"""Training configurations: read from TOML, refused with a sentence."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jax
import pytest

from ase_l2h.rules.learned import EquivariantRule
from ase_l2h.training.config import TrainingConfig, read_config
from ase_l2h.training.trainer import initial_rule
from ase_l2h.weights.load import save_weights


def test_a_configuration_is_read_and_written_back(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        'tasks = ["LJ5", "LJ5", "LJ7"]\nupdates = 7\nlearning_rate = 0.5\n'
        'architecture = "equivariant"\n[features]\nstep = false\n'
    )
    config = read_config(path)
    assert config.tasks == ("LJ5", "LJ5", "LJ7")
    assert (config.updates, config.learning_rate) == (7, 0.5)
    assert config.features == {"step": False}
    path.write_text('tasks = ["LJ5"]\nlearning_rate = 1')
    assert type(read_config(path).learning_rate) is float
    written = json.loads(json.dumps(config.todict()))
    for name in ("tasks", "horizons"):
        written[name] = tuple(written[name])
    assert TrainingConfig(**written) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks = [", "not a TOML file"),
        ("updates = 3", "names no tasks"),
        ("tasks = []", "names no tasks"),
        ('tasks = "LJ13"', "tasks is 'LJ13'; give a list"),
        ("tasks = [13]", "give a list"),
        ('tasks = ["LJ5"]\ncolour = 1', "unknown entries colour"),
        ('tasks = ["LJ5"]\nupdates = "many"', "updates is 'many'; give a whole number"),
        ('tasks = ["LJ5"]\nstarts = 2.5', "starts is 2.5; give a whole number"),
        ('tasks = ["LJ5"]\nrotate = 1', "rotate is 1; give true or false"),
        ('tasks = ["LJ5"]\ninitial = 5', "initial is 5; give"),
        ('tasks = ["LJ5"]\nhorizon = 0', "horizon is 0"),
        ('tasks = ["LJ5"]\nquench_steps = -1', "quench_steps is -1"),
        ('tasks = ["LJ5"]\nseed = -1', "seed is -1"),
        ('tasks = ["LJ5"]\nsigma = nan', "sigma is nan"),
        ('tasks = ["LJ5"]\nsigma = inf', "sigma is inf"),
        ('tasks = ["LJ5"]\nlearning_rate = 0', "learning_rate is 0"),
        ('tasks = ["LJ5"]\ndecay = "slow"', "decay is 'slow'; give a number"),
        ('tasks = ["LJ5"]\nestimator = "sgd"', "estimator is 'sgd'; choose"),
        ('tasks = ["LJ5"]\nestimator = "ga"', "set deal = false"),
        ('tasks = ["LJ5"]\nshaping = "rank"', "shaping is 'rank'; choose"),
        ('tasks = ["LJ5"]\nloss = "mean"', "loss is 'mean'; choose"),
        ('tasks = ["LJ5"]\nhorizons = [300]', r"give \[shortest, longest\]"),
        ('tasks = ["LJ5"]\nhorizons = [300, 30]', r"give \[shortest, longest\]"),
        ('tasks = ["LJ5"]\nhorizons = 300', "horizons is 300; give a list"),
        ('tasks = ["LJ5"]\ntogether = -1', "together is -1"),
        ('tasks = ["LJ5"]\nmargin = 2', "margin is 2.0; give 0 or more, with esti"),
        (
            'tasks = ["LJ5"]\nestimator = "ga"\ndeal = false\nmargin = -1',
            "margin is -1.0; give 0",
        ),
        ('tasks = ["LJ5"]\nnormalise = "max"', "normalise is 'max'; choose"),
        ('tasks = ["LJ5"]\nhit_bonus = 1.0', "hit_bonus is 1.0"),
    ],
)
def test_impossible_entries_are_refused(text, message, tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xff\xfe\x00tasks")
    with pytest.raises(ValueError, match="not a TOML file"):
        read_config(path)


def test_every_entry_is_documented():
    for field in dataclasses.fields(TrainingConfig):
        assert field.name in str(TrainingConfig.__doc__)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"architecture": "transformer"}, "no architecture named 'transformer'"),
        ({"features": {"colour": True}}, "features"),
        ({"features": {"species_slots": 0}}, "species_slots is 0"),
        ({"initial": "nonesuch"}, "no weights named 'nonesuch'"),
    ],
)
def test_a_rule_that_cannot_be_built_is_refused(entries: dict[str, Any], message):
    with pytest.raises(ValueError, match=message):
        initial_rule(TrainingConfig(tasks=("LJ5",), **entries))


def test_training_continues_from_weights_of_its_own_kind_only(tmp_path):
    """A configuration that says otherwise than the file is a mistake, not a default."""
    rule = EquivariantRule.create(jax.random.key(7))
    path = tmp_path / "w.safetensors"
    save_weights(path, rule, {"horizon": 10, "tasks": ["LJ5"]})
    right = TrainingConfig(
        tasks=("LJ5",), architecture="equivariant", initial=str(path)
    )
    found = initial_rule(right)
    assert (found.theta["kernel_0"] == rule.theta["kernel_0"]).all()
    for wrong in ({"architecture": "coordinatewise"}, {"features": {"step": False}}):
        config = dataclasses.replace(right, **wrong)
        with pytest.raises(ValueError, match=r"another architecture|other features"):
            initial_rule(config)
