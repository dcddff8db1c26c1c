"""The layer of DAG-ERC: a recurrence in which an utterance attends to the new states of those before it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.lanes import Lanes
from dferc.layers.attention import masked_softmax
from dferc.layers.eager import eager


class AcyclicLayer(nn.Module):
    """One layer over R rows of S utterances, one step an utterance for all rows at once.

    What does not wait for a message, half of each GRU, is computed for all utterances before the recurrence starts.
    Equations at the head of ``dferc.models.dag_erc``.
    """

    def __init__(self, width: int) -> None:
        """Make the maps: scores of the attention, one matrix for each kind of speaker, two GRU cells."""
        super().__init__()
        self.attention = nn.Linear(width, 1, bias=False)
        self.same_speaker = nn.Linear(width, width, bias=False)
        self.other_speaker = nn.Linear(width, width, bias=False)
        self.node = nn.GRUCell(width, width)
        self.context = nn.GRUCell(width, width)

    @eager  # its loop over utterances would be unrolled
    def forward(self, inputs: Tensor, heard: Tensor, same_speaker: Tensor) -> tuple[Tensor, Tensor]:
        """States [R, S, H] and attention weights [R, S, S], a row who listens.

        Args:
            inputs: [R, S, H] states of the layer below.
            heard: [R, S, S] bool, who listens to whom; only ever to earlier ones.
            same_speaker: [R, S, S] bool, whether one person says both.
        """
        node_inputs = F.linear(inputs, self.node.weight_ih, self.node.bias_ih).unbind(1)
        context_states = F.linear(inputs, self.context.weight_hh, self.context.bias_hh).unbind(1)
        of_message = torch.cat([self.node.weight_hh, self.context.weight_ih])
        of_message_bias = torch.cat([self.node.bias_hh, self.context.bias_ih])
        relations = torch.cat([self.same_speaker.weight, self.other_speaker.weight], dim=1)
        kinds = torch.stack([same_speaker, ~same_speaker], dim=2).to(inputs.dtype)

        said = inputs[:, :0]
        scores = inputs[:, :0, 0]
        attentions = []
        for i, below in enumerate(inputs.unbind(1)):
            weights = masked_softmax(scores, heard[:, i, :i]) if i else scores
            message = F.linear(((kinds[:, i, :, :i] * weights.unsqueeze(1)) @ said).flatten(1), relations)
            node_state, context_input = F.linear(message, of_message, of_message_bias).chunk(2, dim=1)
            state = gated(node_inputs[i], node_state, message) + gated(context_input, context_states[i], below)
            said = torch.cat([said, state.unsqueeze(1)], dim=1)
            scores = torch.cat([scores, self.attention(state)], dim=1)
            attentions.append(F.pad(weights.detach(), (0, inputs.shape[1] - i)))
        return said, torch.stack(attentions, dim=1)


def gated(inputs: Tensor, states: Tensor, state: Tensor) -> Tensor:
    """A GRU's next state [R, H] from what input and state give to its gates [R, 3H], in torch's order: r, z, n."""
    reset_in, update_in, new_in = inputs.chunk(3, dim=1)
    reset_from, update_from, new_from = states.chunk(3, dim=1)
    new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_from) * new_from)
    return new + torch.sigmoid(update_in + update_from) * (state - new)


def in_lanes(values: Tensor, lanes: Lanes) -> Tensor:
    """[N, ...] -> [R, S, ...]: short dialogues one behind the other, zeros at empty places."""
    return torch.cat([values, values.new_zeros(1, *values.shape[1:])])[lanes.utterance]
