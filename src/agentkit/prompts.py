"""Prompts, declared once: rendered, run, overridden by name, saved and loaded as JSON.

A `Prompt` says what goes in, what comes out and how to do it. The same declaration renders the
chat messages at run time and under optimisation, so what was tuned is what runs.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, RootModel

from agentkit._files import write_whole
from agentkit._structured import StructuredCall, schema_of
from agentkit._sync import run_sync
from agentkit._text import did_you_mean, shortened, well_formed, without_tags
from agentkit.errors import (
    ConfigurationError,
    InvalidInputError,
    PromptMismatchError,
    UnknownPromptError,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

Output = TypeVar("Output", bound="str | BaseModel")

TEXT = "text"
"""The name under which a demo holds the output of a prompt whose output is `str`."""

NO_STREAM = "nostream"
"""The tag that keeps a call's tokens out of LangGraph's `stream_mode="messages"`."""

_RESERVED = frozenset({"config", "stream"})
_BREAK, _CONTINUED = "\n", "\n    "  # so that no item can pass for several
_FORMAT = "agentkit.prompts"
_FORMAT_VERSION = 1


class Runner(Protocol):
    """Runs prompts in place of the chat model, as optimisation does."""

    async def __call__(
        self, prompt: Prompt[Any], model: BaseChatModel, inputs: Mapping[str, Any]
    ) -> str | BaseModel:
        """The prompt's output for the inputs."""


runner: ContextVar[Runner | None] = ContextVar("agentkit_prompt_runner", default=None)
"""What runs the prompts of the current context; None: the chat model itself."""


@dataclass(frozen=True)
class PromptText:
    """The part of a prompt that can be tuned: its instructions and its worked examples.

    Args:
        instructions: The system message.
        demos: Worked examples, each a mapping of every input and output name to its value.
    """

    instructions: str
    demos: Sequence[Mapping[str, Any]] = ()

    @property
    def size(self) -> int:
        """Characters of both."""
        return len(self.instructions) + sum(len(as_text(demo)) for demo in self.demos)


@dataclass(frozen=True)
class Prompt(Generic[Output]):
    """One call of a chat model, declared.

    Args:
        name: A stable, dotted name such as `rag.answer`: the key under which it is overridden
            and saved.
        instructions: The system message.
        inputs: The name and type of each input, in the order in which they are shown.
        output: `str` for plain text, or a pydantic model for structured output.
        demos: Worked examples, each a mapping of every input name and every output name (a
            model's fields, or `text`) to its value, shown as earlier turns.
        standing: Whether its instructions stand in requests that an agent makes by itself, as a
            system message or the description of a tool, and it is never asked alone. It shows
            no demos.

    Raises:
        ConfigurationError: When there is no input, an input's name is taken, the output is of
            another kind, or a demo lacks an input or an output or cannot tell the two apart.
    """

    name: str
    instructions: str
    inputs: Mapping[str, Any]
    output: type[Output]
    demos: Sequence[Mapping[str, Any]] = ()
    standing: bool = False

    def __post_init__(self) -> None:
        if not _is_output(self.output):
            raise ConfigurationError(
                f"The output of prompt {self.name!r} is str or a pydantic model with fields; got "
                f"{self.output!r}."
            )
        if not self.inputs:
            raise ConfigurationError(f"Prompt {self.name!r} has no input.")
        if taken := self.inputs.keys() & _RESERVED:
            raise ConfigurationError(
                f"Prompt {self.name!r} cannot have an input called {', '.join(sorted(taken))}: an "
                "option of `invoke` has that name."
            )
        if self.demos and (shared := self.inputs.keys() & {*self.output_fields}):
            raise ConfigurationError(
                f"Prompt {self.name!r} can have no demos: {', '.join(sorted(shared))} is an input "
                "and an output, and a demo holds one value for each name."
            )
        for demo in self.demos:
            if missing := {*self.inputs, *self.output_fields} - demo.keys():
                raise ConfigurationError(
                    f"A demo of prompt {self.name!r} lacks {', '.join(sorted(missing))}; it needs "
                    f"{', '.join((*self.inputs, *self.output_fields))}."
                )

    @property
    def output_fields(self) -> tuple[str, ...]:
        """The names of what comes out: a model's fields, or `text`."""
        if issubclass(self.output, BaseModel):
            return tuple(self.output.model_fields)
        return (TEXT,)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a structured output.

        Raises:
            ConfigurationError: When the output is plain text.
        """
        if not issubclass(self.output, BaseModel):
            raise ConfigurationError(f"Prompt {self.name!r} returns text, which has no schema.")
        return schema_of(self.output)

    @property
    def takes_demos(self) -> bool:
        """Whether it can show worked examples."""
        return not self.standing and not self.inputs.keys() & {*self.output_fields}

    @property
    def fingerprint(self) -> str:
        """Two short hashes: of what goes in and out by name, and of how it is worded."""
        shape = json.dumps([self.name, [*self.inputs], [*self.output_fields]])
        return f"{_short_hash(shape)}-{_short_hash(self.instructions)}"

    def using(self, prompts: PromptSet | None) -> Prompt[Output]:
        """This prompt with the text that a prompt set has for it, if it has one."""
        text = prompts.get(self.name) if prompts else None
        if text is None:
            return self
        return replace(self, instructions=text.instructions, demos=text.demos)

    def render(self, inputs: Mapping[str, Any]) -> list[BaseMessage]:
        """The chat messages for these inputs: instructions, demos, then the inputs.

        Raises:
            InvalidInputError: When an input is missing or not one of the prompt's.
        """
        if inputs.keys() != self.inputs.keys():
            raise InvalidInputError(
                f"Prompt {self.name!r} takes the inputs {', '.join(self.inputs)}; "
                f"got {', '.join(inputs) or 'none'}."
            )
        messages: list[BaseMessage] = [SystemMessage(self.instructions)]
        for demo in self.demos:
            messages.append(HumanMessage(self.render_inputs(demo)))
            messages.append(AIMessage(self.render_output(demo)))
        messages.append(HumanMessage(self.render_inputs(inputs)))
        return messages

    def render_inputs(self, values: Mapping[str, Any]) -> str:
        """The human message: one input as it is, several each between tags of its name."""
        if len(self.inputs) == 1:
            return as_text(values[next(iter(self.inputs))])
        return "\n\n".join(
            f"<{name}>\n{without_tags(as_text(values[name]), *self.inputs)}\n</{name}>"
            for name in self.inputs
        )

    def render_output(self, values: Mapping[str, Any]) -> str:
        """The reply that a demo shows: its text, or its fields as JSON."""
        if not issubclass(self.output, BaseModel):
            return as_text(values[TEXT])
        return json.dumps(
            {name: values[name] for name in self.output_fields},
            ensure_ascii=False,
            default=_as_json,
        )

    async def ainvoke(
        self,
        model: BaseChatModel,
        /,
        *,
        config: RunnableConfig | None = None,
        stream: bool = False,
        **inputs: Any,
    ) -> Output:
        """Ask the model and read its reply.

        Args:
            model: A LangChain chat model.
            config: A LangChain run configuration; inside a graph's node it is found by itself.
            stream: Whether the reply's tokens belong in the graph's message stream.
            inputs: A value for each of the prompt's inputs.

        Returns:
            The text, or an object of the output model.

        Raises:
            InvalidInputError: When the inputs are not the prompt's.
            PromptOutputError: When the reply cannot be read even after one repair.
        """
        if (run := runner.get()) is not None:
            return cast("Output", await run(self, model, inputs))
        messages = self.render(inputs)
        run_config = self._configured(config, stream=stream)
        if issubclass(self.output, BaseModel):
            call = StructuredCall(self.name, self.output, model, run_config)
            return cast("Output", await call.ainvoke(messages))
        reply = await model.ainvoke(messages, run_config)
        return cast("Output", reply.text)

    def invoke(
        self,
        model: BaseChatModel,
        /,
        *,
        config: RunnableConfig | None = None,
        stream: bool = False,
        **inputs: Any,
    ) -> Output:
        """The same as `ainvoke`, for sync code."""
        return run_sync(lambda: self.ainvoke(model, config=config, stream=stream, **inputs))

    async def amessage(
        self,
        model: BaseChatModel,
        /,
        *,
        config: RunnableConfig | None = None,
        stream: bool = False,
        **inputs: Any,
    ) -> AIMessage:
        """The same as `ainvoke` for a prompt whose output is text, but the whole message.

        The message has an id: a streamed one that of its tokens, by which a client joins them.
        """
        if (run := runner.get()) is not None:
            return AIMessage(str(await run(self, model, inputs)), id=str(uuid4()))
        run_config = self._configured(config, stream=stream)
        message = await model.ainvoke(self.render(inputs), run_config)
        return message if message.id else message.model_copy(update={"id": str(uuid4())})

    def _configured(self, config: RunnableConfig | None, *, stream: bool) -> RunnableConfig:
        run_config: RunnableConfig = {**(config or {})}
        run_config["run_name"] = f"prompt:{self.name}"
        if not stream:
            run_config["tags"] = [*run_config.get("tags", ()), NO_STREAM]
        return run_config


@dataclass(frozen=True)
class Tuning:
    """How the texts of a prompt set came about.

    Args:
        graph: The name of the graph that they were tuned in.
        fingerprints: Of the prompts that they were tuned for, as the code declares them, by name.
        optimizer: The optimiser.
        settings: What it was set to, its seed and budget included.
        model: The model that answered.
        metric: The metric.
        data: A fingerprint of the examples.
        scores: What was measured on held-out examples.
        date: When, by ISO 8601.
    """

    graph: str
    fingerprints: Mapping[str, str]
    optimizer: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    metric: str = ""
    data: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""


OnMismatch: TypeAlias = Literal["error", "warn", "ignore"]


class PromptSet(Mapping[str, PromptText]):
    """The tuned texts of prompts, by prompt name; what is saved and loaded.

    Args:
        texts: For each name a `Prompt`, a `PromptText`, its instructions as a string, or a
            mapping with `instructions` and `demos`.
        tuning: How they came about, where they were tuned.
        on_mismatch: What to do when a graph's prompts are worded otherwise than those that the
            texts were tuned for.

    Raises:
        ConfigurationError: When a value is none of these.
    """

    def __init__(
        self,
        texts: Mapping[str, Any] | None = None,
        *,
        tuning: Tuning | None = None,
        on_mismatch: OnMismatch = "warn",
    ) -> None:
        if not isinstance(texts, Mapping | None) or not all(
            isinstance(n, str) for n in texts or ()
        ):
            raise ConfigurationError(
                f"Prompts are a mapping from names to texts; got {shortened(repr(texts))}."
            )
        if on_mismatch not in ("error", "warn", "ignore"):
            raise ConfigurationError(
                f"on_mismatch is 'error', 'warn' or 'ignore'; got {on_mismatch!r}."
            )
        self._texts = {name: _prompt_text(name, text) for name, text in (texts or {}).items()}
        self.tuning = tuning
        self._on_mismatch = on_mismatch

    @classmethod
    def of(cls, prompts: PromptOverrides) -> PromptSet:
        """A prompt set from a mapping, a saved file's path, or None for an empty one."""
        if isinstance(prompts, PromptSet):
            return prompts
        if isinstance(prompts, str | Path):
            return cls.load(prompts)
        return cls(prompts)

    def __getitem__(self, name: str) -> PromptText:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return f"PromptSet({', '.join(self._texts) or 'empty'})"

    def __or__(self, other: PromptSet) -> PromptSet:
        """Both sets together; the other's texts win."""
        return PromptSet({**self._texts, **other}) if other else self

    def check(self, known: Iterable[str] | Mapping[str, Prompt[Any]]) -> PromptSet:
        """This set, when every name in it is known, and known prompts are what it was tuned for.

        Args:
            known: The names, or the prompts by name as the code declares them.

        Raises:
            UnknownPromptError: When a name is not among the known ones, with these.
            PromptMismatchError: When a text was tuned for a prompt with other inputs or outputs;
                with `on_mismatch="error"` also for one that was worded otherwise, which else is
                a warning.
        """
        names = sorted(known)
        for name in self._texts:
            if name not in names:
                hint = did_you_mean(name, names)
                raise UnknownPromptError(
                    f"There is no prompt {name!r} here.{hint} Known: {', '.join(names) or 'none'}."
                )
        if self.tuning is not None and isinstance(known, Mapping):
            self._check_tuned_for(known, self.tuning)
        return self

    def _check_tuned_for(self, known: Mapping[str, Prompt[Any]], tuning: Tuning) -> None:
        reworded = []
        for name in self._texts:
            shape, _, wording = tuning.fingerprints.get(name, "").partition("-")
            if not shape:
                continue
            here, _, worded = known[name].fingerprint.partition("-")
            if here != shape:
                raise PromptMismatchError(
                    f"The text of prompt {name!r} was tuned for other inputs or outputs than it "
                    f"has here ({', '.join(known[name].inputs)} → "
                    f"{', '.join(known[name].output_fields)}). Tune it again for this version."
                )
            if worded != wording:
                reworded.append(name)
        if not reworded or self._on_mismatch == "ignore":
            return
        told = (
            f"The prompts {', '.join(reworded)} are worded otherwise here than when they were "
            f"tuned ({tuning.date}, graph {tuning.graph!r}). Evaluate the tuned texts again, or "
            "load them with on_mismatch='ignore'."
        )
        if self._on_mismatch == "error":
            raise PromptMismatchError(told)
        warnings.warn(told, stacklevel=4)

    def save(self, path: str | Path) -> None:
        """Write the set as JSON, all or nothing.

        Raises:
            ConfigurationError: When a demo holds a value that JSON cannot hold, or the file
                cannot be written.
        """
        content: dict[str, Any] = {
            "format": _FORMAT,
            "version": _FORMAT_VERSION,
            **({} if self.tuning is None else {"tuning": asdict(self.tuning)}),
            "prompts": {
                name: {"instructions": text.instructions, "demos": list(text.demos)}
                for name, text in self._texts.items()
            },
        }
        try:
            text = json.dumps(content, ensure_ascii=False, indent=2, default=_as_json)
            written = f"{text}\n".encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"The prompts cannot be saved as JSON: {error}") from error
        try:
            write_whole(path, written)
        except OSError as error:
            raise ConfigurationError(f"No prompts can be saved to {path}: {error}") from error

    @classmethod
    def load(cls, path: str | Path, *, on_mismatch: OnMismatch = "warn") -> PromptSet:
        """Read what `save` wrote.

        Args:
            path: The file.
            on_mismatch: What a graph does that is given the set, where its prompts are worded
                otherwise than those that the texts were tuned for.

        Raises:
            ConfigurationError: When the file is missing, is not a prompt set, or is of a newer
                format.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"No prompts can be read from {path}: {error}") from error
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ConfigurationError(f"{path} is not a prompt set saved by agentkit.")
        if content.get("version") != _FORMAT_VERSION:
            raise ConfigurationError(
                f"{path} has prompt format version {content.get('version')}; this agentkit reads "
                f"version {_FORMAT_VERSION}."
            )
        if not isinstance(content.get("prompts"), dict):
            raise ConfigurationError(f"{path} holds no prompts: it needs a mapping 'prompts'.")
        tuning = _tuning(path, content.get("tuning"))
        return cls(content["prompts"], tuning=tuning, on_mismatch=on_mismatch)


PromptOverrides: TypeAlias = PromptSet | Mapping[str, Any] | str | Path | None
"""What every factory takes as `prompts=`: texts by name, or the path of a saved prompt set."""


def prompts_of(graph: CompiledStateGraph[Any, Any, Any, Any]) -> dict[str, Prompt[Any]]:
    """The prompts of a graph made by agentkit, by name, as the graph was built.

    Raises:
        ConfigurationError: When the graph was not made by an agentkit factory.
    """
    schema = getattr(graph, "context_schema", None)
    prompts = getattr(schema, "declared_prompts", None)
    if prompts is None:
        raise ConfigurationError(f"{graph!r} was not made by agentkit: it declares no prompts.")
    return dict(prompts)


def as_text(value: Any) -> str:
    """A value as a prompt shows it.

    Text as it is; a list of texts one a line, each with its number; all else as JSON.
    """
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return "\n".join(
            f"[{number}] {well_formed(item).replace(_BREAK, _CONTINUED)}"
            for number, item in enumerate(value, 1)
        )
    try:
        return well_formed(json.dumps(value, ensure_ascii=False, default=_as_json))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"A prompt can show text and what JSON can hold; got {type(value).__name__}: {error}"
        ) from error


def _prompt_text(name: str, text: Any) -> PromptText:
    instructions: Any
    if isinstance(text, PromptText | Prompt):
        instructions, demos = text.instructions, text.demos
    elif isinstance(text, Mapping):
        instructions, demos = text.get("instructions"), text.get("demos", ())
    else:
        instructions, demos = text, ()
    listed = isinstance(demos, Sequence) and all(isinstance(demo, Mapping) for demo in demos)
    if isinstance(instructions, str) and listed:
        return PromptText(instructions, tuple(demos))
    raise ConfigurationError(
        f"The text of prompt {name!r} is its instructions, or a mapping with 'instructions' and "
        f"'demos'; got {shortened(repr(text))}."
    )


def _tuning(path: str | Path, told: Any) -> Tuning | None:
    if told is None:
        return None
    names = {each.name for each in fields(Tuning)}
    try:
        tuning = Tuning(**{name: value for name, value in told.items() if name in names})
    except (AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"{path} does not tell how it was tuned as it should: {error}"
        ) from error
    if isinstance(tuning.fingerprints, Mapping):
        return tuning
    raise ConfigurationError(f"{path} needs a mapping of 'fingerprints' in 'tuning'.")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _is_output(output: Any) -> bool:
    if not isinstance(output, type) or issubclass(output, RootModel):
        return False
    return output is str or issubclass(output, BaseModel)


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")
