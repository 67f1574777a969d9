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
"$python" benchmarks/feed.py
"$python" benchmarks/closed_loop.py --seconds 60
"$python" benchmarks/closed_loop.py --seconds 60 --robot bimanual_wx250s
"$python" benchmarks/soak.py --minutes 30      # root and libfaketime for all of its faults
"$python" benchmarks/recording.py --seconds 600
"$python" benchmarks/recording.py --seconds 120 --images raw   # 10 GB of room in the temporary folder
"$python" benchmarks/crash.py --runs 200       # root for its disks
"$python" benchmarks/crash_recorder.py --runs 200
"$python" -m lapa_core.cli demo --record 150 --speed 2 --out afternoon
"$python" benchmarks/released_7b.py --folder "${1:?a folder with 30 GB free}"
