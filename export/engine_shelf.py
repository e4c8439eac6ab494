"""A bundle's engines for one architecture: which are up to date, and how a new one joins them."""

import shutil
from collections.abc import Sequence
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
from engines.engine_trust import forget_engine
from engines.errors import EngineFileError
from export.engine_sources import GRAPHS, Source, profiles
from export.tensorrt import NO_DECODER, Compiled, Job

PART = ".part"


def built_context(bundle: Bundle, archs: Sequence[str]) -> int | None:
    """Return the positions in the cache of the decoder that is there; None where there is none."""
    for arch in archs:
        with suppress(EngineFileError, KeyError):
            inputs = read_engines(bundle, arch).graphs["decoder"].inputs
            capacity = inputs["past_key_values.0.key"][1][2]
            if isinstance(capacity, int):
                return capacity
    return None


class Shelf:
    """The engines of a bundle for one architecture.

    Attributes:
        listed: Those that this user's key vouches for and that fit the bundle, by graph.
        lacking: Graphs without one that is as wanted.
        without_decoder: Whether the decoder is left out because these GPUs cannot take it.
    """

    def __init__(
        self, bundle: Bundle, arch: str, compiler: Compiler, context: int, force: bool = False
    ) -> None:
        """Look at what is there, and remove what nobody may run.

        Args:
            bundle: A checked bundle.
            arch: The architecture, such as "sm89".
            compiler: What will build here.
            context: Positions in the decoder's cache.
            force: Every graph lacks its engine; those that are there stay until there is a new one.
        """
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
            if force or graph not in self.listed or self.listed[graph].profiles != wanted
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
        # A compiler may give the same bytes again: what was said of those is to be found out anew.
        forget_engine(entry.sha256)
        self.listed[graph] = entry
        listed = EngineSet(FORMAT, self.compiler, self.arch, self.bundle.id, dict(self.listed))
        try:
            write_engines(self.bundle, listed)
        except OSError:
            (self.folder / entry.file).unlink(missing_ok=True)  # Nothing would vouch for it.
            raise

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
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name not in names:
                path.unlink()
