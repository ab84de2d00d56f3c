"""The probability of every label, without writing one.

The answers of a classification are a trie of ids, each ending with the stop token; a label's probability is the product
over its path. Labels that share tokens share the work, and branches that cannot matter are left out: from the root
down, only nodes are read whose prefix still holds probability, up to the next choice at a time. Where reading the whole
trie at once costs less than going down, that is done instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from transformers import DynamicCache

from exactune.infer.head import Head, batches, call_cost, kept_in, read_head, width_of
from exactune.infer.model import evaluating
from exactune.render.batch import pad_prompts
from exactune.render.packing import pack

__all__ = ["TOLERANCE", "LabelScores", "LabelTrie", "score_labels"]

TOLERANCE = 0.01
"""Largest probability of what is left unread, as a share of that of the labels."""
LEAST = 0.5
"""Share of the probability ahead that may wait for a later pass, where only the best label is asked for."""
LOGITS = 2**26
"""Most logits held at a time: 256 MB in float32."""
ABSENT = -2
"""Stands for no node."""
PLACES = 2**24
"""Most pairs of a new node and one that was read, held at a time."""


@dataclass(frozen=True, slots=True)
class LabelTrie:
    """Labels as ids, each node the tokens up to it. Node 0 is what stands before every label: the end of a prompt.

    Attributes:
        token: Last token of each node but the first, int64 ``[nodes]``.
        depth: int64 ``[nodes]``.
        ancestors: Nodes on the way to each one, itself included, by depth, -1 beyond it; int64 ``[nodes, depths]``.
        edges: First edge of each node, and the number of edges last: int64 ``[nodes + 1]``.
        follows: Token of each edge, int64 ``[edges]``.
        node_edges: Edges on the way to each node, padded with the number of edges; int64 ``[nodes, depths]``.
        label_edges: The same for each label, stop token included; int64 ``[labels, depths + 1]``.
        children: Nodes right below each node.
        runs: Each node and those below it, for as long as there is no choice.
        choices: Most passes that going down takes.
    """

    token: torch.Tensor
    depth: torch.Tensor
    ancestors: torch.Tensor
    edges: torch.Tensor
    follows: torch.Tensor
    node_edges: torch.Tensor
    label_edges: torch.Tensor
    children: Sequence[Sequence[int]]
    runs: Sequence[Sequence[int]]
    choices: int

    @property
    def depths(self) -> int:
        """Levels of nodes."""
        return int(self.depth.max()) + 1

    @classmethod
    def of(cls, labels: Sequence[Sequence[int]]) -> LabelTrie:
        """The trie of some labels' ids, each ending with its stop token.

        Args:
            labels: At least one id each, none the beginning of another.

        Raises:
            ValueError: A label stands twice.
        """
        if len(set(map(tuple, labels))) < len(labels):
            raise ValueError("a label stands twice")
        root = -1  # stands for whatever ends a prompt; sorts before every id
        rows = [[root, *ids] for ids in labels]
        tree = pack([(row, len(row) - 1) for row in sorted(rows)])
        token, depth = tree.input_ids, tree.position_ids
        source, follows = tree.source[tree.predicted_from], tree.target
        edge_of = {pair: edge for edge, pair in enumerate(zip(source.tolist(), follows.tolist(), strict=True))}
        path: list[int] = []
        paths: list[list[int]] = []
        child: dict[tuple[int, int], int] = {}
        for node, (level, last) in enumerate(zip(depth.tolist(), token.tolist(), strict=True)):
            if level:
                child[path[level - 1], last] = node
            path[level:] = [node]
            paths.append(list(path))
        none = len(edge_of)
        along = [[edge_of[above, int(token[node])] for above, node in pairwise(way)] for way in paths]
        whole: list[list[int]] = []
        for ids in labels:
            node, way = 0, []
            for place, follow in enumerate(ids, 1):
                way.append(edge_of[node, follow])
                node = child[node, follow] if place < len(ids) else node
            whole.append(way)
        edges = torch.searchsorted(source, torch.arange(len(token) + 1))
        children: list[list[int]] = [[] for _ in paths]
        for node, way in enumerate(paths[1:], 1):
            children[way[-2]].append(node)
        runs: list[list[int]] = [[]] * len(paths)
        passes = [1] * len(paths)
        for node in reversed(range(len(paths))):
            only = children[node] if edges[node + 1] - edges[node] == 1 else []
            runs[node] = [node, *(runs[only[0]] if only else [])]
            passes[node] = passes[only[0]] if only else 1 + max((passes[child] for child in children[node]), default=0)
        return cls(
            token, depth, _padded(paths, -1),
            edges, follows, _padded(along, none), _padded(whole, none), children, runs, passes[0],
        )  # fmt: skip


def _padded(rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
    width = max(1, *map(len, rows))
    return torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])


@dataclass(frozen=True, slots=True)
class LabelScores:
    """What a model thinks of every label after one prompt.

    Attributes:
        logprobs: Log-probability of each label's answer, stop token included; -inf for those left unread, which
            together hold less than the tolerance of what the others do (nats).
        best: The most probable label.
        estimates: The same, where labels left unread below a node share its probability evenly. None is above the best.
    """

    logprobs: tuple[float, ...]
    best: int
    estimates: tuple[float, ...]

    @property
    def mass(self) -> float:
        """Probability that the model, left free, would answer with one of the labels."""
        return sum(map(math.exp, self.logprobs))

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Of each label, given that it is one of them."""
        top = self.logprobs[self.best]
        weights = [math.exp(value - top) for value in self.logprobs]
        total = sum(weights)
        return tuple(weight / total for weight in weights)


@torch.inference_mode()
def score_labels(
    model: torch.nn.Module,
    prompts: Sequence[Sequence[int]],
    trie: LabelTrie,
    *,
    batch_size: int = 32,
    tolerance: float = TOLERANCE,
    advance: Callable[[int], None] = lambda _: None,
) -> list[LabelScores]:
    """Score every label after every prompt.

    Args:
        model: A causal language model whose attention goes by positions; it is put into evaluation mode for the call.
        prompts: Ids of each prompt.
        trie: The labels.
        batch_size: Prompts scored together, longest first.
        tolerance: Largest probability of what is left unread, as a share of that of the labels. The best label is exact
            at any; ``math.inf`` asks for nothing else.
        advance: Called with the number of prompts just scored; may raise to end the work.

    Returns:
        One entry per prompt, in the order given.
    """
    found: list[LabelScores | None] = [None] * len(prompts)
    with evaluating(model):
        head = read_head(model, prompts, trie.depths)
        for batch in batches([len(prompt) for prompt in prompts], batch_size):
            for index, scores in zip(
                batch, _score(model, [prompts[i] for i in batch], head, trie, tolerance), strict=True
            ):
                found[index] = scores
            advance(len(batch))
    return [scores for scores in found if scores is not None]


def _score(
    model: torch.nn.Module, prompts: Sequence[Sequence[int]], head: Head, trie: LabelTrie, tolerance: float
) -> list[LabelScores]:
    descent = _Descent(model, prompts, head, trie)
    nodes, call = len(trie.token), call_cost(descent.device)
    if not tolerance or call + len(prompts) * nodes <= trie.choices * call + 2 * len(prompts) * trie.depths:
        # Depth first, so what is above a node is read before it.
        descent.read([[*range(1, nodes)] for _ in prompts])
    else:
        descent.go_down(tolerance)
    logprobs = descent.label_logprobs(descent.edge_logprobs)
    return [
        LabelScores(tuple(row), max(range(len(row)), key=row.__getitem__), tuple(estimates))
        for row, estimates in zip(logprobs.tolist(), descent.estimates(logprobs).tolist(), strict=True)
    ]


class _Descent:
    """A batch of prompts, and the nodes that were read after each.

    Attributes:
        width: Most nodes read at a time after each prompt.
        edge_logprobs: Of each edge after each prompt, -inf where its node was not read, and a column of zeros for the
            padding of paths; float32 ``[prompts, edges + 1]``.
        rows: The prompts whose nodes are still being read; all else below is about these.
        seen: Which of their own tokens are no padding, int64 ``[rows, own]``.
        read_nodes: int64 ``[rows, read]``, padded with -2.
    """

    def __init__(self, model: torch.nn.Module, prompts: Sequence[Sequence[int]], head: Head, trie: LabelTrie) -> None:
        self.model, self.trie, self.device = model, trie, next(model.parameters()).device
        vocabulary = model.config.get_text_config().vocab_size
        self.width = max(1, LOGITS // (len(prompts) * vocabulary))
        self.lengths = torch.tensor([len(prompt) for prompt in prompts])[:, None]
        self.edge_logprobs = torch.full((len(prompts), len(trie.follows) + 1), -math.inf)
        self.edge_logprobs[:, -1] = 0
        self.rows = torch.arange(len(prompts))
        self.read_nodes = torch.empty(len(prompts), 0, dtype=torch.long)
        self.head, self.cache = head, DynamicCache()
        batch = pad_prompts([prompt[head.length :] for prompt in prompts])
        self.seen = batch["attention_mask"]
        # The last token of a prompt is node 0.
        logits = self.model(
            input_ids=batch["input_ids"].to(self.device), **kept_in(model, self.cache),
            position_ids=(batch["position_ids"] + head.length).to(self.device), logits_to_keep=1,
            **head.mask(model, self.seen.to(self.device), batch["input_ids"].shape[1]),
        ).logits  # fmt: skip
        self._keep(logits, torch.zeros(len(prompts), 1, dtype=torch.long))

    def read(self, wanted: Sequence[Sequence[int]]) -> None:
        """Read some nodes after each prompt; the nodes above each were read before, or stand before it."""
        start = 0
        while any(nodes[start:] for nodes in wanted):
            # Whom each new node may see is looked up among all that were read.
            width = max(1, min(self.width, PLACES // (len(wanted) * (self.read_nodes.shape[1] + 1))))
            self._read([nodes[start : start + width] for nodes in wanted])
            start += width

    def _read(self, wanted: Sequence[Sequence[int]]) -> None:
        trie = self.trie
        nodes = _padded(wanted, ABSENT)
        # Where there is nothing to read, some token is read in a place that nobody looks at.
        known = nodes.clamp(min=0)
        self.read_nodes = torch.cat([self.read_nodes, nodes], dim=1)
        # A node is above another if it is what that one's path has at its depth.
        level = trie.depth[self.read_nodes.clamp(min=0)][:, None].expand(-1, nodes.shape[1], -1)
        above = trie.ancestors[known].gather(2, level) == self.read_nodes[:, None]
        mask = torch.cat([self.seen.bool()[:, None].expand(-1, nodes.shape[1], -1), above], dim=2)[:, None]
        logits = self.model(
            input_ids=trie.token[known].clamp(min=0).to(self.device), **kept_in(self.model, self.cache),
            position_ids=(self.lengths - 1 + trie.depth[known]).to(self.device),
            **self.head.given(self.model, mask.to(self.device)),
        ).logits  # fmt: skip
        self._keep(logits, nodes)

    def _keep(self, logits: torch.Tensor, nodes: torch.Tensor) -> None:
        """Note the edges that leave some nodes; logits are ``[rows, nodes, vocabulary]``."""
        trie = self.trie
        row, place = (nodes >= 0).nonzero(as_tuple=True)
        of_nodes = logits[row, place].float()
        first, stop = trie.edges[nodes[row, place]], trie.edges[nodes[row, place] + 1]
        which = torch.arange(len(row)).repeat_interleave(stop - first)
        begins = (stop - first).cumsum(0) - (stop - first)
        edge = first[which] + torch.arange(len(which)) - begins[which]
        logprobs = of_nodes[which, trie.follows[edge]] - of_nodes.logsumexp(-1)[which]
        self.edge_logprobs[self.rows[row[which]], edge] = logprobs.cpu()

    def go_down(self, tolerance: float) -> None:
        """Read the trie from its root, the most probable branches first, for as long as the others matter."""
        trie = self.trie
        ahead: list[list[int]] = [[*trie.children[0]] for _ in self.rows]  # not read yet, right below what was
        while True:
            wanted = self._wanted(ahead, tolerance)
            going = [slot for slot, nodes in enumerate(wanted) if nodes]
            if not going:
                return
            if len(going) < len(wanted):
                # As in free answers, the slots of those that are done would cost as much as the others.
                self._leave_to(torch.tensor(going))
                ahead, wanted = [ahead[slot] for slot in going], [wanted[slot] for slot in going]
            runs = [[node for start in row for node in trie.runs[start]] for row in wanted]
            width = width_of([*map(len, runs)], self.device)
            runs = [row[:width] for row in runs]
            self.read(runs)
            ahead = [
                [node for node in (*row, *(child for above in taken for child in trie.children[above]))
                 if node not in taken]
                for row, taken in zip(ahead, map(dict.fromkeys, runs), strict=True)
            ]  # fmt: skip

    def _wanted(self, ahead: Sequence[Sequence[int]], tolerance: float) -> list[list[int]]:
        """The nodes to read next after each prompt, of those ahead; none where the rest may do."""
        nodes = _padded(ahead, ABSENT)
        logprobs = self.edge_logprobs[self.rows]
        way = logprobs[torch.arange(len(nodes))[:, None, None], self.trie.node_edges[nodes]].sum(-1)
        masses = way.double().exp().masked_fill(nodes < 0, 0.0).tolist()
        labels = self.label_logprobs(logprobs).double().exp()
        known = zip(labels.amax(1).tolist(), labels.sum(1).tolist(), strict=True)
        return [_next(row, mass, *found, tolerance) for row, mass, found in zip(ahead, masses, known, strict=True)]

    def _leave_to(self, slots: torch.Tensor) -> None:
        """Go on with some of the rows."""
        self.cache.batch_select_indices(slots.to(self.device))
        self.rows, self.lengths, self.seen = self.rows[slots], self.lengths[slots], self.seen[slots]
        self.read_nodes = self.read_nodes[slots]

    def label_logprobs(self, edge_logprobs: torch.Tensor) -> torch.Tensor:
        """From those of edges ``[rows, edges + 1]``, float32 ``[rows, labels]``."""
        return edge_logprobs[:, self.trie.label_edges].sum(-1)

    def estimates(self, logprobs: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of labels, float32 ``[rows, labels]``, with those left unread estimated."""
        unread = logprobs == -math.inf
        row, label = unread.nonzero(as_tuple=True)
        if not len(row):
            return logprobs
        edges = self.trie.label_edges[label]
        way = self.edge_logprobs[row[:, None], edges]
        known = way > -math.inf
        # What leaves a node is known together, so the last known edge leads to the node that was left unread.
        last = edges.gather(1, known.long().argmin(-1, keepdim=True) - 1)[:, 0]
        below = torch.bincount(self.trie.label_edges.flatten())[last]
        filled = logprobs.clone()
        filled[row, label] = way.masked_fill(~known, 0.0).sum(-1) - below.log()
        return filled


def _next(nodes: Sequence[int], mass: Sequence[float], best: float, total: float, tolerance: float) -> list[int]:
    """The nodes to read next: as many of the most probable ones as it takes for the rest to do; none at the end.

    Args:
        nodes: Those ahead.
        mass: Their probabilities.
        best: Probability of the best label so far.
        total: Of all labels so far.
        tolerance: See :func:`score_labels`.
    """
    falling = sorted(zip(mass, nodes, strict=False), reverse=True)
    rest = sum(value for value, _ in falling)
    if not falling or (best >= falling[0][0] and rest <= tolerance * total and total):
        return []
    spare = min(tolerance, LEAST) * (rest + total)
    taken: list[int] = []
    for value, node in falling:
        if taken and (rest <= spare or (value < best and tolerance >= 1)):
            break
        taken.append(node)
        rest -= value
    return taken
