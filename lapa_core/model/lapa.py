# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""LAPA: a Llama backbone that reads four tables and has four heads.

B batch, T tokens of this pass, S tokens in all (cached ones first), D hidden size.

Differences to a plain `LlamaModel`, all to match the reference: which table an id is looked up in
comes with it; angles from `rotary.py`, applied in float32; in bfloat16 the residual stream, the
attention and the heads' sums stay float32 while weights, keys and values are bfloat16.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from transformers import AttentionInterface, LlamaModel

from lapa_core.model.attention import causal
from lapa_core.model.cache import KeyValueCache
from lapa_core.model.configuration import LapaConfig
from lapa_core.model.linear import replace_linears
from lapa_core.model.rotary import Rotary
from lapa_core.model.strict import StrictModel
from lapa_core.model.vocabulary import Table
from lapa_core.model.vqgan import code_rows

ATTENTION = "lapa"


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention in float32, as in the reference, on inputs of the model's type.

    Queries and keys come from a rotation in float32 and are first rounded to that type; those of
    a cache have been rounded on their way in. Without a mask every token sees those before it;
    that, and all of training, is computed in the type of the values (`attention.py`).
    """
    if attention_mask is None or module.training:
        kind = value.dtype
        out = causal(query.to(kind), key.to(kind), value, scaling, dropout, attention_mask)
        return out.transpose(1, 2), None
    # A quantised weight is of bytes; its layer, maybe inside an adapter, says what it computes in.
    layer = getattr(module.o_proj, "base_layer", module.o_proj)
    dtype = getattr(layer, "compute_dtype", None) or layer.weight.dtype
    if value.dtype != torch.float32:
        key, value = key.to(dtype).float(), value.float()
    out = F.scaled_dot_product_attention(
        query.to(dtype).float(),
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
    )
    return out.to(dtype).transpose(1, 2), None


AttentionInterface.register(ATTENTION, _attention)


class RMSNorm(nn.Module):
    """Computed in float32, cast to the weight's type, then weighted (the reference's order)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) of any type -> (..., D) of the weight's type."""
        normed = F.rms_norm(x.float(), x.shape[-1:], None, self.eps)
        return self.weight * normed.to(self.weight.dtype)


def causal_mask(mask: Tensor, num_new: int, whole: Tensor | None = None) -> Tensor:
    """Which keys each new token may see.

    Args:
        mask: (B, S) nonzero at tokens that are no padding.
        num_new: T, the last tokens of S.
        whole: (B, S) bool, tokens that see each other, later ones too; None: there are none.

    Returns:
        (B, 1, T, S) bool. Padding sees itself, so that its row is not empty (which would be NaN).
    """
    total = mask.shape[1]
    row = torch.arange(total - num_new, total, device=mask.device)[:, None]
    column = torch.arange(total, device=mask.device)[None, :]
    seen = (column <= row) & mask.bool()[:, None, None, :]
    if whole is not None:
        seen = seen | (whole[:, None, -num_new:, None] & whole[:, None, None, :])
    return seen | (column == row)


class LapaModel(StrictModel):
    """The language model with its tables and heads."""

    config_class = LapaConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _no_split_modules = ("LlamaDecoderLayer",)

    def __init__(self, config: LapaConfig) -> None:
        super().__init__(config)
        self.model = LlamaModel(config.llama(ATTENTION))
        self.model.rotary_emb = Rotary(
            config.head_dim, config.max_position_embeddings, config.rope_theta
        )
        if config.exact_angles:
            self.model.rotary_emb.angle_dtype = torch.float32
        width, eps = config.hidden_size, config.rms_norm_eps
        for layer in self.model.layers:
            layer.input_layernorm = RMSNorm(width, eps)
            layer.post_attention_layernorm = RMSNorm(width, eps)
        self.model.norm = RMSNorm(width, eps)
        self.lm_head = nn.Linear(width, config.vocab_size, bias=False)
        self.vision_embed = nn.Embedding(config.vision_vocab_size, width)
        self.vision_head = nn.Linear(width, config.vision_vocab_size, bias=False)
        for name in ("latent", "action"):
            if rows := getattr(config, f"{name}_vocab_size"):
                setattr(self, f"{name}_embed", nn.Embedding(rows, width))
                setattr(self, f"{name}_head", nn.Linear(width, rows, bias=False))
        if rows := config.state_vocab_size:
            self.state_embed = nn.Embedding(rows, width)
        if places := config.vision_positions:
            self.vision_position = nn.Embedding(places, width)
        replace_linears(self)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Normal with `initializer_range`, as the reference; norms start at one."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)

    def tables(self) -> dict[Table, tuple[nn.Embedding, nn.Linear]]:
        """Embedding and head of every table this model has."""
        found = {
            Table.TEXT: (self.model.embed_tokens, self.lm_head),
            Table.VISION: (self.vision_embed, self.vision_head),
        }
        for table, name in ((Table.LATENT, "latent"), (Table.ACTION, "action")):
            if hasattr(self, f"{name}_head"):
                found[table] = (getattr(self, f"{name}_embed"), getattr(self, f"{name}_head"))
        return found

    def embed(self, ids: Tensor, tables: Tensor) -> Tensor:
        """(B, T) ids and the `Table` of each -> (B, T, D) float32, as the residual stream is.

        (The reference's masks are float32 and lift the sum to it whatever the weights' type.)
        """
        width = self.config.hidden_size
        out = torch.zeros((*ids.shape, width), device=ids.device, dtype=torch.float32)
        for table, (embedding, _) in self.tables().items():
            here = tables == table
            read = embedding
            if table == Table.VISION and self.config.vision_parts > 1:
                read = self._seen
            out = out + read(torch.where(here, ids, 0)) * here.unsqueeze(-1).float()
        if self.config.state_vocab_size:
            here = tables == Table.STATE
            out = out + self.state_embed(torch.where(here, ids, 0)) * here.unsqueeze(-1)
        if self.config.vision_positions:
            out = out + self._places(tables)
        return out

    def _seen(self, ids: Tensor) -> Tensor:
        """(B, T) image tokens of several parts -> (B, T, D) the sum of their parts' rows."""
        config = self.config
        parts, entries = config.vision_parts, config.vision_entries
        marks = ids >= config.vision_codes
        rows = code_rows(torch.where(marks, 0, ids), entries, parts)
        mark = (ids - config.vision_codes).clamp(min=0) + parts * entries
        seen = self.vision_embed(rows).sum(-2)
        return torch.where(marks.unsqueeze(-1), self.vision_embed(mark), seen)

    def _places(self, tables: Tensor) -> Tensor:
        """(B, T, D) the vector of its place for each image token: how many came before it."""
        here = tables == Table.VISION
        place = torch.where(here, here.cumsum(-1) - 1, 0)
        place = place.clamp(max=self.config.vision_positions - 1)
        return self.vision_position(place) * here.unsqueeze(-1).float()

    def logits(self, hidden: Tensor, table: Table) -> Tensor:
        """(..., D) final states -> (..., rows of the table) float32 scores."""
        return F.linear(hidden.float(), self.tables()[table][1].weight.float())

    def new_cache(self, length: int, batch: int = 1) -> KeyValueCache:
        """An empty cache for `length` tokens."""
        config = self.config
        shape = (batch, config.num_attention_heads, length, config.head_dim)
        return KeyValueCache(config.num_hidden_layers, shape, self.device, self.dtype)

    def backbone(
        self,
        embeds: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor | None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """(B, T, D) embeddings -> (B, T, D) final states.

        Args:
            embeds: its type is that of the residual stream.
            position_ids: (B, T).
            attention_mask: (B, 1, T, S), bool, or added to the scores; None where every token
                sees those before it and there is no cache.
            cache: read and extended by T tokens.
        """
        hidden = self.model(
            inputs_embeds=embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=False,
        ).last_hidden_state
        if cache is not None:
            cache.advance(embeds.shape[1])
        return hidden

    def forward(
        self,
        input_ids: Tensor,
        token_tables: Tensor,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        """Final states of whole sequences, without a cache.

        Args:
            input_ids, token_tables: (B, T).
            attention_mask: (B, T), 0 at padding; None where there is none, or only on the right.

        Returns:
            (B, T, D); `logits` makes the scores of a table of them.
        """
        embeds = self.embed(input_ids, token_tables)
        whole = self.seen_whole(token_tables)
        if attention_mask is None:
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)
            mask = None
            if whole is not None:
                mask = causal_mask(torch.ones_like(input_ids), input_ids.shape[1], whole)
            return self.backbone(embeds, positions.expand(input_ids.shape), mask)
        positions = attention_mask.cumsum(-1) - 1  # -1 at left padding, as in the reference
        mask = causal_mask(attention_mask, input_ids.shape[1], whole)
        return self.backbone(embeds, positions, mask)

    def seen_whole(self, tables: Tensor) -> Tensor | None:
        """(B, T) the tokens that see each other, for `causal_mask`; None where none do."""
        return tables == Table.VISION if self.config.vision_whole else None
