"""``ase-l2h train`` on the smallest of trainings."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

CONFIG = """
tasks = ["LJ3"]
updates = {updates}
horizon = 5
quench_steps = 5
directions = 2
starts = 2
seed = 7
"""


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory):
    """Two updates in one go: the folder of the run and its configuration."""
    folder = tmp_path_factory.mktemp("train")
    config = folder / "lj3.toml"
    config.write_text(CONFIG.format(updates=2))
    result = run("train", config, "--out", folder / "run", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(folder / "run" / "weights.safetensors")
    return folder / "run", config


def test_a_training_leaves_weights_that_search_takes(run, trained):
    folder, _ = trained
    rows = [json.loads(r) for r in (folder / "progress.jsonl").read_text().splitlines()]
    assert [row["update"] for row in rows] == [1, 2]
    weights = folder / "weights.safetensors"
    few = ("--method", "learned", "--starts", 4, "--steps", 10, "--json")
    found = json.loads(run("search", "LJ3", "--weights", weights, *few).stdout)
    # Three atoms have one minimum, the triangle of three unit bonds.
    assert found["best_energy"] == pytest.approx(-3.0, abs=1e-6)
    assert found["weights"] == "weights"


def test_a_training_continues_to_the_same_weights(run, trained, tmp_path):
    folder, config = trained
    shorter = tmp_path / "shorter.toml"
    shorter.write_text(CONFIG.format(updates=1))
    out = ("--out", tmp_path / "run", "--quiet")
    assert run("train", shorter, *out).exit_code == 0
    assert run("train", config, *out, "--resume").exit_code == 0
    for name in ("state.safetensors", "weights.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (folder / name).read_bytes()


def test_an_existing_run_is_not_touched(refused, trained, tmp_path):
    folder, config = trained
    before = contents(folder)
    assert "add --resume" in refused("train", config, "--out", folder)
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.format(updates=2).replace("seed = 7", "seed = 8"))
    sentence = refused("train", other, "--out", folder, "--resume")
    assert "another seed" in sentence
    assert contents(folder) == before


def test_the_record_is_drawn(run, trained):
    folder, _ = trained
    result = run("train", "--plot", folder)
    assert result.exit_code == 0, result.stderr
    picture = folder / "record.png"
    assert result.stdout.strip() == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()


def test_only_a_run_is_resumed(run, refused, trained, tmp_path):
    """A folder in which nothing was kept begins anew without --resume."""
    folder, config = trained
    out = tmp_path / "new"
    call = ("train", config, "--out", out, "--quiet")
    said = f"{out} holds no training run; leave out --resume to begin one"
    assert refused(*call, "--resume") == said
    assert not out.exists()
    out.mkdir()
    assert refused(*call, "--resume") == said
    (out / "run.json").write_bytes((folder / "run.json").read_bytes())
    assert refused(*call, "--resume") == said
    assert run(*call).exit_code == 0
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "thesis.tex").touch()
    said = refused("train", config, "--out", tmp_path / "others", "--resume")
    assert "choose another folder" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"tasks = [", "is not a TOML file"),
        (b"\xff\xfe", "is not a TOML file"),
        (b"", "names no tasks"),
        (b"tasks = []", "names no tasks"),
        (b"tasks = 'LJ13'", "tasks is 'LJ13'; give a list"),
        (b"tasks = ['LJ13']\nhorizont = 3", "unknown entries horizont"),
        (b"tasks = ['LJ13']\nupdates = 0", "updates is 0"),
        (b"tasks = ['LJ13']\nstarts = -3", "starts is -3"),
        (b"tasks = ['LJ13']\nhorizon = 1e3", "give a whole number"),
        (b"tasks = ['LJ13']\nhorizon = 'long'", "give a whole number"),
        (b"tasks = ['LJ13']\ndirections = 99999999999", "directions is 99999999999"),
        (b"tasks = ['LJ13']\nseed = -1", "seed is -1"),
        (b"tasks = ['LJ13']\nsigma = nan", "sigma is nan"),
        (b"tasks = ['LJ13']\nlearning_rate = true", "give a number"),
        (b"tasks = ['LJ13']\nestimator = 'guess'", "estimator is 'guess'"),
        (b"tasks = ['LJ13']\narchitecture = 'lstm'", "no architecture named 'lstm'"),
        (b"tasks = ['LJ13']\n[features]\nmagic = true", "magic"),
        (b"tasks = ['He13']", "no Gupta parameters for He"),
        (b"tasks = ['LJ13']\ninitial = 'nonsense'", "no weights named 'nonsense'"),
    ],
)
def test_configurations_that_make_no_sense(refused, tmp_path, content, said):
    config, out = tmp_path / "config.toml", tmp_path / "run"
    config.write_bytes(content)
    assert said in refused("train", config, "--out", out)
    assert not out.exists()


def test_an_interrupted_training_says_how_to_go_on(run, tmp_path, monkeypatch):
    """SIGTERM is Ctrl-C here, and no longer afterwards."""

    def terminated(*args, stop, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            stop.check()
            time.sleep(0.01)

    config, out = tmp_path / "config.toml", tmp_path / "run"
    config.write_text(CONFIG.format(updates=1))
    monkeypatch.setattr("ase_l2h.training.train.train", terminated)
    before = signal.getsignal(signal.SIGTERM)
    result = run("train", config, "--out", out)
    assert result.exit_code == 130
    assert "interrupted before anything was kept" in result.stderr
    out.mkdir()
    for name in ("run.json", "state.safetensors"):
        (out / name).touch()
    result = run("train", config, "--out", out)
    assert result.exit_code == 130
    assert f"ase-l2h train {config} --out {out} --resume" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before


def test_usage_of_train(refused, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(updates=1))
    assert "--out DIR" in refused("train", config)
    assert "--out DIR" in refused("train", "--out", tmp_path)
    assert "does not exist" in refused("train", tmp_path / "no.toml", "--out", tmp_path)
    assert "is a directory" in refused("train", tmp_path, "--out", tmp_path / "run")
    assert "is a file" in refused("train", config, "--out", config)
    assert "give it alone" in refused("train", config, "--plot", tmp_path)
    assert "cannot read the training record" in refused("train", "--plot", tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no update yet"),
        ("{}\n", "is not a training record"),
        ("not json\n", "is not a training record"),
        ("[1]\n", "is not a training record"),
    ],
)
def test_records_that_cannot_be_drawn(refused, tmp_path, content, said):
    (tmp_path / "progress.jsonl").write_text(content)
    assert said in refused("train", "--plot", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["progress.jsonl"]
