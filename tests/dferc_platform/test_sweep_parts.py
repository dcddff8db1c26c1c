import errno
import json
import os
import resource
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError

from dferc.corpus import CorpusCard
from dferc.errors import UserError
from dferc.training import DivergedError
from dferc_platform.config import make_config
from dferc_platform.memory import ON_NODE
from dferc_platform.results import RunRow, write_study
from dferc_platform.spaces import Budget, SearchSpace, read_space
from dferc_platform.sweep import Resources, best, plan_sweep
from dferc_platform.sweep.job import SweepJob
from dferc_platform.sweep.ledger import Ledger
from dferc_platform.sweep.lock import alone
from dferc_platform.sweep.outcome import Outcome, failure, judge
from dferc_platform.sweep.samplers import make_sampler
from dferc_platform.sweep.scheduler import make_scheduler
from dferc_platform.sweep.study import check_folder, describe_study

BETA = {"beta": {"kind": "float", "low": 0.01, "high": 1.0, "log": True}}
SMALL = {"epochs": 2, "batch_dialogues": 4, "warmup_steps": 2, "hidden": 8, "align": 8}


def space_of(parameters=BETA, **rest):
    content = {"model": "df_erc", "description": "a test", "budget": {"trials": 8}, "parameters": parameters}
    return SearchSpace.model_validate(content | {"sampler": {"name": "tpe", "startup_trials": 3}} | rest)


def job_of(space, folder: Path):
    config = space.base(make_config({}))
    study = describe_study(folder, "sweep", space, config, corpus_with("f" * 64), "test")
    return SweepJob(space, config, study, folder, Resources())


def corpus_with(fingerprint):
    card = CorpusCard(name="c", labels=["joy", "anger"], modalities={}, source="s", licence="l", split_note="n")
    return SimpleNamespace(fingerprint=fingerprint, card=card, split=lambda name: ())


def ledger_of(space, folder: Path):
    return Ledger(folder / "ledger.jsonl", make_sampler(space), space.budget, job_of(space, folder).propose)


def finished(value):
    return Outcome("FINISHED", value, 2)


@pytest.mark.parametrize("sampler", ["tpe", "tpe_multivariate", "random"])
@pytest.mark.parametrize("cut", [1, 5, 11])
def test_a_ledger_that_is_opened_again_proposes_what_it_would_have_proposed(tmp_path, sampler, cut):
    space = space_of(sampler={"name": sampler, "startup_trials": 3}, budget={"trials": 12})

    def run(folder, cuts):
        ledger = ledger_of(space, folder)
        for step in range(12):
            if step in cuts:
                ledger = ledger_of(space, folder)
            proposal = ledger.ask()
            status = ("FINISHED", "PRUNED", "FAILED", "FINISHED")[step % 4]
            ledger.tell(proposal, Outcome(status, 50 - 30 * proposal.varied["beta"], 2, lasting=True))
        return [p.varied for p in ledger.proposals.values()]

    assert run(tmp_path / "cut", {cut}) == run(tmp_path / "whole", set())


def test_trials_that_ran_when_the_driver_died_are_open_and_known_to_the_sampler(tmp_path):
    space = space_of()
    first = ledger_of(space, tmp_path)
    asked = [first.ask() for _ in range(5)]
    for proposal in asked[:3]:
        first.tell(proposal, finished(proposal.number))
    again = ledger_of(space, tmp_path)
    assert again.open == asked[3:]
    assert again.ask() == first.ask()


def test_a_last_line_that_the_kill_cut_short_does_not_count(tmp_path):
    space = space_of()
    ledger = ledger_of(space, tmp_path)
    first = ledger.ask()
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"asked": 1, "val')
    again = ledger_of(space, tmp_path)
    assert again.open == [first]
    second = again.ask()
    assert ledger_of(space, tmp_path).open == [first, second]


def test_the_budget_in_trials_ends_the_sweep_and_may_grow(tmp_path):
    space = space_of(budget={"trials": 2})
    ledger = ledger_of(space, tmp_path)
    assert [ledger.ask() is None for _ in range(3)] == [False, False, True]
    larger = space.model_copy(update={"budget": Budget(trials=3)})
    assert ledger_of(larger, tmp_path).ask().number == 2


def test_the_budget_in_minutes_counts_what_earlier_drivers_took(tmp_path):
    space = space_of(budget={"minutes": 1})
    ledger_of(space, tmp_path).ask()
    line = json.loads((tmp_path / "ledger.jsonl").read_text())
    (tmp_path / "ledger.jsonl").write_text(json.dumps({**line, "elapsed": 59.0}) + "\n")
    assert ledger_of(space, tmp_path).ask() is not None
    (tmp_path / "ledger.jsonl").write_text(json.dumps({**line, "elapsed": 61.0}) + "\n")
    assert ledger_of(space, tmp_path).ask() is None


def test_the_same_values_are_never_run_twice(tmp_path):
    few = {"context": {"kind": "categorical", "choices": ["refusion", "full", "none"]}}
    ledger = ledger_of(space_of(few, budget={"trials": 50}, sampler={"name": "random"}), tmp_path)
    proposals = []
    while proposal := ledger.ask():
        proposals.append(proposal)
        ledger.tell(proposal, finished(1.0))
    assert sorted(p.varied["context"] for p in proposals) == ["full", "none", "refusion"]


def test_failed_trials_are_repeated_unless_they_would_fail_again(tmp_path):
    space = space_of()
    ledger = ledger_of(space, tmp_path)
    diverged, unlucky = ledger.ask(), ledger.ask()
    ledger.tell(diverged, failure(DivergedError("the loss is not finite")))
    ledger.tell(unlucky, failure(OSError("no space left on device")))
    again = ledger_of(space, tmp_path)
    assert again.open == []
    again.repeat_failed()
    assert again.open == [unlucky]
    again.tell(unlucky, finished(50.0))
    third = ledger_of(space, tmp_path)
    assert third.open == []
    assert third.ask() == again.ask()


def test_a_sampler_that_proposes_otherwise_is_noticed(tmp_path):
    ledger_of(space_of(), tmp_path).ask()
    other = space_of(sampler={"name": "tpe", "seed": 1})
    with pytest.raises(UserError, match="would be proposed with other values today"):
        ledger_of(other, tmp_path)


def test_a_trial_is_judged_by_its_result_then_by_its_last_words(tmp_path):
    unseen = judge(tmp_path, {"epoch": 3, "m": 40.0, "node": "there"}, "m")
    assert (unseen.status, unseen.lasting) == ("FAILED", False)
    assert f"there wrote to {tmp_path}, where the driver sees nothing: give --results a folder" in unseen.error
    (tmp_path / "config.yaml").touch()
    assert judge(tmp_path, {"epoch": 3, "m": 40.0}, "m") == Outcome("PRUNED", 40.0, 3)
    assert judge(tmp_path, {"error": "it broke", "lasting": True}, "m") == Outcome(
        "FAILED", error="it broke", lasting=True
    )
    assert judge(tmp_path, {}, "m").status == "FAILED"
    result = {"status": "FINISHED", "metrics": {"m": 41.0, "nan": float("nan")}, "epochs": 5}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert judge(tmp_path, {"epoch": 5, "m": 40.0}, "m") == Outcome("FINISHED", 41.0, 5)
    assert judge(tmp_path, {"epoch": 5}, "nan").status == "FAILED"


def test_a_failure_is_one_sentence():
    assert failure(ValueError("first\nsecond")).error == "ValueError: first"
    assert failure(UserError("the corpus has no test split")).error == "the corpus has no test split"
    assert failure(KeyError()).error == "KeyError: no more is known"
    assert failure(MemoryError()) == Outcome("FAILED", error=ON_NODE)


def test_asha_that_goes_on_decides_as_if_it_had_not_stopped(tmp_path):
    class Trial:
        def __init__(self, folder):
            self.trial_id, self.config = folder.name, {"results": "", "folder": str(folder)}

    def history(name, scores):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        lines = [{"epoch": i, "validation/weighted_f1": s} for i, s in enumerate(scores, start=1)]
        (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    def decide(scheduler, folder, line):
        return scheduler.on_trial_result(None, Trial(folder), line)

    space = space_of(scheduler={"name": "asha", "grace_epochs": 2, "reduction_factor": 2})
    good, half = history("good", [50, 60, 70, 80]), history("half", [40.0])
    resumed = make_scheduler(space, 8, [good])
    resumed.on_trial_add(None, Trial(half))
    assert decide(resumed, half, {"epoch": 2, "validation/weighted_f1": 45.0}) == "STOP"
    fresh = make_scheduler(space, 8, [])
    fresh.on_trial_add(None, Trial(half))
    assert decide(fresh, half, {"epoch": 2, "validation/weighted_f1": 45.0}) == "CONTINUE"


def test_asha_never_stops_a_trial_at_its_last_epoch(tmp_path):
    class Trial:
        trial_id, config = "a", {"results": "", "folder": str(tmp_path)}

    space = space_of(scheduler={"name": "asha", "grace_epochs": 1, "reduction_factor": 3})
    scheduler = make_scheduler(space, 9, [])
    scheduler.on_trial_add(None, Trial)
    assert scheduler.on_trial_result(None, Trial, {"epoch": 9, "validation/weighted_f1": 0.0}) == "CONTINUE"


def test_a_folder_that_holds_a_study_is_refused_unless_the_same_sweep_goes_on(tmp_path):
    space = space_of()
    study = job_of(space, tmp_path).study
    check_folder(tmp_path, study, resume=False)
    write_study(tmp_path, study)
    check_folder(tmp_path, study, resume=True)
    more = space.model_copy(update={"budget": Budget(trials=99), "concurrency": 4})
    check_folder(tmp_path, job_of(more, tmp_path).study, resume=True)
    with pytest.raises(UserError, match="holds a study already"):
        check_folder(tmp_path, study, resume=False)


@pytest.mark.parametrize("what", ["search space", "base config", "corpus", "code"])
def test_a_sweep_does_not_go_on_when_its_numbers_would_not_compare(tmp_path, monkeypatch, what):
    space = space_of()
    write_study(tmp_path, job_of(space, tmp_path).study)
    config, fingerprint = space.base(make_config({})), "f" * 64
    if what == "search space":
        space = space_of({"beta": {**BETA["beta"], "high": 0.9}})
    elif what == "base config":
        config = space.base(make_config({"model": {"hidden": 7}}))
    elif what == "corpus":
        fingerprint = "e" * 64
    else:
        monkeypatch.setattr("dferc_platform.sweep.study.code_version", lambda: "another")
    study = describe_study(tmp_path, "sweep", space, config, corpus_with(fingerprint), "test")
    with pytest.raises(UserError, match=f"cannot be resumed: its {what} changed"):
        check_folder(tmp_path, study, resume=True)


def test_two_drivers_cannot_work_in_one_folder(tmp_path):
    for _ in range(2):  # free again once its holder has ended
        with alone(tmp_path, wait=False):
            with pytest.raises(UserError) as caught, alone(tmp_path, wait=False):
                pass
            assert f"{tmp_path} is in use by process {os.getpid()} on" in str(caught.value)


def test_a_plan_says_what_would_run():
    plan = plan_sweep(read_space("beta_sensitivity"), make_config({}))
    assert (plan.trials, plan.epochs) == (21, 12)
    assert plan.varies == {"beta": "0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6", "seed": "0, 1, 2"}
    assert plan.first[:2] == [{"beta": 0.0, "seed": 0}, {"beta": 0.05, "seed": 0}]
    assert plan.config.score_test
    sampled = plan_sweep(space_of(), make_config({}))
    assert sampled.varies == {"beta": "0.01 to 1.0 (log)"}
    assert not sampled.config.score_test
    assert len(sampled.first) == 5


def row_of(value, status="FINISHED", **varied):
    metrics = {"validation/weighted_f1": value}
    return RunRow("key", Path(), status, 0, varied, {}, metrics, best_epoch=1, epochs=1, seconds=1.0, error=None)


def test_the_best_point_has_the_best_mean_over_seeds_and_only_finished_runs_count():
    steady = [row_of(60, beta=0.1, seed=0), row_of(64, beta=0.1, seed=1)]
    lucky = [row_of(70, beta=0.2, seed=0), row_of(50, beta=0.2, seed=1)]
    others = [row_of(99, "PRUNED", beta=0.3, seed=0), row_of(float("nan"), beta=0.4, seed=0)]
    rows = steady + lucky + others
    assert best(rows, space_of()).varied == {"beta": 0.1, "seed": 1}
    with pytest.raises(UserError, match="no run of the sweep has finished"):
        best(others, space_of())


def test_half_a_line_that_a_full_disk_took_is_taken_back(tmp_path):
    ledger = ledger_of(space_of(), tmp_path)
    ledger.ask()
    before = (tmp_path / "ledger.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write past the limit fails as one on a full disk does
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            ledger.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert (tmp_path / "ledger.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "no"), SafetensorError("No space left on device (os error 28)")]
)
def test_a_full_disk_ends_all_trials(error):
    outcome = failure(error, "/results/run")
    assert outcome.ends_all
    assert "the disk is full at /results/run on " in outcome.error
