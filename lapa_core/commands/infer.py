# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa infer`: image files, an instruction, a state -> codes, and the action they mean."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lapa_core.data import images, spoken
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.checkpoint import DTYPES, Checkpoint, read_interface
from lapa_core.policy.policy import STAGES, Policy, Prediction
from lapa_core.types import AXES, UNITS, ImageArray

# Modes of 8 bits a channel; PIL would cut 16-bit or float pictures off instead of scaling them.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
JPEG = b"\xff\xd8\xff"


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Infer once and print."""
    _add_arguments(parser)
    args = parser.parse_args(argv)
    interface = read_interface(args.checkpoint)
    files = image_files(args.image, interface.cameras)
    pictures = [read_image(files[camera]) for camera in interface.cameras]
    state = state_values(args.state, interface.state)
    checkpoint = Checkpoint.from_pretrained(args.checkpoint, device=args.device, dtype=args.dtype)
    if args.reference_eos and interface.kind != "latent":
        raise ConfigError("--reference-eos is a habit of latent models; this is an action model")
    if args.bins:
        checkpoint.actions = ActionTokenizer.from_csv(args.bins, interface.dimensions)
    policy = Policy(
        checkpoint,
        sample=args.sample,
        seed=args.seed,
        center_crop=args.center_crop,
        reference_eos=args.reference_eos,
    )
    policy.warm_up()  # so that the times are those of a running policy
    prediction = policy.predict(pictures, args.instruction, state)
    result = describe(policy, prediction)
    print(json.dumps(result) if args.json else as_text(result))
    if args.dump:
        dump(args.dump, prediction)
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="checkpoint folder")
    parser.add_argument(
        "--image", nargs="+", required=True, metavar="[CAMERA=]FILE",
        help="picture file, with the camera's name where the checkpoint has several",
    )  # fmt: skip
    parser.add_argument(
        "--state", nargs="+", default=[], metavar="NAME=VALUE",
        help="measured state, where the checkpoint reads any: m, rad, opening 0..1",
    )  # fmt: skip
    parser.add_argument("--instruction", required=True, help="what to do, in words")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--dump", type=Path, help="write ids, masks and scores to this .npz")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", default="cpu", help="a torch device, such as cuda")
    parser.add_argument(
        "--center-crop",
        action=argparse.BooleanOptionalAction,
        help="cut the image's upper and lower tenth first; default: as the checkpoint says",
    )
    parser.add_argument("--bins", help="CSV of action bins instead of the checkpoint's")
    parser.add_argument("--sample", action="store_true", help="draw codes (top 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument(
        "--reference-eos",
        action="store_true",
        help="stop at latent code 2 and fill with 0, as the reference does",
    )


def image_files(given: Sequence[str], cameras: Sequence[str]) -> dict[str, Path]:
    """The file of each camera, from FILE for the only one or CAMERA=FILE.

    Raises:
        ConfigError: a camera has no file or two, or there is no such camera.
    """
    if len(cameras) == 1 and len(given) == 1:
        return {cameras[0]: Path(given[0].removeprefix(f"{cameras[0]}="))}
    found: dict[str, Path] = {}
    for text in given:
        camera, equals, file = text.partition("=")
        if not equals or camera in found:
            each = " ".join(f"{c}=FILE" for c in cameras)
            raise ConfigError(f"--image {text}: each camera needs one file; valid: {each}")
        if camera not in cameras:
            raise ConfigError(unknown("camera", camera, cameras, "the checkpoint"))
        found[camera] = Path(file)
    if missing := [c for c in cameras if c not in found]:
        raise ConfigError(f"the checkpoint looks through {', '.join(cameras)}; --image has no "
                          f"file of {', '.join(missing)}")  # fmt: skip
    return found


def state_values(given: Sequence[str], names: Sequence[str]) -> dict[str, float]:
    """Values of the state by NAME=VALUE; exactly those that the checkpoint reads.

    Raises:
        ConfigError: one is missing, given twice, not read, or no number.
    """
    found: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in names or name in found:
            raise ConfigError(
                f"--state {text}: the checkpoint reads {', '.join(names) or 'no state'}, each once"
            )
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--state {text}: {value!r} is no number") from None
    if missing := [n for n in names if n not in found]:
        wanted = " ".join(f"{n}=VALUE" for n in missing)
        raise ConfigError(f"the checkpoint reads the arm's state; give --state {wanted}")
    return found


def read_image(path: Path) -> ImageArray:
    """(H, W, 3) RGB of a picture file; grey, palette and alpha are converted.

    Raises:
        DataError: no such file, no picture, or not 8 bits a channel.
    """
    try:
        content = path.read_bytes()
        if content.startswith(JPEG):  # lossy: the pixels are those of the decoder, so take ours
            return images.decode_compressed(content, path.suffix)
        with Image.open(io.BytesIO(content)) as picture:
            if picture.mode not in _MODES:
                raise DataError(f"{path} has mode {picture.mode}; valid: {', '.join(_MODES)}")
            return np.array(picture.convert("RGB"))
    except UnidentifiedImageError:
        raise DataError(f"{path} is no picture") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def describe(policy: Policy, prediction: Prediction) -> dict[str, Any]:
    """What `--json` prints."""
    result: dict[str, Any] = {
        "kind": policy.kind,
        "trained": policy.trained,
        "robot": policy.robot,
        "tokens": prediction.tokens.tolist(),
        "timings_ms": {stage: round(prediction.timings_ms[stage], 3) for stage in STAGES},
    }
    if policy.kind == "action" and policy.checkpoint.actions is not None:
        steps = policy.action(prediction.tokens)
        result["dimensions"] = list(policy.dimensions)
        result["units"] = [UNITS[AXES.index(n.rsplit("/", 1)[-1])] for n in policy.dimensions]
        result["action"] = steps.tolist()
        if aim := policy.aim(prediction.tokens):
            result["aim"] = aim
    return result


def as_text(result: dict[str, Any]) -> str:
    """The result for people."""
    weights = "trained" if result["trained"] else "NOT trained: random weights"
    lines = [f"kind     {result['kind']} ({weights}), robot {result['robot']}"]
    lines.append("tokens   " + " ".join(map(str, result["tokens"])))
    if "aim" in result:
        lines.append("aim      said before acting")
        for name, value in result["aim"].items():
            lines.append(f"  {name}  {value:+.5f} {spoken.unit(name)}".rstrip())
    if "action" in result:
        width = max(map(len, result["dimensions"]))
        for step in result["action"]:
            lines.append("action")
            for name, value, unit in zip(result["dimensions"], step, result["units"], strict=True):
                lines.append(f"  {name:<{width}}  {value:+.5f} {unit}")
    elif result["kind"] == "action":
        lines.append("action   unknown: the checkpoint has no action bins, give --bins FILE.csv")
    times = ", ".join(f"{stage} {ms:.1f}" for stage, ms in result["timings_ms"].items())
    lines.append(f"time ms  {times}")
    return "\n".join(lines)


def dump(path: Path, prediction: Prediction) -> None:
    """Write what the model read and how it scored the codes.

    Raises:
        DataError: the disk refuses.
    """
    try:
        np.savez(
            path,
            input_ids=prediction.input_ids,
            attention_mask=prediction.attention_mask,
            vqgan_tokens=prediction.vqgan_tokens,
            step_logits=prediction.step_logits,
            tokens=prediction.tokens,
        )
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
