# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa doctor`: measures what is running and says what to mend, first things first.

It looks and listens only: it publishes nothing, and the one service it calls (`get_robot_info`)
changes nothing. Every check is a function that returns findings; only `report` prints.

finding    one thing found: level, what, measured, expected, advice
system     the computer: kind, cores, memory, disk                        no ROS
dds        the environment DDS runs in, shared memory, socket buffers     no ROS
usb        serial ports of the servos: rights, latency                    no ROS
compute    torch, GPU, the checkpoint and what it needs                   no ROS
setup      the robot file, its URDFs, message packages of the backend     no ROS
streams    joint states: names, rate, age, gaps, plausibility             no ROS
pictures   camera frames: kind, size, rate, age, losses, content          no ROS
listen     the node that hears all this
graph      who publishes and listens where: rivals, our own nodes
driver     what the arm's driver offers and how it is set up
report     lines, JSON, exit code
main       the order of it all
"""
