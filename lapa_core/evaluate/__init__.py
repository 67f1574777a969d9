# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How good a policy is, with error bars. No ROS; torch only where a policy is made.

==============  ====================================================================
statistics      Wilson's interval, paired differences, the exact sign test
suites          which trials: a small YAML, in simulation or for a person at an arm
scores          one trial's result: a line of JSON
results         a folder of them, continued after any end
table           rates by split and task: terminal, Markdown, JSON; `page` is the HTML
compare         two policies over identical starts
actors, rollout a policy or the script in the closed loop of `lapa_core.sim.cell`
workers         processes that run trials
films           what failed, as video
openloop        predicted against recorded actions; `plots` draws them
evaluation      one policy through a suite; `command` is `lapa eval` itself
live            what goes over topics: trial, outcome, an operator's status
session         a person at a real arm: begin, end, did it work, next
==============  ====================================================================
"""
