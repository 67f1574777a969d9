# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What `dashboard_node` is made of: topics on one side, the page of `lapa_core.view` on the other.

taps     streams that are looked at, not listened to
live     the robot and its pictures, twenty times a second while a page is open
driving  the drag handles, and the goals that go out for them
caller   services: asynchronous, with a deadline, the answer shown
estop    the estop, on a way of its own
buttons  buttons and keys, and what each asks for
evaluation  what a person who evaluates a policy sees and answers
panels   where they stand, inputs, texts
"""
