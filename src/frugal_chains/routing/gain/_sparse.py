"""A sparse matrix in numpy alone: what fitting a linear model needs, and no more.

Both products are one gather and one `reduceat`: entries are stored by row and, for the transposed
product, once more by column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Sparse:
    """Rows of (bucket, value) pairs. Only buckets that occur are columns, in ascending order."""

    rows: int
    ids: Ints
    """The bucket of each column."""
    row_values: Floats
    row_columns: Ints
    row_starts: Ints
    """Where each row that has an entry starts;"""
    row_numbers: Ints
    """and which row that is."""
    column_values: Floats
    column_rows: Ints
    column_starts: Ints

    @classmethod
    def of(cls, rows: Sequence[tuple[Ints, Floats]]) -> Sparse:
        """From each row's buckets and values."""
        lengths = np.array([len(ids) for ids, _ in rows], dtype=np.int64)
        found = np.concatenate([ids for ids, _ in rows])
        values = np.concatenate([values for _, values in rows])
        ids, columns = np.unique(found, return_inverse=True)
        numbers = np.repeat(np.arange(len(rows), dtype=np.int32), lengths)
        order = np.argsort(columns, kind="stable")
        filled = np.flatnonzero(lengths)
        starts = np.cumsum(lengths) - lengths
        return cls(
            rows=len(rows),
            ids=ids,
            row_values=values,
            row_columns=columns.astype(np.int32),
            row_starts=starts[filled].astype(np.int32),
            row_numbers=filled.astype(np.int32),
            column_values=values[order],
            column_rows=numbers[order],
            column_starts=np.searchsorted(columns[order], np.arange(len(ids))).astype(np.int32),
        )

    def dot(self, weights: Floats) -> Floats:
        """The product with one weight for each column, shape (rows,)."""
        out = np.zeros(self.rows, dtype=np.float32)
        if len(self.ids):
            products = self.row_values * weights[self.row_columns]
            out[self.row_numbers] = np.add.reduceat(products, self.row_starts)
        return out

    def transposed_dot(self, values: Floats) -> Floats:
        """The product of the transposed matrix with one value for each row, shape (columns,)."""
        if not len(self.ids):
            return np.zeros(0, dtype=np.float32)
        products = self.column_values * values[self.column_rows]
        return np.add.reduceat(products, self.column_starts)

    def column_energy(self, weights: Floats) -> Floats:
        """The sum of squares of each column, each row counted with its weight."""
        if not len(self.ids):
            return np.zeros(0, dtype=np.float32)
        products = self.column_values**2 * weights[self.column_rows]
        return np.add.reduceat(products, self.column_starts)
