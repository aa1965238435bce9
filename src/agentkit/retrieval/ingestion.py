"""Ingestion: files and folders into an index, and the index kept as they are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePath
from typing import TypeAlias

from langchain_core.documents import Document

from agentkit._sync import run_sync
from agentkit._text import error_text
from agentkit.errors import ConfigurationError, InvalidInputError
from agentkit.retrieval.index import Index
from agentkit.retrieval.reading import FILE_TYPES, FileText, read_file
from agentkit.retrieval.splitting import Splitter

PathLike: TypeAlias = str | Path

_CHUNKS_PER_COMMIT = 256
_INDEX_SUFFIX = ".lance"  # an index below an ingested folder is none of its documents
_READING_VERSION = 1  # raise it when the same bytes are to be read or split differently


@dataclass(frozen=True)
class IngestProgress:
    """How far an ingestion is: reported after each file and each batch of embedded chunks.

    Attributes:
        source: The file that was read last.
        files_done: Files that were read or found unchanged.
        files: Files in all.
        chunks: Chunks embedded.
    """

    source: str
    files_done: int
    files: int
    chunks: int


@dataclass
class IngestReport:
    """What an ingestion did: the sources of the files, and why some could not be read."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    chunks_added: int = 0
    chunks_removed: int = 0


def ingest(
    paths: PathLike | Sequence[PathLike],
    index: Index,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    chunk_tokens: int = 200,
    overlap_tokens: int = 32,
    max_bytes: int = 100 * 2**20,
    progress: Callable[[IngestProgress], None] | None = None,
) -> IngestReport:
    """Bring an index in line with files: add the new, replace the changed, remove the gone.

    A file that cannot be read is reported with its reason, and what the index holds of it stays.
    A changed file's chunks are replaced in one atomic step; its chunks that did not change are not
    embedded again. Should embedding fail half-way, the error is raised, what was done so far is
    kept, and running again goes on from there.

    Each chunk's metadata has `source` (the path as it was given, joined with the path below a
    folder), `title`, `headings` (such as "Guide > Install"), `file_type`, `file_hash`, `start` and
    `end` (offsets in characters in the text that was extracted from the file); a chunk of a PDF
    has its `page`, from 1, and one of a CSV row or JSON object its `row` and `record`, whose fields
    a filter reaches as `record.price`. Since the source tells files apart, give the same paths
    each time, from the same working directory.

    Args:
        paths: A file or folder, or several. A folder is taken with all below it, but for names
            that begin with a dot, links to folders, and indexes. A file that no longer exists is
            removed from the index; a folder that does not exist is reported as failed.
        index: Where the documents go.
        include: Patterns such as `*.md` or `guide/*` of files to take from folders, matched with
            the name and the path below the folder; by default all of a known type. A file of
            another type, named or included, is read as text.
        exclude: Patterns of files and folders to leave out.
        chunk_tokens: The most tokens in a chunk. 200 fit the 256 word pieces that small embedding
            models read.
        overlap_tokens: How many tokens of whole sentences a chunk may repeat of the one before.
        max_bytes: Larger files are reported as failed.
        progress: Called as the work goes on.

    Returns:
        What was added, updated, left as it was, removed, and failed.

    Raises:
        ConfigurationError: When an option is out of range.
        MissingExtraError: When LlamaIndex is not installed.
    """
    return run_sync(
        lambda: aingest(
            paths,
            index,
            include=include,
            exclude=exclude,
            chunk_tokens=chunk_tokens,
            overlap_tokens=overlap_tokens,
            max_bytes=max_bytes,
            progress=progress,
        )
    )


async def aingest(
    paths: PathLike | Sequence[PathLike],
    index: Index,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    chunk_tokens: int = 200,
    overlap_tokens: int = 32,
    max_bytes: int = 100 * 2**20,
    progress: Callable[[IngestProgress], None] | None = None,
) -> IngestReport:
    """As `ingest`."""
    roots = [paths] if isinstance(paths, (str, Path)) else _listed(paths)
    if not isinstance(index, Index):
        raise ConfigurationError(
            "Documents go into an Index, such as Index.open(path) opens; got "
            f"{type(index).__name__}."
        )
    for name, patterns in {"include": include, "exclude": exclude}.items():
        if isinstance(patterns, str):
            raise ConfigurationError(f"{name} is a list of patterns; got the string {patterns!r}.")
    splitter = await asyncio.to_thread(Splitter, chunk_tokens, overlap_tokens)
    reader = _Reader(splitter, f"{_READING_VERSION}:{chunk_tokens}:{overlap_tokens}", max_bytes)
    selection = await asyncio.to_thread(_select, roots, include, exclude)
    indexed = _indexed(await index.ametadata())
    run = _Ingestion(index, selection, indexed, IngestReport(), progress)
    for source, path in selection.files.items():
        known = indexed.get(source, _Indexed())
        await run.take(source, await asyncio.to_thread(reader.read, source, path, known.hashes))
    await run.commit()
    await run.remove_gone()
    return run.report


def _listed(paths: Iterable[PathLike]) -> list[PathLike]:
    listed = list(paths) if isinstance(paths, Iterable) else [paths]
    for path in listed:
        if not isinstance(path, str | Path):
            raise ConfigurationError(
                "What is read is a path of a file or folder, or several; got "
                f"{type(path).__name__}."
            )
    return listed


@dataclass
class _Selection:
    """The files to read by source, and what could not be looked into."""

    files: dict[str, Path] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class _Indexed:
    """What the index holds of a file."""

    hashes: set[str] = field(default_factory=set)
    chunks: int = 0


@dataclass(frozen=True)
class _Unchanged:
    pass


@dataclass(frozen=True)
class _Failed:
    reason: str


_Outcome: TypeAlias = list[Document] | _Unchanged | _Failed


@dataclass(frozen=True)
class _Reader:
    """Reads and splits a file; the settings are what its chunks depend on beside its bytes."""

    splitter: Splitter
    settings: str
    max_bytes: int

    def read(self, source: str, path: Path, known: set[str]) -> _Outcome:
        try:
            data = _bytes(path, self.max_bytes)
            file_hash = hashlib.sha256(self.settings.encode() + b"\0" + data).hexdigest()
            if known == {file_hash}:
                return _Unchanged()
            return _chunks(source, file_hash, path, read_file(path, data), self.splitter)
        except Exception as error:  # noqa: BLE001 - a parser may raise anything on a broken file
            return _Failed(_reason(error))


@dataclass
class _Ingestion:
    """One run: gathers the chunks of files and commits them, several files at a time."""

    index: Index
    selection: _Selection
    indexed: Mapping[str, _Indexed]
    report: IngestReport
    progress: Callable[[IngestProgress], None] | None
    pending: dict[str, list[Document]] = field(default_factory=dict)
    done: int = 0

    async def take(self, source: str, outcome: _Outcome) -> None:
        self.done += 1
        if isinstance(outcome, _Failed):
            self.report.failed[source] = outcome.reason
        elif isinstance(outcome, _Unchanged):
            self.report.unchanged.append(source)
        else:
            self.pending[source] = outcome
            if not outcome:
                self.report.failed[source] = "it holds no text"
        self._tell(source, 0)
        if sum(map(len, self.pending.values())) >= _CHUNKS_PER_COMMIT:
            await self.commit()

    async def commit(self) -> None:
        """Replace all that the index holds of the pending files by their chunks, at once."""
        if not self.pending:
            return
        sources = list(self.pending)
        chunks = [chunk for chunks in self.pending.values() for chunk in chunks]
        hashes = {value for source in sources for value in self._known(source).hashes}
        await self.index.areplace(
            chunks,
            # the hashes spare documents of the same source that were not ingested from files
            where={"source": {"$in": sources}, "file_hash": {"$in": sorted(hashes)}},
            progress=lambda embedded: self._tell(sources[-1], embedded),
        )
        for source in sources:
            self._account(source, len(self.pending[source]))
        self.pending.clear()

    async def remove_gone(self) -> None:
        """Remove what the index holds of files that are under the given paths no more."""
        self.report.failed.update(self.selection.failed)
        gone = [source for source in self.indexed if self._is_gone(source)]
        if gone:
            hashes = sorted({value for source in gone for value in self._known(source).hashes})
            self.report.chunks_removed += await self.index.adelete(
                where={"source": {"$in": gone}, "file_hash": {"$in": hashes}}
            )
        self.report.removed += gone
        for source in self.selection.missing:
            if source not in self.indexed:
                self.report.failed[source] = "it does not exist"

    def _account(self, source: str, chunks: int) -> None:
        known = self._known(source)
        if chunks and source in self.indexed:
            self.report.updated.append(source)
        elif chunks:
            self.report.added.append(source)
        self.report.chunks_added += chunks
        self.report.chunks_removed += known.chunks

    def _is_gone(self, source: str) -> bool:
        if source in self.selection.files:
            return False
        if source in self.selection.missing:
            return True
        unseen = any(_is_below(source, folder) for folder in self.selection.failed)
        return not unseen and any(_is_below(source, folder) for folder in self.selection.folders)

    def _known(self, source: str) -> _Indexed:
        return self.indexed.get(source, _Indexed())

    def _tell(self, source: str, embedded: int) -> None:
        if self.progress:
            files, chunks = len(self.selection.files), self.report.chunks_added + embedded
            self.progress(IngestProgress(source, self.done, files, chunks))


def _select(
    roots: Sequence[PathLike], include: Sequence[str], exclude: Sequence[str]
) -> _Selection:
    selection = _Selection()
    for root in map(Path, roots):
        source = _source(root)
        if root.is_dir():
            selection.folders.append(source)
            for path in _walk(root, exclude, selection.failed):
                if _is_wanted(path.relative_to(root), include):
                    selection.files[_source(path)] = path
        elif os.path.lexists(root):
            selection.files[source] = root
        else:
            selection.missing.append(source)
    return selection


def _walk(root: Path, exclude: Sequence[str], failed: dict[str, str]) -> Iterator[Path]:
    def report(error: OSError) -> None:
        failed[_source(Path(error.filename))] = _reason(error)

    def is_left_out(path: Path) -> bool:
        own = path.name.startswith(".") or path.suffix == _INDEX_SUFFIX
        return own or _matches(path.relative_to(root), exclude)

    for folder, folders, names in os.walk(root, onerror=report):
        folders[:] = sorted(name for name in folders if not is_left_out(Path(folder, name)))
        for path in sorted(Path(folder, name) for name in names):
            if not is_left_out(path):
                yield path


def _is_wanted(path: PurePath, include: Sequence[str]) -> bool:
    return _matches(path, include) if include else path.suffix.lower() in FILE_TYPES


def _matches(path: PurePath, patterns: Sequence[str]) -> bool:
    return any(fnmatch(text, p) for p in patterns for text in (path.name, path.as_posix()))


def _source(path: Path) -> str:
    return Path(os.path.normpath(path)).as_posix()


def _is_below(source: str, folder: str) -> bool:
    if folder == ".":
        return not source.startswith(("/", "../"))
    return source.startswith(folder.rstrip("/") + "/")


def _indexed(metadata: Mapping[str, Mapping[str, object]]) -> dict[str, _Indexed]:
    """What the index holds of each file that was ingested."""
    indexed: defaultdict[str, _Indexed] = defaultdict(_Indexed)
    for values in metadata.values():
        source, file_hash = values.get("source"), values.get("file_hash")
        if isinstance(source, str) and isinstance(file_hash, str):
            indexed[source].hashes.add(file_hash)
            indexed[source].chunks += 1
    return dict(indexed)


def _bytes(path: Path, max_bytes: int) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError("it is not a regular file")
    if status.st_size > max_bytes:
        raise InvalidInputError(f"it has {status.st_size:,} bytes; at most {max_bytes:,} are read")
    return path.read_bytes()


def _chunks(
    source: str, file_hash: str, path: Path, content: FileText, splitter: Splitter
) -> list[Document]:
    chunks: list[Document] = []
    occurrences: Counter[str] = Counter()
    offset = 0
    for part in content.parts:
        for chunk in splitter.split(part):
            start = offset + chunk.start
            metadata = {
                "source": source,
                "title": content.title or path.stem,
                **({"headings": " > ".join(chunk.headings)} if chunk.headings else {}),
                "file_type": content.file_type,
                "file_hash": file_hash,
                "start": start,
                "end": start + len(chunk.text),
                **part.metadata,
            }
            occurrences[chunk.text] += 1
            identity = f"{source}\0{chunk.text}\0{occurrences[chunk.text]}"
            identifier = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]
            chunks.append(Document(id=identifier, page_content=chunk.text, metadata=metadata))
        offset += len(part.text) + 2  # parts stand a blank line apart
    return chunks


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return error_text(error)
