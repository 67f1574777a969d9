#!/bin/sh
# Is video nobody labelled worth something? Policies of few demonstrations, begun from nothing
# (scratch), from latent actions of video (lapa), from motions that an inverse dynamics model of
# those demonstrations tells of it (vpt), from its true motions (actionvla), from latent actions
# without having to tell what will change (plain), from having read its pictures alone (read), and the
# plan in pictures that the inverse dynamics model then follows (unipi), in the same scenes.
#   runs/table.sh FOLDER [SIZE] [ROBOT]   SIZE: gpu (default), cpu (two cores; reckoned 4 to 5 hours;
#                                         without unipi, and the rivals of 150 demonstrations alone)
#                                         or debug (by the tests); ROBOT: of the video; wx250s, as in
#                                         the demonstrations, or vx300s: another embodiment
# TASKS (default: knock) says which; with few demonstrations from nothing the others stay at zero.
# The tokenizer of pictures is the shipped one, which has seen demonstrations of all tasks. Every
# stage goes on where it stopped, but does not see that one before it has become another: give other
# sizes another FOLDER. Tables are left in NAME-COUNT.txt beside the policies, the comparisons over
# the same starts in FOLDER/ROBOT/compared-COUNT.txt.
set -eu
cd "$(dirname "$0")/.."
work=${1:?a folder with room for the recordings}
robot=${3:-wx250s}
tasks=${TASKS:-knock}
lapa="${PYTHON:-.venv/bin/python} -m lapa_core.cli"
export MUJOCO_GL="${MUJOCO_GL:-egl}" PYTHONPATH=.
vqgan=models/lapa-micro/vqgan
state="wx250s/target_x wx250s/target_y wx250s/target_z wx250s/target_yaw wx250s/gripper"

# sizes: of demonstrations; full: those of which the rivals are made too. What is pretrained goes on
# at half the rate of what begins from nothing, as runs/micro.sh does.
case ${2:-gpu} in
gpu)
    videos=10000 sizes="25 50 150 500" full="25 50 150 500" trials=300 workers=12 preset=micro
    laq="--steps 20000 --batch 128" idm="--steps 6000" pretraining="--steps 40000 --batch 128"
    training="--steps 20000 --batch 64" onward="--lr 5e-4"
    imagining=base unipi="" unipi_on="--steps 5000"
    ;;
cpu)
    videos=3000 sizes="50 150 500" full="150" trials=150 workers=2 preset=micro
    laq="--steps 1500 --threads 2" idm="--steps 600 --threads 2"
    pretraining="--steps 10000 --threads 2" training="--steps 2000 --threads 2" onward="--lr 5e-4"
    imagining=""
    ;;
debug)
    videos=6 sizes="3 6" full="6" trials=1 workers=1 preset=debug
    laq="" idm="" pretraining="" training="" onward=""
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
suite=$work/suite.yaml
mkdir -p "$here"
printf 'max_s: 10\ntrials:\n' > "$suite"
for task in $tasks; do
    printf -- '- split: seen\n  task: %s\n  episodes: %s\n' "$task" "$trials" >> "$suite"
done

step "demonstrate: $most with motions, $videos to be watched"
collect="$lapa collect --tasks $tasks --disturb 0.08 --workers $workers"
$collect "$work/demos" --episodes "$most" --seed 11
$collect "$here/video" --robot "$robot" --episodes $videos --seed 12
for count in $sizes; do
    mkdir -p "$work/demos-$count"
    find "$work/demos" -maxdepth 1 -name 'episode_*' | sort | head -n "$count" |
        while read -r each; do ln -sfn "$(realpath "$each")" "$work/demos-$count/"; done
done

# latent NAME SHARDS ARGUMENTS: a model that has learnt to predict these shards' codes.
latent() {
    name=$1 shards=$2
    shift 2
    $lapa pretrain latent "$here/shards-$shards" --from scratch --preset $preset --vqgan "$vqgan" \
        --codebook --clean --resume --output "$here/latent-$name" "$@"
}
# labels NAME ARGUMENTS: shards of the video, and that model of them.
labels() {
    name=$1
    shift
    step "pretrain $name"
    $lapa label "$here/video" --vqgan "$vqgan" --no-center-crop --workers $workers \
        --output "$here/shards-$name" "$@"
    latent "$name" "$name" $pretraining
}
step "latent actions"
$lapa pretrain laq "$here/video" --preset $preset --cache "$here/frames" --workers $workers \
    --resume --output "$here/laq" $laq
labels lapa --laq "$here/laq"
step "pretrain read: pictures, and hardly an update more"
latent read lapa --steps 2 --warmup 1
step "pretrain plain"
latent plain lapa --point-weight 0 $pretraining
for count in $full; do
    step "an inverse dynamics model of $count demonstrations"
    $lapa pretrain idm "$work/demos-$count" --preset $preset --workers $workers --resume \
        --cache "$work/frames" --output "$work/idm-$count" $idm
    labels "vpt-$count" --idm "$work/idm-$count"
done
labels actionvla --idm "$work/idm-${full##* }" --true
if [ -n "$imagining" ]; then
    step "pretrain unipi"
    $lapa pretrain unipi "$here/video" --preset "$imagining" --cache "$here/small" \
        --workers $workers --resume --output "$here/planner" $unipi
fi

# judge FOLDER: the same scenes and sentences for each.
judge() {
    step "evaluate ${1##*/}"
    $lapa eval "$1" --suite "$suite" --workers $workers --out "$1.eval" > "$1.txt"
}
# policy FOLDER COUNT ARGUMENTS: of so many demonstrations, from what the arguments say; judged.
policy() {
    made=$1-$2 demos=$work/demos-$2
    shift 2
    step "learn to act: ${made##*/}"
    $lapa finetune "$demos" --state $state --no-center-crop --variants 1 --workers $workers \
        --cache "$work/demos.tokens" --resume --output "$made" --preset $preset $training "$@"
    judge "$made"
}
# rivals COUNT: those that are not made of every size.
rivals() {
    policy "$here/read" "$1" --from "$here/latent-read" $onward
    policy "$here/plain" "$1" --from "$here/latent-plain" $onward
    policy "$here/vpt" "$1" --from "$here/latent-vpt-$1" $onward
    policy "$here/actionvla" "$1" --from "$here/latent-actionvla" $onward
    if [ -n "$imagining" ]; then
        step "learn to act: unipi-$1"
        $lapa pretrain unipi "$work/demos-$1" --from "$here/planner" --idm "$work/idm-$1" \
            --preset "$imagining" --cache "$work/small" --workers $workers --resume \
            --output "$here/unipi-$1" $unipi_on
        judge "$here/unipi-$1"
    fi
}
# against COUNT: lapa beside every other, over the same starts.
against() {
    for other in "$work/scratch-$1" "$here/read-$1" "$here/plain-$1" "$here/vpt-$1" \
        "$here/actionvla-$1" "$here/unipi-$1"; do
        if [ -d "$other.eval" ]; then $lapa eval --compare "$other.eval" "$here/lapa-$1.eval"; fi
    done > "$here/compared-$1.txt"
    cat "$here/compared-$1.txt"
}
for count in $sizes; do
    policy "$work/scratch" "$count" --from scratch --vqgan "$vqgan" --codebook
    policy "$here/lapa" "$count" --from "$here/latent-lapa" $onward
    case " $full " in *" $count "*) rivals "$count" ;; esac
    step "$count demonstrations"
    against "$count"
done
step "done"
