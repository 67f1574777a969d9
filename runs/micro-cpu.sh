#!/bin/sh
# The CPU twin of runs/micro.sh: two cores, under 3 hours.
#   runs/micro-cpu.sh FOLDER_WITH_6_GB_FREE
exec "$(dirname "$0")/micro.sh" "${1:?a folder with 6 GB free}" cpu
