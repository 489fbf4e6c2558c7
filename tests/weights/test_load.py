"""Weight files: what is released, what is refused, and that nothing is executed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load, save

from ase_l2h._internal.pytree import replace
from ase_l2h.errors import InputError
from ase_l2h.rules import Adam
from ase_l2h.rules.learned import (
    Adam4pRule,
    CoordinatewiseRule,
    EquivariantFeatures,
    EquivariantRule,
    FeatureSet,
)
from ase_l2h.search.auto.method import ONE_ELEMENT, SEVERAL_ELEMENTS
from ase_l2h.search.names import HOP
from ase_l2h.weights import files as _weight_files
from ase_l2h.weights.download import DownloadError, download
from ase_l2h.weights.files import HISTORY, ROLES, released
from ase_l2h.weights.load import (
    MAX_BYTES,
    load_weights,
    manifest,
    pretrained_folder,
    save_weights,
)

METADATA = {"horizon": 400, "tasks": ["LJ7"]}


@pytest.fixture(scope="module")
def rule() -> CoordinatewiseRule:
    features = FeatureSet(radial=False, species_slots=2)
    return CoordinatewiseRule.create(jax.random.key(3), features)


@pytest.fixture(scope="module")
def content(rule, tmp_path_factory) -> bytes:
    """A good file."""
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    save_weights(path, rule, METADATA)
    return path.read_bytes()


@pytest.fixture
def store(tmp_path):
    """Writes bytes to a file that calls itself a weight file."""

    def write(content: bytes) -> Path:
        path = tmp_path / "file.safetensors"
        path.write_bytes(content)
        return path

    return write


def changed(content: bytes, arrays=None, **text: object) -> bytes:
    """A good file with other arrays or other entries in its header."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])["__metadata__"]
    for name, value in text.items():
        header[name] = value if isinstance(value, str) else json.dumps(value)
    return save(load(content) | (arrays or {}), header)


# The first of the default portfolio.
DEFAULT = manifest()["default"].split("+")[0]
WEIGHTS = manifest()["weights"]
IN_CHECKOUT = sorted(name for name, entry in WEIGHTS.items() if "file" in entry)
BUNDLED = [name for name in IN_CHECKOUT if WEIGHTS[name]["role"] != HISTORY]
# Of the checkout, since an installed package has no weights of the role `history`.
CHECKOUT = Path(__file__).resolve().parents[2] / "pretrained"


@pytest.mark.parametrize("name", IN_CHECKOUT)
def test_every_file_is_the_one_in_the_manifest(name):
    entry = WEIGHTS[name]
    path = CHECKOUT / entry["file"]
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert len(content) == entry["bytes"]
    loaded = load_weights(name if name in BUNDLED else path)
    assert (loaded.name, loaded.sha256) == (name, entry["sha256"])
    assert loaded.horizon >= 1
    assert loaded.metadata["tasks"]
    kind = {
        "adam4p": Adam4pRule,
        "coordinatewise": CoordinatewiseRule,
        "equivariant": EquivariantRule,
    }
    assert type(loaded.rule) is kind[loaded.metadata["architecture"]]
    # Lists are printed from the manifest, so as not to need JAX.
    for key in ("architecture", "horizon", "tasks", "stages"):
        assert loaded.metadata[key] == entry[key]


@pytest.mark.parametrize("name", sorted(manifest()["weights"]))
def test_every_entry_of_the_manifest_can_be_had(name):
    """In the checkout, or with an address that is a web address."""
    entry = manifest()["weights"][name]
    assert entry["role"] in ROLES
    assert len(entry["sha256"]) == 64
    assert 0 < entry["bytes"] <= MAX_BYTES
    assert "file" in entry or entry["url"].startswith("https://")


def test_no_file_is_there_without_being_listed():
    listed = {WEIGHTS[name]["file"] for name in IN_CHECKOUT}
    assert {path.name for path in CHECKOUT.glob("*.safetensors")} == listed
    installed = {path.name for path in pretrained_folder().glob("*.safetensors")}
    assert {WEIGHTS[name]["file"] for name in BUNDLED} <= installed <= listed


def test_the_manifest_says_what_the_methods_load():
    loaded = (ONE_ELEMENT, SEVERAL_ELEMENTS, manifest()["default"], HOP)
    assert set(manifest()["auto"].values()) == {ONE_ELEMENT, SEVERAL_ELEMENTS}
    names = {name for names in loaded for name in names.split("+")}
    default = {name for name, entry in WEIGHTS.items() if entry["role"] == "default"}
    assert default == names


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """The folder of an installed package: what the checkout has, without history."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for file in ("manifest.json", *(WEIGHTS[name]["file"] for name in BUNDLED)):
        shutil.copy(CHECKOUT / file, folder)
    monkeypatch.setattr(_weight_files, "pretrained_folder", lambda: folder)
    monkeypatch.setenv("ASE_L2H_CACHE", str(tmp_path / "cache"))
    return folder


HISTORIC = sorted(set(IN_CHECKOUT) - set(BUNDLED))


def test_history_is_fetched_from_a_checkout(installed):
    """Nothing is loaded before, and then what was released, from the cache."""
    name = HISTORIC[0]
    said = rf"weights download {name} --from FOLDER-or-URL`.*`pretrained` of a checkout"
    with pytest.raises(InputError, match=said):
        load_weights(name)
    with pytest.raises(InputError, match=r"no address .* `pretrained` of a checkout"):
        download(name)
    assert released(name).status() == "not downloaded"
    file = download(name, str(CHECKOUT))
    assert file.status() == "cached"
    assert file.path.parent != installed
    assert load_weights(name).sha256 == WEIGHTS[name]["sha256"]


def test_history_that_is_another_file_is_not_fetched(installed, tmp_path):
    name, other = HISTORIC[:2]
    shutil.copy(CHECKOUT / f"{other}.safetensors", tmp_path / f"{name}.safetensors")
    with pytest.raises(DownloadError, match="not the file that was released"):
        download(name, str(tmp_path))
    assert released(name).status() == "not downloaded"


def test_a_checkout_has_its_history(installed, monkeypatch):
    monkeypatch.setattr(_weight_files, "pretrained_folder", lambda: CHECKOUT)
    for name in HISTORIC:
        file = released(name)
        assert (file.path.parent, file.status()) == (CHECKOUT, "bundled")


def test_none_and_default_are_the_default_of_the_manifest():
    # Whoever asks for nothing in particular is not sent to download something first.
    names = manifest()["default"].split("+")
    assert set(names) <= set(BUNDLED)
    wanted = "+".join(manifest()["weights"][name]["sha256"] for name in names)
    assert load_weights().sha256 == load_weights("default").sha256 == wanted


def test_what_is_loaded_twice_is_read_once_and_never_shared(monkeypatch):
    first = load_weights(HOP)
    first.metadata["horizon"] = 7
    first.metadata["tasks"].append("LJ2")
    reading = []
    monkeypatch.setattr("ase_l2h.weights.load.unpack", reading.append)
    again = load_weights(HOP)
    assert reading == []
    assert again.horizon != 7
    assert "LJ2" not in again.metadata["tasks"]
    assert again.rule is first.rule


def test_a_file_that_bears_a_bundled_name_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = manifest()["default"]
    wanted = {name: load_weights(name).sha256 for name in (*whole.split("+"), whole)}
    for name in ("default", *wanted):
        Path(name).write_bytes(b"not weights")
        assert load_weights(name).sha256 == wanted.get(name, wanted[whole])


def test_what_is_saved_is_loaded(rule, content, store):
    path = store(content)
    for given in (path, str(path)):
        loaded = load_weights(given)
        assert loaded.name == "file"
        assert loaded.sha256 == hashlib.sha256(content).hexdigest()
        assert loaded.rule.features == rule.features
        assert loaded.metadata == METADATA | {"architecture": "coordinatewise"}
        assert loaded.rule.time_scale == 50_000 / 400
        for key, leaf in rule.theta.items():
            np.testing.assert_array_equal(loaded.rule.theta[key], leaf)


def test_a_path_needs_no_suffix(content, tmp_path):
    (tmp_path / "mine").write_bytes(content)
    assert load_weights(tmp_path / "mine").name == "mine"


def test_the_clock_follows_the_horizon():
    loaded = load_weights(DEFAULT)
    assert loaded.for_horizon(100).rule.time_scale == 500.0
    assert loaded.for_horizon(loaded.horizon).rule.time_scale == pytest.approx(
        50_000 / loaded.horizon
    )
    with pytest.raises(ValueError, match="horizon is 0 steps"):
        loaded.for_horizon(0)


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "in a header"])
def test_a_pickle_is_refused_and_not_executed(wrap, store, tmp_path):
    trap = tmp_path / "trap"
    payload = pickle.dumps(Bomb(trap))
    pickle.loads(payload)  # it does explode
    assert trap.is_dir()
    trap.rmdir()
    if wrap:
        payload = struct.pack("<Q", len(payload)) + payload
    with pytest.raises(ValueError, match="not an intact weight file"):
        load_weights(store(payload))
    assert not trap.exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.9999])
def test_truncated_files_are_refused(share, content, store):
    with pytest.raises(ValueError, match="not an intact weight file"):
        load_weights(store(content[: int(share * len(content))]))


@pytest.mark.parametrize(
    "text",
    [
        {"format": "other-1"},
        {"architecture": "transformer"},
        {"features": "{}x"},
        {"features": {"radial": 3}},
        {"features": {"radial": "yes"}},
        {"features": {"colour": True}},
        {"features": {"species_slots": -4}},
        {"features": [1, 2]},
        {"metadata": "[" * 100_000},
        {"metadata": []},
        {"metadata": {"tasks": ["LJ7"]}},
        {"metadata": {"horizon": 400}},
        {"metadata": {"horizon": 0, "tasks": []}},
        {"metadata": {"horizon": "400", "tasks": []}},
        {"metadata": {"horizon": 1e400, "tasks": []}},
        {"metadata": {"horizon": 400, "tasks": "LJ7"}},
        {"metadata": {"horizon": 400, "tasks": [7]}},
    ],
    ids=lambda text: str(text)[:40],
)
def test_headers_that_make_no_sense_are_refused(text, content, store):
    with pytest.raises(ValueError, match="is not an intact weight file"):
        load_weights(store(changed(content, **text)))


def test_a_safetensors_file_of_something_else_is_refused(store):
    with pytest.raises(ValueError, match="is not an intact weight file"):
        load_weights(store(save({"x": np.zeros(3, np.float32)})))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("kernel_0", np.zeros((78, 32), np.float32)),
        ("alpha", np.zeros(1, np.float32)),
        ("alpha", np.zeros((), np.float64)),
        ("bias_1", np.zeros(32, np.int32)),
        ("kernel_9", np.zeros((32, 32), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_the_architecture_are_refused(
    name, array, content, store
):
    with pytest.raises(ValueError, match=rf"wrong name, shape or type \({name}\)"):
        load_weights(store(changed(content, {name: array})))


def test_other_features_than_those_of_the_arrays_are_refused(content, store):
    bytes_ = changed(content, features={"radial": True})
    with pytest.raises(ValueError, match=r"wrong name, shape or type \(kernel_0\)"):
        load_weights(store(bytes_))
    with pytest.raises(ValueError, match="alpha"):
        load_weights(store(changed(content, architecture="equivariant", features={})))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad, content, store, rule, tmp_path):
    kernel = np.zeros((32, 2), np.float32)
    kernel[3, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        load_weights(store(changed(content, {"kernel_out": kernel})))
    broken = replace(rule, theta=dict(rule.theta) | {"kernel_out": jnp.asarray(kernel)})
    path = tmp_path / "new.safetensors"
    with pytest.raises(ValueError, match="not finite"):
        save_weights(path, broken, METADATA)
    assert list(tmp_path.glob("new*")) == []


def test_a_file_of_absurd_size_is_not_read(tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match="larger than any weight file"):
        load_weights(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    """Nobody may ever write into it."""
    path = tmp_path / "pipe.safetensors"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="are not a regular file; save them first"):
        load_weights(path)


def test_unknown_names_and_unreadable_paths_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=rf"'best'.*{DEFAULT}"):
        load_weights("best")
    with pytest.raises(ValueError, match=r"cannot read the weights .*check the path"):
        load_weights(tmp_path / "missing.safetensors")
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(ValueError, match="cannot read the weights"):
        load_weights(folder)


def test_a_bundled_file_that_was_changed_is_refused(tmp_path, monkeypatch):
    """One bit of one weight: still a sound file, but not the one that was released."""
    name = DEFAULT
    entry = manifest()["weights"][name]
    content = bytearray((pretrained_folder() / entry["file"]).read_bytes())
    content[-1] ^= 1
    (tmp_path / entry["file"]).write_bytes(content)
    load_weights(tmp_path / entry["file"])
    shutil.copy(pretrained_folder() / "manifest.json", tmp_path)
    monkeypatch.setattr(_weight_files, "pretrained_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="not the file that was released"):
        load_weights(name)


@pytest.mark.parametrize(
    "metadata", [{"tasks": []}, {"horizon": 0, "tasks": []}, {"horizon": 3}]
)
def test_weights_that_could_not_be_loaded_are_not_saved(metadata, rule, tmp_path):
    with pytest.raises(ValueError, match=r"its (horizon|tasks)"):
        save_weights(tmp_path / "w.safetensors", rule, metadata)
    with pytest.raises(TypeError, match="Adam has no weights"):
        save_weights(tmp_path / "w.safetensors", Adam(), METADATA)
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_a_file_whole_or_not_at_all(rule, tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(path, rule, METADATA)
    before = path.read_bytes()

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_weights(path, rule, METADATA | {"horizon": 999})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_weights_are_the_same_bytes(content, rule, tmp_path):
    path = tmp_path / "w.safetensors"
    for _ in range(8):
        save_weights(path, rule, METADATA)
        assert path.read_bytes() == content
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    text = json.loads(content[8 : 8 + length])["__metadata__"]
    assert list(text) == sorted(text)
    # Files in another order are as good.
    loaded = load_weights(path).rule.theta
    path.write_bytes(save(load(content), dict(reversed(text.items()))))
    for name, values in load_weights(path).rule.theta.items():
        assert np.array_equal(values, loaded[name])


def test_both_architectures_survive_the_journey(tmp_path):
    features = EquivariantFeatures(progress=False)
    rule = EquivariantRule.create(jax.random.key(1), features)
    path = tmp_path / "e.safetensors"
    save_weights(path, rule, METADATA)
    loaded = load_weights(path)
    assert loaded.metadata["architecture"] == "equivariant"
    assert loaded.rule.features == features
    assert loaded.rule.theta["log_alpha"].shape == ()


def test_a_portfolio_is_several_weights_taken_in_turn():
    """Joined names; every member's clock is that of the first's horizon."""
    first, second = load_weights("universal"), load_weights("paper-lj13")
    both = load_weights("universal+paper-lj13")
    assert both.name == "universal+paper-lj13"
    assert both.sha256 == f"{first.sha256}+{second.sha256}"
    assert both.horizon == first.horizon
    assert set(both.metadata["tasks"]) >= {"LJ13", *first.metadata["tasks"]}
    assert [type(rule) for rule in both.rule] == [type(first.rule), type(second.rule)]
    clocks = [50_000 / first.horizon] * 2
    assert [float(rule.time_scale) for rule in both.rule] == pytest.approx(clocks)
    longer = both.for_horizon(1000).rule
    assert [float(rule.time_scale) for rule in longer] == [50, 50]
    with pytest.raises(ValueError, match="no weights named 'nonsense'"):
        load_weights("universal+nonsense")


@pytest.mark.parametrize("other", ["lj", "default"])
def test_the_default_can_be_part_of_a_portfolio(other):
    """It may be several itself."""
    whole, more = load_weights("default"), load_weights(other)
    both = load_weights(f"default+{other}")
    assert both.name == f"{whole.name}+{more.name}"
    assert both.sha256 == f"{whole.sha256}+{more.sha256}"
    assert len(both.rule) == len(both.name.split("+"))


@pytest.mark.parametrize("name", ["w" * 5000, "", "+", "lj+", "null\0byte"])
def test_names_of_no_weights_and_no_file(name):
    with pytest.raises(InputError, match=r"no weights named .*choose one") as caught:
        load_weights(name)
    assert len(str(caught.value)) < 600


def test_what_is_no_name_of_weights():
    """In a process without the suite's type checker."""
    code = (
        "from ase_l2h.weights.load import load_weights\n"
        "try: load_weights(['lj'])\n"
        "except TypeError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("weights are a list; give a name"), done.stderr
