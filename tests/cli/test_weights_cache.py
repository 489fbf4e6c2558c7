"""``ase-l2h weights``: the cache, mirrors, and what is known of a file."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from loopback import (
    BUNDLED,
    CACHED,
    CONTENT,
    ENTRY,
    FILE,
    HALF,
    NAME,
    PATH,
    TAMPERED,
    closed_port,
    start,
    state,
    whole,
)
from safetensors.numpy import load, save

from ase_l2h._internal.cache import cache_folder
from ase_l2h.weights import download as _download
from ase_l2h.weights.load import load_weights


def test_info_tells_what_the_file_or_else_the_manifest_says(run, published, cache):
    before = json.loads(run("weights", "info", NAME, "--json").stdout)
    assert before["status"] == "not downloaded"
    assert (before["path"], before["features"], before["card"]) == (None, None, None)
    (published / f"{NAME}.md").write_text("# far\n\nA card.\n")
    run("weights", "download", NAME)
    after = json.loads(run("weights", "info", NAME, "--json").stdout)
    for key in ("name", "url", "sha256", "bytes", "horizon", "tasks", "architecture"):
        assert before[key] == after[key]
    assert (after["status"], after["path"]) == ("cached", str(cache / CACHED))
    # The file does not name features that came after it.
    features = dataclasses.asdict(load_weights(NAME).rule.features)
    assert after["features"]
    assert after["features"].items() <= features.items()
    stages = ENTRY["stages"]
    assert before["seeds"] == after["seeds"] == [stage["seed"] for stage in stages]
    assert before["updates"] == after["updates"] == sum(s["updates"] for s in stages)
    text = run("weights", "info", NAME).stdout
    assert text.endswith("\n\n# far\n\nA card.\n")
    for said in (ENTRY["sha256"], f"{ENTRY['horizon']}\n", ", ".join(ENTRY["tasks"])):
        assert said in text


def test_info_of_ones_own_file(run, refused, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(CONTENT)
    facts = json.loads(run("weights", "info", path, "--json").stdout)
    assert (facts["name"], facts["status"]) == ("mine", "own file")
    assert (facts["url"], facts["card"]) == (None, None)
    assert facts["sha256"] == ENTRY["sha256"]
    assert run("weights", "path", path).stdout == f"{path}\n"
    # What a terminal would obey is not printed.
    metadata = json.dumps({"horizon": 5, "tasks": ["LJ7\x1b[2J"], "updates": 3})
    length = int.from_bytes(CONTENT[:8], "little")
    header = json.loads(CONTENT[8 : 8 + length])["__metadata__"]
    path.write_bytes(save(load(CONTENT), header | {"metadata": metadata}))
    text = run("weights", "info", path).stdout
    assert "\x1b" not in text
    for line in ("tasks LJ7?[2J", "updates 3", "seeds unknown", "status own file"):
        assert line in [" ".join(shown.split()) for shown in text.splitlines()]
    path.write_bytes(HALF)
    assert "not an intact weight file" in refused("weights", "info", path)


def test_what_the_sentence_advises_works(run, publish, cache):
    publish(f"http://127.0.0.1:{closed_port()}{PATH}")
    run("weights", "download", NAME)
    (cache / CACHED).write_bytes(CONTENT)
    assert run("weights", "download", NAME).stdout.startswith(f"{NAME}: cached")
    assert load_weights(NAME).sha256 == ENTRY["sha256"]


@pytest.mark.parametrize("base", ["/weights", "/weights/", PATH])
def test_a_mirror_on_the_web(run, server, publish, cache, base):
    publish(f"http://127.0.0.1:{closed_port()}/elsewhere/{FILE}")
    result = run("weights", "download", NAME, "--from", server.url + base)
    assert result.exit_code == 0, result.output
    assert server.requests == [PATH]
    assert (cache / CACHED).read_bytes() == CONTENT


@pytest.mark.parametrize("file", [FILE, CACHED])
def test_a_mirror_in_a_folder(run, server, published, cache, tmp_path, file):
    """As published, or a copy of another cache; or the file itself, of any name."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / file).write_bytes(CONTENT)
    (tmp_path / "any.safetensors").write_bytes(CONTENT)
    for source in (mirror, mirror / file, tmp_path / "any.safetensors"):
        result = run("weights", "download", NAME, "--from", source)
        assert result.exit_code == 0, result.output
        assert (cache / CACHED).read_bytes() == CONTENT
        (cache / CACHED).unlink()
    assert server.requests == []


def test_a_file_that_is_published_nowhere_comes_from_a_mirror(
    run, refused, publish, tmp_path
):
    publish(None)
    assert "no address is known" in refused("weights", "download", NAME)
    (tmp_path / f"{NAME}.safetensors").write_bytes(CONTENT)
    assert run("weights", "download", NAME, "--from", tmp_path).exit_code == 0
    assert load_weights(NAME).sha256 == ENTRY["sha256"]


def test_mirrors_are_not_trusted(fails, server, published, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for content in (TAMPERED, HALF, b"", bytes(6_000_000)):
        (mirror / FILE).write_bytes(content)
        sentence = fails("--from", mirror)
        assert f"{mirror / FILE} is not the file that was released" in sentence
    server.answers["/other.safetensors"] = [whole(TAMPERED)]
    sentence = fails("--from", f"{server.url}/other.safetensors")
    assert "/other.safetensors is not the file that was released" in sentence


def test_passwords_of_a_mirror_are_not_shown(fails, refused, published):
    url = f"http://me:secret@127.0.0.1:{closed_port()}/w"
    assert "secret" not in fails("--from", url)
    sentence = refused("weights", "download", NAME, "--from", "ftp://me:secret@host/w")
    assert "'ftp://host/w' is not the address" in sentence


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'NAME...'"),
        (["helium"], f"no weights named 'helium'; choose one of {NAME}, {BUNDLED}"),
        (["near.safetensors"], "no weights named 'near.safetensors'"),
        ([NAME, "helium"], "no weights named 'helium'"),
        ([NAME, "--from", "ftp://host/w"], "begins with http:// or https://"),
        ([NAME, "--from", "file:///etc"], "begins with http:// or https://"),
        ([NAME, "--from", "http://"], "names a host"),
        ([NAME, "--from", "http://[::/w"], "is not the address"),
        ([NAME, "--from", "http://host:port/w"], "is not the address"),
        ([NAME, "--from", "http://host:99999/w"], "is not the address"),
        ([NAME, "--from", "http://*/w"], "is not the address"),
        ([NAME, "--from", "no/such/folder"], "'no/such/folder' is not a mirror"),
        ([NAME, "--from", ""], "'' is not a mirror"),
        ([NAME, "--from", "~nobody-here/w"], "is not a mirror"),
        ([BUNDLED, "--from", "no/such/folder"], "is not a mirror"),
        ([NAME, "--timeout", "0"], "timeout is 0 s"),
        ([NAME, "--timeout", "-3"], "timeout is -3 s"),
        ([NAME, "--timeout", "nan"], "timeout is nan s"),
        ([NAME, "--timeout", "inf"], "timeout is inf s"),
        ([NAME, "--timeout", "soon"], "'soon' is not a valid float"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_opens_no_connection(
    refused, server, published, cache, monkeypatch, arguments, said
):
    monkeypatch.setattr(_download, "_fetch", lambda *_: pytest.fail("it was fetched"))
    assert said in refused("weights", "download", *arguments)
    assert not cache.exists()


def test_a_folder_without_the_file_is_bad_input(refused, published, tmp_path):
    sentence = refused("weights", "download", NAME, "--from", tmp_path)
    assert f"{tmp_path} has no {FILE}; copy the file there first" in sentence


@pytest.mark.parametrize("content", [TAMPERED, HALF, b"", bytes(6_000_000)])
def test_a_damaged_file_in_the_cache_is_seen_and_replaced(
    run, refused, fails, server, published, cache, content
):
    cache.mkdir()
    (cache / CACHED).write_bytes(content)
    assert state(run) == "damaged"
    remedy = f"run `ase-l2h weights download {NAME}`"
    for verb in (("path",), ("info",), ("verify",)):
        assert refused("weights", *verb, NAME).endswith(remedy)
    assert run("weights", "verify").exit_code == 2
    with pytest.raises(ValueError, match="run `ase-l2h weights download"):
        load_weights(NAME)
    # What replaces it must be better.
    server.answers[PATH] = [whole(TAMPERED), whole(CONTENT)]
    fails()
    assert run("weights", "download", NAME).stdout.startswith(f"{NAME}: downloaded")
    assert load_weights(NAME).sha256 == ENTRY["sha256"]


def test_a_file_in_the_cache_that_cannot_be_read(run, refused, published, cache):
    (cache / CACHED).mkdir(parents=True)
    assert state(run) == "unreadable"
    sentence = refused("weights", "path", NAME)
    assert f"cannot read the weights {cache / CACHED}: Is a directory; run" in sentence
    result = run("weights", "download", NAME)
    assert result.exit_code == 1
    assert f"cannot write {cache / CACHED}: Is a directory" in result.stderr
    assert list(cache.iterdir()) == [cache / CACHED]


def test_versions_of_the_package_share_a_cache(run, server, publish, cache):
    """Neither takes the other's file for a damaged one of its own."""
    header = int.from_bytes(CONTENT[:8], "little")
    other = save(load(CONTENT), json.loads(CONTENT[8 : 8 + header])["__metadata__"])
    other = other.replace(b"LJ13", b"LJ14")
    for content in (CONTENT, other):
        publish(server.url + PATH, content)
        server.answers[PATH] = [whole(content)]
        assert run("weights", "download", NAME).exit_code == 0
    assert len(list(cache.iterdir())) == 2
    publish(server.url + PATH)
    assert state(run) == "cached"
    assert len(server.requests) == 2


def test_a_cache_folder_that_cannot_be_written(
    refused, server, published, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("precious")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("ASE_L2H_CACHE", str(folder))
        sentence = refused("weights", "download", NAME)
        assert f"cannot write to the cache folder {folder}: " in sentence
        assert sentence.endswith("set ASE_L2H_CACHE to a folder that can be written")
    assert server.requests == []
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_folder_without_permission(refused, server, published, cache):
    cache.mkdir(mode=0o500)
    assert "Permission denied; set ASE_L2H_CACHE" in refused(
        "weights", "download", NAME
    )
    assert server.requests == []


def test_a_full_disk_leaves_nothing(fails, published, cache, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    cache.mkdir()
    assert f"cannot write {cache / CACHED}: No space left on device" in fails()


def test_the_cache_is_the_users_unless_the_environment_says_otherwise(
    published, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ASE_L2H_CACHE", "~/weights")
    assert cache_folder() == tmp_path / "weights"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASE_L2H_CACHE", "here")
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ASE_L2H_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    folder = cache_folder()
    assert folder.is_relative_to(tmp_path)
    assert "ase_l2h" in folder.parts
    assert list(tmp_path.glob("**/*ase_l2h*")) == []


def test_others_of_the_group_may_read_the_cache(run, published, cache):
    before = os.umask(0o027)
    try:
        run("weights", "download", NAME)
    finally:
        os.umask(before)
    assert (cache / CACHED).stat().st_mode & 0o777 == 0o640


def test_neither_listing_nor_downloading_needs_jax(server, published):
    for arguments in (
        ["list"],
        ["info", BUNDLED],
        ["path", BUNDLED],
        ["download", NAME],
    ):
        out, messages = start(published, "weights", *arguments).communicate(timeout=60)
        assert out
        assert messages.splitlines()[:2] == ["jax False", "ase False"]


def test_what_is_bundled_does_not_even_need_pooch(published):
    out, messages = start(published, "weights", "path", BUNDLED).communicate(timeout=60)
    assert out == f"{published / 'near.safetensors'}\n"
    assert "pooch False" in messages
