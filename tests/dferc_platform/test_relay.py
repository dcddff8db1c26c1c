"""Sweeps that share workers: whose turn it is, what waits, and that what goes wrong in one concerns its line alone."""

import pytest

from dferc.errors import UserError
from dferc_platform.config import make_config
from dferc_platform.results import write_json
from dferc_platform.spaces import SearchSpace
from dferc_platform.sweep import plan_job
from dferc_platform.sweep.live import LiveSweep
from dferc_platform.sweep.relay import Relay
from dferc_platform.sweep.resources import Admission

SMALL = {"epochs": 2, "batch_dialogues": 4, "hidden": 8, "align": 8}


class SilentTracker:
    """Takes everything and sends nothing; knows how each study ended."""

    experiment = "test"

    def __init__(self):
        self.ended = {}

    def study(self, study, parameters):
        return study.name

    def finish_study(self, study, status, folder, metrics):
        self.ended[study] = status

    def run(self, key, name, parameters, tags, parent):
        return key

    def finish(self, run, status, folder):
        pass

    def reconcile(self, study):
        pass


@pytest.fixture
def tracker():
    return SilentTracker()


@pytest.fixture
def make_job(tiny_corpus, tmp_path):
    def make(name, betas, **changes):
        content = {
            "model": "df_erc", "description": "a test", "sampler": {"name": "grid"}, "settings": SMALL,
            "parameters": {"beta": {"kind": "categorical", "choices": betas}},
        }  # fmt: skip
        space = SearchSpace.model_validate(content | changes)
        return plan_job(space, make_config({"corpus": str(tiny_corpus)}), tmp_path / name, "test", resume=True)

    return make


@pytest.fixture
def make_relay(tracker):
    return lambda *lines: Relay(lines, lambda job: LiveSweep(job, tracker, job.space.concurrency))


def trains(given, value=50.0):
    """The trial ends well."""
    sweep, proposal = given
    metrics = {"validation/weighted_f1": value}
    result = {"key": proposal.key, "status": "FINISHED", "metrics": metrics, "epochs": 2, "best_epoch": 1}
    write_json(sweep.job.run_folder(proposal) / "result.json", result)
    sweep.observer.ends(proposal.number, {})


def name_of(given):
    sweep, proposal = given
    return sweep.job.folder.name, proposal.number


def line_of(*jobs, heard=None):
    for job in jobs:
        rows = yield job
        if heard is not None:
            heard.append([row.metrics["validation/weighted_f1"] for row in rows])


def test_a_sweep_begins_when_the_one_before_has_ended_and_meanwhile_others_have_their_turn(make_job, make_relay):
    heard = []
    relay = make_relay(
        line_of(make_job("a", [0.1, 0.2]), make_job("a again", [0.2]), heard=heard), line_of(make_job("b", [0.1]))
    )
    first, second, third = relay.next(), relay.next(), relay.next()
    assert [name_of(given) for given in (first, second, third)] == [("a", 0), ("a", 1), ("b", 0)]
    assert relay.next() is None
    assert not relay.over
    trains(second, 60.0)
    assert relay.next() is None
    trains(first, 40.0)
    fourth = relay.next()
    assert name_of(fourth) == ("a again", 0)
    assert heard == [[40.0, 60.0]]
    trains(third)
    trains(fourth)
    assert relay.next() is None
    assert relay.over


def test_what_was_done_before_is_not_given_again_and_what_was_left_open_comes_first(make_job, make_relay, tracker):
    relay = make_relay(line_of(make_job("a", [0.1, 0.2, 0.3])))
    trains(relay.next())
    left = relay.next()
    relay.end("KILLED")
    assert tracker.ended == {"a": "KILLED"}
    relay = make_relay(line_of(make_job("a", [0.1, 0.2, 0.3])))
    again, last = relay.next(), relay.next()
    assert [name_of(given) for given in (again, last)] == [("a", 1), ("a", 2)]
    assert again[1].key == left[1].key
    trains(again)
    trains(last)
    assert relay.next() is None
    assert tracker.ended == {"a": "FINISHED"}
    finished = make_relay(line_of(make_job("a", [0.1, 0.2, 0.3])))
    assert finished.next() is None
    assert finished.over


def test_a_space_says_how_many_of_its_trials_run_at_a_time(make_job, make_relay):
    relay = make_relay(line_of(make_job("a", [0.1, 0.2], concurrency=1)), line_of(make_job("b", [0.1])))
    first, second = relay.next(), relay.next()
    assert [name_of(first), name_of(second)] == [("a", 0), ("b", 0)]
    assert relay.next() is None
    trains(first)
    assert name_of(relay.next()) == ("a", 1)


def test_what_goes_wrong_in_a_sweep_is_raised_in_its_line_and_the_others_go_on(make_job, make_relay, tmp_path, tracker):
    said = []

    def careful():
        try:
            yield make_job("held", [0.1])
        except UserError as error:
            said.append(str(error))
        yield make_job("instead", [0.1])

    with SweepElsewhere(make_job("held", [0.1]), tracker):
        relay = make_relay(careful(), line_of(make_job("b", [0.1])))
        given = [relay.next(), relay.next()]
    assert [name_of(one) for one in given] == [("instead", 0), ("b", 0)]
    assert len(said) == 1
    assert f"{tmp_path / 'held'} is in use by process" in said[0]


def test_an_error_that_no_line_catches_ends_the_relay(make_job, make_relay):
    def careless():
        yield make_job("a", [0.1])
        raise RuntimeError("no idea")

    relay = make_relay(careless(), line_of(make_job("b", [0.1])))
    trains(relay.next())
    with pytest.raises(RuntimeError, match="no idea"):
        relay.next()


def test_tune_is_told_that_nothing_comes_where_waiting_would_have_no_end(make_job, make_relay):
    from ray.tune.search import Searcher

    from dferc_platform.sweep.searcher import RelaySearcher

    relay = make_relay(line_of(make_job("a", [0.1])))
    searcher = RelaySearcher(relay, relay.next(), Admission(concurrency=4, grows=False))
    assert searcher.suggest("a trial")["number"] == 0
    assert searcher.suggest("not yet") is None
    searcher.on_trial_complete("a trial")  # its end could not be written down, so the ledger waits for ever
    assert searcher.suggest("never") == Searcher.FINISHED
    assert not relay.over


class SweepElsewhere:
    """Another driver has the sweep."""

    def __init__(self, job, tracker):
        self.sweep = LiveSweep(job, tracker)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.sweep.end("KILLED")
