# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""ROS 2 nodes around `lapa_core`: parameters, messages, timers - no logic of arms or models.

interface    every topic and service: name, type, unit, QoS; the only place they are written
convert      arrays -> messages, stamps
decoder      image messages -> RGB through cv_bridge where it works, else our own decoder
params       dataclass -> declared parameters with ranges -> dataclass
runtime      `main` of every node: start, spin, clean end
environment  the DDS profile and memory variables that keep camera frames whole
offscreen    MuJoCo renders without a screen
processes    our nodes as processes, for the demo and the tests
launching    what the launch files share
backends     joint commands to a driver
diagnostics  rates, ages and reasons to /diagnostics
sim_node     the simulated robot and its cameras, behind a driver's interface
arm_node     alone moves the arm: authority, safety, watchdog; authority_log writes its changes
viz_node     the predicted chunk, the workspace and the authority for RViz, built by markers
doctor       `lapa doctor`: what is running, measured, and what to mend
policy_node  frames and words -> end-effector deltas
decider      when to decide, and on which frames: the loop of the inference thread
demo         the three nodes together for a minute: demo_monitor watches them and fills a
             demo_record, of which demo_video, demo_plot and demo_report are made
"""
