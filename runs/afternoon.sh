#!/bin/sh
# An afternoon at an arm, without a person and without an arm: demonstrations recorded through the
# real nodes, inspected, learnt from, evaluated, and the policy back in the nodes. Every stage that
# is done is passed over when it is started again.
#   runs/afternoon.sh FOLDER [EPISODES]      2 GB of room; EPISODES default 150
set -eu
cd "$(dirname "$0")/.."
work=${1:?a folder with room for the recordings}
episodes=${2:-150}
lapa="${PYTHON:-.venv/bin/python} -m lapa_core.cli"
export MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONPATH=.
start=models/lapa-micro
step() { echo; echo "== $(date -u '+%H:%M:%S') $*"; }

mkdir -p "$work"
step "record $episodes demonstrations of another table, with bricks half as high"
[ -f "$work/recorded/recording.json" ] ||
    $lapa demo --record "$episodes" --speed 2 --seed 100 --out "$work/recorded"
step "inspect them"
$lapa inspect "$work/recorded/episodes" --html "$work/inspect.html" | tail -n 20
step "go on from $start with them"
$lapa finetune "$work/recorded/episodes" --from $start --output "$work/policy" --resume \
    --preset micro --action-head keep --variants 1 --workers 2 --steps "${STEPS:-3000}" --lr 3e-4 --threads 2 \
    --validate-every 500 --save-every 500
step "evaluate before and after: the same scenes, the same sentences"
$lapa eval $start "$work/policy" --suite runs/afternoon.yaml --episodes "${TRIALS:-50}" --workers 2 \
    --out "$work/eval"
step "deploy: the policy in the real nodes"
$lapa demo --checkpoint "$work/policy" --seconds 60 --out "$work/deployed"
step "done"
