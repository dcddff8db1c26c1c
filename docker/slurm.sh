#!/bin/bash
# A dferc command on a Ray cluster of its own inside a Slurm job. Corpus, results and this environment must lie on a
# file system that all nodes share.
#
#   source .venv/bin/activate
#   sbatch --nodes=4 docker/slurm.sh --results /shared/results compare --corpus /shared/mosi.parquet --trials 20
#
# Two minutes before the time is over, or when the job is preempted, the command is interrupted as by Ctrl-C: it saves
# and ends. Then the job goes back into the queue, at the time limit by itself, after a preemption by Slurm, and the
# same command goes on where it stopped.
#SBATCH --job-name=dferc
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:INT@120
# shellcheck disable=SC2329  # traps call what seems never called
set -euo pipefail
umask 077

if (($# == 0)); then
    echo "usage: sbatch docker/slurm.sh COMMAND..., for example: sbatch docker/slurm.sh sweep df_erc --corpus FILE" >&2
    exit 2
fi
for tool in ray dferc; do
    command -v "$tool" > /dev/null || {
        echo "$tool is not found: activate the environment in which dferc is installed, then run sbatch" >&2
        exit 2
    }
done

# Each run of each job has a secret of its own, which nobody else can read; in the home folder, for all nodes must see it.
private=$(mktemp -d "$HOME/.dferc-slurm-$SLURM_JOB_ID.XXXXXX")
od -An -v -tx1 -N 32 /dev/urandom | tr -d ' \n' > "$private/token"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$private/token RAY_USAGE_STATS_ENABLED=0

# Jobs that share a node must not share ports: each takes 250 of its own below those that the system hands out.
first=$((10000 + SLURM_JOB_ID % 80 * 250))
temporary=/tmp/ray-$SLURM_JOB_ID
ports=(
    --node-manager-port=$((first + 2)) --object-manager-port=$((first + 3))
    --dashboard-agent-listen-port=$((first + 4)) --dashboard-agent-grpc-port=$((first + 5))
    --runtime-env-agent-port=$((first + 6)) --metrics-export-port=$((first + 7))
    --min-worker-port=$((first + 10)) --max-worker-port=$((first + 249))
)
start=(ray start --block --temp-dir="$temporary" --num-cpus="${SLURM_CPUS_PER_TASK:-1}" "${ports[@]}")

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
steps=()
driver=

# on NODE COMMAND...: one process on one node, beside those that run there. Only in the background or in $( ), where it
# becomes srun, so that a signal reaches it.
on() {
    exec srun --overlap --nodes=1 --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --nodelist="$1" "${@:2}"
}

clean_up() {
    trap '' INT TERM
    ((${#steps[@]} == 0)) || kill "${steps[@]}" 2> /dev/null || true
    wait || true
    srun --overlap --ntasks-per-node=1 rm -rf "$temporary" || true
    rm -rf "$private"
}
trap clean_up EXIT

# interrupt SIGNAL: end the command as Ctrl-C would, or ourselves where it has not begun.
interrupt() {
    interrupted=$1
    ((++interruptions))
    [[ -n $driver ]] || exit 130
    kill -INT "$driver" 2> /dev/null || true
}
interrupted=
interruptions=0
trap 'interrupt INT' INT
trap 'interrupt TERM' TERM

address=$(on "${nodes[0]}" hostname --ip-address | awk '{print $1}')
export RAY_ADDRESS=$address:$first
set -m # what runs in the background can be interrupted, too, and is not when we are
on "${nodes[0]}" "${start[@]}" --head --node-ip-address="$address" --port="$first" \
    --dashboard-host="$address" --dashboard-port=$((first + 1)) --ray-client-server-port=$((first + 8)) &
steps+=($!)
until ray health-check --address "$RAY_ADDRESS" 2> /dev/null; do
    kill -0 "${steps[0]}" 2> /dev/null || {
        echo "Ray's head did not start on ${nodes[0]}" >&2
        exit 1
    }
    sleep 1
done
for node in "${nodes[@]:1}"; do
    on "$node" "${start[@]}" --address="$RAY_ADDRESS" &
    steps+=($!)
done

# A search plans with the nodes that are there when it begins.
timeout 300 python -c '
import sys, time, ray
ray.init(log_to_driver=False, logging_level="error")
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[1]):
    time.sleep(1)
' "${#nodes[@]}" || echo "not all nodes have joined within five minutes; going on with those that have" >&2

dferc "$@" &
driver=$!
status=0
while :; do
    before=$interruptions
    wait "$driver" && status=0 || status=$?
    ((interruptions > before)) || break # the command has ended; otherwise only our wait for it has
done
if [[ $interrupted == INT && $status == 130 ]]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
