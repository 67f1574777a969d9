# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What `dashboard_node` is made of: topics on one side, the page of `lapa_core.view` on the other.

taps     streams that are looked at, not listened to
live     the robot, its pictures and the drag handles, twenty times a second while a page is open
caller   services: asynchronous, with a deadline, the answer shown
estop    the estop, on a way of its own
panels   buttons, keys, texts
"""
