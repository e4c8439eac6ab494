"""A bundle's engines for one architecture: which are up to date, and how a new one joins them."""

from contextlib import suppress
from pathlib import Path

from engines.bundle import Bundle
from engines.engine_files import (
    FORMAT,
    LIST,
    Compiler,
    EngineFile,
    EngineSet,
    engines_dir,
    graph_hash,
    open_engine,
    read_engines,
    write_engines,
)
from engines.errors import EngineFileError
from export.engine_sources import GRAPHS, Source, profiles
from export.tensorrt import NO_DECODER, Compiled, Job

PART = ".part"


class Shelf:
    """The engines of a bundle for one architecture.

    Attributes:
        listed: Those that this user's key vouches for and that fit the bundle, by graph.
        lacking: Graphs without one that is as wanted.
        without_decoder: Whether the decoder is left out because these GPUs cannot take it.
    """

    def __init__(self, bundle: Bundle, arch: str, compiler: Compiler, context: int) -> None:
        self.arch = arch
        self.bundle = bundle
        self.compiler = compiler
        self.folder = engines_dir(bundle.path, arch)
        self.profiles = {
            graph: profiles(bundle.config, graph, context)
            for graph in GRAPHS
            if graph in bundle.config.graphs
        }
        self.without_decoder = arch in NO_DECODER
        if self.without_decoder:
            del self.profiles["decoder"]
        self.listed = self._read()
        self.lacking = [
            graph
            for graph, wanted in self.profiles.items()
            if graph not in self.listed or self.listed[graph].profiles != wanted
        ]
        self._tidy()

    def job(self, graph: str, source: Source) -> Job:
        """Return what the compiler is asked."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Job(
            self.compiler.flavour,
            self.arch,
            source.path,
            self.folder / f"{graph}.engine{PART}",
            source.inputs,
            source.outputs,
            self.profiles[graph],
        )

    def add(self, graph: str, source: Source, compiled: Compiled, part: Path) -> None:
        """Give a compiled engine its name, in the place of an older one, and list it.

        Raises:
            OSError: the disk is full or failed.
        """
        entry = EngineFile(
            file=f"{graph}.engine",
            size=compiled.size,
            sha256=compiled.sha256,
            graph_file=self.bundle.config.graphs[graph].file,
            graph_sha256=graph_hash(self.bundle, graph),
            dtype=source.dtype,
            inputs=compiled.inputs,
            outputs=compiled.outputs,
            profiles=self.profiles[graph],
            weights_bytes=compiled.weights_bytes,
            activation_bytes=compiled.activation_bytes,
            build_s=compiled.build_s,
        )
        part.replace(self.folder / entry.file)
        self.listed[graph] = entry
        listed = EngineSet(FORMAT, self.compiler, self.arch, self.bundle.id, dict(self.listed))
        write_engines(self.bundle, listed)

    def _read(self) -> dict[str, EngineFile]:
        found = {}
        with suppress(EngineFileError):
            engines = read_engines(self.bundle, self.arch)
            for graph in self.profiles:
                with suppress(EngineFileError):
                    open_engine(self.bundle, engines, graph, self.compiler).close()
                    found[graph] = engines.graphs[graph]
        return found

    def _tidy(self) -> None:
        """Remove what nobody may run: of another compiler or graph, or left by a killed build."""
        names = {entry.file for entry in self.listed.values()} | {LIST}
        for path in self.folder.glob("*"):
            if path.name not in names:
                path.unlink()
