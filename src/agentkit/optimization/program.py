"""A graph as a DSPy program: one predictor a prompt, and the graph's own messages and model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from agentkit._sync import run_sync
from agentkit.errors import ConfigurationError, PromptOutputError
from agentkit.optimization._dspy import AdapterParseError, dspy
from agentkit.optimization.engines import GraphEngine, PromptAdapter, lm_of
from agentkit.optimization.running import (
    Graph,
    GraphRun,
    PromptCall,
    TunableGraph,
    asked_itself,
)
from agentkit.optimization.signatures import Fields, signature_of
from agentkit.optimization.stopping import Gate
from agentkit.prompts import TEXT, Prompt, PromptSet, PromptText


class _Shared:
    """What the copies of a program share: a copied compiled graph does not run."""

    def __init__(self, graph: TunableGraph, gate: Gate, max_chars: int | None) -> None:
        self.graph = graph
        self.gate = gate
        self.max_chars = max_chars
        self.instructions: dict[tuple[str, str], str] = {}
        """The instructions to begin with, by prompt and by what DSPy made of them."""
        self.lm = lm_of(GraphEngine())

    def __copy__(self) -> _Shared:
        return self

    def __deepcopy__(self, _: Any) -> _Shared:
        return self


class GraphProgram(dspy.Module):  # type: ignore[misc]
    """A compiled graph as a DSPy module, with one `dspy.Predict` for each of its prompts.

    The graph runs as it is: its nodes ask their prompts, and each prompt is asked through its
    predictor, by the same messages and of the same model as outside DSPy. A prompt that is frozen
    has no predictor, and one that a run never reaches is no part of its trace.

    Args:
        graph: A compiled graph.
        prompts: The prompts to tune, by name; `Prompt`s where agentkit did not make the graph;
            None for all.
        freeze: Names of prompts to leave as they are.
        start: Texts to begin with; None for the graph's own.
        context: The context of every run.
        config: The LangChain configuration of every run.
        max_prompt_chars: Characters that instructions and demos of one prompt may have; demos
            beyond are left out, and longer instructions fail. None for no limit.

    Raises:
        ConfigurationError: When there is no such prompt.
        MissingExtraError: When DSPy is not installed.
    """

    def __init__(
        self,
        graph: Graph | TunableGraph,
        prompts: Sequence[str | Prompt[Any]] | None = None,
        *,
        freeze: Sequence[str] = (),
        start: PromptSet | None = None,
        context: Any = None,
        config: RunnableConfig | None = None,
        max_prompt_chars: int | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(graph, TunableGraph):
            graph = TunableGraph(graph, prompts=prompts, context=context, config=config)
        self._shared = _Shared(graph, gate or Gate(), max_prompt_chars)
        texts = graph.texts | (start or PromptSet())
        self._frozen = PromptSet({name: texts[name] for name in graph.prompts if name in freeze})
        for name, prompt in graph.prompts.items():
            if name not in freeze:
                predictor = _predictor(prompt, texts[name])
                made = predictor.signature.instructions  # DSPy strips it, and fills an empty one
                self._shared.instructions[name, made] = texts[name].instructions
                setattr(self, name, predictor)

    @property
    def lm(self) -> dspy.LM:
        """The graph's own model, as DSPy calls it."""
        return self._shared.lm

    def texts(self) -> PromptSet:
        """The texts that the program has now, as they can be saved."""
        tuned = {name: self._text(name, each) for name, each in self.named_predictors()}
        return PromptSet({**self._frozen, **tuned})

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """Run the graph."""
        # a run that is refused must end the optimiser, which takes errors for bad prompts
        with self._shared.gate.open():
            return run_sync(lambda: self.aforward(**inputs))

    async def aforward(self, **inputs: Any) -> dspy.Prediction:
        """Run the graph, async."""
        texts = self.texts()
        if told := self._too_long(texts):
            return _prediction(GraphRun({}, (), ConfigurationError(told), texts))
        predictors = dict(self.named_predictors())
        lm = next((each.lm for each in predictors.values() if each.lm), None) or dspy.settings.lm
        sampling = getattr(lm, "kwargs", {})

        async def ask(prompt: Prompt[Any], model: BaseChatModel, given: Mapping[str, Any]) -> Any:
            if prompt.name not in predictors:
                return await asked_itself(prompt, model, given)
            predictor = predictors[prompt.name]
            return await _through(predictor, prompt, model, given, self._shared.lm)

        run = await self._shared.graph.run(
            inputs,
            texts,
            ask=ask,
            sample=sampling.get("rollout_id") or 0,
            temperature=sampling.get("temperature"),
        )
        self._trace_standing(run.calls, predictors)
        return _prediction(run)

    def _text(self, name: str, predictor: dspy.Predict) -> PromptText:
        prompt = self._shared.graph.prompts[name]
        told = predictor.signature.instructions
        instructions = self._shared.instructions.get((name, told), told)
        demos = Fields.of(prompt).demos(prompt, predictor.demos)
        most = self._shared.max_chars
        while most is not None and demos and PromptText(instructions, demos).size > most:
            demos.pop()
        return PromptText(instructions, tuple(demos))

    def _too_long(self, texts: PromptSet) -> str:
        most = self._shared.max_chars
        for name, text in texts.items():
            if most is not None and len(text.instructions) > most and name not in self._frozen:
                return (
                    f"The instructions of {name} have {len(text.instructions):,} characters; at "
                    f"most {most:,} are allowed. Write shorter ones."
                )
        return ""

    def _trace_standing(
        self, calls: Sequence[PromptCall], predictors: Mapping[str, dspy.Predict]
    ) -> None:
        """Put into DSPy's trace the prompts that no predictor was called for."""
        trace = dspy.settings.trace
        if trace is None:
            return
        for call in calls:
            prompt = self._shared.graph.prompts.get(call.name)
            if prompt is not None and prompt.standing and call.name in predictors:
                outputs = dspy.Prediction(**call.outputs)
                trace.append((predictors[call.name], dict(call.inputs), outputs))


def graph_run_of(prediction: dspy.Prediction) -> GraphRun:
    """The run that a prediction of a `GraphProgram` tells of."""
    run: GraphRun = prediction._graph_run  # kept out of what DSPy shows
    return run


def _predictor(prompt: Prompt[Any], text: PromptText) -> dspy.Predict:
    fields = Fields.of(prompt)
    names = {**fields.inputs, **fields.outputs}
    predictor = dspy.Predict(
        signature_of(replace(prompt, instructions=text.instructions, demos=()))
    )
    predictor.demos = [
        dspy.Example(**{names[name]: demo[name] for name in names}).with_inputs(
            *fields.inputs.values()
        )
        for demo in text.demos
        if prompt.takes_demos
    ]
    return predictor


async def _through(
    predictor: dspy.Predict,
    prompt: Prompt[Any],
    model: BaseChatModel,
    given: Mapping[str, Any],
    lm: dspy.LM,
) -> str | BaseModel:
    """A prompt's output, by its predictor."""
    fields = Fields.of(prompt)
    inputs = {fields.inputs[name]: value for name, value in given.items()}
    with _adapting(prompt, model):
        try:
            read = await predictor.acall(lm=lm, **inputs)
        except AdapterParseError as error:
            if (trace := dspy.settings.trace) is not None:  # what GEPA is to reflect on
                reply = dspy.Prediction(unreadable_reply=error.lm_response)
                trace.append((predictor, inputs, reply))
            raise PromptOutputError(str(error)) from error
    if not issubclass(prompt.output, BaseModel):
        return str(read[fields.outputs[TEXT]])
    output: BaseModel = prompt.output.model_validate(
        {name: read[field] for name, field in fields.outputs.items()}
    )
    return output


@contextmanager
def _adapting(prompt: Prompt[Any], model: BaseChatModel) -> Iterator[None]:
    adapter = PromptAdapter(prompt, model)
    with dspy.context(adapter=adapter, warn_on_type_mismatch=False):
        yield


def _prediction(run: GraphRun) -> dspy.Prediction:
    """What DSPy sees of a run."""
    shown = {name: _shown(value) for name, value in run.output.items() if name != "messages"}
    if run.error is not None:
        shown["error"] = f"{type(run.error).__name__}: {run.error}"
    prediction = dspy.Prediction(**shown)
    prediction._graph_run = run  # kept out of what DSPy shows
    return prediction


def _shown(value: Any) -> Any:
    """A value as an optimiser's model is told of it."""
    return json.loads(json.dumps(value, ensure_ascii=False, default=_told))


def _told(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return getattr(value, "page_content", None) or value.model_dump(mode="json")
    return str(value)
