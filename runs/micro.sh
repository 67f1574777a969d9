#!/bin/sh
# Makes models/lapa-micro, with nothing by hand: scripted demonstrations in the recorder's format,
# the image tokenizer, a policy; then, once or twice, demonstrations of how to make up for what that
# policy does, and the policy that learns from all of them; its figures. Every stage goes on where it
# stopped.
#   runs/micro.sh FOLDER [SIZE]      SIZE: gpu (default; 60 GB of room), cpu (two cores, some 2.5
#                                    hours by its stages, 8 GB) or debug (2 minutes, by the tests)
# The checkpoint is left in FOLDER/lapa-micro, its evaluation in FOLDER/eval.
set -eu
cd "$(dirname "$0")/.."
work=${1:?a folder with room for the demonstrations}
lapa="${PYTHON:-.venv/bin/python} -m lapa_core.cli"
export MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONPATH=.
state="wx250s/target_x wx250s/target_y wx250s/target_z wx250s/target_yaw wx250s/gripper"

case ${2:-gpu} in
gpu)
    episodes=50000 corrections=20000 rounds=2 workers=12 trials=200
    tokenizer="--minutes 20"
    common="--preset micro --batch 128"
    training="--steps 60000" more="--steps 30000"
    ;;
cpu)
    episodes=4500 corrections=400 rounds=1 workers=2 trials=12
    tokenizer="--minutes 14 --decoder-share 0.15 --threads 2"
    common="--preset micro --threads 2"
    training="--steps 10000" more="--steps 3000"
    ;;
debug)
    episodes=12 corrections=2 rounds=2 workers=1 trials=1
    tokenizer="--steps 20 --threads 1 --codes 64 --pictures 100"
    common="--preset debug --threads 1"
    training="--size debug" more=""
    ;;
*)
    echo "runs/micro.sh: unknown size '$2'; valid: gpu, cpu, debug" >&2
    exit 2
    ;;
esac
step() { echo; echo "== $(date -u '+%H:%M:%S') $*"; }

mkdir -p "$work"
step "demonstrate"
$lapa collect "$work/demos" --episodes $episodes --seed 1 --disturb 0.08 --workers $workers
step "learn to see"
if [ -d "$work/vqgan" ]; then  # written when it is whole; to resume would read all pictures again
    echo "the image tokenizer in $work/vqgan is taken as it is"
else
    $lapa pretrain vqgan "$work/demos" --output "$work/vqgan" --seed 1 --resume $tokenizer
fi
step "learn to act"
$lapa finetune "$work/demos" --from scratch --vqgan "$work/vqgan" --codebook --state $state \
    --no-center-crop --variants 1 --workers $workers --resume --output "$work/policy-0" \
    $common $training
set --  # the corrections so far
for round in $(seq $rounds); do
    step "demonstrate how to make up for what policy $((round - 1)) does"
    $lapa collect "$work/corrections-$round" --policy "$work/policy-$((round - 1))" \
        --episodes $corrections --seed $((100 + round)) --workers $workers
    set -- "$@" "$work/corrections-$round"
    step "learn from that too"
    $lapa finetune "$work/demos" --also "$@" --also-times 4 --from "$work/policy-$((round - 1))" \
        --action-head keep --lr 5e-4 --variants 1 --workers $workers --resume \
        --output "$work/policy-$round" $common $more
done
step "evaluate"
rm -rf "$work/lapa-micro"
cp -r "$work/policy-$rounds" "$work/lapa-micro"
$lapa eval "$work/lapa-micro" --suite full --episodes $trials --workers $workers --out "$work/eval"
step "done"
