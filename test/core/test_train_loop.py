# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The parts of the training loop: what is fed, what learns, what is averaged and validated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_demos import CODES, WORDS, toy_demos

from lapa_core.errors import ConfigError, DataError
from lapa_core.train.presets import PRESETS, TrainOptions, resolve

pytestmark = pytest.mark.torch
OTHERS = {WORDS[0]: ("move the red thing to the bin", "bin it")}


def start(seed: int = 0, **changes: int) -> Any:
    from lapa_core.train.start import Start

    said = [*WORDS, *OTHERS[WORDS[0]]]
    return Start.scratch("debug", sentences=said, seed=seed, changes=changes)


def ready(demos: Any, **options: Any) -> Any:
    from lapa_core.train.start import ready as make

    return make(start(), demos, resolve("debug", places=True, **options))


def train(demos: Any, out: Path, resume: bool = False, **options: Any) -> Any:
    from lapa_core.train.finetune import finetune

    chosen = resolve("debug", **{"tracker": "none", **options})
    return finetune(start(), demos, out, chosen, resume=resume)


def entries(out: Path) -> list[dict[str, Any]]:
    lines = (out.with_name(out.name + ".run") / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name: str) -> None:
    assert resolve(name, steps=None) == TrainOptions(**PRESETS[name])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lr": 0.0}, "lr must be above 0"),
        ({"ema": 1.0}, "ema must be below 1"),
        ({"method": "lroa"}, "did you mean 'lora'"),
        ({"stpes": 3}, "did you mean 'steps'"),
        ({"schedule": "cosine", "warmup": 99}, "warmup 99 must be below steps"),
        ({"method": "qlora", "shard": True}, "cannot be sharded"),
    ],
)
def test_a_wrong_option_is_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve("debug", **wrong)


# --- feed ---------------------------------------------------------------------------------------


def gapped() -> Any:
    """Two cameras, state, three variants, gaps in the grid, words that change."""
    demos = toy_demos(3, 9, cameras=2, state=3, variants=3, gripper="open_is_zero")
    first = demos.demos[0]
    index = np.array([0, 1, 2, 5, 6, 7, 8, 11, 12])
    words = (WORDS[0],) * 5 + (WORDS[1],) * 4
    return replace(
        demos, demos=(replace(first, index=index, instructions=words), *demos.demos[1:])
    )


def test_steps_left_is_what_a_demonstration_says() -> None:
    from lapa_core.train.feed import steps_left

    demo = gapped().demos[0]
    got = steps_left(demo, 4)
    assert got.tolist() == [demo.chunk(row, 4)[1].sum() for row in range(len(demo))]
    assert set(got.tolist()) == {1, 2, 3}


@pytest.mark.parametrize("pad_to", [0, 150])
def test_a_batch_is_the_collated_examples(pad_to: int) -> None:
    """The fast way in arrays against the plain one, example by example."""
    import torch

    from lapa_core.train.examples import action_example, collate
    from lapa_core.train.feed import Feed

    demos = gapped()
    made = ready(demos, chunk=3)
    feed = Feed(demos, made, paraphrases=OTHERS, pad_to=pad_to)
    drawn = feed.draw(0, 27)  # all
    assert {*drawn.variants.tolist()} == {0, 1, 2} and len({*drawn.wordings.tolist()}) == 4
    place = [(d, row) for d in demos.demos for row in range(len(d))]
    wanted = []
    for sample, wording, variant in zip(*vars(drawn).values(), strict=True):
        demo, row = place[sample]
        said = demo.instructions[row]
        text = [w for words in ((WORDS[0], *OTHERS[WORDS[0]]), (WORDS[1],)) for w in words]
        assert text[wording] == said or text[wording] in OTHERS[said]
        values, valid = demo.chunk(row, 3)
        values = made.interface.exchange_gripper(values)
        wanted.append(
            action_example(
                made.tokenizer, text[wording], demo.codes[variant, row].astype(int), 512,
                made.actions.encode(values), valid, made.states.encode(demo.state[row]), values,
            )
        )  # fmt: skip
    want, got = collate(wanted, pad_to or None), feed.batch(drawn)
    for name, tensor in vars(want).items():
        torch.testing.assert_close(getattr(got, name), tensor, rtol=0, atol=0, equal_nan=True)


def test_an_epoch_has_every_sample_once_and_the_next_another_order() -> None:
    from lapa_core.train.feed import Feed

    demos = toy_demos(4, 10, variants=2)
    made = ready(demos)
    feed = Feed(demos, made, seed=3)
    epochs = [
        np.concatenate([feed.draw(8 * epoch + i, 5).samples for i in range(8)])
        for epoch in range(2)
    ]
    assert all(sorted(e) == list(range(40)) for e in epochs)
    assert epochs[0].tolist() != epochs[1].tolist()
    again = Feed(demos, made, seed=3)
    assert again.draw(13, 5).samples.tolist() == feed.draw(13, 5).samples.tolist()
    assert not Feed(demos, made, augment=False).draw(0, 40).variants.any()


def test_an_epoch_has_corrections_as_often_as_is_said() -> None:
    from lapa_core.data.join import joined
    from lapa_core.train.feed import Feed
    from lapa_core.train.finetune import fingerprint

    first, second = toy_demos(3, 10), toy_demos(2, 10)
    demos = joined([first, second], ["", "corrections/"], times=3)
    assert [d.times for d in demos.demos] == [1, 1, 1, 3, 3]
    feed = Feed(demos, ready(demos), word_noise=0.5)
    drawn = [feed.draw(n, 9) for n in range(10)]  # 30 + 3 x 20 steps
    seen, said = (np.concatenate([getattr(d, k) for d in drawn]) for k in ("samples", "wordings"))
    each = [len(set(said[seen == sample].tolist())) for sample in range(30, 50)]
    assert max(each) > 1  # each time in words of its own
    assert np.bincount(seen).tolist() == [1] * 30 + [3] * 20 and len(feed) == 50
    assert max(np.bincount(feed.draw(n, 9).samples).max() for n in range(10)) < 3  # spread out
    assert fingerprint(demos) != fingerprint(joined([first, second], ["", "corrections/"]))


def test_some_samples_have_words_that_nobody_has_heard() -> None:
    from lapa_core.data.words import NOISY, Wordings

    said = [WORDS[0]] * 600 + [WORDS[1]] * 400
    words = Wordings(said, OTHERS, noise=0.3, seed=5)
    clean = [WORDS[0], *OTHERS[WORDS[0]]], [WORDS[1]]
    assert len(words.texts) == sum(map(len, clean)) + 2 * NOISY
    assert [words.texts[i] for i in words.plain] == said
    drawn = [words.texts[i] for i in words.draw(np.random.default_rng(0))]
    for first, count, known in ((0, 600, clean[0]), (600, 400, clean[1])):
        heard = sum(text in known for text in drawn[first : first + count])
        assert abs(heard / count - 0.7) < 0.08
        assert set(drawn[first : first + count]) >= set(known)
    # Most words of a noisy one stay.
    kept = [
        np.mean([word in text.split() for word in known.split()])
        for known, text in zip(said, drawn, strict=True)
        if text not in (*clean[0], *clean[1])
    ]
    assert 0.5 < np.mean(kept) < 0.8 and min(kept) < 1.0
    assert Wordings(said, OTHERS, noise=0.3, seed=5).texts == words.texts
    assert Wordings(said, OTHERS, noise=0.3, seed=6).texts != words.texts
    assert Wordings(said, OTHERS).texts == [*clean[0], *clean[1]]


def test_an_error_in_the_feeding_thread_comes_out_where_it_is_used() -> None:
    from lapa_core.train.prefetch import Prefetch

    def items() -> Any:
        yield 1
        raise KeyError("broken")

    feed = Prefetch(items())
    assert next(feed) == 1
    with pytest.raises(KeyError, match="broken"):
        next(feed)
    feed.close()


# --- what learns --------------------------------------------------------------------------------


def test_validation_generates_what_the_policy_would() -> None:
    """Scores of the cached, batched generation against the policy's own generator."""
    import torch

    from lapa_core.policy.generate import Generator
    from lapa_core.train.feed import Feed
    from lapa_core.train.validation import free_scores

    demos = toy_demos(2, 6, cameras=2, state=2)
    made = ready(demos, chunk=2)
    with torch.no_grad():
        made.lapa.action_head.weight.mul_(30)  # far from ties
    feed = Feed(demos, made)
    samples = np.arange(4)
    got = free_scores(made.lapa, feed.batch(feed.in_order(samples)), (256,) * 7)
    assert got.shape == (4, 14, 32)
    make = Generator(made.lapa, made.tokenizer, kind="action", num_tokens=14, num_codes=512)
    for sample in samples:
        demo = demos.demos[0]
        known = make(
            demo.instructions[sample],
            demo.codes[0, sample].astype(np.int64),
            made.states.encode(demo.state[sample]),
        )
        np.testing.assert_allclose(got[sample].numpy(), known.step_logits, atol=2e-4)
        assert got[sample].argmax(-1).tolist() == known.tokens.tolist()


def test_learnt_adapters_are_in_the_merged_weights(tmp_path: Path) -> None:
    """What is saved computes what was trained, and only adapters and new tables have changed."""
    import torch
    from safetensors.torch import load_file

    from lapa_core.train import adapters
    from lapa_core.train.feed import Feed

    demos = toy_demos(2, 6)
    made = ready(demos)
    before = {n: p.clone() for n, p in made.lapa.state_dict().items()}
    options = resolve("debug", method="lora", lora_rank=3)
    adapters.adapt(made.lapa, options, torch.device("cpu"))
    learning = {n for n, p in made.lapa.named_parameters() if p.requires_grad}
    assert {n.split(".lora_")[0].split(".")[-1] for n in learning if "lora" in n} == set(
        adapters.TARGETS
    )
    assert {n for n in learning if "lora" not in n} == {
        "action_embed.weight", "action_head.weight", "vision_position.weight"
    }  # fmt: skip
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in made.lapa.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05, generator=chance)
    batch = Feed(demos, made).batch(Feed(demos, made).draw(0, 4))
    wanted = made.lapa(batch.input_ids, batch.input_tables)
    weights = dict(adapters.merged(made.lapa, torch.float32))
    assert weights.keys() == before.keys()
    changed = {n for n, w in weights.items() if not torch.equal(w, before[n])}
    assert len(changed) == 2 * 7 and all(n.split(".")[-2] in adapters.TARGETS for n in changed)
    plain = adapters.plain(made.lapa.config, weights)
    plain.model.rotary_emb = made.lapa.model.rotary_emb
    got = plain(batch.input_ids, batch.input_tables)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)
    adapters.save_adapter(adapters.alone(made.lapa), options, "here", tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == 3 and config["base_model_name_or_path"] == "here"
    kept = load_file(tmp_path / "adapter_model.safetensors")
    assert "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight" in kept


def test_pointing_is_part_of_the_loss() -> None:
    """It was once built, optimised and never asked: a class attribute hid the module."""
    import torch

    from lapa_core.train.feed import Feed
    from lapa_core.train.validation import Trainee

    demos = toy_demos(2, 6)
    made = ready(demos)
    trainee = Trainee(made.lapa, num_bins=made.num_bins)
    feed = Feed(demos, made)
    batch = feed.batch(feed.draw(0, 4))
    plain = trainee(batch)
    trainee.point(0.5, 1, arms=1)
    assert trainee(batch).total == plain.total  # no points, nothing to point at
    batch = replace(
        batch, points=torch.tensor([[[[3, 5]]], [[[-100, -100]]], [[[0, -100]]], [[[15, 31]]]])
    )
    found = trainee(batch)
    torch.testing.assert_close(found.total, plain.total + 0.5 * found.parts["point"])
    assert float(found.parts["point"]) > 1
    found.total.backward()
    assert trainee.pointing is not None
    for head in (trainee.pointing.head, trainee.pointing.fine, trainee.pointing.turn):
        assert head.weight.grad.abs().sum() > 0
    trainee.zero_grad()
    nowhere = torch.full((4, 1, 1, 2), -100)
    assert trainee(replace(batch, points=nowhere)).total == plain.total


def test_validation_that_could_tell_nothing_is_refused() -> None:
    """Episodes held back in which nothing moves give no error to stop by."""
    from lapa_core.train.feed import Feed
    from lapa_core.train.validation import Validator

    demos = toy_demos(2, 6)
    made = ready(demos)
    still = tuple(replace(d, actions=np.zeros_like(d.actions)) for d in demos.demos)
    held = Feed(replace(demos, demos=still), made)
    with pytest.raises(DataError, match="nothing moves in the episodes held back"):
        Validator(held, made, 4, 4)


def test_4_bit_training_is_refused_without_cuda() -> None:
    import torch

    from lapa_core.train.adapters import adapt

    made = ready(toy_demos(1, 3))
    with pytest.raises(ConfigError, match=r"needs CUDA.*--method lora"):
        adapt(made.lapa, resolve("debug", method="qlora"), torch.device("cpu"))


def test_the_average_is_the_running_mean_and_leaves_the_weights_alone() -> None:
    import torch
    from torch import nn

    from lapa_core.train.contents import Average

    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0)
    average, mean = Average(model, 0.9), 0.0
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.fill_(step)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * step
    with average.applied():
        assert float(model.weight.detach()) == pytest.approx(mean, rel=1e-6)
    assert float(model.weight.detach()) == 29


def test_a_trained_policy_reads_the_picture(tmp_path: Path) -> None:
    """The whole way: the error falls far below a constant's, and the folder alone is a policy."""
    from lapa_core.policy.policy import Policy

    demos = toy_demos(16, 16)
    ended = train(
        demos, tmp_path / "out", steps=100, batch=16, lr=1e-2, validate_every=50, save_every=200,
        validation_samples=32, ema=0.9, log_every=25,
    )  # fmt: skip
    assert ended.step == 100 and ended.best["relative"] < 0.6
    policy = Policy.from_checkpoint(tmp_path / "out")
    assert policy.trained and policy.robot == "wx250s"
    interface = policy.checkpoint.interface
    assert f"{ended.best['step']} updates" in interface.origin
    assert policy.checkpoint.statistics["validation"]["relative"] == ended.best["relative"]
    demo = demos.demos[0]
    errors = []
    for row in range(8):
        made = policy._generator(demo.instructions[row], demo.codes[0, row].astype(np.int64))
        errors.append(np.abs(policy.action(made.tokens)[0, :3] - demo.actions[row, :3]).mean())
    assert np.mean(errors) < 0.006  # a constant's is 0.010
    shown = entries(tmp_path / "out")
    assert [e["step"] for e in shown if "validation/translation_mm" in e] == [50, 100]
    assert {"train/loss", "train/lr", "train/samples_per_s"} <= shown[0].keys()
    assert (tmp_path / "out.run/curves.png").read_bytes().startswith(b"\x89PNG")


def test_training_stops_when_the_error_no_longer_falls(tmp_path: Path) -> None:
    """Almost no learning rate: no validation after the first is better."""
    ended = train(
        toy_demos(), tmp_path / "out", steps=100, lr=1e-12, validate_every=2, patience=2,
        validation_samples=4, log_every=50,
    )  # fmt: skip
    assert (ended.step, ended.best["step"]) == (6, 2)
    assert "no smaller error in 2 validations" in ended.ended
    more = {"steps": 10, "lr": 1e-12, "validate_every": 2, "validation_samples": 4}
    assert train(toy_demos(), tmp_path / "out", resume=True, patience=2, **more).step == 6
    ended = train(toy_demos(), tmp_path / "out", resume=True, patience=9, **more)
    assert (ended.step, ended.ended) == (10, "")


def test_the_newest_weights_may_be_taken_though_others_erred_less(tmp_path: Path) -> None:
    from lapa_core.model.checkpoint import Checkpoint

    for take, updates in (("best", 2), ("last", 6)):
        ended = train(
            toy_demos(), tmp_path / take, steps=6, lr=1e-12, validate_every=2, take=take,
            validation_samples=4, log_every=50,
        )  # fmt: skip
        assert (ended.step, ended.best["step"]) == (6, 2)
        made = Checkpoint.from_pretrained(tmp_path / take)
        assert f"{updates} updates" in made.interface.origin


def test_without_validation_the_last_weights_are_saved(tmp_path: Path) -> None:
    from lapa_core.model.checkpoint import Checkpoint

    ended = train(toy_demos(2), tmp_path / "out", steps=3, validation=0.0, precision="bfloat16")
    assert ended.best is None
    assert "3 updates" in Checkpoint.from_pretrained(tmp_path / "out").interface.origin


@pytest.mark.parametrize(("schedule", "wanted"), [("constant", [0.5, 1, 1]), ("cosine", None)])
def test_the_learning_rate_rises_and_falls(schedule: str, wanted: list[float] | None) -> None:
    from lapa_core.train.loop import rate_factor

    options = resolve("debug", schedule=schedule, warmup=2, steps=12)
    rates = [rate_factor(options, step) for step in range(12)]
    assert rates[:3] == (wanted or pytest.approx([0.5, 1, 1]))
    assert rates[2:] == sorted(rates[2:])[::-1]
    assert wanted or rates[-1] < 0.05


def test_codes_of_a_toy_picture_are_few() -> None:
    """The toys cost nothing: should a VQGAN's 256 codes slip in, these tests would be slow."""
    assert toy_demos(1).demos[0].codes.shape == (1, 10, 1, CODES)


# --- how much of a GPU is used -------------------------------------------------------------------


def test_the_share_of_a_gpus_peak_is_told_where_the_peak_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lapa_core.train import utilisation

    assert utilisation.peak_of("NVIDIA H200") == utilisation.peak_of("NVIDIA H100 80GB HBM3")
    assert utilisation.peak_of("NVIDIA H100 PCIe") == 756 and utilisation.peak_of("Pi") is None
    assert utilisation.peak_of("NVIDIA RTX A1000") is utilisation.peak_of("NVIDIA L40") is None
    demos = toy_demos(4, 10)
    train(demos, tmp_path / "plain", steps=4, log_every=2)
    assert (
        "MFU" not in capsys.readouterr().err and "train/mfu" not in entries(tmp_path / "plain")[0]
    )
    monkeypatch.setattr(utilisation, "peak_tflops", lambda _device: 0.01)
    train(demos, tmp_path / "known", steps=4, log_every=2)
    assert "tokens/s (MFU " in capsys.readouterr().err
    seen = entries(tmp_path / "known")[0]
    config, length = start().lapa.config, seen["train/tokens_per_s"] / seen["train/samples_per_s"]
    used = utilisation.operations(config, "full", seen["train/tokens_per_s"], length)
    assert seen["train/mfu"] == pytest.approx(used / 1e10) and 0 < seen["train/mfu"] < 1e3


def test_a_full_update_of_the_seven_billion_takes_six_operations_a_weight() -> None:
    from lapa_core.model.configuration import preset
    from lapa_core.train import utilisation

    config = preset("7b").lapa_config()
    full = utilisation.operations(config, "full", 1.0, 300.0)
    assert full == pytest.approx(6 * 6.48e9, rel=0.02)  # Llama-2-7B without its tables
    assert utilisation.operations(config, "lora", 1.0, 300.0) == pytest.approx(
        full * 2 / 3, rel=0.01
    )
