"""Extremely randomised trees (Geurts, Ernst and Wehenkel, Machine Learning 63, 2006), in numpy.

Each node draws some features and one random threshold for each, and keeps the split that tells the
targets apart best. What single flags say together (a wrong step *and* an unused number) is found
without being named, a few hundred rows are enough, and a prediction is a sum of steps down a path
that can be told feature by feature.

Fitting takes time in rows x trees; a prediction reads one path of each tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TREES: Final = 100
"""More of them change a prediction by less than its own error."""
_MIN_LEAF: Final = 3
"""Rows; the averaging over trees is what smooths."""
_MAX_LEAVES: Final = 200
"""About so many for each tree: neither the time of a fit nor the file grows with a long log."""
_DIGITS: Final = 6
_SPARE: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """All nodes of all trees in one row of arrays; a leaf has feature -1."""

    roots: Ints
    """Shape (trees,)."""
    feature: Ints
    """Shape (nodes,), like the next two."""
    threshold: Floats
    child: Ints
    """The left one, where the feature is at most the threshold; the right one stands behind it."""
    value: Floats
    """Mean targets of a node's rows, shape (nodes, targets)."""

    def predict(self, rows: Floats) -> Floats:
        """Mean targets, shape (rows, targets)."""
        number = np.arange(len(rows))[:, None]
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots))).copy()
        while True:
            feature = self.feature[node]
            inner = feature >= 0
            if not inner.any():
                return np.asarray(self.value[node].mean(axis=1))
            right = rows[number, feature] > self.threshold[node]
            node = np.where(inner, self.child[node] + right, node)

    def explain(self, row: Floats) -> tuple[Floats, Floats]:
        """The targets before any feature is looked at, and what each feature adds to them.

        Returns:
            Shapes (targets,) and (features, targets); their sum is the prediction.
        """
        added = np.zeros((len(row), self.value.shape[1]))
        node = self.roots
        base = self.value[node].mean(axis=0)
        while True:
            node = node[self.feature[node] >= 0]
            if not len(node):
                return base, added / len(self.roots)
            feature = self.feature[node]
            below = self.child[node] + (row[feature] > self.threshold[node])
            np.add.at(added, feature, self.value[below] - self.value[node])
            node = below

    def to_json(self) -> dict[str, Any]:
        """Plain lists."""
        return {name: getattr(self, name).tolist() for name in self.__slots__}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Forest:
        """The forest that `to_json` was made of."""
        return cls(
            roots=np.array(plain["roots"], dtype=np.int64),
            feature=np.array(plain["feature"], dtype=np.int64),
            threshold=np.array(plain["threshold"], dtype=np.float64),
            child=np.array(plain["child"], dtype=np.int64),
            value=np.array(plain["value"], dtype=np.float64),
        )


def grow(rows: Floats, targets: Floats, *, seed: int, trees: int = TREES) -> Forest:
    """Fit a forest.

    Args:
        rows: Shape (rows, features).
        targets: Shape (rows, targets), each within -1 and 1.
        seed: The same one gives the same forest.
        trees: How many.
    """
    rng = np.random.default_rng(seed)
    # Thresholds are drawn, so their digits carry nothing: few of them keep the file small.
    rows = np.asarray(rows, dtype=np.float64)
    tries = max(1, round(rows.shape[1] ** 0.5))
    nodes = _Nodes(max(_MIN_LEAF, len(rows) // _MAX_LEAVES))
    roots = [nodes.grow(rows, targets, rng, tries) for _ in range(trees)]
    return Forest(
        roots=np.array(roots),
        feature=np.array(nodes.feature),
        threshold=np.array(nodes.threshold),
        child=np.array(nodes.child),
        value=np.array(nodes.value, dtype=np.float64).round(_DIGITS),
    )


class _Nodes:
    """Nodes of a forest that is growing."""

    def __init__(self, min_leaf: int) -> None:
        self.min_leaf = min_leaf
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.child: list[int] = []
        self.value: list[Floats] = []

    def grow(self, rows: Floats, targets: Floats, rng: np.random.Generator, tries: int) -> int:
        """Add one tree; returns its root."""
        root = self._add(targets)
        waiting = [(root, np.arange(len(rows)))]
        while waiting:
            node, members = waiting.pop()
            split = _split(rows, members, targets[members], rng, tries, self.min_leaf)
            if split is None:
                continue
            feature, threshold, right = split
            self.feature[node], self.threshold[node] = feature, threshold
            below = members[~right], members[right]
            self.child[node] = len(self.feature)
            waiting += [(self._add(targets[side]), side) for side in below]
        return root

    def _add(self, targets: Floats) -> int:
        self.feature.append(-1)
        self.threshold.append(0.0)
        self.child.append(0)
        self.value.append(targets.mean(axis=0))
        return len(self.feature) - 1


def _split(
    rows: Floats,
    members: Ints,
    targets: Floats,
    rng: np.random.Generator,
    tries: int,
    min_leaf: int,
) -> tuple[int, float, NDArray[np.bool_]] | None:
    """The best of some random splits: its feature, its threshold, and who goes right."""
    count = len(members)
    if count < 2 * min_leaf or (targets == targets[0]).all():
        return None
    # Enough to find `tries` that differ within the node, most of the time, without reading all.
    drawn = rng.permutation(rows.shape[1])[: tries * _SPARE]
    here = rows[members[:, None], drawn]
    low, high = here.min(axis=0), here.max(axis=0)
    able = np.flatnonzero(high > low)[:tries]
    if not len(able):
        return None
    tried = drawn[able]
    thresholds = rng.uniform(low[able], high[able]).round(_DIGITS)
    right = here[:, able] > thresholds
    many = right.sum(axis=0)
    fair = (many >= min_leaf) & (count - many >= min_leaf)
    if not fair.any():
        return None
    sums = right.T @ targets
    rest = targets.sum(axis=0) - sums
    with np.errstate(divide="ignore", invalid="ignore"):
        # The squares between the sides: the larger, the less is left within them.
        between = (sums**2).sum(axis=1) / many + (rest**2).sum(axis=1) / (count - many)
    best = int(np.argmax(np.where(fair, between, -np.inf)))
    return int(tried[best]), float(thresholds[best]), right[:, best]
