# The commands of the project. Each sets up .venv itself, the first time and after changes.
PY := .venv/bin/python
ROBOT ?= wx250s
SECONDS ?= 60
SPLIT ?= seen
OUT ?= demo_out
export MUJOCO_GL ?= egl

.PHONY: help setup demo test test-slow check colcon clean

help:
	@echo "make demo    closed loop in simulation: real nodes over DDS, $(SECONDS) s, results in $(OUT)/"
	@echo "             ROBOT=$(ROBOT) SECONDS=$(SECONDS) SPLIT=$(SPLIT) CHECKPOINT=$(CHECKPOINT)"
	@echo "make test    every test but the slow proofs     make test-slow  the slow proofs"
	@echo "make check   lint, types and the fast tests     make clean      remove .venv and results"

setup:
	@tools/setup.sh

demo: setup
	@$(PY) -m lapa_core.cli demo --robot $(ROBOT) --seconds $(SECONDS) --split $(SPLIT) \
		--out $(OUT) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT))

# Messages that no wheel carries are built for the tests, where there is a C++ compiler.
# The core's tests compute, and those of ROS wait: two processes each. Some of ROS keep time so
# strictly that they have the machine to themselves.
# The "ci" profile draws the same examples every time; the slow proofs and `make check` draw new ones.
test: setup
	$(PY) tools/build_test_interfaces.py --if-possible
	$(PY) -m pytest -m "not slow" --hypothesis-profile=ci -n 2 -q test/core
	$(PY) -m pytest -m "not slow and not alone" --hypothesis-profile=ci -n 2 --dist loadfile -q \
		test/ros test/launch
	$(PY) -m pytest -m "alone and not slow" --hypothesis-profile=ci test/ros

test-slow: setup
	$(PY) tools/build_test_interfaces.py --if-possible
	$(PY) -m pytest -m slow test

check: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q -m "not slow and not torch and not ros and not sim" test

clean:
	rm -rf .venv build install log $(OUT)
