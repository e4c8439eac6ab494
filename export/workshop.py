"""What the steps of an export share and fill, and how a step is run once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnx import TensorProto

from engines.config import (
    GraphConfig,
    VerificationRow,
    from_json,
    to_json,
)
from export import samples
from export.checkpoint import Checkpoint
from export.compare import (
    measure,
    refuse_failures,
    tolerance,
)
from export.graph.builder import Array, Graph
from export.plan import Plan
from export.progress import Progress
from export.unfinished import Unfinished

# In a step's arrays, in front of what goes into the self-test.
SELFTEST_PREFIX = "selftest."


@dataclass
class Workshop:
    """What the steps share and fill."""

    checkpoint: Checkpoint
    plan: Plan
    work: Unfinished
    progress: Progress
    graphs: dict[str, GraphConfig] = field(default_factory=dict)
    rows: list[VerificationRow] = field(default_factory=list)
    selftest: dict[str, Array] = field(default_factory=dict)

    @property
    def compute(self) -> int:
        """Element type of the encoders' matrix products: 16 bits unless all is float32."""
        return TensorProto.FLOAT if self.plan.scheme == "fp32" else TensorProto.FLOAT16

    @property
    def cache(self) -> int:
        """Element type of the decoder's matrix products and cache."""
        return TensorProto.FLOAT16 if self.plan.scheme == "fp16" else TensorProto.FLOAT

    @property
    def folder(self) -> Path:
        """The unfinished bundle."""
        return self.work.bundle

    def step(self, name: str, run: Callable[[], Mapping[str, Array]]) -> Mapping[str, Array]:
        """Run a step of the export, or take what an interrupted run made of it.

        Args:
            name: Of the step.
            run: Does it; returns what later steps need.
        """
        found = self.work.load(name)
        if found is None:
            made = run()
            facts = {
                "graphs": to_json(self.graphs),
                "rows": to_json(self.rows),
                "done": self.progress.done,
            }
            tested = {SELFTEST_PREFIX + key: value for key, value in self.selftest.items()}
            self.work.save(name, facts, {**tested, **made})
            return made
        facts, arrays = found
        self.graphs = {
            key: from_json(GraphConfig, value, key) for key, value in facts["graphs"].items()
        }
        self.rows = [from_json(VerificationRow, row, name) for row in facts["rows"]]
        self.progress.skip(facts["done"])
        names = {key for key in arrays if key.startswith(SELFTEST_PREFIX)}
        self.selftest = {key.removeprefix(SELFTEST_PREFIX): arrays[key] for key in sorted(names)}
        return {key: value for key, value in arrays.items() if key not in names}

    def register(self, name: str, graph: Graph, file: str) -> None:
        """Note a graph for the manifest."""
        self.graphs[name] = GraphConfig(file, *graph.signature())

    def check(self, graph: str, got: Array, wanted: Array) -> None:
        """Measure a graph and refuse it if it is outside its tolerance."""
        limit = tolerance(self.plan.scheme, graph)
        self.rows.append(measure(graph, got, wanted, limit, samples.NAME))
        refuse_failures(self.rows[-1:])
