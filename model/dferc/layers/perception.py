"""What DialogueCRN and SACL-LSTM hear: the whole dialogue, and of it each party's own part.

    situation = BiLSTM(all utterances)        speaker = BiLSTM(the utterances of the speaker alone), with other weights

The two are the perception phase of Hu et al. (2021).
"""

import torch
from torch import Tensor, nn

from dferc.corpus.batch import DialogueBatch
from dferc.layers.party_context import PartyContext, party_turns
from dferc.layers.recurrent import DialogueLSTM


class Perception(nn.Module):
    """Two BiLSTMs over dialogues: the situation's and the speaker's."""

    def __init__(
        self, width: int, hidden: int, layers: int, dropout: float, over_padding: bool, least_turns: int = 1
    ) -> None:
        """Make the layers.

        Args:
            width: of an utterance's vector.
            hidden: of each direction.
            layers: of both LSTMs.
            dropout: between layers.
            over_padding: run over the padding behind a dialogue's end too.
            least_turns: whoever speaks less often in a dialogue has speaker states of zero.
        """
        super().__init__()
        self.least_turns = least_turns
        self.situation = DialogueLSTM(width, hidden, layers, layer_dropout=dropout, over_padding=over_padding)
        self.speaker = PartyContext(
            DialogueLSTM(width, hidden, layers, layer_dropout=dropout, over_padding=over_padding)
        )

    def forward(self, utterances: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """[N, D] -> situation and speaker states, each [N, 2 * hidden]."""
        speaker = self.speaker(utterances.unsqueeze(0), batch).squeeze(0)
        enough = turns_of_party(batch) >= self.least_turns
        return self.situation(utterances, batch), speaker * enough.unsqueeze(-1)


def turns_of_party(batch: DialogueBatch) -> Tensor:
    """How often the speaker of each utterance speaks in its whole dialogue [N]."""
    turn, parties = party_turns(batch)
    party = batch.dialogue * parties + batch.flat(batch.speakers)
    turns = turn.new_zeros(len(batch.mask) * parties).index_add(0, party, torch.ones_like(turn))
    return turns.index_select(0, party)
