# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Messages, images and buffers of a robot's streams; NumPy and OpenCV only, no torch, no ROS.

images     the only decoder, resize and normaliser of pictures
messages   ROS messages (rclpy's or any object of that shape) <-> arrays
bags       any rosbag2 recording: topics, messages in log order, also of a damaged one
cdr        serialised messages: decoded by the bag's own definitions, stamps without decoding
mcap_file, rosbags_file    the two kinds of files behind `bags`
timeline   the newest sample of a stream, its age, rate and gaps
observe, state    what a decision looks at: the same code live and from a bag
episodes, streams    an episode's folder opened; a bag's streams as they arrived
labels, tracks, samples    what the arm was told, and the samples that a policy learns from
mapping, mapped_bag, translate    bags of others, shown as ours
demos, demo_file, report, cuts, augment    demonstrations as training reads them, what was left out
aims, spoken, views    where a tool acts next, what is said of that, and where a camera sees it
statistics, bins, gripper_checks    bins of the actions, and what they lose
reference_json, reference_demos    the reference's own files
replay, jumps, ways    what to send to replay an episode; how far apart two paths are
"""
