# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Training against the reference's own: sequences, batches, and three steps of its `train.py`.

Tolerances, all in float32: losses 2e-6 (of 4 to 7), gradient norms 2e-6 of their size, the norm
of all parameters 1e-4 (of 500), weights after three steps 2e-7, where they moved by 6e-5.
"""

import json

import numpy as np
import pytest
import torch

from lapa_core.errors import DataError
from lapa_core.model.checkpoint import load_model
from lapa_core.model.lapa import LapaModel
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vocabulary import Table
from lapa_core.train import examples, initialise, loss, optimizer
from lapa_core.train.examples import REFERENCE_LENGTH, Example

pytestmark = pytest.mark.torch

# set-up -> (model it starts from, its data)
SETUPS = {
    "latent": ("latent", "latent"),
    "action": ("llama_action", "action"),
    "delta_action": ("delta_llama_action", "action"),
    "delta_action_from_latent": ("latent", "action"),
}
LONG = 3  # the example that is longer than the reference's 384


def cut_as_the_reference_does(example: Example) -> Example:
    """An example longer than 384 as the reference trains on it, its mistake included.

    It cuts the loss mask as if for targets already, and then shifts it again: the mask ends up
    one token to the left of the targets and one short. Only for comparing; the product refuses.
    """
    length = REFERENCE_LENGTH + 1
    shifted = np.append(example.loss[1:length], 0)  # and `collate` shifts it once more
    return Example(example.ids[:length], example.tables[:length], shifted.astype(np.float32))


@pytest.fixture(scope="module")
def built(golden) -> dict[str, list[Example]]:
    """The golden inputs through our own examples."""
    tokenizer = TextTokenizer.from_file(golden / "tokenizer.model")
    inputs = json.loads((golden / "training/inputs.json").read_text())
    out: dict[str, list[Example]] = {"latent": [], "action": []}
    for kind, rows in inputs.items():
        for row in rows:
            instruction = row["instruction"].split("`")[1]
            codes = np.array([row["vision"]])
            if kind == "latent":
                made = examples.latent_example(tokenizer, instruction, codes, 8192, row["delta"])
            else:
                action = np.array([row["action"]])
                made = examples.action_example(tokenizer, instruction, codes, 8192, action)
            out[kind].append(made)
    return out


def batch_of(built: dict[str, list[Example]], kind: str) -> examples.Batch:
    short = [e for i, e in enumerate(built[kind]) if i != LONG]
    long = cut_as_the_reference_does(built[kind][LONG])
    return examples.collate([*short, long], pad_to=REFERENCE_LENGTH)


@pytest.mark.parametrize("setup", ["latent", "action", "delta_action"])
def test_sequences_are_the_references(golden, built, setup):
    """Ids, tables and loss of every token; LAQ's strings among the latent codes are read."""
    expected = np.load(golden / "training/sequences.npz")
    kind = SETUPS[setup][1]
    assert len(built[kind]) == 4
    for i, example in enumerate(built[kind]):
        for what in ("ids", "tables", "loss"):
            np.testing.assert_array_equal(getattr(example, what), expected[f"{setup}_{i}_{what}"])


@pytest.mark.parametrize("setup", ["latent", "action", "delta_action"])
def test_batches_are_the_references(golden, built, setup):
    """Shifted and padded; the reference shuffles the rows, so they are matched by their words."""
    arrays = np.load(golden / "training/batches.npz")
    batch = batch_of(built, SETUPS[setup][1])
    for row, ids in enumerate(arrays[f"{setup}_input_ids"]):
        (mine,) = (i for i in range(4) if np.array_equal(batch.input_ids[i], ids))
        for name in ("input_tables", "target_ids", "target_tables", "loss"):
            np.testing.assert_array_equal(
                getattr(batch, name)[mine], arrays[f"{setup}_{name}"][row], err_msg=name
            )


def test_an_example_that_is_too_long_is_refused(built):
    with pytest.raises(DataError, match="387 tokens to read, and only 384"):
        examples.collate([built["latent"][LONG]], pad_to=REFERENCE_LENGTH)
    whole = examples.collate([built["latent"][LONG]])
    assert whole.input_ids.shape[1] == 392
    assert whole.loss.sum() == 18, "nothing cut, nothing shifted"


def start(golden, converted, setup: str) -> LapaModel:
    model = load_model(LapaModel, converted[SETUPS[setup][0]], torch.float32).train()
    if setup != "delta_action_from_latent":
        return model
    model = initialise.add_action_head(model, 256, keep_latent=True)
    drawn = np.load(golden / "training/missing_key_init.npz")  # of jax's generator
    with torch.no_grad():
        model.action_embed.weight.copy_(torch.from_numpy(drawn["transformer.ate.embedding"]))
        model.action_head.weight.copy_(torch.from_numpy(drawn["action_head.kernel"].T.copy()))
    return model


def weight(model: LapaModel, name: str, used: np.ndarray) -> np.ndarray:
    """A weight under the reference's name, in its layout and trimmed as the golden file."""
    state = model.state_dict()
    if name.endswith("attention_norm.kernel"):
        return np.stack([state[f"model.layers.{i}.input_layernorm.weight"] for i in range(3)])
    if name.endswith("wo.kernel"):
        rows = [state[f"model.layers.{i}.self_attn.o_proj.weight"].T for i in range(3)]
        return np.stack(rows)[:, ::4]
    return {
        "action_head.kernel": lambda: state["action_head.weight"].T[:, ::8],
        "delta_head.kernel": lambda: state["latent_head.weight"].T,
        "transformer.ate.embedding": lambda: state["action_embed.weight"][used],
        "transformer.dte.embedding": lambda: state["latent_embed.weight"],
        "transformer.ln_f.kernel": lambda: state["model.norm.weight"],
    }[name]().numpy()


@pytest.mark.parametrize("setup", SETUPS)
def test_three_steps_are_the_references(golden, converted, built, setup):
    """Loss, gradient norm and parameter norm of each step; weights after the last."""
    model = start(golden, converted, setup)
    batch = batch_of(built, SETUPS[setup][1])
    kind = "latent" if setup == "latent" else "action"
    steps = json.loads((golden / "training/metrics.json").read_text())[setup]
    optimiser = optimizer.adamw(model.parameters())
    objective = loss.Objective(model, kind)
    for expected in steps:
        got = objective(batch)
        optimiser.zero_grad()
        got.total.backward()
        norm = optimizer.clip_gradients(model.parameters())
        optimiser.step()
        assert got.total.item() == pytest.approx(expected["loss"], abs=2e-6)
        assert norm.item() == pytest.approx(expected["gradient_norm"], rel=2e-6)
        squares = sum(p.detach().double().square().sum() for p in model.parameters())
        assert squares.sqrt().item() == pytest.approx(expected["param_norm"], abs=1e-4)
        if kind == "latent":
            assert got.parts["latent"].item() == pytest.approx(expected["delta_loss"], abs=2e-6)
            assert got.parts["text"].item() == pytest.approx(expected["text_loss"], abs=1e-5)
        share = expected["delta_acc" if kind == "latent" else "action_acc"]
        assert (got.correct / got.counted).item() == share
    after = np.load(golden / "training/after3steps.npz")
    names = [n for n in after.files if n.partition(".")[0] == setup]
    assert len(names) in (5, 7)
    for name in names:
        mine = weight(model, name.partition(".")[2], after["used_actions"])
        np.testing.assert_allclose(mine, after[name], atol=2e-7, rtol=0, err_msg=name)


def test_without_the_misplaced_parenthesis_text_is_text(converted, built):
    """`clean` leaves latent positions out; the reference asks the text head for id 0 there."""
    model = load_model(LapaModel, converted["latent"], torch.float32)
    batch = examples.collate(built["latent"])
    with torch.no_grad():
        theirs, clean = (loss.latent_loss(model, batch, clean=c) for c in (False, True))
        hidden = model(batch.input_ids, batch.input_tables)
        scores = model.logits(hidden, Table.TEXT).log_softmax(-1)
    rows = []
    for i in range(4):
        at = (batch.loss[i] > 0) & (batch.target_tables[i] == Table.TEXT)
        rows.append(-scores[i][at, batch.target_ids[i][at]].mean())
    assert clean.parts["text"].item() == pytest.approx(torch.stack(rows).mean().item(), rel=1e-6)
    assert clean.parts["latent"] == theirs.parts["latent"]
    assert abs(clean.parts["text"] - theirs.parts["text"]) > 0.1


def test_new_tables_are_spread_as_the_references(golden, converted):
    """`lecun_normal` on the stored shape: deviations 1/sqrt(256) and 1/sqrt(64), cut at two."""
    source = load_model(LapaModel, converted["latent"], torch.float32)
    model = initialise.add_action_head(source, 256, seed=5)
    drawn = np.load(golden / "training/missing_key_init.npz")
    for name, mine in (
        ("transformer.ate.embedding", model.action_embed.weight),
        ("action_head.kernel", model.action_head.weight),
    ):
        theirs = drawn[name]
        assert mine.std().item() == pytest.approx(theirs.std(), rel=0.02)
        assert mine.abs().max().item() == pytest.approx(np.abs(theirs).max(), rel=0.005)
