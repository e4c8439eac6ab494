"""What GPTQ knows of a matrix's inputs: sums over calibration tokens, kept as the tokens pass."""

import torch
from torch import Tensor

# Columns of H computed at a time: only blocks on and above the diagonal are.
BLOCK_COLUMNS = 2048


class Hessian:
    """H = sum of w x xᵀ over the inputs x (K,) of a matrix, each of some weight w.

    With asymmetric calibration it also sums how far the float model's inputs are from those that
    the quantised layers before this one give: D = sum of w (x_float - x) xᵀ. Where the matrix has
    far fewer rows than columns, W D (N, K) is summed at once instead, which is smaller; and where
    the matrix writes to the residual stream, what is missing there r (N,) is to be made up for as
    well: W D + sum of w r xᵀ.

    Attributes:
        tokens: How many inputs of a weight above zero were seen.
    """

    def __init__(
        self,
        columns: int,
        asymmetric: bool = False,
        through: Tensor | None = None,
        device: torch.device | None = None,
    ) -> None:
        """Start at zero.

        Args:
            columns: K.
            asymmetric: Sum D as well.
            through: The one matrix (N, K) that D is for, if it is to be summed as W D.
            device: Where to.
        """
        self.columns = columns
        self.tokens = 0
        self._apart = self._energy = 0.0
        self._h: Tensor | None = torch.zeros(columns, columns, device=device)
        self._through = through
        self._asymmetric = asymmetric
        self._d: Tensor | None = None
        if asymmetric:
            rows = columns if through is None else len(through)
            self._d = torch.zeros(rows, columns, device=device)

    def add(
        self,
        x: Tensor,
        weight: Tensor,
        x_float: Tensor | None = None,
        missing: Tensor | None = None,
    ) -> None:
        """Add inputs.

        Args:
            x: (n, K).
            weight: (n,), how much each counts.
            x_float: (n, K), the float model's, if it is kept.
            missing: (n, N), what the residual stream lacks of the float model's before the matrix
                adds to it; only where D is summed as W D.
        """
        assert self._h is not None
        weighted = x * weight[:, None]
        for start in range(0, self.columns, BLOCK_COLUMNS):
            end = min(start + BLOCK_COLUMNS, self.columns)
            self._h[:end, start:end].addmm_(x[:, :end].T, weighted[:, start:end])
        if self._d is not None and x_float is not None:
            # The difference first: two large sums would cancel.
            apart = x_float - x
            self._apart += float((apart.square().sum(-1) * weight).sum())
            if self._through is not None:
                apart = apart @ self._through.T
            if missing is not None:
                apart += missing
            self._d.addmm_(apart.T, weighted)
        self._energy += float((x * weighted).sum())
        self.tokens += int((weight > 0).sum())

    @property
    def drift(self) -> float | None:
        """How far the two streams are apart, as a share of their energy; None with one."""
        return self._apart / (self._energy or 1.0) if self._asymmetric else None

    def take(self) -> Tensor:
        """Return H (K, K), whole, and let go of it: it is as large as a layer."""
        h, self._h = self._h, None
        assert h is not None
        for start in range(0, self.columns, BLOCK_COLUMNS):
            end = min(start + BLOCK_COLUMNS, self.columns)
            h[end:, start:end] = h[start:end, end:].T
        return h

    def cross(self, weight: Tensor) -> Tensor | None:
        """Return W D (N, K) for a matrix W (N, K); None without asymmetric calibration."""
        if self._d is None:
            return None
        return self._d if self._through is not None else weight @ self._d

    def drop_cross(self) -> None:
        """Let go of D."""
        self._d = self._through = None
