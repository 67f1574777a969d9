# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The LAPA model and what it reads and writes; knows nothing of robots' motion or of ROS.

================  ====================================================================
module            what it does
================  ====================================================================
vocabulary        ids, tables and the prompt: the only place they are written
tokenizer         text <-> ids
action_tokenizer  actions <-> tokens
configuration     sizes of the networks, and the presets
vqgan             image <-> 256 codes
lapa              the Llama backbone with four tables and heads
rotary, cache     its angles and its keys and values
interface         what a checkpoint was made for: robot, cameras, step time
headers, strict   names and shapes of stored tensors, compared before they are loaded
checkpoint        the folder that holds all of the above
fresh             such a folder with random weights
convert           the reference's released files -> such a folder
================  ====================================================================
"""
