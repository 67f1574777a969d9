# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where training starts and how it steps: new tables, codebook vectors, AdamW, schedules."""

import pytest
import torch

from lapa_core.errors import ConfigError
from lapa_core.model.configuration import preset
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table
from lapa_core.model.vqgan import Vqgan
from lapa_core.train import initialise, optimizer

pytestmark = pytest.mark.torch


def source(**changes) -> LapaModel:
    torch.manual_seed(7)
    return LapaModel(preset("debug").lapa_config(**{"action_vocab_size": 0, **changes}))


def names(model: LapaModel) -> set[str]:
    return {n for n, _ in model.named_parameters()}


def test_an_action_model_from_a_latent_one():
    """The latent codes are dropped, the actions are new, the rest is the source's own."""
    old = source()
    new = initialise.add_action_head(old, 200)
    assert names(old) - names(new) == {"latent_embed.weight", "latent_head.weight"}
    assert names(new) - names(old) == {"action_embed.weight", "action_head.weight"}
    assert (new.config.latent_vocab_size, new.config.action_vocab_size) == (0, 200)
    assert (old.config.latent_vocab_size, old.config.action_vocab_size) == (8, 0)
    mine, theirs = new.state_dict(), old.state_dict()
    for name in names(new) & names(old):
        assert mine[name].data_ptr() == theirs[name].data_ptr(), "not copied: 7B fits once"
    assert all(p.requires_grad and p.device.type == "cpu" for p in new.parameters())
    ids = torch.zeros(1, 5, dtype=torch.long)
    hidden = new(ids, torch.full_like(ids, Table.ACTION))
    assert new.logits(hidden, Table.ACTION).shape == (1, 5, 200)


def test_what_is_kept_on_request(tmp_path):
    """Latent codes; actions of the same bins; and the result saves and loads."""
    kept = initialise.add_action_head(source(), 256, keep_latent=True)
    assert {"latent_embed.weight", "latent_head.weight"} <= names(kept)
    trained = source(action_vocab_size=256)
    same = initialise.add_action_head(trained, 256, keep_action=True)
    assert torch.equal(same.action_head.weight, trained.action_head.weight)
    assert not torch.equal(
        initialise.add_action_head(trained, 256).action_head.weight, trained.action_head.weight
    )
    with pytest.raises(ConfigError, match="has 256 rows of them, 16 are asked for"):
        initialise.add_action_head(trained, 16, keep_action=True)
    kept.save_pretrained(tmp_path)
    again = LapaModel.from_pretrained(tmp_path)
    for name, tensor in kept.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_state_and_places_join_without_disturbing():
    """New vectors of places are zero: what the source knew of pictures is not changed."""
    old = source()
    ids = torch.arange(12)[None] % 8
    tables = torch.full_like(ids, Table.VISION)
    before = old(ids, tables)
    new = initialise.add_action_head(old, 256, state_rows=16, vision_positions=256)
    torch.testing.assert_close(new(ids, tables), before)
    assert new.state_embed.weight.shape == (16, 32)
    assert new.state_embed.weight.std().item() == pytest.approx(0.02, rel=0.15)
    with torch.no_grad():
        new.vision_position.weight.normal_()
    again = initialise.add_action_head(new, 256, state_rows=16, vision_positions=256)
    assert torch.equal(again.vision_position.weight, new.vision_position.weight)
    assert torch.equal(again.state_embed.weight, new.state_embed.weight)


def test_the_seed_decides_what_is_drawn():
    one, same, other = (
        initialise.add_action_head(source(), 256, state_rows=4, seed=s) for s in (1, 1, 2)
    )
    assert torch.equal(one.action_head.weight, same.action_head.weight)
    assert not torch.equal(one.action_head.weight, other.action_head.weight)
    assert not torch.equal(one.action_head.weight, one.action_embed.weight)


@pytest.mark.parametrize("wrong", [{"num_action_rows": 1}, {"state_rows": -1}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ConfigError, match="needs at least"):
        initialise.add_action_head(source(), **{"num_action_rows": 256, **wrong})


def test_image_tokens_from_the_codebook_keep_its_geometry():
    """Codes that are near in the codebook are near in the table; marks keep their rows."""
    torch.manual_seed(0)
    vqgan, model = Vqgan(preset("debug").vqgan_config()), source()
    before = model.vision_embed.weight.detach().clone()
    initialise.vision_from_codebook(model, vqgan, seed=1)
    after = model.vision_embed.weight.detach()
    count = vqgan.num_codes
    assert torch.equal(after[count:], before[count:])
    assert after[:count].std().item() == pytest.approx(0.02, rel=1e-3)
    codes = vqgan.codebook.weight.detach()
    pairs = torch.randint(0, count, (2, 400))
    near = (codes[pairs[0]] - codes[pairs[1]]).norm(dim=-1)
    mine = (after[pairs[0]] - after[pairs[1]]).norm(dim=-1)
    torch.testing.assert_close(mine / mine.mean(), near / near.mean(), atol=1e-4, rtol=0)
    small = source(vision_vocab_size=100)
    with pytest.raises(ConfigError, match="512 codes do not fit a vision table of 100 rows"):
        initialise.vision_from_codebook(small, vqgan)


def test_the_norm_is_of_all_gradients_before_clipping():
    weights = [torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3))]
    for weight in weights:
        weight.grad = torch.full_like(weight, 3.0)
    norm = optimizer.clip_gradients(weights)
    assert norm.item() == pytest.approx(3 * 7**0.5)
    clipped = torch.cat([w.grad.flatten() for w in weights])
    assert clipped.norm().item() == pytest.approx(1, abs=1e-5)
    optimizer.clip_gradients(weights, 2.0)
    torch.testing.assert_close(torch.cat([w.grad.flatten() for w in weights]), clipped)


def test_only_matrices_decay_and_only_what_learns_is_stepped():
    matrix, norm = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    frozen = torch.nn.Parameter(torch.ones(2, 2), requires_grad=False)
    unused = torch.nn.Parameter(torch.ones(2, 2))
    optimiser = optimizer.adamw([matrix, norm, frozen, unused], lr=0.1, weight_decay=0.5)
    matrix.grad, norm.grad = torch.zeros(2, 2), torch.zeros(2)
    optimiser.step()
    assert torch.equal(matrix.detach(), torch.full((2, 2), 0.95))
    for kept in (norm, frozen, unused):
        assert torch.equal(kept.detach(), torch.ones_like(kept))
    with pytest.raises(ConfigError, match="every one is frozen"):
        optimizer.adamw([frozen])


def test_schedules():
    weight = torch.nn.Parameter(torch.ones(2, 2))
    rates = {}
    for name, more in (("constant", {"warmup": 4}), ("cosine", {"warmup": 4, "total": 104})):
        optimiser = optimizer.adamw([weight], lr=1.0)
        steps = optimizer.schedule(optimiser, name, final=0.1, **more)
        rates[name] = []
        for _ in range(120):
            rates[name].append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            steps.step()
    assert rates["constant"][:5] == [0.25, 0.5, 0.75, 1, 1]
    assert rates["constant"][-1] == 1
    assert rates["cosine"][:4] == [0.25, 0.5, 0.75, 1]
    assert rates["cosine"][54] == pytest.approx(0.55)
    assert rates["cosine"][104:] == pytest.approx([0.1] * 16)
    with pytest.raises(ConfigError, match=r"unknown schedule 'cosin'.*did you mean 'cosine'"):
        optimizer.schedule(optimizer.adamw([weight]), "cosin")
    with pytest.raises(ConfigError, match="does not outlast"):
        optimizer.schedule(optimizer.adamw([weight]), "cosine", warmup=5, total=5)
