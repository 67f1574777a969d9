#!/bin/sh
# Everything that is due where there is a CUDA device, in one call: tests, speed, the 7B path.
# Results land in benchmarks/results/ with the device's name and the date.
#   runs/gpu.sh FOLDER_WITH_30_GB_FREE          CPU twin: runs/cpu.sh
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export PYTHONPATH=.
"$python" -m pytest -q -m gpu test
"$python" benchmarks/inference.py --preset 200m --device cuda
"$python" benchmarks/inference.py --preset 7b --device cuda --dtype bfloat16
"$python" benchmarks/released_7b.py --folder "${1:?a folder with 30 GB free}" --device cuda
"$python" benchmarks/train_7b.py --method qlora lora --batch 4 --cap 24
"$python" benchmarks/train_7b.py --method full --batch 8
