"""A run that goes from machine to machine: nothing that was said to be done is lost, and no two attempts are mixed."""

import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dferc.errors import UserError
from dferc_platform.away import StoreAwayError
from dferc_platform.storage import Claim, claimed, local_folder, pull
from dferc_platform.storage.remote import Remote

from .conftest import KilledError, killed_after
from .runs import Attempt, best_epoch, newest, state

RUN = "study/runs/key"


def start(folder: Path) -> Attempt:
    claim = Claim(folder)
    claim.take_over()
    return Attempt(folder, claim)


def names(uri: str) -> set[str]:
    """The objects of the run."""
    return {name for name in Remote(f"{uri}/{RUN}").list() if not name.startswith(".")}


def test_an_ordinary_folder_stays_as_it_is(tmp_path) -> None:
    with claimed(tmp_path / "run") as claim:
        claim.epoch_is_done()
        claim.push()
    assert not (tmp_path / "run").exists()


def test_what_was_dropped_here_is_dropped_there_and_what_is_hidden_stays_here(machine, uri) -> None:
    attempt = start(machine("a") / RUN)
    for _ in range(4):
        attempt.train()
        attempt.claim.epoch_is_done()
    (attempt.folder / "verdict.json").write_text("the driver's")
    (attempt.folder / "stall.txt").touch()
    attempt.claim.push()
    assert names(uri) == {
        "history.jsonl", "best/model.json", "best/model.safetensors",
        *(f"last/epoch-{e:04d}/{f}" for e in (3, 4) for f in ("model.safetensors", "state.json", "sha256.json")),
    }  # fmt: skip


def test_only_what_changed_is_put(machine) -> None:
    attempt = start(machine("a") / RUN)
    attempt.train()
    attempt.claim.push()
    attempt.train()
    with killed_after(100) as done:
        attempt.claim.push()
    assert not [line for line in done if "best" in line or "epoch-0001" in line]
    (attempt.folder / "history.jsonl").touch()
    with killed_after(100) as done:
        attempt.claim.push()
    assert done == []


def test_another_machine_goes_on_where_the_first_one_stopped(machine) -> None:
    first = start(machine("a") / RUN)
    for _ in range(3):
        first.train()
        first.claim.epoch_is_done()
    second = start(machine("b") / RUN)
    assert second.epoch == 3
    assert state(second.folder) == state(first.folder)


def test_who_was_taken_over_from_writes_no_more(machine, uri) -> None:
    first = start(machine("a") / RUN)
    first.train()
    first.claim.epoch_is_done()
    second = start(machine("b") / RUN)
    second.train()
    second.claim.epoch_is_done()
    before = names(uri)
    first.train()
    first.train()
    with pytest.raises(UserError, match=f"{uri}/{RUN} is trained on .* now: it ends here"):
        first.claim.epoch_is_done()
    assert names(uri) == before


def test_a_stale_copy_loses_even_where_it_is_further(machine) -> None:
    first = start(machine("a") / RUN)
    first.train()
    first.claim.epoch_is_done()
    second = start(machine("b") / RUN)
    second.train()
    second.claim.epoch_is_done()
    for _ in range(4):
        first.train()  # on a machine that was cut off
    third = start(first.folder)
    assert third.epoch == 2
    assert state(third.folder) == state(second.folder)
    assert sorted(path.name for path in (third.folder / "last").iterdir()) == ["epoch-0001", "epoch-0002"]


def test_what_was_not_put_yet_is_kept_where_nobody_else_went_on(machine) -> None:
    first = start(machine("a") / RUN)
    first.train()
    first.claim.epoch_is_done()
    first.train()  # and killed before it was put
    again = start(first.folder)
    assert again.epoch == 2
    again.claim.push()
    assert start(machine("b") / RUN).epoch == 2


def test_a_finished_run_is_finished_everywhere(machine) -> None:
    first = start(machine("a") / RUN)
    first.train()
    first.claim.epoch_is_done()
    first.finish()
    first.claim.push()
    second = start(machine("b") / RUN)
    assert (second.folder / "result.json").read_text() == '{"epochs": 1}'


def test_results_that_were_deleted_in_the_store_are_not_brought_back(machine, uri) -> None:
    first = start(machine("a") / RUN)
    first.train()
    first.claim.epoch_is_done()
    Remote(uri).delete_folder("study")
    assert start(first.folder).epoch == 0


@pytest.mark.parametrize("last", ["nothing", "a result"])
def test_wherever_a_push_is_cut_short_the_epoch_before_is_whole(quick_store, machine, uri, last) -> None:
    """Every request of a push is once the last one; then another machine goes on, or the same one."""
    cut = 0
    while True:
        Remote(uri).delete_folder("study")
        attempt = start(machine(f"a{cut}") / RUN)
        for _ in range(3):
            attempt.train()
            attempt.claim.push()
        attempt.train()
        if last == "a result":
            attempt.claim.push()
            attempt.finish()
        try:
            with killed_after(cut) as done:
                attempt.claim.push()
            break
        except KilledError:
            there = names(uri)
            sealed = [name.removesuffix("sha256.json") for name in there if name.endswith("sha256.json")]
            assert {f"{folder}{file}" for folder in sealed for file in ("model.safetensors", "state.json")} <= there
            other = start(machine(f"b{cut}") / RUN)
            assert other.epoch >= (4 if last == "a result" else 3)
            assert best_epoch(other.folder) is not None
            if "upload result.json" in done:
                assert (other.folder / "predictions.parquet").is_file()
            same = start(attempt.folder)
            assert same.epoch >= other.epoch
        cut += 1
    assert cut >= (2 if last == "a result" else 5)


def test_a_pull_that_is_cut_short_is_not_believed(machine, monkeypatch) -> None:
    first = start(machine("a") / RUN)
    for _ in range(2):
        first.train()
        first.claim.push()
    original, left = Remote.download, [3]

    def some(self: Remote, *what: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KilledError
        original(self, *what)

    folder = machine("b") / RUN
    monkeypatch.setattr(Remote, "download", some)
    with pytest.raises(KilledError):
        start(folder)
    monkeypatch.setattr(Remote, "download", original)
    again = start(folder)
    assert again.epoch == 2
    assert state(folder) == state(first.folder)


def test_a_store_that_is_away_for_some_epochs_costs_nothing(machine, store, impatient, caplog) -> None:
    first = start(machine("a") / RUN)
    first.train()
    first.claim.epoch_is_done()
    store.go()
    with caplog.at_level(logging.WARNING, "dferc_platform.storage"):
        for _ in range(2):
            first.train()
            first.claim.epoch_is_done()
    assert len([r for r in caplog.records if "epochs stay on this machine" in r.getMessage()]) == 1
    with pytest.raises(StoreAwayError, match="does not answer"):
        first.claim.push()
    store.come_back()
    first.train()
    first.claim.epoch_is_done()
    assert start(machine("b") / RUN).epoch == 4


MACHINES, HOW = st.sampled_from("ab"), st.sampled_from(["put", "kill", "cut off", "read"])
MOVES = st.lists(st.tuples(MACHINES, st.integers(1, 3), HOW, st.integers(0, 15)), min_size=2, max_size=8)


@given(MOVES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_machines_in_any_order_lose_nothing_that_was_said(quick_store, monkeypatch, moves) -> None:
    """Machines take turns; each is killed in a push, cut off from the store, or put to an end; processes that were
    taken over from wake up now and then."""
    with tempfile.TemporaryDirectory() as place:
        uri = f"s3://lab/{Path(place).name}"
        said, ghosts = 0, []
        for name, epochs, how, when in moves:
            monkeypatch.setenv("DFERC_CACHE", f"{place}/{name}")
            folder = local_folder(uri) / RUN
            if how == "read":
                pull(folder)
                continue
            attempt = start(folder)
            assert attempt.epoch >= said
            chosen = best_epoch(folder)
            assert chosen is None or chosen > attempt.epoch or chosen == attempt.epoch - 1 + attempt.epoch % 2
            try:
                for _ in range(epochs):
                    attempt.train()
                    if how == "cut off":
                        continue
                    with killed_after(when if how == "kill" else 1000):
                        attempt.claim.push()
                    said = attempt.epoch
            except KilledError:
                pass
            ghosts.append((name, attempt))
            for of, ghost in ghosts[:-1]:
                if of != name:
                    with pytest.raises(UserError, match="it ends here"):
                        ghost.claim.push()
        monkeypatch.setenv("DFERC_CACHE", f"{place}/c")
        assert newest(start(local_folder(uri) / RUN).folder) >= said
