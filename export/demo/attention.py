"""Attention written out, for training on a CPU.

The fused kernel's backward pass takes most of a step at our small sizes; plain products of
matrices in bfloat16 are two to five times faster. Only how it is computed differs.
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def attend(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Softmax attention: q (…, L, d), k and v (…, S, d), mask added to the scores."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ v


class PlainAttention(TorchFunctionMode):
    """Within this context the reference modules' fused attention is computed by `attend`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace the one function, pass every other on."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and not kwargs.get("is_causal"):
            q, k, v = args
            return attend(q, k, v, kwargs.get("attn_mask"))
        return func(*args, **kwargs)
