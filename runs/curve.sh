#!/bin/sh
# How many demonstrations does it take? The recipe of runs/micro.sh on the first N of its
# demonstrations, with its image tokenizer, in the same scenes.
#   runs/curve.sh FOLDER N [N ...]     FOLDER: of a run of runs/micro.sh
#   STEPS, TRIALS, SUITE, THREADS      updates (default 12500), trials an item (100), suite (seen),
#                                      threads (2)
# The rows are left in FOLDER/curve/N/eval.
set -eu
cd "$(dirname "$0")/.."
work=${1:?the folder of a run of runs/micro.sh}
shift
lapa="${PYTHON:-.venv/bin/python} -m lapa_core.cli"
export MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONPATH=.
state="wx250s/target_x wx250s/target_y wx250s/target_z wx250s/target_yaw wx250s/gripper"

for count in "$@"; do
    here=$work/curve/$count
    mkdir -p "$here/demos"
    find "$work/demos" -maxdepth 1 -name 'episode_*' | sort | head -n "$count" |
        while read -r episode; do ln -sfn "$(realpath "$episode")" "$here/demos/"; done
    $lapa finetune "$here/demos" --from scratch --vqgan "$work/vqgan" --codebook \
        --output "$here/policy" --cache "$work/demos.tokens" --state $state --no-center-crop \
        --variants 1 --workers 2 --resume --preset micro --steps "${STEPS:-12500}" --threads "${THREADS:-2}"
    $lapa eval "$here/policy" --suite "${SUITE:-seen}" --episodes "${TRIALS:-100}" --workers 2 \
        --out "$here/eval"
done
