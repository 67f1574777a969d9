# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Prompt and ids: token for token the reference's."""

import numpy as np
import pytest

from lapa_core.errors import CheckpointError, DataError
from lapa_core.model import vocabulary
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vocabulary import Table


@pytest.fixture(scope="module")
def tokenizer(golden) -> TextTokenizer:
    return TextTokenizer.from_file(golden / "tokenizer.model")


def test_two_beginnings_and_no_stray_blank(tokenizer):
    """`"<s> <s> You"` gives two bos ids and then the word, as in the reference's training."""
    ids = tokenizer.encode("<s> <s> You are")
    assert ids[:2] == [1, 1]
    assert ids[2:] == tokenizer.encode("You are")
    assert tokenizer.encode("a</s> b") == [*tokenizer.encode("a"), 2, *tokenizer.encode("b")]


def test_prefix_is_128_tokens_padded_left(tokenizer):
    prefix = vocabulary.prefix(tokenizer, "open the drawer")
    assert len(prefix) == vocabulary.PROMPT_LENGTH == 128
    pads = int((prefix.mask == 0).sum())
    assert np.all(prefix.ids[:pads] == 0) and np.all(prefix.mask[pads:] == 1)
    assert prefix.ids[pads : pads + 2].tolist() == [1, 1]


def test_long_prompts_lose_their_beginning_but_never_the_instruction(tokenizer):
    text = "open the drawer and " * 28
    ids = tokenizer.encode(vocabulary.prompt_text(text))
    assert 128 < len(ids) < 150
    assert vocabulary.prefix(tokenizer, text).ids.tolist() == ids[-128:]
    with pytest.raises(DataError, match="tokens too long"):
        vocabulary.prefix(tokenizer, text * 2)


@pytest.mark.parametrize("instruction", ["", "  \n"])
def test_an_empty_instruction_is_refused(tokenizer, instruction):
    with pytest.raises(DataError, match="empty"):
        vocabulary.prefix(tokenizer, instruction)


def test_ids_of_the_released_model_are_pinned():
    assert vocabulary.end_of_vision(8192) == 8193
    tables = (Table.TEXT, Table.VISION, Table.LATENT, Table.ACTION)
    assert [t.value for t in tables] == [0, 1, 2, 3]
    assert (vocabulary.PAD_ID, vocabulary.BOS_ID, vocabulary.EOS_ID) == (0, 1, 2)


def test_an_image_is_its_codes_and_their_end():
    image = vocabulary.images(np.arange(256), 8192)
    assert image.ids.tolist() == [*range(256), 8193]
    assert set(image.tables.tolist()) == {Table.VISION}


@pytest.mark.parametrize("sizes", [(999, 1000, 8448, 8192), (1000, 1000, 8193, 8192)])
def test_tables_too_small_are_refused(sizes):
    with pytest.raises(CheckpointError, match="rows"):
        vocabulary.check_sizes(*sizes)
    vocabulary.check_sizes(1000, 1000, 8194, 8192)


def test_what_is_no_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="not a sentencepiece model"):
        TextTokenizer.from_file(tmp_path / "tokenizer.model")
    with pytest.raises(CheckpointError, match="cannot read"):
        TextTokenizer.from_file(tmp_path / "none.model")


@pytest.mark.torch
def test_the_small_tokenizer_is_the_same_every_time():
    from lapa_core.model.fresh import small_tokenizer

    first, second = small_tokenizer(512), small_tokenizer(512)
    assert first.model == second.model
    assert len(first) <= 512
    text = "take the red mug ☕ away"
    assert first.decode(first.encode(text)).strip() == text
    assert len(first.encode(vocabulary.prompt_text("put the red mug on the table"))) < 60


def test_several_images_stand_one_after_the_other_and_state_after_them():
    codes = np.arange(6).reshape(2, 3)
    assert vocabulary.images(codes, 8192).ids.tolist() == [0, 1, 2, 8192, 3, 4, 5, 8193]
    state = vocabulary.state(np.array([3, 70]))
    assert state.ids.tolist() == [3, 70]
    assert set(state.tables.tolist()) == {Table.STATE}
