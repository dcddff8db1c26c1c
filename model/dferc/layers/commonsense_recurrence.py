"""The recurrence of COSMIC, over all dialogues and both ways at once.

At step t, where s speaks u_t, from states of zero; what COMET infers from u_t is in angle brackets:

    g   = GRU_global([u ; q_s ; r_s], g)                         what has been said, by whom
    c   = attention of u to the g of earlier steps               see earlier.py
    r_s = GRU_external([u ; <reaction of self> ; c], r_s)        how the speaker acts and is seen
    q_s = GRU_internal([<effect on self> ; c], q_s)              what the speaker feels and believes
    i_s = GRU_intent([<intent of self> ; q_s], i_s)              where the speaker is heading
    e   = GRU_emotion([u ; q_s ; r_s ; i_s], e)

and for everybody else, with active listeners:

    r_j = GRU_listener_external([u ; <reaction of others> ; r_s], r_j)
    q_j = GRU_listener_internal([<effect on others> ; q_s], q_j)
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.layers.both_ways import BothWays, TwoWayGRU
from dferc.layers.eager import eager
from dferc.layers.earlier import EarlierAttention, Kind
from dferc.layers.party_states import Parties

INFERENCES = ("intent_of_self", "effect_on_self", "reaction_of_self", "effect_on_others", "reaction_of_others")
"""What is asked of COMET about an utterance."""


class CommonsenseRecurrence(nn.Module):
    """A global state, three states for each party, and an emotion state."""

    def __init__(
        self,
        utterance: int,
        inferences: Mapping[str, int],
        widths: Mapping[str, int],
        context: Kind = "general2",
        active_listener: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """Make the cells.

        Args:
            utterance: width of u.
            inferences: widths of the vectors named in ``INFERENCES``; 0 for one that is not there.
            widths: of the states "global", "internal", "external", "intent" and "emotion".
            context: kind of the attention to earlier global states.
            active_listener: listeners' states follow what is said.
            dropout: on every new state as it goes on to the next step.
        """
        super().__init__()
        self.widths = dict(widths)
        self.dropout = dropout
        all_of_speaker = widths["internal"] + widths["external"]
        self.context_attention = EarlierAttention(context, utterance, widths["global"], squash=True)
        self.global_gru = TwoWayGRU(utterance, all_of_speaker, widths["global"])
        self.external_gru = TwoWayGRU(utterance + inferences["reaction_of_self"], widths["global"], widths["external"])
        self.party_gru = TwoWayGRU(inferences["effect_on_self"], widths["global"], widths["internal"])
        self.intent_gru = TwoWayGRU(inferences["intent_of_self"], widths["internal"], widths["intent"])
        self.emotion_gru = TwoWayGRU(utterance + all_of_speaker + widths["intent"], 0, widths["emotion"])
        self.listeners = active_listener
        if active_listener:
            self.listener_external_gru = TwoWayGRU(
                utterance + inferences["reaction_of_others"], widths["external"], widths["external"]
            )
            self.listener_internal_gru = TwoWayGRU(
                inferences["effect_on_others"], widths["internal"], widths["internal"]
            )

    @eager  # a compiler would unroll the loop
    def forward(self, utterances: Tensor, inferred: Mapping[str, Tensor], batch: DialogueBatch) -> Tensor:
        """Utterances [N, D] and what was inferred of each [N, K] -> e of both ways [N, 2E]."""
        with torch.autocast(utterances.device.type, enabled=False):
            return self._steps(utterances.float(), {name: v.float() for name, v in inferred.items()}, batch)

    def _steps(self, utterances: Tensor, inferred: Mapping[str, Tensor], batch: DialogueBatch) -> Tensor:
        ways = BothWays(batch)
        parties = Parties(batch, ways)
        earlier = self.context_attention.over(utterances, ways)
        next_global = self.global_gru.over(utterances, ways)
        next_external = self.external_gru.over(torch.cat([utterances, inferred["reaction_of_self"]], dim=-1), ways)
        next_internal = self.party_gru.over(inferred["effect_on_self"], ways)
        next_intent = self.intent_gru.over(inferred["intent_of_self"], ways)
        if self.listeners:
            heard = torch.cat([utterances, inferred["reaction_of_others"]], dim=-1)
            listener_external = self.listener_external_gru.over(heard, ways, parties.count)
            listener_internal = self.listener_internal_gru.over(inferred["effect_on_others"], ways, parties.count)

        internal, external, intent = (parties.at_rest(self.widths[s]) for s in ("internal", "external", "intent"))
        speakers = []
        for turn in range(ways.shape[1]):
            q, r, i = (parties.of_speaker(turn, states) for states in (internal, external, intent))
            context = earlier.attended(turn)
            earlier.add(self._dropped(next_global(turn, torch.cat([q, r], dim=-1), earlier.latest)))
            r, q = next_external(turn, context, r), next_internal(turn, context, q)
            i = next_intent(turn, q, i)
            speakers.append(torch.cat([q, r, i], dim=-1))
            others_external = listener_external(turn, r, external) if self.listeners else external
            others_internal = listener_internal(turn, q, internal) if self.listeners else internal
            external = self._dropped(parties.updated(turn, r, others_external))
            internal = self._dropped(parties.updated(turn, q, others_internal))
            intent = self._dropped(parties.updated(turn, i, intent))
        known = torch.cat([ways.laid_out(utterances.expand(2, -1, -1)), torch.stack(speakers, dim=1)], dim=-1)
        return ways.side_by_side(self.emotion_gru.along(known, self._dropped))

    def _dropped(self, state: Tensor) -> Tensor:
        return F.dropout(state, self.dropout, self.training) if self.dropout else state
