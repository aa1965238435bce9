"""What may change from run to run: the base of every graph's context."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langgraph.runtime import Runtime
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SkipValidation,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agentkit._recent import RecentlyMade
from agentkit._structured import told_problems
from agentkit._text import did_you_mean
from agentkit.errors import ConfigurationError
from agentkit.models import chat_model, spec_or_default
from agentkit.prompts import Prompt, PromptOverrides, PromptSet

ModelSpec = Annotated[
    SkipValidation[str | BaseChatModel | None],
    WithJsonSchema({"type": ["string", "null"]}),
]
"""A chat model or its spec; in a form, the spec."""

PromptTexts = Annotated[
    SkipValidation[PromptOverrides],
    WithJsonSchema({"type": ["object", "null"], "additionalProperties": {"type": "string"}}),
]
"""Prompt overrides; in a form, instructions by prompt name."""


_MODELS_KEPT = 32
_Context = TypeVar("_Context", bound=BaseModel)


class GraphContext(BaseModel):
    """The settings that every graph has.

    A graph is built with defaults for all of them; a run overrides those that it names.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", frozen=True)

    declared_prompts: ClassVar[Mapping[str, Prompt[Any]]] = {}
    """The prompts of the graph, by name, as it was built."""

    own_prompts: ClassVar[Mapping[str, Prompt[Any]]] = {}
    """The same prompts as the code declares them, without what they were overridden by."""

    defaults: ClassVar[GraphContext]
    """The settings of a run that overrides none."""

    models: ClassVar[RecentlyMade[BaseChatModel]] = RecentlyMade(_MODELS_KEPT)
    """The chat models that the graph's runs used last, so that each is made once."""

    model: ModelSpec = Field(
        default=None,
        description="Chat model: 'provider:model', or 'local'; empty for the graph's own.",
        json_schema_extra={"langgraph_type": "llm"},
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature; empty for the model's own."
    )
    prompts: PromptTexts = Field(
        default=None, description="Instructions to use instead, by prompt name."
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The form's schema, with a field for each prompt's instructions to be edited in place."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, prompt in cls.declared_prompts.items():
            schema["properties"][name] = {
                "title": name,
                "description": f"Instructions of the prompt {name}.",
                "type": "string",
                "default": prompt.instructions,
                "langgraph_type": "prompt",
            }
        return schema

    @model_validator(mode="before")
    @classmethod
    def _prompts_by_name(cls, given: Any) -> Any:
        """Instructions that come by a prompt's name, as a form sends them, are of `prompts`."""
        if not isinstance(given, Mapping) or not (named := given.keys() & cls.own_prompts.keys()):
            return given
        changed = {
            name: given[name]
            for name in named
            if given[name] not in (None, cls.declared_prompts[name].instructions)
        }
        others = {name: value for name, value in given.items() if name not in named}
        prompts = PromptSet.of(given.get("prompts"))
        return {**others, "prompts": prompts | PromptSet(changed)} if changed else others

    @classmethod
    def built(cls, asks: Iterable[Prompt[Any]], /, **defaults: Any) -> type[Self]:
        """The context class of one graph: these prompts, and these defaults for the fields.

        Args:
            asks: The prompts that the graph's nodes use.
            defaults: A default for each field that is not to have the class's own.

        Raises:
            ConfigurationError: When a default is not a value of its field.
            UnknownPromptError: When `prompts` among the defaults names one that the graph lacks.
            PromptMismatchError: When it was tuned for other prompts.
        """
        declared = {prompt.name: prompt for prompt in asks}
        overrides = PromptSet.of(defaults.get("prompts")).check(declared)
        try:
            checked = cls(**{**defaults, "prompts": overrides})
        except ValidationError as error:
            raise ConfigurationError(_problems(cls, error)) from error
        fields: dict[str, Any] = {
            name: _with_default(cls, name, checked) for name in checked.model_fields_set
        }
        schema = create_model(cls.__name__, __base__=cls, __doc__=cls.__doc__, **fields)
        schema.declared_prompts = {
            name: prompt.using(overrides) for name, prompt in declared.items()
        }
        schema.own_prompts = declared
        schema.models = RecentlyMade(_MODELS_KEPT)
        schema.defaults = schema()
        _ = schema.defaults.chat_model  # a model that cannot be made is told now, not in a run
        return schema

    @classmethod
    def of_run(cls, runtime: Runtime[Any]) -> Self:
        """The settings of a run: what it was given, over this graph's defaults.

        The context of another graph, of which this one is a part, says nothing about this one.
        """
        given = runtime.context
        if isinstance(given, cls):
            return given
        if isinstance(given, GraphContext) and issubclass(cls, type(given)):
            # made from the public class, which does not know this graph's defaults
            return cls(**{name: getattr(given, name) for name in given.model_fields_set})
        return cast("Self", cls.defaults)

    @functools.cached_property
    def chat_model(self) -> BaseChatModel:
        """The chat model of the run; the graph's own where the run names none."""
        spec = spec_or_default(self.model or self.defaults.model or None)
        made = (
            chat_model(spec)
            if not isinstance(spec, str)
            else self.models.get(type(self), spec, lambda: chat_model(spec))
        )
        temperature = self.temperature
        if temperature is None:
            return made
        return self.models.get(made, temperature, lambda: _at_temperature(made, temperature))

    @functools.cached_property
    def prompt_set(self) -> PromptSet:
        """The overridden prompts: the run's over the graph's.

        Raises:
            UnknownPromptError: When the run names a prompt that the graph lacks.
        """
        built = PromptSet(self.declared_prompts)
        return built | PromptSet.of(self.prompts).check(self.own_prompts)

    @functools.cached_property
    def fingerprint(self) -> str:
        """What the model's replies depend on beside the messages: for the keys of caches."""
        prompts = {name: [text.instructions, *text.demos] for name, text in self.prompt_set.items()}
        # LangChain's description of a model is of how it was made, before the temperature was set
        described = [self.chat_model._get_llm_string(), self.temperature, prompts]
        told = json.dumps(described, default=repr)
        return hashlib.sha256(told.encode()).hexdigest()


GraphContext.defaults = GraphContext()


def context_of(schema: type[_Context], given: Mapping[str, Any]) -> _Context:
    """The context that a run makes of what it is given.

    Raises:
        ConfigurationError: When it is none.
    """
    try:
        return schema(**given)
    except (TypeError, ValueError) as error:
        told = _problems(schema, error) if isinstance(error, ValidationError) else error
        raise ConfigurationError(f"This is no context of the graph: {told}") from error


def _problems(schema: type[BaseModel], error: ValidationError) -> str:
    """What pydantic found, and which settings there are where one is named that there is not."""
    told = told_problems(error)
    unknown = [str(each["loc"][0]) for each in error.errors() if each["type"] == "extra_forbidden"]
    if not unknown:
        return told
    names = schema.model_fields
    return f"{told}{did_you_mean(unknown[0], names)} Settings: {', '.join(names)}."


def _at_temperature(model: BaseChatModel, temperature: float) -> BaseChatModel:
    if "temperature" not in type(model).model_fields:
        raise ConfigurationError(
            f"{type(model).__name__} takes no temperature: leave `temperature` empty."
        )
    return model.model_copy(update={"temperature": temperature})


def _with_default(cls: type[GraphContext], name: str, checked: GraphContext) -> tuple[Any, Any]:
    """The definition of a field with another default."""
    field = cls.model_fields[name]
    value = getattr(checked, name)
    told: dict[str, Any] = {
        "description": field.description,
        "json_schema_extra": field.json_schema_extra,
    }
    in_a_form = isinstance(value, str | int | float | bool | None)
    default = (
        Field(default=value, **told) if in_a_form else Field(default_factory=lambda: value, **told)
    )
    annotation = (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    )
    return annotation, default
