"""The image pair correlation attention module (IPCAM) of TACAFNet: body parts as a graph.

The paper has prose and no equations. Read as one step of graph attention: nodes are the whole picture and its
horizontal parts from top to bottom; "feature-pair multiplication" is their cosine, the "weight squared matrix" a
square one that keeps the width, and the "image pair" lets one picture's nodes ask those of another.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["PartGraphAttention", "cumulative_means", "part_graph"]


def part_graph(parts: int) -> Tensor:
    """``bool[p + 1, p + 1]``: who may ask whom. Node 0 is the picture, 1 to p its parts.

    Parts know themselves and their neighbours; the picture knows all and all know it.
    """
    place = torch.arange(parts + 1)
    graph = (place[:, None] - place[None, :]).abs() <= 1
    graph[0, :] = graph[:, 0] = True
    return graph


class PartGraphAttention(nn.Module):
    """``X + ReLU(A X W)``, A the row softmax of cosines between nodes that know each other.

    Args:
        dim: d, width of the nodes.
        parts: p.
    """

    graph: Tensor

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.weight = nn.Linear(dim, dim, bias=False)
        self.register_buffer("graph", part_graph(parts), persistent=False)

    def attention(self, asking: Tensor, asked: Tensor) -> Tensor:
        """Nodes ``[B, p + 1, d]`` of two pictures -> A, ``[B, p + 1, p + 1]``; rows sum to one."""
        unit = [nn.functional.normalize(nodes.float(), dim=2) for nodes in (asking, asked)]
        cosines = unit[0] @ unit[1].transpose(1, 2)
        return cosines.masked_fill(~self.graph, -torch.inf).softmax(dim=2)

    def forward(self, nodes: Tensor, others: Tensor | None = None) -> Tensor:
        """Nodes ``[B, p + 1, d]`` -> the same shape.

        Args:
            others: nodes of the pictures to ask instead of one's own, row by row.
        """
        asked = nodes if others is None else others
        heard = self.attention(nodes, asked).to(asked.dtype) @ asked
        out: Tensor = nodes + nn.functional.relu(self.weight(heard))
        return out


def cumulative_means(parts: Tensor) -> Tensor:
    """Parts ``[B, p, d]`` -> ``[B, p - 1, d]``: the means of the first 2, 3, ..., p of them, from fine to coarse."""
    count = parts.shape[1]
    weights = torch.tril(parts.new_ones(count, count))[1:]
    return (weights / weights.sum(dim=1, keepdim=True)) @ parts
