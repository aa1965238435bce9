"""A prompt as a DSPy signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from agentkit.optimization._dspy import dspy
from agentkit.prompts import Prompt

if TYPE_CHECKING:
    from dspy.signatures.signature import Signature

_OF_PREDICT = frozenset({"config", "demos", "lm", "new_signature", "prediction", "signature"})


@dataclass(frozen=True)
class Fields:
    """A prompt's inputs and outputs by the names that DSPy's fields have."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def of(cls, prompt: Prompt[Any]) -> Fields:
        """The names for a prompt."""
        taken: set[str] = set()
        inputs = {name: _field_name(name, taken) for name in prompt.inputs}
        outputs = {
            name: _field_name(f"new_{name}" if name in inputs else name, taken)
            for name in prompt.output_fields
        }
        return cls(inputs, outputs)

    def demos(self, prompt: Prompt[Any], demos: Sequence[Any]) -> list[dict[str, Any]]:
        """The demos that a prompt can show: those that have every input and output."""
        if not prompt.takes_demos:
            return []
        names = {**self.inputs, **self.outputs}
        told = [{name: demo.get(field) for name, field in names.items()} for demo in demos]
        return [demo for demo in told if all(value is not None for value in demo.values())]


def _field_name(name: str, taken: set[str]) -> str:
    """The name, or one beside it where pydantic, DSPy or another field has a use for it."""
    while name in taken or name in _OF_PREDICT or hasattr(dspy.Signature, name):
        name += "_"
    taken.add(name)
    return name


def signature_of(prompt: Prompt[Any]) -> type[Signature]:
    """The DSPy signature of a prompt; no two prompts have equal ones."""
    fields = Fields.of(prompt)
    told: dict[str, Any] = {
        field: (prompt.inputs[name], dspy.InputField(desc=f"{name}, for {prompt.name}"))
        for name, field in fields.inputs.items()
    }
    of_output = prompt.output.model_fields if issubclass(prompt.output, BaseModel) else {}
    for name, field in fields.outputs.items():
        kind = of_output[name].annotation if name in of_output else str
        described = of_output[name].description if name in of_output else None
        told[field] = (kind, dspy.OutputField(desc=described or name))
    signature: type[Signature] = dspy.Signature(
        told, prompt.instructions, signature_name=prompt.name
    )
    return signature
