"""What a scripted model replies: in order, or by rule over the prompt."""

from __future__ import annotations

import inspect
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from pydantic import BaseModel

from agentkit._numbers import whole_number
from agentkit.errors import ConfigurationError, ScriptError
from agentkit.testing.completion import Completion, as_json

_SHOWN_CHARACTERS = 4000


def check_seconds(name: str, seconds: float) -> None:
    """Raise a ConfigurationError unless the value is a finite number, 0 or more."""
    if not 0 <= seconds < float("inf"):
        raise ConfigurationError(f"{name}= is a number of seconds, 0 or more; got {seconds}.")


@dataclass(frozen=True)
class Reply:
    """One reply of a scripted model, where a plain string or dict does not say enough.

    Args:
        text: The text.
        data: Structured output in place of a text: delivered as the arguments of the tool that
            the caller forces, else as JSON text. It is not checked against the caller's schema.
        tool_calls: Each a mapping with `name`, `args` (a mapping, or a string that is sent as it
            is, broken JSON included) and optionally `id`.
        usage: Input and output tokens; counted as words when not given.
        delay: Seconds before the reply.
        finish_reason: Such as `length`; `stop` or `tool_calls` when not given.

    Raises:
        ConfigurationError: When both text and data are given, or a tool call has no name.
    """

    text: str = ""
    data: Mapping[str, Any] | BaseModel | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    usage: tuple[int, int] | None = None
    delay: float = 0.0
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        if self.data is not None and (self.text or self.tool_calls):
            raise ConfigurationError("A Reply has data, or else text and tool calls; not both.")
        for call in self.tool_calls:
            if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
                raise ConfigurationError(
                    f"A tool call is a mapping with 'name' and 'args'; got {call!r}."
                )
        check_seconds("delay", self.delay)


@dataclass(frozen=True)
class Fault:
    """Something going wrong between a client and a `ModelServer`; made by the class methods.

    In a `ScriptedChatModel`, which has no wire to fail, reply with an exception instead.
    """

    kind: str
    status: int = 200
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    after: int = 0
    reply: Reply = field(default_factory=Reply)

    @classmethod
    def http_error(
        cls, status: int, message: str = "", *, headers: Mapping[str, str] | None = None
    ) -> Fault:
        """An HTTP error status with OpenAI's error body."""
        if not 400 <= status <= 599:  # noqa: PLR2004 - the error statuses of HTTP
            raise ConfigurationError(f"An HTTP error has a status of 400 to 599; got {status}.")
        return cls("status", status, message or f"Scripted error {status}.", headers or {})

    @classmethod
    def rate_limited(cls, *, retry_after: float | None = None) -> Fault:
        """HTTP 429, with `Retry-After` in seconds when given."""
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        return cls.http_error(429, "Rate limit reached.", headers=headers)

    @classmethod
    def server_error(cls, message: str = "The server had an error.") -> Fault:
        """HTTP 500."""
        return cls.http_error(500, message)

    @classmethod
    def timeout(cls, seconds: float | None = None) -> Fault:
        """No answer at all until the client gives up or the server stops.

        With `seconds` given, HTTP 504 after that time.
        """
        check_seconds("seconds", seconds or 0)
        return cls("timeout", seconds=seconds)

    @classmethod
    def cut_stream(
        cls, *, after: int = 1, reply: str | Reply = "This reply never comes to its end."
    ) -> Fault:
        """A connection that closes after so many chunks of the reply's stream.

        A reply that is not streamed is cut in the middle of its body.
        """
        if after < 0:
            raise ConfigurationError(f"A stream is cut after 0 or more chunks; got {after}.")
        return cls("cut", after=after, reply=Reply(reply) if isinstance(reply, str) else reply)

    @classmethod
    def malformed_json(cls) -> Fault:
        """HTTP 200 with a body, or a stream event, that is not JSON."""
        return cls("malformed")


Plain: TypeAlias = str | Mapping[str, Any] | BaseModel | Reply | Fault | Exception
"""A reply as it is given: text, structured output, a `Reply`, a `Fault`, or what to raise."""

_PLAIN = (str, Mapping, BaseModel, Reply, Fault, Exception)

ReplyLike: TypeAlias = Plain | Callable[[list[BaseMessage]], Plain]
"""A plain reply, or a function from the prompt's messages to one."""

Matcher: TypeAlias = str | re.Pattern[str] | Callable[[list[BaseMessage]], bool]
"""A substring of the prompt, a regular expression searched in it, or a test of its messages."""


@dataclass(frozen=True)
class Call:
    """One call of a scripted model, as the caller made it.

    Args:
        messages: The prompt, as LangChain messages.
        tools: The tools offered, each as OpenAI's JSON.
        tool_choice: `auto`, `none`, `required`, or OpenAI's JSON naming a function.
        response_format: OpenAI's JSON for structured output.
        stop: The texts at which the reply ends.
        params: Every other parameter, such as `temperature`.
        streamed: Whether the reply was asked for as a stream.
    """

    messages: list[BaseMessage]
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    streamed: bool = False

    @cached_property
    def text(self) -> str:
        """The whole prompt: every message's text and tool calls, with blank lines between."""
        return "\n\n".join(_shown(message) for message in self.messages)

    @cached_property
    def system(self) -> str:
        """The text of the system messages alone."""
        return "\n\n".join(m.text for m in self.messages if isinstance(m, SystemMessage))


class Script:
    """What a `ScriptedChatModel` or a `ModelServer` replies.

    The rules added by `when` are tried first, in the order in which they were added, and the
    first that matches answers. The replies given here answer what no rule does::

        Script(["first reply", "second reply"])
        Script("the reply to everything else").when("capital of France", reply="Paris")

    A single reply serves any number of calls. A list is used up in order, one reply a call; a
    rule whose list is used up no longer matches, so a later rule can say what comes then. A call
    that nothing answers is a `ScriptError` that shows the prompt and the rules, and is remembered
    for `check`. Threads and tasks may share a script; its lists are then used up in the order in
    which the calls arrive.

    Args:
        replies: A reply, or a list of replies.
        record: Whether to keep every call in `calls`.

    Raises:
        ConfigurationError: When a reply is of no known kind.
    """

    def __init__(
        self, replies: ReplyLike | Sequence[ReplyLike] = (), *, record: bool = True
    ) -> None:
        self.calls: list[Call] = []
        """The calls so far, in the order in which they arrived."""
        self.errors: list[ScriptError] = []
        """The calls that the script could not answer."""
        self._record = record
        self._rules: list[_Rule] = []
        self._call_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._default = None if _is_empty(replies) else _Rule(None, None, _replies(replies, None))

    def when(
        self,
        prompt: Matcher | None = None,
        *,
        reply: ReplyLike | Sequence[ReplyLike],
        system: str | re.Pattern[str] | None = None,
        times: int | None = None,
    ) -> Script:
        """Add a rule.

        Args:
            prompt: What the prompt must be: a substring of its whole text (`Call.text`: system,
                human, AI and tool messages alike, case-sensitive), a compiled regular expression
                that is searched in it, or a function of its messages. None: any prompt.
            reply: Text; a dict or pydantic object for structured output; a `Reply`; an exception
                to raise (over HTTP: a status of 500); a `Fault`, over HTTP only; a function from
                the messages to any of these; or a list of these, used up in order.
            system: The same as `prompt` for the text of the system messages; both must match.
            times: How many calls a single reply serves; None for any number.

        Returns:
            This script, so that calls can be chained.

        Raises:
            ConfigurationError: When an argument is of no known kind.
        """
        _check_matcher(prompt)
        if callable(system):
            raise ConfigurationError("system= takes a substring or a compiled regular expression.")
        _check_matcher(system)
        self._rules.append(_Rule(prompt, system, _replies(reply, times)))
        return self

    def answer(self, call: Call) -> Completion | Fault | Exception:
        """Record a call and return its completion, or what goes wrong instead.

        Raises:
            ScriptError: When nothing in the script answers the call.
        """
        if self._record:
            self.calls.append(call)
        try:
            reply = self._reply(call)
            return self.complete(reply, call) if isinstance(reply, Reply) else reply
        except ScriptError as error:
            self.errors.append(error)
            raise

    def complete(self, reply: Reply, call: Call) -> Completion:
        """A reply as the caller asked for it.

        Raises:
            ScriptError: When structured output is for one of several tools and fits none.
        """
        return Completion.of(reply, call, self._call_numbers)

    def check(self) -> None:
        """Raise the first `ScriptError`, in case the code under test swallowed it."""
        if self.errors:
            raise self.errors[0]

    def _reply(self, call: Call) -> Reply | Fault | Exception:
        rules = [*self._rules, self._default] if self._default else self._rules
        for rule in rules:
            if not rule.used_up and rule.matches(call):
                with self._lock:
                    reply = rule.take()
                if reply is not None:
                    return _resolved(reply, call)
        raise ScriptError(_unanswered(call, rules))


class _Rule:
    def __init__(
        self,
        prompt: Matcher | None,
        system: str | re.Pattern[str] | None,
        replies: Iterator[ReplyLike],
    ) -> None:
        self.prompt, self.system, self.replies = prompt, system, replies
        self.used_up = False

    def matches(self, call: Call) -> bool:
        # the text is only put together when a matcher needs it
        if self.system is not None and not _found(self.system, call.system):
            return False
        if self.prompt is None:
            return True
        if isinstance(self.prompt, str | re.Pattern):
            return _found(self.prompt, call.text)
        return bool(_called(self.prompt, call))

    def take(self) -> ReplyLike | None:
        reply = next(self.replies, None)
        self.used_up = reply is None
        return reply

    def __str__(self) -> str:
        told = [
            f"{what} {_told(matcher)}"
            for what, matcher in (("system text", self.system), ("prompt", self.prompt))
            if matcher is not None
        ]
        return (" and ".join(told) or "any prompt") + (" (used up)" if self.used_up else "")


def _replies(replies: ReplyLike | Sequence[ReplyLike], times: int | None) -> Iterator[ReplyLike]:
    if isinstance(replies, Sequence) and not isinstance(replies, str):
        if times is not None:
            raise ConfigurationError("times= goes with a single reply; a list serves each once.")
        if not replies:
            raise ConfigurationError("A list of replies needs at least one.")
        return iter([_checked(reply) for reply in replies])
    if times is None:
        return itertools.repeat(_checked(replies))
    return itertools.repeat(_checked(replies), whole_number("times", times))


def _checked(reply: Any) -> ReplyLike:
    usable = isinstance(reply, _PLAIN) or (
        callable(reply) and not isinstance(reply, type) and not inspect.iscoroutinefunction(reply)
    )
    if not usable:
        raise ConfigurationError(
            "A reply is a str, a dict, a pydantic object, a Reply, a Fault, an exception (not its "
            f"class) or a function of the messages (not async); got {reply!r}."
        )
    return reply  # type: ignore[no-any-return]


def _check_matcher(matcher: Any) -> None:
    if matcher == "":
        raise ConfigurationError("The empty string is in every prompt; leave it out for any.")
    if not (matcher is None or isinstance(matcher, str | re.Pattern) or callable(matcher)):
        raise ConfigurationError(
            f"A prompt is matched by a str, a compiled regular expression or a function of the "
            f"messages; got {matcher!r}."
        )


def _is_empty(replies: Any) -> bool:
    return isinstance(replies, Sequence) and not isinstance(replies, str) and not replies


def _resolved(reply: ReplyLike, call: Call) -> Reply | Fault | Exception:
    if not isinstance(reply, _PLAIN):
        reply = _called(reply, call)
    if isinstance(reply, str):
        return Reply(reply)
    if isinstance(reply, Reply | Fault | Exception):
        return reply
    if isinstance(reply, Mapping | BaseModel):
        return Reply(data=reply)
    raise ScriptError(f"A function of the script returned {reply!r}, which is not a reply.")


def _called(function: Callable[[list[BaseMessage]], Any], call: Call) -> Any:
    try:
        return function(call.messages)
    except Exception as error:
        raise ScriptError(f"A function of the script raised {error!r}.") from error


def _found(matcher: str | re.Pattern[str], text: str) -> bool:
    return matcher in text if isinstance(matcher, str) else matcher.search(text) is not None


def _shown(message: BaseMessage) -> str:
    if not (isinstance(message, AIMessage) and message.tool_calls):
        return str(message.text)
    calls = [f"{call['name']}({as_json(call['args'])})" for call in message.tool_calls]
    return "\n".join([*filter(None, [message.text]), *calls])


def _told(matcher: Matcher) -> str:
    if isinstance(matcher, str):
        return f"contains {matcher!r}"
    if isinstance(matcher, re.Pattern):
        return f"matches r{matcher.pattern!r}"
    return f"passes {getattr(matcher, '__qualname__', matcher)}"


def _unanswered(call: Call, rules: Iterable[_Rule]) -> str:
    prompt = "\n".join(f"[{message.type}] {_shown(message)}" for message in call.messages)
    if len(prompt) > _SHOWN_CHARACTERS:
        half = _SHOWN_CHARACTERS // 2
        left_out = len(prompt) - _SHOWN_CHARACTERS
        prompt = f"{prompt[:half]}\n… {left_out} characters …\n{prompt[-half:]}"
    numbered = [f"  {number}. {rule}" for number, rule in enumerate(rules, 1)]
    told = "\n".join(numbered) or "  none"
    return f"The script has no reply to this prompt:\n{prompt}\nIts rules:\n{told}"
