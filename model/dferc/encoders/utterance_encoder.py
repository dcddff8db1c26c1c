"""A transformer over each utterance by itself, trained end to end; its vector of one is the largest state, by number.

    u = max_l h_l     over the states of [cls] utterance [sep], both markers included [code: SKAIG, ``maxpooling``]

The states at padding, which the release lets into that maximum, stay out: a vector does not depend on the batch.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dferc.corpus.batch import MarkedSequences
from dferc.encoders.utterance_packing import UtterancePacker

if TYPE_CHECKING:
    from dferc.encoders.backbone import Backbone


class UtteranceEncoder(nn.Module):
    """Transcripts to vectors."""

    def __init__(self, backbone: "Backbone", max_tokens: int) -> None:
        super().__init__()
        self.transformer = backbone.transformer
        self.width = backbone.width
        self.pretrained = backbone.pretrained
        self.packer = UtterancePacker(backbone.words, max_tokens)

    def forward(self, tokens: MarkedSequences) -> Tensor:
        """What its packer made of the utterances -> [N, D]."""
        states = self.transformer(input_ids=tokens.ids, attention_mask=tokens.mask.long()).last_hidden_state
        least = torch.finfo(states.dtype).min
        largest: Tensor = states.masked_fill(~tokens.mask.unsqueeze(-1), least).amax(1)
        return largest.index_select(0, tokens.at // tokens.ids.shape[1])


def utterance_encoder(source: str | None, max_tokens: int, checkpointing: bool) -> UtteranceEncoder | None:
    """The encoder over a backbone by folder or name, or over one from ``scratch``; None where none is named.

    Raises:
        UserError: the backbone cannot be loaded, or is no encoder that can do this.
    """
    if source is None:
        return None
    from dferc.encoders.backbone import load_backbone  # here, because its library takes seconds to load

    return UtteranceEncoder(
        load_backbone(source, "encoder", max_tokens, gradient_checkpointing=checkpointing), max_tokens
    )
