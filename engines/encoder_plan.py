"""Whether the encoders stay open while the decoder works, by free memory against what is needed."""

from collections.abc import Mapping
from dataclasses import dataclass

from engines.config import BundleConfig
from engines.part_memory import cache_bytes, part_memory

ENCODERS = ("vision_tower", "projector", "audio")
# Left for the rest of the program and for other ones.
MARGIN_BYTES = 512 << 20


@dataclass(frozen=True)
class EncoderPlan:
    """Which encoders to close before the decoder works.

    Attributes:
        close: their names.
        needed_bytes: what the decoder will still take: its weights unless it is open, the keys
            and values of the conversation, its working space.
        private_bytes: what the open encoders hold that only closing them gives back.
        available_bytes: free memory, with all that is open; None where the system does not say.
    """

    close: tuple[str, ...]
    needed_bytes: int
    private_bytes: int
    available_bytes: int | None


def plan_encoders(
    config: BundleConfig,
    opened: Mapping[str, bool],
    positions: int,
    available_bytes: int | None,
    exact: bool = False,
) -> EncoderPlan:
    """Decides which encoders to close.

    Mapped ones are closed always: they open again in a tenth of a second, and until then their
    pages serve whatever needs them. The others take seconds to open, so they stay while there is
    memory for the decoder beside them.

    Args:
        config: the manifest.
        opened: the graphs that are open on the CPU, and whether their weights are mapped.
        positions: tokens of the conversation, the answer included.
        available_bytes: free memory.
        exact: int4 layers with 32-bit activations.
    """
    parts = {part.part: part for part in part_memory(config, positions, exact)}
    decoder = parts["decoder"]
    needed = decoder.working_bytes + cache_bytes(config, positions)
    if not any(graph.startswith("decoder") for graph in opened):
        needed += decoder.packed_bytes
    encoders = {graph: mapped for graph, mapped in opened.items() if graph in ENCODERS}
    private = sum(parts[graph].packed_bytes for graph, mapped in encoders.items() if not mapped)
    short = available_bytes is not None and available_bytes < needed + MARGIN_BYTES
    close = tuple(graph for graph, mapped in encoders.items() if mapped or short)
    return EncoderPlan(close, needed, private, available_bytes)
