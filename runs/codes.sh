#!/bin/sh
# Do latent actions collapse? Five seeds of our quantiser and of the reference's recipe on the same
# video, and what became of their codes.
#   runs/codes.sh FOLDER VIDEO [SIZE]   VIDEO: as of lapa pretrain laq, such as the demonstrations of
#                                       runs/micro.sh; SIZE: gpu (default), cpu (two cores, some
#                                       10 minutes a seed and recipe) or debug (by the tests)
# Then, with the first seed, ours with each of OPTIONS (NAME=VALUE of lapa pretrain laq; default those
# that help others; motion-weight needs our recorder's bags, view-weight such with several cameras).
# Every training goes on where it stopped. The table is left in FOLDER/codes.md.
set -eu
cd "$(dirname "$0")/.."
work=${1:?a folder}
video=${2:?videos, bags or folders of frames}
python=${PYTHON:-.venv/bin/python}
export PYTHONPATH=.
seeds="1 2 3 4 5"
options=${OPTIONS-"change-weight=0.5 motion-weight=0.1"}
case ${3:-gpu} in
gpu) common="--preset micro --steps 20000 --batch 128 --workers 12" ;;
cpu) common="--preset micro --steps ${STEPS:-1500} --validate-every 500 --workers 2 --threads 2" ;;
debug)
    common="--preset debug --workers 1"
    seeds="1 2"
    ;;
*)
    echo "runs/codes.sh: unknown size '$3'; valid: gpu, cpu, debug" >&2
    exit 2
    ;;
esac
mkdir -p "$work"
set --
# train NAME SEED ARGUMENTS: a quantiser in FOLDER/NAME-SEED.
train() {
    name=$1-$2 seed=$2
    shift 2
    echo "== $(date -u '+%H:%M:%S') $name"
    "$python" -m lapa_core.cli pretrain laq "$video" --output "$work/$name" --seed "$seed" \
        --cache "$work/frames" --resume $common "$@"
}
for seed in $seeds; do
    for recipe in steady reference; do
        train $recipe "$seed" --quantiser $recipe
        set -- "$@" "$work/$recipe-$seed"
    done
done
for option in $options; do
    train "${option%%=*}" 1 "--$option"
    set -- "$@" "$work/${option%%=*}-1"
done
"$python" benchmarks/codes.py "$@" --out "$work" > "$work/codes.md"
cat "$work/codes.md"
