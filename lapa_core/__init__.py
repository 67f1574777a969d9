# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""LAPA without ROS: an Observation becomes an ActionChunk, a chunk becomes a safe joint command.

Nothing in this package imports ROS, and importing this file imports nothing else.

=============  ==========================================================  ==================
module         what it does                                                may import
=============  ==========================================================  ==================
errors         the named errors a user can act on                          nothing of ours
paths          where robots, URDFs and models lie, installed or not        errors
types          Observation, ActionChunk, RobotState                        errors
robot          one robot read from YAML and checked                        errors, paths, types
description    a URDF -> its joints and a MuJoCo model (urdf, meshes)      the above, mujoco
rigid          which links move as one piece, which may overlap            description
data           messages, images and buffers of a robot's streams           the above, numpy
recording      episodes on disk, none lost                                 errors, robot, data
audit          what is wrong with a recording, live and afterwards         the above
control        ActionChunk -> joint command, or a hold with its reason     the above, mink
teleop         what a person's hand does -> the next delta, or none        control, description
sim            the MuJoCo twin of a robot                                  the above, mujoco
view           a page in the browser: scene, lights, gate, playback        the above, viser
model          VQGAN, LAPA, tokens, checkpoints of the reference           errors, types, torch
policy         Observation -> ActionChunk, fast                            model, data
train          demonstrations -> a policy; pictures -> an image tokenizer  the above, accelerate
evaluate       how good a policy is, with error bars                       the above
export         demonstrations in other software's formats                  data
film           pictures with text on them -> mp4                           types, av
crew           a pool of processes that end with their parent              errors
cli            the `lapa` command; imports each part only when asked       everything
=============  ==========================================================  ==================
"""

__version__ = "0.1.0"
