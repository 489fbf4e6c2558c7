"""First encounters: what counts as a run, means and quantiles of runs cut off."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ase_l2h._internal.records import Records, reading_only
from ase_l2h.comparison.compile_clock import CompileClock
from ase_l2h.comparison.encounters import Encounters, encounters_of
from ase_l2h.comparison.protocol import (
    Contender,
    Goal,
    Protocol,
    contender,
    goal,
    lines_of,
    run_protocol,
    runs_of_starts,
)
from ase_l2h.targets import named_target

CHAIN = Contender("bh", "bh", None, None, None)
RESTARTED = Contender("adam@500", "adam", None, None, 500)


def met(found, evaluations, starts=None) -> Encounters:
    found, evaluations = np.array(found, bool), np.array(evaluations, int)
    starts = None if starts is None else np.array(starts, int)
    return Encounters(found, evaluations, starts, 1e-5, 2.0, -1.0)


def test_a_run_of_a_restarted_method_ends_with_its_first_hit():
    hits = [False, True, True, False, False, False, True, False]
    found, spent, starts = runs_of_starts(hits, [10, 11, 12, 13, 14, 15, 16, 17], 40)
    # 10 + 11; 12; 13 + 14 + 15 is above the budget; 16; the last start is no whole run.
    np.testing.assert_array_equal(found, [True, True, False, True])
    np.testing.assert_array_equal(spent, [21, 12, 42, 16])
    np.testing.assert_array_equal(starts, [2, 1, 3, 1])


def test_every_run_of_a_portfolio_begins_with_its_first_rule():
    """Only the second of three rules ever hits: alone, it takes two starts."""
    hits = [False, True, False] * 4
    _, spent, starts = runs_of_starts(hits, range(10, 22), 1000, rules=3)
    np.testing.assert_array_equal(starts, [2, 2, 2, 2])
    np.testing.assert_array_equal(spent, [21, 27, 33, 39])
    # A run goes on where the turn goes on.
    _, spent, starts = runs_of_starts([False] * 4 + [True], [10] * 5, 1000, rules=3)
    np.testing.assert_array_equal(starts, [5])


def test_the_mean_of_memoryless_chains_is_right_though_most_are_cut_off():
    """Exponential waits of 1000, cut off at 600: the mean of the hits alone is 270."""
    rng = np.random.default_rng(11)
    means, covered = [], 0
    for _ in range(300):
        waits = rng.exponential(1000.0, 60)
        runs = met(waits <= 600, np.minimum(waits, 600))
        means.append(runs.mean.value)
        covered += runs.mean.low <= 1000.0 <= runs.mean.high
    error = np.std(means) / math.sqrt(len(means))
    # The estimate of a rate's inverse is high by 1/hits, here 3 %.
    assert abs(np.mean(means) - 1030) < 4 * error
    # 95 %, or more because counts are whole: 4 standard errors below are 90 %.
    assert covered >= 270


def test_the_interval_of_restarts_is_that_of_their_share_of_hits():
    rng = np.random.default_rng(12)
    covered = 0
    for _ in range(300):
        starts = rng.geometric(0.8, 30)
        covered += (
            met(np.ones(30, bool), 100 * starts, starts).mean.low
            <= 125
            <= met(np.ones(30, bool), 100 * starts, starts).mean.high
        )
    assert covered >= 270
    # Nearly every start hits: far narrower than for chains with the same runs.
    narrow = met([True] * 30, [100] * 30, [1] * 30).mean
    wide = met([True] * 30, [100] * 30).mean
    assert narrow.value == wide.value == 100
    assert narrow.high - narrow.low < 0.3 * (wide.high - wide.low)


def test_nothing_found_bounds_the_mean_from_below():
    mean = met([False] * 20, [1000] * 20).mean
    assert math.isinf(mean.value)
    assert math.isinf(mean.high)
    # exp(-20000 / mean) = 2.5 %.
    assert mean.low == pytest.approx(20_000 / -math.log(0.025))


def test_quantiles_are_those_of_the_sample_until_it_is_cut_off():
    whole = met([True] * 10, np.arange(1, 11) * 100)
    assert whole.quantile(0.5).value == 500
    assert whole.quantile(0.9).value == 900
    assert whole.quantile(0.5).low <= 500 <= whole.quantile(0.5).high
    # Kaplan and Meier: after the third of ten, a censored one leaves six at risk.
    cut = met([True, True, True, False, True, *[False] * 5], [1, 2, 3, 4, 5, *[6] * 5])
    np.testing.assert_allclose(cut.curve().share[-2:], [1 - 0.7 * 5 / 6] * 2)
    assert math.isinf(cut.quantile(0.5).value)


@pytest.fixture
def aim() -> Goal:
    return goal(named_target("LJ7"))


@pytest.fixture
def protocol(aim) -> Protocol:
    return Protocol((aim,), (RESTARTED, CHAIN), runs=3, budget=1000, seed=5)


def block(**changed):
    made = {
        "wall_seconds": 3.0,
        "compile_seconds": 2.0,
        "found": [True, False, True, True],
        "evaluations": [100, 200, 300, 400],
        "energies": [-16.5, None, -16.5, -16.5],
        "device": "cpu",
        "block_seed": 1,
    }
    return lambda *_: made | changed


@pytest.fixture
def blocks(monkeypatch) -> None:
    """Blocks that cost nothing."""
    home = "ase_l2h.comparison.protocol"
    monkeypatch.setattr(f"{home}._block_of_starts", block())
    monkeypatch.setattr(
        f"{home}._block_of_chains",
        block(found=[True, False, False], evaluations=[10, 1000, 1001]),
    )


def test_what_is_declared_comes_first_and_nothing_is_run_twice(
    tmp_path, protocol, aim, blocks, monkeypatch
):
    path = tmp_path / "records.jsonl"
    run_protocol(protocol, Records(path))
    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert kinds == ["protocol", "starts", "chains"]
    before = path.read_bytes()
    with path.open("ab") as stream:
        stream.write(b'{"kind": "starts", "tar')
    records = Records(path)
    run_protocol(protocol, records)
    assert path.read_bytes() == before

    starts = encounters_of(protocol, records.lines, aim, RESTARTED)
    assert starts is not None
    assert starts.evaluations.tolist() == [100, 500, 400]
    assert starts.seconds_per_evaluation == pytest.approx(1.0 / 1000)
    assert starts.compile_seconds == 2.0
    chains = encounters_of(protocol, records.lines, aim, CHAIN)
    assert chains is not None
    assert (chains.hits, chains.mean.value) == (1, 2011)

    # More runs: only what is missing is added, chains under the same budget.
    more = Protocol((aim,), (RESTARTED, CHAIN), runs=6, budget=1000, seed=5)
    run_protocol(more, records)
    kinds = [line["kind"] for line in records.lines]
    assert kinds[3:] == ["protocol", "starts", "chains"]
    assert [line["block"] for line in records.lines if "block" in line] == [0, 0, 1, 1]
    # Another budget: chains are run anew, starts serve again.
    run_protocol(Protocol((aim,), (RESTARTED, CHAIN), 3, 500, 5), records)
    assert [line["kind"] for line in records.lines[6:]] == ["protocol", "chains"]


def test_reading_only_makes_nothing(tmp_path):
    records = Records(tmp_path / "records.jsonl")
    records.append({"kind": "search", "seed": 1, "result": 5})
    with reading_only():
        assert records.get({"seed": 1}, dict)["result"] == 5
        with pytest.raises(LookupError, match=r"lacks the results of .*2"):
            records.get({"seed": 2}, dict)
    made = records.get({"seed": 2}, lambda: {"result": 6})
    assert made["result"] == 6
    assert made["machine"]
    assert len(Records(records.path).lines) == 2


def test_a_damaged_record_is_refused(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text("nonsense\n")
    with pytest.raises(ValueError, match="is damaged"):
        Records(path)
    path.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match="no record"):
        Records(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bh@500", "goes on until its budget"),
        ("lbfgs", "no method named 'lbfgs'"),
        ("adam:lj", "uses no weights"),
        ("adam@0", "takes no steps"),
        ("hybrid@600", "goes on until its budget is used up"),
        ("", "is no method"),
        ("learned:", "is no method"),
    ],
)
def test_methods_that_cannot_be_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        contender(text)


def test_a_method_is_read_with_its_weights_and_steps(aim):
    learned = contender("learned:lj-fcc@3000")
    assert (learned.weights, learned.steps) == ("lj-fcc", 3000)
    assert learned.sha256 is not None
    assert learned.settings(aim.potential, aim.system) is None
    assert (learned.rules, contender("learned").rules) == (1, 3)
    assert contender("learned").steps == 600
    assert contender("bh").steps is None
    assert contender("hybrid").steps is None
    assert contender("hybrid:lj").sha256 == contender("learned:lj").sha256
    # What stands for None is in the record all the same.
    known = contender("hybrid").settings(aim.potential, aim.system)
    assert "lj-icosahedral+lj" in str(known)
    # Other settings make another record.
    assert "rate=" in str(contender("adam").settings(aim.potential, aim.system))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"runs": 0}, "runs are asked for"),
        ({"budget": 0}, "evaluations; give"),
        ({"seed": -1}, "give a number from 0"),
        ({"contenders": (CHAIN, CHAIN)}, "bh is given twice"),
        ({"goals": ()}, "nothing is compared"),
    ],
)
def test_impossible_protocols_are_refused(aim, changed, message):
    given = {"goals": (aim,), "contenders": (CHAIN,), "runs": 1, "budget": 1, "seed": 0}
    with pytest.raises(ValueError, match=message):
        Protocol(**(given | changed))


def test_what_counts_as_found_has_a_source():
    assert goal(named_target("LJ38")).energy == pytest.approx(-173.928427, abs=1e-6)
    # The paper prints -181.89 for this cluster.
    assert round(goal(named_target("Au55")).energy, 2) == -181.89
    with pytest.raises(ValueError, match=r"Au9 has no published minimum; give"):
        goal(named_target("Au9"))
    assert goal(named_target("Au9"), -3.5).energy == -3.5


def test_time_compiled_in_two_threads_at_once_counts_once(monkeypatch):
    now = iter([10.0, 11.0, 12.0, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    clock = CompileClock()
    for event, duration in (
        ("/jax/core/compile/jaxpr_trace_duration", 4.0),  # 6 to 10
        ("/jax/core/compile/backend_compile_duration", 3.0),  # 8 to 11
        ("/jax/something/else", 50.0),
        ("/jax/core/compile/backend_compile_duration", 2.0),  # 10 to 12
        ("/jax/core/compile/backend_compile_duration", 1.0),  # 19 to 20
    ):
        clock.hear(event, duration)
    assert clock.seconds == pytest.approx(7.0)


def test_a_hybrid_search_is_one_run_and_charged_for_its_rounds(tmp_path):
    """Seven atoms are found in the first round."""
    seven = goal(named_target("LJ7"))
    protocol = Protocol(
        (seven,), (contender("hybrid:lj-icosahedral"),), runs=2, budget=20_000, seed=4
    )
    records = Records(tmp_path / "records.jsonl")
    run_protocol(protocol, records)
    (line,) = lines_of(protocol, records.lines, seven, protocol.contenders[0])
    assert line["kind"] == "chains"
    assert line["found"] == [True, True]
    assert all(0 < spent < 20_000 for spent in line["evaluations"])
    assert line["energies"] == pytest.approx([seven.energy] * 2, abs=1e-4)
    # Nothing is left to run.
    run_protocol(protocol, records)
    assert len(lines_of(protocol, records.lines, seven, protocol.contenders[0])) == 1
