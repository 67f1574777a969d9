#!/bin/sh
# The published CPU numbers of this release: model speed, closed loop, the 7B path at full size.
#   runs/cpu.sh FOLDER_WITH_30_GB_FREE
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export PYTHONPATH=.
"$python" benchmarks/inference.py --preset 200m
"$python" benchmarks/inference.py --preset micro --threads 1
"$python" benchmarks/control.py
"$python" benchmarks/closed_loop.py --seconds 60
"$python" benchmarks/closed_loop.py --seconds 60 --robot bimanual_wx250s
"$python" benchmarks/soak.py --minutes 30      # root and libfaketime for all of its faults
"$python" benchmarks/released_7b.py --folder "${1:?a folder with 30 GB free}"
