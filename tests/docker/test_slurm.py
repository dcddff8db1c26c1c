"""The Slurm script, with doubles of Slurm, Ray and dferc: what it starts, and what signals and failures do to it."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docker" / "slurm.sh"
JOB = 4711
DOUBLES = {
    "scontrol": """
        case $1 in
            show) printf '%s\\n' alpha beta gamma ;;
            requeue) echo "$2" > "$LOG/requeued" ;;
        esac""",
    # Runs what comes after its options, here.
    "srun": """
        echo "$*" >> "$LOG/srun"
        while [[ $1 == --* ]]; do shift; done
        exec "$@" """,
    # Asks Ray until all nodes are there.
    "python": """
        [[ $2 == *ray.nodes* ]] || exit 9
        until (($(wc -l < "$LOG/ray") >= $3)); do sleep 0.05; done""",
    "hostname": "echo 127.0.0.1 10.0.0.1",
    "ray": """
        case $1 in
            start)
                trap 'echo gone >> "$LOG/stopped"; exit 0' TERM
                echo $$ >> "$LOG/processes"
                echo "$*" >> "$LOG/ray"
                [[ ! -e $LOG/broken ]] || exit 1
                cp "$RAY_AUTH_TOKEN_PATH" "$LOG/token"
                stat -c %a "$RAY_AUTH_TOKEN_PATH" "$(dirname "$RAY_AUTH_TOKEN_PATH")" > "$LOG/modes"
                while :; do sleep 0.05; done ;;
            health-check) [[ -e $LOG/token ]] ;;
        esac""",
    "dferc": """
        trap 'echo interrupted >> "$LOG/interrupted"; sleep 0.2; exit 130' INT
        echo $$ >> "$LOG/processes"
        wc -l < "$LOG/ray" > "$LOG/nodes"
        printf '%s\\n' "$RAY_ADDRESS" "$@" > "$LOG/dferc"
        [[ $1 != fails ]] || exit 3
        [[ $1 != works ]] || exit 0
        while :; do sleep 0.05; done""",
}


class Job:
    """The script under way."""

    def __init__(self, folder: Path, *arguments: str):
        self.log = folder / "log"
        self.home = folder / "home"
        tools = folder / "bin"
        for path in (self.log, self.home, tools):
            path.mkdir(exist_ok=True)
        for name, body in DOUBLES.items():
            (tools / name).write_text(f"#!/bin/bash\n{body}\n")
            (tools / name).chmod(0o755)
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LOG": str(self.log),
            "SLURM_JOB_ID": str(JOB),
            "SLURM_JOB_NODELIST": "alpha,beta,gamma",
            "SLURM_CPUS_PER_TASK": "8",
        }
        self.process = subprocess.Popen(
            [SCRIPT, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ends(self) -> int:
        self.said = "\n".join(self.process.communicate(timeout=60))
        return self.process.returncode

    def wrote(self, name: str) -> list[str]:
        path = self.log / name
        return path.read_text().splitlines() if path.exists() else []

    def until(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while not self.wrote(name):
            assert self.process.poll() is None, self.ends()
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def run(tmp_path):
    """Start the script; whatever it left is ended after the test."""
    jobs = []

    def start(*arguments: str) -> Job:
        jobs.append(Job(tmp_path, *arguments))
        return jobs[-1]

    yield start
    for job in jobs:
        if job.process.poll() is None:  # the script failed to end; what it started is ended one by one
            job.process.kill()
            for process in job.wrote("processes"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            job.process.communicate()


def test_a_command_runs_on_a_cluster_of_all_nodes(run):
    job = run("works", "two words")
    assert job.ends() == 0, job.said
    address, *words = job.wrote("dferc")
    assert words == ["works", "two words"]
    assert job.wrote("nodes") == ["3"]  # that had joined when it began
    head, *workers = sorted(job.wrote("ray"), key=lambda line: "--head" not in line)
    assert f"--node-ip-address=127.0.0.1 --port={address.split(':')[1]} " in head
    assert len(workers) == 2
    assert all(f"--address={address}" in worker for worker in workers)
    started = [line for line in job.wrote("srun") if " ray start " in line]
    assert {re.search(r"--nodelist=(\S+)", line)[1] for line in started} == {"alpha", "beta", "gamma"}
    assert all("--num-cpus=8" in line for line in job.wrote("ray"))


def test_the_token_is_secret_and_new_in_every_run(run):
    first = run("works")
    assert first.ends() == 0
    (token,) = first.wrote("token")
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert first.wrote("modes") == ["600", "700"]
    assert token not in " ".join([*first.wrote("ray"), *first.wrote("srun"), first.said])
    again = run("works")
    assert again.ends() == 0
    assert again.wrote("token") != [token]


def test_nothing_is_left_behind(run):
    job = run("works")
    assert job.ends() == 0
    assert len(job.wrote("stopped")) == 3
    assert not list(job.home.iterdir())
    assert job.wrote("srun")[-1].endswith(f"rm -rf /tmp/ray-{JOB}")


def test_jobs_have_ports_of_their_own_below_those_of_the_system(run):
    job = run("works")
    assert job.ends() == 0
    used = [int(port) for port in re.findall(r"port=(\d+)", " ".join(job.wrote("ray")))]
    first = 10000 + JOB % 80 * 250
    assert min(used) == first
    assert max(used) == first + 249
    assert 10000 + 79 * 250 + 249 < 32768  # where Linux begins to hand out ports


def test_the_exit_code_is_that_of_the_command(run):
    job = run("fails")
    assert job.ends() == 3
    assert not job.wrote("requeued")


def test_before_the_time_is_over_the_command_winds_down_and_the_job_queues_again(run):
    job = run("searches")
    job.until("dferc")
    job.process.send_signal(signal.SIGINT)
    assert job.ends() == 130
    assert job.wrote("interrupted") == ["interrupted"]
    assert job.wrote("requeued") == [str(JOB)]
    assert len(job.wrote("stopped")) == 3


def test_a_preempted_or_cancelled_command_winds_down_and_slurm_decides_the_rest(run):
    job = run("searches")
    job.until("dferc")
    job.process.send_signal(signal.SIGTERM)
    assert job.ends() == 130
    assert job.wrote("interrupted") == ["interrupted"]
    assert not job.wrote("requeued")


def test_a_second_signal_does_not_cut_the_winding_down_short(run):
    job = run("searches")
    job.until("dferc")
    job.process.send_signal(signal.SIGINT)
    job.until("interrupted")
    job.process.send_signal(signal.SIGINT)
    assert job.ends() == 130
    assert job.wrote("requeued") == [str(JOB)]


def test_a_head_that_does_not_start_is_said(run, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "broken").touch()
    job = run("works")
    assert job.ends() == 1
    assert "Ray's head did not start on alpha" in job.said
    assert not job.wrote("dferc")


def test_a_job_without_a_command_explains_itself(run):
    job = run()
    assert job.ends() == 2
    assert "usage: sbatch docker/slurm.sh COMMAND" in job.said


def test_slurm_is_asked_to_warn_and_to_queue_again():
    directives = re.findall("^#SBATCH (.*)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"--requeue", "--signal=B:INT@120", "--ntasks-per-node=1"} <= set(directives)
