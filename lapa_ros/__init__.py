# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""ROS 2 nodes around `lapa_core`: parameters, messages, timers - no logic of arms or models.

interface    every topic and service: name, type, unit, QoS; the only place they are written
convert      arrays -> messages, stamps
decoder      image messages -> RGB through cv_bridge where it works, else our own decoder
params       dataclass -> declared parameters with ranges -> dataclass
runtime      `main` of every node: start, spin, clean end
clock        the computer's steady clock, or a simulation's
environment  the DDS profile and memory variables that keep camera frames whole
offscreen    MuJoCo renders without a screen
processes    our nodes as processes, for the demo and the tests
launching    what the launch files share
backends     joint commands to a driver
diagnostics  rates, ages and reasons to /diagnostics
sim_node     the simulated robot and its cameras, behind a driver's interface; sim_trials
             lays out and judges trials in it
arm_node     alone moves the arm: authority, safety, watchdog; authority_log writes its changes
demonstrator a script at the simulated arm, behind `teleop/ee_delta`
teleop_node  devices in a person's hands -> end-effector deltas; teleop has its inputs
recorder_node  raw bags of episodes; recording has its topics, subscriptions and facts
dashboard_node the page in the browser; dashboard has its parts and the gate before it
viz_node     the predicted chunk, the workspace and the authority for RViz, built by markers
replay       `lapa replay`: an episode's deltas through the controller; replay_player sends them
evaluate     `lapa eval --ros`: a suite's trials through the nodes; evaluation has its parts
evaluate_node a person at a real arm begins trials and answers how they went
doctor       `lapa doctor`: what is running, measured, and what to mend
policy_node  frames and words -> end-effector deltas
decider      when to decide, and on which frames: the loop of the inference thread
demo         the three nodes together for a minute: demo_checkpoint says which model, demo_drive
             starts and ends it, demo_trials gives it scenes and sentences; demo_monitor watches
             and fills a demo_record, of which demo_video, demo_plot and demo_report (with
             demo_tally and demo_text) are made;
             demo_recording lets the demonstrator act and presses the recorder's buttons
"""
