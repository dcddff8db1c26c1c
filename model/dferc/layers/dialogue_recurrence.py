"""The recurrence of DialogueRNN, over all dialogues and both ways at once.

At step t, where s speaks u_t, from states of zero:

    g_t = GRU_global([u_t ; q_s], g_{t-1})        what has been said, by whom
    c_t = attention of u_t to g_1 .. g_{t-1}      see earlier.py
    q_s = GRU_party([u_t ; c_t], q_s)             what the speaker is going through
    q_j = GRU_listener([u_t ; q_s], q_j)          everybody else, with active listeners; otherwise q_j stays
    e_t = GRU_emotion(q_s, e_{t-1})

Releases step on over the padding behind a dialogue: no party's state changes there, and e hears the first party's
[code: DialogueRNN and MultiEMO, DialogueRNNCell].
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.layers.both_ways import BothWays, TwoWayGRU
from dferc.layers.eager import eager
from dferc.layers.earlier import EarlierAttention, Kind
from dferc.layers.party_states import Parties


class DialogueRecurrence(nn.Module):
    """A global state, a state for each party, and an emotion state."""

    def __init__(
        self,
        utterance: int,
        global_width: int,
        party_width: int,
        emotion_width: int,
        context: Kind = "general",
        active_listener: bool = False,
        dropout: float = 0.0,
        streams: int = 1,
        backward: bool = True,
    ) -> None:
        """Make the cells.

        Args:
            utterance: width of u.
            global_width: of g.
            party_width: of q.
            emotion_width: of e.
            context: kind of the attention to earlier global states.
            active_listener: listeners' states follow what is said.
            dropout: on every new state, which goes on with it to the next step.
            streams: how many vectors an utterance has, each with cells of its own that know nothing of the others.
            backward: go through the dialogue backwards too.
        """
        super().__init__()
        self.party_width = party_width
        self.dropout = dropout
        self.streams, self.backward = streams, backward
        ways = streams * (1 + backward)
        self.context_attention = EarlierAttention(context, utterance, global_width, ways=ways)
        self.global_gru = TwoWayGRU(utterance, party_width, global_width, ways)
        self.party_gru = TwoWayGRU(utterance, global_width, party_width, ways)
        self.listener_gru = TwoWayGRU(utterance, party_width, party_width, ways) if active_listener else None
        self.emotion_gru = TwoWayGRU(party_width, 0, emotion_width, ways)

    @eager  # a compiler would unroll the loop
    def forward(self, utterances: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
        """[N, D] -> e of both ways [N, 2E] and the weights of the context attention [2, B, T, T], a row a step."""
        with torch.autocast(utterances.device.type, enabled=False):
            ways = BothWays(batch)
            emotions, weights = self._steps(utterances.float(), batch, ways)
            return ways.side_by_side(emotions), weights

    @eager
    def over_padding(self, streams: Tensor, batch: DialogueBatch) -> Tensor:
        """[S, N, D] -> e [S, B, T, E], or [S, B, T, 2E] of both ways, where that of the way back is 0 at padding."""
        with torch.autocast(streams.device.type, enabled=False):
            ways = BothWays(batch, self.streams, self.streams * self.backward)
            emotions, _ = self._steps(streams.float().repeat(1 + self.backward, 1, 1), batch, ways)
        forward = emotions[: self.streams].transpose(1, 2)
        if not self.backward:
            return forward
        backward = batch.padded(torch.stack(ways.of_utterances(emotions)[self.streams :], dim=1))
        return torch.cat([forward, backward.movedim(2, 0)], dim=-1)

    def _steps(self, utterances: Tensor, batch: DialogueBatch, ways: BothWays) -> tuple[Tensor, Tensor]:
        """e [W, T, B, E] and the weights of the context attention [W, B, T, T]."""
        parties = Parties(batch, ways)
        earlier = self.context_attention.over(utterances, ways)
        next_global = self.global_gru.over(utterances, ways)
        next_party = self.party_gru.over(utterances, ways)
        next_listener = self.listener_gru and self.listener_gru.over(utterances, ways, parties.count)

        states = parties.at_rest(self.party_width)
        speakers = []
        for turn in range(ways.shape[1]):
            speaker = parties.of_speaker(turn, states)
            context = earlier.attended(turn)
            earlier.add(self._dropped(next_global(turn, speaker, earlier.latest)))
            speaker = self._dropped(next_party(turn, context, speaker))
            others = self._dropped(next_listener(turn, speaker, states)) if next_listener else states
            states = parties.updated(turn, speaker, others)
            speakers.append(speaker)
        heard = torch.where(batch.mask.T.unsqueeze(-1), torch.stack(speakers, dim=1), states[:, :, 0].unsqueeze(1))
        return self.emotion_gru.along(heard, self._dropped), earlier.table()

    def _dropped(self, state: Tensor) -> Tensor:
        return F.dropout(state, self.dropout, self.training) if self.dropout else state
