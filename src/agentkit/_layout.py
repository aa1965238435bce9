"""Where a graph's nodes and edges go in a drawing: in ranks, one under the other.

Source: K. Sugiyama, S. Tagawa and M. Toda, "Methods for Visual Understanding of Hierarchical System
Structures", IEEE SMC 11(2), 1981: cycles are broken, nodes ranked by the longest path, long edges
cut into hops, and ranks ordered by barycentres.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]

RANK_GAP = 34.0
NODE_GAP = 22.0
PORT_GAP = 14.0
LOOP = 22.0
_HOP_WIDTH = 10.0
_SWEEPS = 24
_SETTLING = 60


@dataclass
class Box:
    """A node, or a hop of a long edge, with its size; `x` and `y` are its centre.

    `loops` says that an edge leads from the node to itself, for which there is room beside it.
    """

    id: str
    width: float
    height: float
    loops: bool = False
    is_hop: bool = False
    x: float = 0.0
    y: float = 0.0
    rank: int = 0
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)

    @property
    def room(self) -> float:
        """The width that it needs, the same on both sides."""
        return self.width + 2 * LOOP * self.loops


@dataclass(frozen=True)
class Edge:
    """An edge between two nodes."""

    source: str
    target: str
    conditional: bool = False
    label: str = ""


@dataclass(frozen=True)
class Line:
    """An edge as it is drawn: `points` lead from its source to its target.

    `is_back` says that it leads upwards, or from a node to itself, beside it.
    """

    edge: Edge
    points: Sequence[Point]
    is_back: bool

    @property
    def is_loop(self) -> bool:
        """Whether it leads from a node to itself."""
        return self.edge.source == self.edge.target


@dataclass(frozen=True)
class Layout:
    """Boxes and lines within a width and a height."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: float
    height: float


def laid_out(boxes: Sequence[Box], edges: Sequence[Edge], *, start: str) -> Layout:
    """Place boxes so that edges run downwards, but for those that close a cycle.

    Args:
        boxes: The nodes, with their sizes.
        edges: The edges between them.
        start: The id of the node that comes first, where there is one of that id.
    """
    if not boxes:
        return Layout([], [], 0.0, 0.0)
    nodes = {box.id: box for box in boxes}
    back = _back_edges(list(nodes), edges, start)
    _rank(nodes, edges, back)
    ranks: list[list[Box]] = [[] for _ in range(1 + max(box.rank for box in boxes))]
    for box in boxes:
        ranks[box.rank].append(box)
    chains = {edge: _chained(nodes, ranks, edge) for edge in edges if edge.source != edge.target}
    _order(ranks)
    _place(ranks)
    ports = _ports(ranks, chains)
    tops = [min(box.y - box.height / 2 for box in row) for row in ranks]
    bottoms = [max(box.y + box.height / 2 for box in row) for row in ranks]
    lines = [
        Line(edge, _points(chains[edge], ports[edge], tops, bottoms, up=edge in back), edge in back)
        if edge in chains
        else Line(edge, _loop(nodes[edge.source]), is_back=True)
        for edge in edges
    ]
    width = max(box.x + box.room / 2 for row in ranks for box in row)
    return Layout(boxes, lines, width, bottoms[-1])


# -- ranks -----------------------------------------------------------------------------------------


def _back_edges(ids: Sequence[str], edges: Sequence[Edge], start: str) -> set[Edge]:
    """The edges that close a cycle, when those that lead back to the start are put in last.

    Edges that are always taken are put in before those that are taken by choice.
    """
    depth = _depths(ids, edges, start)
    back: set[Edge] = set()
    followers: dict[str, list[str]] = {}
    for edge in sorted(edges, key=lambda e: (depth[e.target] < depth[e.source], e.conditional)):
        if edge.source in _reached(edge.target, followers):
            back.add(edge)
        else:
            followers.setdefault(edge.source, []).append(edge.target)
    return back


def _depths(ids: Sequence[str], edges: Sequence[Edge], start: str) -> dict[str, int]:
    """How many edges away from the start each node is, and 0 for those that it does not lead to."""
    entered = {edge.target for edge in edges if edge.source != edge.target}
    first = start if start in ids else next((i for i in ids if i not in entered), ids[0])
    followers: dict[str, list[str]] = {}
    for edge in edges:
        followers.setdefault(edge.source, []).append(edge.target)
    return {**dict.fromkeys(ids, 0), **_reached(first, followers)}


def _reached(first: str, followers: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The nodes that one leads to, itself among them, by how many edges."""
    depth = {first: 0}
    waiting = deque([first])
    while waiting:
        node = waiting.popleft()
        for follower in followers.get(node, ()):
            if follower not in depth:
                depth[follower] = depth[node] + 1
                waiting.append(follower)
    return depth


def _rank(nodes: Mapping[str, Box], edges: Sequence[Edge], back: Collection[Edge]) -> None:
    """Rank each node below all that lead to it, and the end below all."""
    forward = [edge for edge in edges if edge not in back]
    for _ in nodes:  # without cycles, as many rounds as there are nodes settle every longest path
        for edge in forward:
            target, source = nodes[edge.target], nodes[edge.source]
            target.rank = max(target.rank, source.rank + 1)
    last = max(box.rank for box in nodes.values())
    for box in nodes.values():
        if box.id.rsplit(":", 1)[-1] == "__end__":
            box.rank = last


# -- hops and order --------------------------------------------------------------------------------


def _chained(nodes: Mapping[str, Box], ranks: Sequence[list[Box]], edge: Edge) -> list[Box]:
    """The edge's ends and hops, from the top down, each joined to the next."""
    top, bottom = sorted((nodes[edge.source], nodes[edge.target]), key=lambda box: box.rank)
    hops = [
        Box(f"{edge.source}>{edge.target}", _HOP_WIDTH, 0.0, is_hop=True, rank=rank)
        for rank in range(top.rank + 1, bottom.rank)
    ]
    for hop in hops:
        ranks[hop.rank].append(hop)
    chain = [top, *hops, bottom]
    for upper, lower in pairwise(chain):
        upper.below.append(lower)
        lower.above.append(upper)
    return chain


def _order(ranks: list[list[Box]]) -> None:
    """Order each rank so that few edges cross: the best of the orders that sweeps go through."""
    best, fewest = [list(row) for row in ranks], _crossings(ranks)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in ranks if down else reversed(ranks):
            _by_centre(row, ranks, down=down)
        count = _crossings(ranks)
        if count < fewest:
            best, fewest = [list(row) for row in ranks], count
    for row, ordered in zip(ranks, best, strict=True):
        row[:] = ordered


def _by_centre(row: list[Box], ranks: Sequence[Sequence[Box]], *, down: bool) -> None:
    place = _places(ranks)
    centres = {
        id(box): _mean([place[id(other)] for other in (box.above if down else box.below)])
        for box in row
    }

    def key(box: Box) -> float:
        centre = centres[id(box)]
        return place[id(box)] if centre is None else centre

    row.sort(key=key)


def _places(ranks: Iterable[Sequence[Box]]) -> dict[int, float]:
    return {id(box): float(place) for row in ranks for place, box in enumerate(row)}


def _crossings(ranks: Sequence[Sequence[Box]]) -> int:
    place = _places(ranks)
    count = 0
    for row in ranks:
        ends = [(place[id(box)], place[id(other)]) for box in row for other in box.below]
        count += sum(
            (one[0] - two[0]) * (one[1] - two[1]) < 0
            for at, one in enumerate(ends)
            for two in ends[at + 1 :]
        )
    return count


# -- places ----------------------------------------------------------------------------------------


def _place(ranks: Sequence[Sequence[Box]]) -> None:
    y = 0.0
    for row in ranks:
        height = max(box.height for box in row)
        x = 0.0
        for box in row:
            box.x, box.y = x + box.room / 2, y + height / 2
            x += box.room + NODE_GAP
        y += height + RANK_GAP
        for box in row:
            box.x -= (x - NODE_GAP) / 2
    for sweep in range(_SETTLING):
        for row in reversed(ranks) if sweep % 2 else ranks:
            _pull(row)
    left = min(box.x - box.room / 2 for row in ranks for box in row)
    for row in ranks:
        for box in row:
            box.x -= left


def _pull(row: Sequence[Box]) -> None:
    """Pull a rank under its neighbours, in its order and without overlap."""
    wanted = [_wanted(box) for box in row]
    apart = [(one.room + two.room) / 2 + NODE_GAP for one, two in pairwise(row)]
    from_left, from_right = list(wanted), list(wanted)
    for place, gap in enumerate(apart, 1):
        from_left[place] = max(wanted[place], from_left[place - 1] + gap)
    for place in range(len(apart) - 1, -1, -1):
        from_right[place] = min(wanted[place], from_right[place + 1] - apart[place])
    # the mean of two placements that keep their distances keeps them, too
    for box, one, two in zip(row, from_left, from_right, strict=True):
        box.x = (one + two) / 2


def _wanted(box: Box) -> float:
    """Where a box would be: between its neighbours, those first that make an edge straight."""
    near = [(other.x, _straightness(other, box)) for other in box.above]
    near += [(other.x, _straightness(box, other)) for other in box.below]
    weight = sum(weight for _, weight in near)
    return sum(x * weight for x, weight in near) / weight if near else box.x


def _straightness(upper: Box, lower: Box) -> float:
    """How much it matters that the piece of an edge between two boxes is straight."""
    if upper.is_hop and lower.is_hop:
        return 100
    if len(upper.below) == len(lower.above) == 1:
        return 16
    return 1 if upper.is_hop or lower.is_hop else 2


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


# -- lines -----------------------------------------------------------------------------------------

_Ports: TypeAlias = tuple[float, float]
"""Where an edge meets its upper and its lower node."""


def _ports(
    ranks: Sequence[Sequence[Box]], chains: Mapping[Edge, Sequence[Box]]
) -> dict[Edge, _Ports]:
    """Where edges meet their nodes: side by side, in the order of where they come from."""
    upper = _side_by_side(ranks, {edge: (chain[0], chain[1]) for edge, chain in chains.items()})
    lower = _side_by_side(ranks, {edge: (chain[-1], chain[-2]) for edge, chain in chains.items()})
    return {edge: (upper[edge], lower[edge]) for edge in chains}


def _side_by_side(
    ranks: Sequence[Sequence[Box]], ends: Mapping[Edge, tuple[Box, Box]]
) -> dict[Edge, float]:
    found: dict[Edge, float] = {}
    for row in ranks:
        for box in row:
            here = [edge for edge, (end, _) in ends.items() if end is box]
            here.sort(key=lambda edge: ends[edge][1].x)
            gap = min(PORT_GAP, 0.8 * box.width / max(1, len(here)))
            for place, edge in enumerate(here):
                found[edge] = box.x + gap * (place - (len(here) - 1) / 2)
    return found


def _points(
    chain: Sequence[Box],
    ports: _Ports,
    tops: Sequence[float],
    bottoms: Sequence[float],
    *,
    up: bool,
) -> list[Point]:
    """The line from the source to the target, which is upright where it passes a rank."""
    top, *hops, bottom = chain
    points = [(ports[0], top.y + top.height / 2), (ports[0], bottoms[top.rank])]
    for hop in hops:
        points += [(hop.x, tops[hop.rank]), (hop.x, bottoms[hop.rank])]
    points += [(ports[1], tops[bottom.rank]), (ports[1], bottom.y - bottom.height / 2)]
    points = [point for place, point in enumerate(points) if point not in points[:place]]
    return points[::-1] if up else points


def _loop(box: Box) -> list[Point]:
    right, y = box.x + box.width / 2, box.y
    return [(right, y - 7), (right + LOOP, y - 12), (right + LOOP, y + 12), (right, y + 7)]
