#!/bin/sh
# Makes models/lapa-micro, with nothing by hand: scripted demonstrations in the recorder's format,
# the image tokenizer, the policy, its figures. Every stage goes on where it stopped.
#   runs/micro.sh FOLDER [SIZE]      SIZE: gpu (default; 40 GB of room), cpu (two cores, under
#                                    3 hours, 6 GB) or debug (under 2 minutes, run by the tests)
# The checkpoint is left in FOLDER/lapa-micro, its evaluation in FOLDER/eval.
set -eu
cd "$(dirname "$0")/.."
work=${1:?a folder with room for the demonstrations}
lapa="${PYTHON:-.venv/bin/python} -m lapa_core.cli"
export MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONPATH=.
state="wx250s/x wx250s/y wx250s/z wx250s/yaw wx250s/gripper"

case ${2:-gpu} in
gpu)
    episodes=50000 workers=12 trials=200
    tokenizer="--minutes 20"
    training="--preset micro --steps 60000 --batch 128 --precision bfloat16"
    ;;
cpu)
    episodes=9000 workers=2 trials=100
    tokenizer="--minutes 20 --threads 2"
    training="--preset micro --steps 50000 --precision bfloat16 --threads 2"
    ;;
debug)
    episodes=12 workers=1 trials=1
    tokenizer="--steps 20 --threads 1 --codes 64 --pictures 100"
    training="--preset debug --size debug --threads 1"
    ;;
*)
    echo "runs/micro.sh: unknown size '$2'; valid: gpu, cpu, debug" >&2
    exit 2
    ;;
esac

mkdir -p "$work"
$lapa collect "$work/demos" --episodes $episodes --seed 1 --disturb 0.08 --workers $workers
$lapa pretrain vqgan "$work/demos" --output "$work/vqgan" --seed 1 --resume $tokenizer
$lapa finetune "$work/demos" --from scratch --vqgan "$work/vqgan" --codebook --output "$work/lapa-micro" \
    --state $state --no-center-crop --variants 1 --workers $workers --resume $training
$lapa eval "$work/lapa-micro" --suite full --episodes $trials --workers $workers --out "$work/eval"
