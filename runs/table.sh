#!/bin/sh
# Is video nobody labelled worth something? Policies of few demonstrations, begun from nothing
# (Scratch), from latent actions of video (LAPA), from motions that an inverse dynamics model
# of those same demonstrations tells of it (VPT) and from its true motions (ActionVLA), and the plan
# in pictures that this model then follows (UniPi), in the same scenes.
#   runs/table.sh FOLDER [SIZE] [ROBOT]   SIZE: gpu (default), cpu (two cores, some 4.5 hours, 6 GB)
#                                         or debug (by the tests); ROBOT: of the video; wx250s, as in
#                                         the demonstrations, or vx300s: another embodiment
# Every stage goes on where it stopped. The tables of each number of demonstrations, and each policy
# beside Scratch, are left in FOLDER/ROBOT/eval-NUMBER.txt.
set -eu
cd "$(dirname "$0")/.."
work=${1:?a folder with room for the recordings}
robot=${3:-wx250s}
lapa="${PYTHON:-.venv/bin/python} -m lapa_core.cli"
export MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONPATH=.
vqgan=models/lapa-micro/vqgan
state="wx250s/target_x wx250s/target_y wx250s/target_z wx250s/target_yaw wx250s/gripper"

case ${2:-gpu} in
gpu)
    videos=10000 sizes="25 50 150 500" trials=100 workers=12 preset=micro
    laq="--steps 20000 --batch 128" idm="--steps 6000" pretraining="--steps 40000 --batch 128"
    training="--steps 20000 --batch 64"
    imagining=base unipi="" unipi_on="--steps 5000"
    ;;
cpu)
    videos=1000 sizes="50 150" trials=16 workers=2 preset=micro
    laq="--steps 1500 --threads 2" idm="--steps 600 --threads 2" pretraining="--steps 4000 --threads 2"
    training="--steps 2000 --threads 2"
    imagining=micro unipi="--steps 3000 --threads 2" unipi_on="--steps 500 --threads 2"
    ;;
debug)
    videos=6 sizes="3 6" trials=1 workers=1 preset=debug
    laq="" idm="" pretraining="" training=""
    imagining=debug unipi="" unipi_on=""
    ;;
*)
    echo "runs/table.sh: unknown size '$2'; valid: gpu, cpu, debug" >&2
    exit 2
    ;;
esac
step() { echo; echo "== $(date -u '+%H:%M:%S') $*"; }
most=$(echo "$sizes" | tr ' ' '\n' | sort -n | tail -n 1)
here=$work/$robot
mkdir -p "$here"

step "demonstrate: $most with motions, $videos to be watched"
$lapa collect "$work/demos-$most" --episodes "$most" --seed 11 --disturb 0.08 --workers $workers
$lapa collect "$here/video" --robot "$robot" --episodes $videos --seed 12 --workers $workers
for count in $sizes; do
    if [ "$count" = "$most" ]; then continue; fi
    mkdir -p "$work/demos-$count"
    find "$work/demos-$most" -maxdepth 1 -name 'episode_*' | sort | head -n "$count" |
        while read -r each; do ln -sfn "$(realpath "$each")" "$work/demos-$count/"; done
done

# labels NAME ARGUMENTS: shards of the video, and the model that has learnt to predict their codes.
labels() {
    name=$1
    shift
    step "pretrain $name"
    $lapa label "$here/video" --vqgan "$vqgan" --no-center-crop --workers $workers \
        --output "$here/shards-$name" "$@"
    $lapa pretrain latent "$here/shards-$name" --from scratch --preset $preset --vqgan "$vqgan" \
        --codebook --clean --resume --output "$here/latent-$name" $pretraining
}
step "latent actions"
$lapa pretrain laq "$here/video" --preset $preset --cache "$here/frames" --workers $workers \
    --resume --output "$here/laq" $laq
labels lapa --laq "$here/laq"
for count in $sizes; do
    step "an inverse dynamics model of $count demonstrations"
    $lapa pretrain idm "$work/demos-$count" --preset $preset --workers $workers --resume \
        --cache "$work/frames" --output "$work/idm-$count" $idm
    labels "vpt-$count" --idm "$work/idm-$count"
done
labels actionvla --idm "$work/idm-$most" --true
step "pretrain unipi"
$lapa pretrain unipi "$here/video" --preset "$imagining" --cache "$here/small" --workers $workers \
    --resume --output "$here/planner" $unipi

# policy NAME COUNT ARGUMENTS: of so many demonstrations, from what the arguments say.
policy() {
    name=$1-$2 demos=$work/demos-$2
    shift 2
    step "learn to act: $name"
    $lapa finetune "$demos" --state $state --no-center-crop --variants 1 --workers $workers \
        --cache "$work/demos.tokens" --resume --output "$here/$name" --preset $preset $training "$@"
}
for count in $sizes; do
    policy scratch "$count" --from scratch --vqgan "$vqgan" --codebook
    policy lapa "$count" --from "$here/latent-lapa" --read-steps 0
    policy vpt "$count" --from "$here/latent-vpt-$count" --read-steps 0
    policy actionvla "$count" --from "$here/latent-actionvla" --read-steps 0
    step "learn to act: unipi-$count"
    $lapa pretrain unipi "$work/demos-$count" --from "$here/planner" --idm "$work/idm-$count" \
        --preset "$imagining" --cache "$work/small" --workers $workers --resume \
        --output "$here/unipi-$count" $unipi_on
    step "evaluate: the same scenes, the same sentences, each beside Scratch"
    $lapa eval "$here/scratch-$count" "$here/lapa-$count" "$here/vpt-$count" \
        "$here/actionvla-$count" "$here/unipi-$count" --suite seen --episodes $trials --workers $workers \
        --out "$here/eval-$count" > "$here/eval-$count.txt"
done
for count in $sizes; do
    echo "$count demonstrations"
    cat "$here/eval-$count.txt"
done
step "done"
