"""Is anything lost when things break? A study on a real cluster, again and again, under faults of every kind.

    python benchmarks/soak.py --minutes 20

A head and two worker nodes, an MLflow server and the command itself are processes of their own. First every study runs
alone; then for the given minutes each runs again in a fresh folder, under faults drawn from a seeded generator, until
it is done, and is compared with the undisturbed one: trials, order, numbers, weights and predictions to the last bit,
what the ledger proposes, every run and epoch once in MLflow. Whatever is lost, there twice, or other than before, makes
the exit code 1.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import cycle
from pathlib import Path

from chaos.cluster import Cluster
from chaos.disk import small_disk
from chaos.faults import FAULTS, Scene
from chaos.rounds import Tally, alone, disturbed
from chaos.study import Asked, Question, Server, search_space
from common import show
from rich.live import Live
from rich.text import Text

from dferc.corpus.synthetic import SyntheticConfig, generate

CORPUS = SyntheticConfig(train_dialogues=8, validation_dialogues=3, test_dialogues=3, shortest=3, longest=5)
DISK = "256m"
"""Size of the file system on which results lie."""


def questions(folder: Path) -> list[Question]:
    """What is asked: by a sampler that learns, so one trial at a time, and by one that does not, so two."""
    corpus = generate(CORPUS).save(folder / "tiny.parquet")
    tpe = search_space({"name": "tpe", "seed": 3, "startup_trials": 2}, trials=5, epochs=40, concurrency=1)
    drawn = search_space({"name": "random", "seed": 5}, trials=6, epochs=40, concurrency=2)
    return [
        Question.of_space("learning", tpe, corpus, folder),
        Question.of_space("drawn", drawn, corpus, folder),
    ]


def soak(minutes: float, seed: int) -> tuple[Tally, float]:
    """Break things for so long; what happened, and the seconds that it took."""
    draw, tally, began = random.Random(seed), Tally(), time.monotonic()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="soak-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        live = stack.enter_context(Live(Text("starting a cluster"), transient=True, refresh_per_second=2))
        disk = stack.enter_context(small_disk(folder / "disk", DISK))
        cluster = stack.enter_context(Cluster())
        server = Server(folder / "mlflow")
        stack.callback(server.process.kill)
        server.start()

        def ask(question: Question, place: Path) -> Asked:
            asked = Asked(question, place, cluster.address, server.uri, folder, folder / f"{place.name}.log")
            stack.callback(asked.driver.kill)
            return asked

        references = {}
        asking = questions(folder)
        for question in asking:
            live.update(Text(f"{question.name}, left alone"))
            references[question.name] = alone(ask(question, folder / "alone"))
            _forget(server.uri, question.name)
        until = time.monotonic() + 60 * minutes
        for number, question in enumerate(cycle(asking), 1):
            place = (disk or folder) / f"round{number}"

            def say(what: str, number: int = number, question: Question = question) -> None:
                line = _line(until, number, question.name, tally, what)
                live.update(Text(line))
                if what and not live.console.is_terminal:
                    print(line, flush=True)

            say("")
            scene = Scene(cluster, server, ask(question, place), draw, disk)
            found = disturbed(scene, references[question.name], tally, lambda: time.monotonic() < until, say)
            tally.add(f"round {number}, {question.name}", len(references[question.name]), found)
            if found:
                live.console.print(f"round {number}: {found}", style="red", markup=False)
                live.console.print(scene.asked.driver.said()[-3000:], markup=False)
            _forget(server.uri, question.name)
            shutil.rmtree(place, ignore_errors=True)
            if time.monotonic() > until:
                break
    return tally, time.monotonic() - began


def _forget(uri: str, name: str) -> None:
    """Make room for the same study in the same experiment: what MLflow has of it is deleted."""
    from dferc_platform.tracking.store import import_mlflow

    client = import_mlflow().MlflowClient(uri)
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], f"tags.study = '{name}'"):
            client.delete_run(run.info.run_id)


def _line(until: float, number: int, study: str, tally: Tally, what: str) -> str:
    left = max(0, round(until - time.monotonic()))
    wrong = tally.lost + tally.duplicated + tally.changed
    doing = f": {what}" if what else ""
    return (
        f"{left // 60}:{left % 60:02} left, round {number} ({study}), {tally.faults.total()} faults, "
        f"{wrong or 'nothing'} lost, duplicated or changed{doing}"
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="how long things break; the last round is finished")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--json", type=Path, help="write a summary to this file")
    given = parser.parse_args()
    tally, seconds = soak(given.minutes, given.seed)
    rows = [[name, str(tally.faults[name])] for name in FAULTS if tally.faults[name]]
    rows += [["all faults", str(tally.faults.total())], ["rounds", str(tally.rounds)], ["trials", str(tally.trials)]]
    rows += [["times the command was given", str(tally.commands)], ["epochs trained again", str(tally.again)]]
    rows += [[name, str(getattr(tally, name))] for name in ("lost", "duplicated", "changed")]
    rows.append(["wall, minutes", f"{seconds / 60:.1f}"])
    show("Chaos soak", ["", ""], rows, "\n".join(tally.differences))
    if given.json:
        summary = asdict(tally) | {"faults": dict(tally.faults), "seconds": seconds, "seed": given.seed}
        given.json.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return int(bool(tally.lost or tally.duplicated or tally.changed))


if __name__ == "__main__":
    sys.exit(main())
