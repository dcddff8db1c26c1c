"""The recurrence of MFN over the turns of all dialogues at once: an LSTM a modality, and a memory of them all.

    (h_m, c_m) = LSTM_m(y_m, (h_m, c_m))                     s = [the c_m of the turn before ; the c_m of this turn]
    a = softmax(attention(s)) * s    new = tanh(candidate(a))
    mem <- sigmoid(retain([a ; mem])) * mem + sigmoid(update([a ; mem])) * new

Attention, candidate, retain and update are networks of two layers, V relu(W . + b) + d. The LSTMs hear nothing of the
memory, and nor does a: what is made of a is made for all turns side by side, and only the gates step on with mem.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dferc.corpus.batch import DialogueBatch
from dferc.layers.both_ways import BothWays, EveryStep
from dferc.layers.eager import eager


class StreamLSTM(nn.Module):
    """An LSTM cell for each of W streams of vectors, that takes its steps together with the others."""

    def __init__(self, streams: int, width: int, hidden: int) -> None:
        """Make the weights, with the initial values of ``torch.nn.LSTMCell``."""
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(streams, 4 * hidden, width))
        self.weight_hh = nn.Parameter(torch.empty(streams, 4 * hidden, hidden))
        self.bias_ih = nn.Parameter(torch.empty(streams, 4 * hidden))
        self.bias_hh = nn.Parameter(torch.empty(streams, 4 * hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(self, streams: Tensor, ways: BothWays) -> tuple[Tensor, Tensor]:
        """[W, N, D] -> hidden states and cells after each turn, both [W, T, B, H]."""
        bias = (self.bias_ih + self.bias_hh).unsqueeze(1)
        given = ways.laid_out(torch.baddbmm(bias, streams, self.weight_ih.transpose(1, 2)))
        gates_at = EveryStep(given, self.weight_hh)
        hidden = cell = given.new_zeros(*given[:, 0].shape[:2], self.weight_hh.shape[2])
        states, cells = [], []
        for turn in range(given.shape[1]):
            enter, forget, new, out = gates_at(turn, hidden).chunk(4, dim=-1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(out) * torch.tanh(cell)
            states.append(hidden)
            cells.append(cell)
        return torch.stack(states, dim=1), torch.stack(cells, dim=1)


class TwoLayers(nn.Module):
    """V relu(W x + b) + d, with dropout between."""

    def __init__(self, width_in: int, hidden: int, width_out: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width_in, hidden)
        self.fc2 = nn.Linear(hidden, width_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., D_in] -> [..., D_out]."""
        out: Tensor = self.fc2(self.dropout(torch.relu(self.fc1(inputs))))
        return out


class MemoryGates(nn.Module):
    """Retains some of the memory and adds some of the candidate, turn by turn."""

    def __init__(self, attended: int, memory: int, retain_hidden: int, update_hidden: int, dropout: float) -> None:
        """Make both networks.

        Args:
            attended: width of a.
            memory: width of mem.
            retain_hidden: inner width of the network that keeps.
            update_hidden: inner width of the network that adds.
            dropout: inside both.
        """
        super().__init__()
        self.attended, self.memory, self.dropout = attended, memory, dropout
        self.retain_gate = TwoLayers(attended + memory, retain_hidden, memory, dropout)
        self.update_gate = TwoLayers(attended + memory, update_hidden, memory, dropout)

    def forward(self, attended: Tensor, candidate: Tensor, ways: BothWays) -> Tensor:
        """a [N, A] and new [N, U] -> mem after each turn [1, T, B, U]."""
        gates = (self.retain_gate, self.update_gate)
        weights = torch.cat([gate.fc1.weight for gate in gates])
        biases = torch.cat([gate.fc1.bias for gate in gates])
        known = F.linear(attended, weights[:, : self.attended], biases)
        inner = EveryStep(ways.laid_out(known.unsqueeze(0)), weights[:, self.attended :].unsqueeze(0))
        candidates = ways.laid_out(candidate.unsqueeze(0)).unbind(1)
        keep, add = (self._second(gate, ways) for gate in gates)
        parts = [gate.fc1.out_features for gate in gates]
        memory = torch.zeros_like(candidates[0])
        memories = []
        for turn, new in enumerate(candidates):
            hidden = F.dropout(torch.relu(inner(turn, memory)), self.dropout, self.training)
            of_keep, of_add = torch.split(hidden, parts, dim=-1)
            memory = torch.sigmoid(keep(turn, of_keep)) * memory + torch.sigmoid(add(turn, of_add)) * new
            memories.append(memory)
        return torch.stack(memories, dim=1)

    def _second(self, gate: TwoLayers, ways: BothWays) -> EveryStep:
        _, turns, dialogues = ways.shape
        return EveryStep(gate.fc2.bias.expand(1, turns, dialogues, -1), gate.fc2.weight.unsqueeze(0))


class MemoryFusion(nn.Module):
    """The LSTMs, the attention over their cells, the memory."""

    def __init__(
        self,
        streams: int,
        width: int,
        hidden: int,
        memory: int,
        networks: tuple[int, int, int, int],
        dropout: float,
    ) -> None:
        """Make the layers.

        Args:
            streams: M, modalities.
            width: of y.
            hidden: of each h and c.
            memory: of mem.
            networks: inner widths of attention, candidate, retain and update.
            dropout: inside those four.
        """
        super().__init__()
        cells = 2 * streams * hidden
        attention, candidate, retain, update = networks
        self.lstm = StreamLSTM(streams, width, hidden)
        self.attention = TwoLayers(cells, attention, cells, dropout)
        self.candidate = TwoLayers(cells, candidate, memory, dropout)
        self.gates = MemoryGates(cells, memory, retain, update, dropout)

    @eager  # a compiler would unroll the loops
    def forward(self, streams: Tensor, batch: DialogueBatch) -> Tensor:
        """y [M, N, D] -> [h of each modality ; mem] [N, M * H + U]."""
        with torch.autocast(streams.device.type, enabled=False):
            return self._fused(streams.float(), batch)

    def _fused(self, streams: Tensor, batch: DialogueBatch) -> Tensor:
        ways = BothWays(batch, len(streams), 0)
        states, cells = self.lstm(streams, ways)
        before = F.pad(cells, (0, 0, 0, 0, 1, 0))[:, :-1]
        both = torch.cat([ways.side_by_side(before), ways.side_by_side(cells)], dim=-1)
        attended = torch.softmax(self.attention(both), dim=-1) * both
        of_memory = BothWays(batch, 1, 0)
        memories = self.gates(attended, torch.tanh(self.candidate(attended)), of_memory)
        return torch.cat([ways.side_by_side(states), of_memory.side_by_side(memories)], dim=-1)
