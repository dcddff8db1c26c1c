"""Readers and drivers: what they get to see, and what they leave alone."""

import json
import os

import pytest

from dferc.errors import UserError
from dferc_platform.results import Study, read_runs, write_outcome, write_study, write_verdict
from dferc_platform.storage import Claim, newest_text, publish, pull, shown, withdraw
from dferc_platform.storage.remote import Remote
from dferc_platform.sweep.lock import alone, driving

from .runs import Attempt, put, state

STUDY = Study("sweep", "s", "0" * 16, "df_erc", "synthetic", "f" * 64, None, {}, "dferc")


def trained(folder, epochs=3):
    claim = Claim(folder)
    claim.take_over()
    attempt = Attempt(folder, claim)
    for _ in range(epochs):
        attempt.train()
        claim.push()
    return attempt


def test_what_the_driver_writes_is_there_as_it_is_written(machine) -> None:
    study = machine("a") / "s"
    write_study(study, STUDY)
    run = trained(study / "runs" / "key")
    run.finish()
    run.claim.push()
    write_verdict(run.folder, "FINISHED", varied={"beta": 1}, number=0)
    write_outcome(study, "FINISHED", {"best": 1.0})
    put(study / "report" / "figures" / "curve.svg", "<svg/>")
    put(study / "report" / "report.html", "<html/>")
    publish(study / "report")

    there = machine("b") / "s"
    pull(there)
    assert set(state(there)) == {name for name in state(study) if "/last/" not in name}
    (row,) = read_runs(there)
    assert (row.status, row.number, row.varied, row.epochs) == ("FINISHED", 0, {"beta": 1}, 3)


def test_times_of_files_are_those_of_the_store_so_that_ends_of_runs_stay_what_they_are(machine, uri) -> None:
    study = machine("a") / "s"
    write_study(study, STUDY)
    then = Remote(f"{uri}/s").stamp("study.json")
    pull(machine("b") / "s")
    assert (machine("b") / "s" / "study.json").stat().st_mtime_ns == then.mtime_ns


def test_a_run_that_goes_on_elsewhere_is_seen_to_go_on(machine) -> None:
    run = trained(machine("a") / "s" / "runs" / "key")
    there = machine("b") / "s" / "runs" / "key"
    pull(there)
    assert (there / "history.jsonl").read_text().count("\n") == 3
    run.train()
    run.claim.push()
    assert newest_text(there / "history.jsonl").count("\n") == 4
    pull(there)
    assert (there / "history.jsonl").read_text().count("\n") == 4
    assert not (there / "last").exists()


def test_a_reader_leaves_what_this_machine_trains_alone(machine) -> None:
    run = trained(machine("a") / "s" / "runs" / "key")
    run.train()
    before = state(run.folder)
    pull(machine("a") / "s")
    assert state(run.folder) == before


def test_a_reader_leaves_a_study_alone_that_is_driven_on_this_machine(machine) -> None:
    study = machine("a") / "s"
    write_study(study, STUDY)
    with alone(study, wait=False):
        (study / "ledger.jsonl").write_text("not yet there\n")
        pull(study)
        assert (study / "ledger.jsonl").is_file()
    pull(study)
    assert not (study / "ledger.jsonl").exists()


def test_a_driver_starts_from_what_the_store_has(machine) -> None:
    study = machine("a") / "s"
    with driving(study):
        write_study(study, STUDY)
        put(study / "ledger.jsonl", "one\n")
        publish(study / "ledger.jsonl")
        put(study / "ledger.jsonl", "one\ntwo\n")  # killed before it was put: nobody has acted on it
    other = machine("b") / "s"
    with driving(other):
        assert (other / "ledger.jsonl").read_text() == "one\n"
        put(other / "ledger.jsonl", "one\nanother\n")
        publish(other / "ledger.jsonl")
    with driving(machine("a") / "s"):
        assert (study / "ledger.jsonl").read_text() == "one\nanother\n"


def test_a_verdict_that_is_written_again_is_not_put_again(machine, monkeypatch) -> None:
    run = machine("a") / "s" / "runs" / "key"
    write_verdict(run, "KILLED", varied={}, number=0)
    monkeypatch.setattr(Remote, "upload", lambda *_: pytest.fail("it was put again"))
    write_verdict(run, "KILLED", varied={}, number=0)


def test_a_file_that_is_withdrawn_is_gone_everywhere(machine) -> None:
    failure = machine("a") / "c" / "model" / "failure.json"
    put(failure, json.dumps({"error": "it failed"}))
    publish(failure)
    there = machine("b") / "c"
    pull(there)
    assert (there / "model" / "failure.json").is_file()
    machine("a")
    withdraw(failure)
    pull(there)
    assert not failure.exists()
    assert not (there / "model" / "failure.json").exists()


def test_studies_within_a_study_are_pulled_with_it(machine) -> None:
    outer = machine("a") / "c"
    write_study(outer, STUDY)
    write_study(outer / "df_erc" / "search", STUDY)
    trained(outer / "df_erc" / "search" / "runs" / "key")
    there = machine("b") / "c"
    pull(there)
    assert set(state(there)) >= {"study.json", "df_erc/search/study.json", "df_erc/search/runs/key/best/model.json"}


def test_what_is_rotated_while_it_is_pulled_is_looked_at_anew(machine, monkeypatch) -> None:
    run = trained(machine("a") / "s" / "runs" / "key", 1)
    original, once = Remote.download, []

    def replaced(self: Remote, name: str, *rest: object) -> None:
        if not once:
            once.append(name)
            raise FileNotFoundError(name)
        original(self, name, *rest)

    there = machine("b") / "s"
    monkeypatch.setattr(Remote, "download", replaced)
    pull(there)
    assert (there / "runs" / "key" / "history.jsonl").read_text() == (run.folder / "history.jsonl").read_text()


def test_an_unreadable_index_is_no_base_to_go_by(machine) -> None:
    run = trained(machine("a") / "s" / "runs" / "key")
    (run.folder / ".index.json").write_text("{")
    run.train()
    again = trained(run.folder, 0)
    assert again.epoch == 3


def test_a_full_disk_is_no_fault_of_the_store(machine, monkeypatch) -> None:
    write_study(machine("a") / "s", STUDY)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    there = machine("b") / "s"
    monkeypatch.setattr("dferc_platform.storage.remote.os.utime", full)
    with pytest.raises(OSError, match="No space left"):
        pull(there)


def test_a_run_is_named_by_its_uri(machine, uri) -> None:
    folder = machine("a") / "s" / "runs" / "key"
    trained(folder, 1)
    stale = Claim(folder)
    trained(machine("b") / "s" / "runs" / "key", 0)
    assert shown(folder) == f"{uri}/s/runs/key"
    with pytest.raises(UserError, match=f"{uri}/s/runs/key is trained on"):
        stale.push()
