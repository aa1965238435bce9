"""What is remembered of users: added, found, superseded and forgotten, in a LangGraph store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.store.base import BaseStore, GetOp, Item, PutOp, SearchItem, SearchOp

from agentkit._recent import RecentlyMade
from agentkit._sync import run_sync
from agentkit.errors import InvalidInputError, MemoryStoreError
from agentkit.events import emit
from agentkit.memory.extraction import MESSAGE_CHARS, MemoryChanges, findings
from agentkit.memory.forgetting import delete_thread, scrub
from agentkit.memory.recalled import unmarked
from agentkit.memory.records import Memory, MemoryKind, MemorySource, Record, readable
from agentkit.memory.times import periods_in, utc_now
from agentkit.memory.transcripts import said
from agentkit.memory.user_index import UserIndex
from agentkit.models import embeddings_at_hand, identity_of, most_choices
from agentkit.prompts import PromptOverrides, PromptSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_NAMESPACE = ("agentkit", "memories")
_MOST_USER_CHARS = 1_000
_USERS_KEPT = 256
_PAGE, _FIRST_PAGE = 50, 1_000
_KNOWN = 30
_BATCH_CHARS = 16_000
_EMBEDDED_CHARS = 2_000


class Memories:
    """What is remembered of users.

    Each user's memories are apart from all others': nothing here reads or writes those of another.
    Every method has a sync twin without the `a`.

    Args:
        store: A LangGraph store: in memory, SQLite, PostgreSQL or another.
        embeddings: Embeddings or their spec, by which memories are found beside their words. With
            None, the environment's or the embedded ones, where they are installed.
        now: Tells the time, in a time zone.
    """

    def __init__(
        self,
        store: BaseStore,
        embeddings: str | Embeddings | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._embeddings = embeddings_at_hand(embeddings)
        self._embedder = "" if self._embeddings is None else identity_of(self._embeddings)
        self._now = now
        self._indexes: RecentlyMade[UserIndex] = RecentlyMade(_USERS_KEPT)

    async def asearch(
        self,
        user: str,
        question: str,
        *,
        limit: int = 10,
        kinds: Sequence[MemoryKind] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Memory]:
        """The memories that a question is about, best first, of those that hold.

        They are found by words, by meaning and by the times that the question names, fused by
        reciprocal rank.

        Args:
            user: Whose.
            question: The question.
            limit: How many to return at most.
            kinds: Which kinds; None for all.
            since: Only what was said or happened from then on, in a time zone.
            until: Only what was said or happened before.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        space = _space(user)
        index = await self._refreshed(space)
        vector = await self._question_vector(question, index)
        within = None
        if since is not None or until is not None:
            within = (since or _EARLIEST, until or _LATEST)

        def searched() -> list[Memory]:
            periods = periods_in(question, now=self._now())
            return index.search(question, vector, periods=periods, within=within, kinds=kinds)

        found = await asyncio.to_thread(searched)
        return await self._verified(space, index, found[:limit])

    async def aremembered(
        self, user: str, *, kinds: Sequence[MemoryKind] | None = None, past: bool = False
    ) -> list[Memory]:
        """What is remembered of a user, the oldest first.

        Args:
            user: Whose.
            kinds: Which kinds; with None facts, preferences and events, without the turns.
            past: Whether to list what holds no longer, too.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        wanted = ("fact", "preference", "event") if kinds is None else kinds
        space, listed, place = _space(user), [], 0
        while page := await self._page(space, place, _FIRST_PAGE):
            listed += [record.memory for item in page if (record := readable(item))]
            place += len(page)
        return sorted(
            (each for each in listed if each.kind in wanted and (past or each.holds)),
            key=lambda memory: memory.valid_from,
        )

    async def aget(self, user: str, key: str) -> Memory | None:
        """The memory with an id; None where there is none.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails, or the record is corrupt.
        """
        (item,) = await self._batch([GetOp(_space(user), key)])
        return None if item is None else Record.of_value(item.value).memory

    async def aadd(self, user: str, memories: Sequence[Memory]) -> None:
        """Add memories; one whose id is there already takes its place.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        space = _space(user)
        vectors = await self._vectors([memory.text for memory in memories])
        await self._put(
            space,
            [
                Record(memory, vector, self._embedder if vector is not None else "")
                for memory, vector in zip(memories, vectors, strict=True)
            ],
        )

    async def asupersede(self, user: str, key: str, memory: Memory) -> Memory:
        """Put a memory in the place of another, which is kept as what held until then.

        Args:
            user: Whose.
            key: The id of the one that holds no longer.
            memory: The new one.

        Returns:
            The new one as it is kept: it holds from the moment at which the old one ends, which is
            not before that one began, whatever the clock says.

        Raises:
            InvalidInputError: When there is no user, or no such memory.
            MemoryStoreError: When the store fails.
        """
        old = await self.aget(user, key)
        if old is None:
            raise InvalidInputError(f"There is no memory {key!r}.")
        changed = max(memory.valid_from, old.valid_from)
        new = memory.model_copy(update={"replaces": old.id, "valid_from": changed})
        past = old.model_copy(update={"valid_until": changed, "replaced_by": new.id})
        await self.aadd(user, [new])  # first, so that a crash between loses nothing
        await self.aadd(user, [past])
        return new

    async def ahistory(self, user: str, key: str) -> list[Memory]:
        """A memory with those in whose place it came and those that came in its, oldest first.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        first = await self.aget(user, key)
        chain = [] if first is None else [first]
        while chain and (earlier := chain[0].replaces) and earlier not in _ids(chain):
            if (memory := await self.aget(user, earlier)) is None:
                break
            chain.insert(0, memory)
        while chain and (later := chain[-1].replaced_by) and later not in _ids(chain):
            if (memory := await self.aget(user, later)) is None:
                break
            chain.append(memory)
        return chain

    async def adelete(self, user: str, key: str) -> list[Memory]:
        """Delete a memory, all of its history, and the turns in which that was said.

        Returns:
            What was deleted.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        chain = await self.ahistory(user, key)
        turns = [
            await self.aget(user, memory.source.message)
            for memory in chain
            if memory.source.message
        ]
        gone = [*chain, *(turn for turn in turns if turn is not None and turn.kind == "turn")]
        await self._delete(_space(user), [memory.id for memory in gone])
        return gone

    async def aforget(self, user: str, *, checkpointer: Any = None) -> int:
        """Forget all of a user.

        In SQLite nothing of it is left in the file. PostgreSQL keeps deleted rows on disk until it
        vacuums, and both keep what backups hold.

        Args:
            user: Who is to be forgotten.
            checkpointer: The LangGraph checkpointer of the conversations: those in which something
                was said that is remembered are deleted too.

        Returns:
            How many memories were forgotten.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        space = _space(user)
        threads: set[str] = set()
        gone = 0
        while items := await self._page(space, 0, _FIRST_PAGE):
            threads |= {_thread_of(item) for item in items} - {""}
            await self._delete(space, [item.key for item in items])
            gone += len(items)
        with _told():
            for thread in sorted(threads if checkpointer is not None else ()):
                await delete_thread(checkpointer, thread)
            for holder in filter(None, [self._store, checkpointer]):
                await scrub(holder)
        return gone

    async def arecord(self, user: str, messages: Sequence[AnyMessage], *, thread: str) -> None:
        """Remember messages word by word, as turns, each once however often it is called.

        Args:
            user: Whose.
            messages: The messages; those of tools and systems are left out.
            thread: The conversation's thread id.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
        """
        space = _space(user)
        turns = _turns(messages, thread, self._now())
        items = await self._batch([GetOp(space, turn.id) for turn in turns])
        known = [readable(item) if item is not None else None for item in items]
        await self.aadd(
            user,
            [
                turn
                for turn, record in zip(turns, known, strict=True)
                if record is None or record.memory.text != turn.text
            ],
        )

    async def aextract(
        self,
        user: str,
        messages: Sequence[AnyMessage],
        *,
        model: BaseChatModel,
        prompts: PromptOverrides = None,
        thread: str = "",
        timeout: float = 60.0,  # noqa: ASYNC109 - each call of the model keeps to it
    ) -> MemoryChanges:
        """Have a model find what to remember in messages, and remember it.

        Only what the user has said counts. Done twice with the same messages it changes nothing the
        second time, where the model finds the same. A model that can only choose, as the embedded
        one, finds nothing.

        Args:
            user: Whose.
            messages: The messages, the oldest first.
            model: The chat model.
            prompts: Overridden prompts: `memory.extract`.
            thread: The conversation's thread id.
            timeout: Seconds that one call of the model may take.

        Raises:
            InvalidInputError: When there is no user.
            MemoryStoreError: When the store fails.
            TimeoutError: When the model takes too long.
            PromptOutputError: When the model's reply cannot be read.
        """
        changes = MemoryChanges()
        if most_choices(model) is not None:
            return changes
        for batch in _batches(messages):
            found = await findings(
                user,
                batch,
                await self._known(user, batch),
                model=model,
                prompts=PromptSet.of(prompts),
                thread=thread,
                now=self._now(),
                timeout=timeout,
            )
            for memory, old in found.learnt:
                if old is not None and old.id != memory.id:
                    changes.added.append(await self.asupersede(user, old.id, memory))
                    changes.replaced.append(old)
                else:
                    await self.aadd(user, [memory])
                    changes.added.append(memory)
            for memory in found.forget:
                changes.forgotten.extend(await self.adelete(user, memory.id))
        return changes

    # -- sync ------------------------------------------------------------------------------------

    def search(self, user: str, question: str, **options: Any) -> list[Memory]:
        """The same as `asearch`, sync."""
        return run_sync(lambda: self.asearch(user, question, **options))

    def remembered(self, user: str, **options: Any) -> list[Memory]:
        """The same as `aremembered`, sync."""
        return run_sync(lambda: self.aremembered(user, **options))

    def get(self, user: str, key: str) -> Memory | None:
        """The same as `aget`, sync."""
        return run_sync(lambda: self.aget(user, key))

    def add(self, user: str, memories: Sequence[Memory]) -> None:
        """The same as `aadd`, sync."""
        run_sync(lambda: self.aadd(user, memories))

    def supersede(self, user: str, key: str, memory: Memory) -> Memory:
        """The same as `asupersede`, sync."""
        return run_sync(lambda: self.asupersede(user, key, memory))

    def history(self, user: str, key: str) -> list[Memory]:
        """The same as `ahistory`, sync."""
        return run_sync(lambda: self.ahistory(user, key))

    def delete(self, user: str, key: str) -> list[Memory]:
        """The same as `adelete`, sync."""
        return run_sync(lambda: self.adelete(user, key))

    def forget(self, user: str, *, checkpointer: Any = None) -> int:
        """The same as `aforget`, sync."""
        return run_sync(lambda: self.aforget(user, checkpointer=checkpointer))

    # -- the store -------------------------------------------------------------------------------

    async def _put(self, space: tuple[str, ...], records: Sequence[Record]) -> None:
        if not records:
            return
        await self._batch(
            [PutOp(space, record.memory.id, record.as_value(), index=False) for record in records]
        )
        await asyncio.to_thread((await self._index(space)).put_all, records)

    async def _delete(self, space: tuple[str, ...], keys: Sequence[str]) -> None:
        await self._batch([PutOp(space, key, None) for key in keys])
        await asyncio.to_thread((await self._index(space)).remove_all, keys)

    async def _index(self, space: tuple[str, ...]) -> UserIndex:
        return await asyncio.to_thread(self._indexes.get, self._store, space, UserIndex)

    async def _refreshed(self, space: tuple[str, ...]) -> UserIndex:
        """The index of a user, with what other processes have written since.

        Stores list what changed last first, or else what is new last: both ends are looked at.
        """
        index = await self._index(space)
        if not len(index):
            await self._scanned(space, index)
        place = 0
        while await _taken(index, page := await self._page(space, place, _PAGE)):
            place += len(page)
        while page := await self._page(space, len(index), _PAGE):
            if not await _taken(index, page):
                await self._scanned(space, index)  # what is new is somewhere between
                break
        return index

    async def _scanned(self, space: tuple[str, ...], index: UserIndex) -> None:
        place = 0
        while page := await self._page(space, place, _FIRST_PAGE):
            await _taken(index, page)
            place += len(page)

    async def _page(self, space: tuple[str, ...], place: int, size: int) -> list[SearchItem]:
        found = await self._batch([SearchOp(space, limit=size, offset=place)])
        return list(found[0])

    async def _batch(self, operations: Sequence[Any]) -> Sequence[Any]:
        """Run operations of the store, in a thread where it knows no async."""
        with _told():
            try:
                return await self._store.abatch(operations)
            except NotImplementedError:
                return await asyncio.to_thread(self._store.batch, operations)

    async def _verified(
        self, space: tuple[str, ...], index: UserIndex, found: Sequence[Memory]
    ) -> list[Memory]:
        """The memories that are still there and hold, as the store has them now."""
        items = await self._batch([GetOp(space, memory.id) for memory in found])
        verified: list[Memory] = []
        changed: list[Record] = []
        gone: list[str] = []
        for memory, item in zip(found, items, strict=True):
            record = readable(item) if isinstance(item, Item) else None
            if record is None:
                gone.append(memory.id)
                continue
            if record.memory != memory:
                changed.append(record)
            if record.memory.holds:
                verified.append(record.memory)
        if gone or changed:
            await asyncio.to_thread(index.remove_all, gone)
            await asyncio.to_thread(index.put_all, changed)
        return verified

    async def _known(self, user: str, messages: Sequence[AnyMessage]) -> list[Memory]:
        """What is known that the messages may be about."""
        question = " ".join(said(each) for each in messages if isinstance(each, HumanMessage))
        kinds: list[MemoryKind] = ["fact", "preference", "event"]
        return await self.asearch(user, question[:_EMBEDDED_CHARS], limit=_KNOWN, kinds=kinds)

    # -- embeddings ------------------------------------------------------------------------------

    async def _question_vector(self, question: str, index: UserIndex) -> NDArray[Any] | None:
        """The question's vector, once the records have theirs by the same embeddings."""
        if self._embeddings is None:
            return None
        lacking = index.without_vector(self._embedder)
        if lacking:
            vectors = await self._vectors([record.memory.text for record in lacking])
            embedded = [
                record._replace(vector=vector, embedder=self._embedder)
                for record, vector in zip(lacking, vectors, strict=True)
                if vector is not None
            ]
            await asyncio.to_thread(index.put_all, embedded)
        (vector,) = await self._vectors([question], asked=True)
        return vector

    async def _vectors(
        self, texts: Sequence[str], *, asked: bool = False
    ) -> Sequence[NDArray[Any] | None]:
        """A unit vector for each text; None for each where the embeddings fail."""
        if self._embeddings is None or not texts:
            return [None] * len(texts)
        import numpy as np

        cut = [text[:_EMBEDDED_CHARS] for text in texts]
        try:
            if asked:
                made = [await self._embeddings.aembed_query(cut[0])]
            else:
                made = await self._embeddings.aembed_documents(cut)
        except Exception as error:  # noqa: BLE001 - whatever embeddings raise, words still find
            told = f"Memories are found by words alone: {type(error).__name__}: {error}"
            emit({"type": "notice", "message": told})
            return [None] * len(texts)
        vectors = np.asarray(made, dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return list(vectors / np.where(norms == 0, np.float32(1), norms))


_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def _space(user: str) -> tuple[str, ...]:
    """A user's own namespace, which no other user's name can lead into."""
    if not isinstance(user, str) or not user.strip():
        raise InvalidInputError(f"A user is a text that is not empty; got {user!r}.")
    if len(user) > _MOST_USER_CHARS:
        raise InvalidInputError(
            f"A user has at most {_MOST_USER_CHARS:,} characters; got {len(user):,}."
        )
    return (*_NAMESPACE, hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest())


async def _taken(index: UserIndex, page: Sequence[Item]) -> bool:
    """Take in what of a page is new or changed; whether anything was."""
    return await asyncio.to_thread(index.take, page)


def _ids(memories: Sequence[Memory]) -> set[str]:
    return {memory.id for memory in memories}


def _thread_of(item: Item) -> str:
    try:
        return str(item.value["memory"]["source"]["thread"])
    except (KeyError, TypeError):
        return ""


def _turns(messages: Sequence[AnyMessage], thread: str, now: datetime) -> list[Memory]:
    """A memory for each thing said.

    A reply's id is that of the message before it and its place behind it: the reply to a message
    that is sent again, because the process was killed, comes in the place of the first one.
    """
    turns: list[Memory] = []
    asked, place = "", 0
    for message in messages:
        text = unmarked(said(message))
        if not isinstance(message, HumanMessage | AIMessage) or not text:
            continue
        if isinstance(message, HumanMessage):
            asked, place, speaker = str(message.id), 0, "User"
        else:
            place, speaker = place + 1, "Assistant"
        turns.append(
            Memory(
                id=f"{asked}/{place}" if asked and place else str(message.id),
                kind="turn",
                text=f"{speaker}: {text}",
                source=MemorySource(thread=thread, message=str(message.id), time=now),
                valid_from=now,
            )
        )
    return turns


def _batches(messages: Sequence[AnyMessage]) -> Iterator[list[AnyMessage]]:
    """The messages in stretches that a model can read at once."""
    batch: list[AnyMessage] = []
    chars = 0
    for message in messages:
        size = min(len(said(message)), MESSAGE_CHARS)
        if batch and chars + size > _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
        batch.append(message)
        chars += size
    if batch:
        yield batch


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (MemoryStoreError, asyncio.CancelledError):
        raise
    except Exception as error:
        raise MemoryStoreError(
            f"The store of the memories failed: {type(error).__name__}: {error}"
        ) from error
