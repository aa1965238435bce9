import asyncio
import base64
import json
import logging
import struct
import threading
import time

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from agentkit.errors import ConfigurationError, ScriptError
from agentkit.testing import Fault, HashEmbeddings, ModelServer, Reply, Script


class City(BaseModel):
    """A city."""

    name: str


ADD = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}
TIDES = [{"role": "user", "content": "How high is the tide?"}]


def client(server, **options):
    options = {"api_key": "any", "max_retries": 0, "timeout": 10, **options}
    return OpenAI(base_url=server.base_url, **options)


def ask(openai_client, messages=TIDES, **options):
    return openai_client.chat.completions.create(model="any", messages=messages, **options)


def chat_openai(server, **options):
    options = {"api_key": "any", "model": "any", "max_retries": 0, "timeout": 10, **options}
    return ChatOpenAI(base_url=server.base_url, **options)


@pytest.fixture(scope="module")
def idle_server():
    """A server that no request gets a reply from."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def post():
    """A raw request to a server, for what the official client would not send."""

    def send(server, path, **options):
        with httpx.Client(base_url=server.base_url) as raw:
            return raw.post(path, **options)

    return send


# Replies


def test_it_answers_with_text_and_usage():
    with ModelServer(["Two metres high."]) as server, client(server) as openai_client:
        made = ask(openai_client)
    assert made.choices[0].message.content == "Two metres high."
    assert made.choices[0].finish_reason == "stop"
    assert made.model == "any"
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (5, 3)


def test_it_streams_word_by_word_with_usage_where_asked():
    with ModelServer("Two metres high.") as server, client(server) as openai_client:
        chunks = list(ask(openai_client, stream=True, stream_options={"include_usage": True}))
        without = list(ask(openai_client, stream=True))
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert words == ["Two", " metres", " high.", None]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 8
    assert [chunk.usage for chunk in without] == [None] * 4


@pytest.mark.parametrize("streaming", [False, True])
def test_chat_openai_calls_tools(streaming):
    reply = Reply(tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}}])
    with ModelServer(reply) as server:
        model = chat_openai(server, streaming=streaming).bind_tools([ADD], tool_choice="add")
        made = model.invoke("1 + 2?")
    assert [(c["name"], c["args"], c["id"]) for c in made.tool_calls] == [
        ("add", {"a": 1, "b": 2}, "call_1")
    ]
    assert made.response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_chat_openai_gets_structured_output(method):
    script = Script(City(name="Oslo"))
    with ModelServer(script) as server:
        model = chat_openai(server).with_structured_output(City, method=method)
        assert model.invoke("Answer in JSON") == City(name="Oslo")
    call = script.calls[0]
    asked_by = {"json_schema": "json_schema", "json_mode": "json_object"}
    if method == "function_calling":
        assert call.tool_choice["function"]["name"] == "City"
    else:
        assert call.response_format["type"] == asked_by[method]


async def test_chat_openai_streams_in_async_code():
    async with ModelServer("one two three") as server:
        chunks = [chunk async for chunk in chat_openai(server, stream_usage=True).astream("?")]
    assert "".join(chunk.text for chunk in chunks) == "one two three"
    assert [c.usage_metadata["output_tokens"] for c in chunks if c.usage_metadata] == [3]


def test_rules_see_the_same_prompt_as_in_the_process():
    script = Script().when("14", reply="It is 14.", system="calculate")
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 8}'}}
    messages = [
        {"role": "system", "content": "You calculate."},
        {"role": "user", "content": [{"type": "text", "text": "8 and 6"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "14", "tool_call_id": "1"},
    ]
    with ModelServer(script) as server, client(server) as openai_client:
        ask(openai_client, messages, temperature=0.5, stop="!", tools=[ADD])
    assert script.calls[0].text == 'You calculate.\n\n8 and 6\n\nadd({"a": 8})\n\n14'
    assert script.calls[0].stop == ["!"]
    assert script.calls[0].params == {"model": "any", "temperature": 0.5}
    assert script.calls[0].tools == [ADD]
    assert not script.calls[0].streamed


def test_broken_tool_arguments_arrive_as_they_are():
    with ModelServer(Reply(tool_calls=[{"name": "add", "args": '{"a": '}])) as server:
        made = chat_openai(server).bind_tools([ADD]).invoke("?")
    assert made.invalid_tool_calls[0]["args"] == '{"a": '


def test_models_are_listed():
    with ModelServer(models=["a", "b"]) as server, client(server) as openai_client:
        assert [model.id for model in openai_client.models.list()] == ["a", "b"]


# Embeddings


def test_embeddings_are_those_of_the_hash():
    texts = ["the tide is high", "cats sleep"]
    expected = HashEmbeddings().embed_documents(texts)
    with ModelServer() as server:
        embeddings = OpenAIEmbeddings(
            base_url=server.base_url, api_key="any", model="any", check_embedding_ctx_length=False
        )
        vectors = embeddings.embed_documents(texts)
        query = embeddings.embed_query(texts[0])
    for vector, wanted in zip([*vectors, query], [*expected, expected[0]], strict=True):
        assert vector == pytest.approx(wanted, abs=1e-6)


def test_embeddings_are_sent_as_floats_and_as_base64(post):
    body = {"model": "any", "input": "tide"}
    expected = HashEmbeddings(8).embed_query("tide")
    with ModelServer(embeddings=HashEmbeddings(8)) as server:
        floats, packed = (
            post(server, "/embeddings", json={**body, "encoding_format": kind}).json()
            for kind in ("float", "base64")
        )
    assert floats["data"][0]["embedding"] == expected
    assert struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"])) == (
        pytest.approx(expected)
    )
    assert floats["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


def test_token_ids_are_embedded_as_words():
    with ModelServer() as server, client(server) as openai_client:
        made = openai_client.embeddings.create(model="any", input=[[17, 4], [4, 17]])
        one = openai_client.embeddings.create(model="any", input=[17, 4])
    assert made.data[0].embedding == made.data[1].embedding == one.data[0].embedding


def test_other_dimensions_than_the_server_s_are_refused():
    with ModelServer() as server, client(server) as openai_client:
        same = openai_client.embeddings.create(model="any", input="x", dimensions=256)
        assert len(same.data[0].embedding) == 256
        with pytest.raises(openai.BadRequestError, match="256 dimensions"):
            openai_client.embeddings.create(model="any", input="x", dimensions=8)


def test_embeddings_that_fail_are_a_server_error():
    class Failing(HashEmbeddings):
        async def aembed_documents(self, texts):
            raise ValueError("no vectors today")

    with (
        ModelServer(embeddings=Failing()) as server,
        client(server) as openai_client,
        pytest.raises(openai.InternalServerError, match="no vectors today"),
    ):
        openai_client.embeddings.create(model="any", input="x")


# Faults


def test_a_rate_limit_is_waited_for_and_retried():
    script = Script([Fault.rate_limited(retry_after=0.01), "ok"])
    with ModelServer(script) as server, client(server, max_retries=1) as openai_client:
        assert ask(openai_client).choices[0].message.content == "ok"
    assert len(script.calls) == 2


def test_a_rate_limit_tells_when_to_retry():
    with (
        ModelServer(Fault.rate_limited(retry_after=7)) as server,
        client(server) as openai_client,
        pytest.raises(openai.RateLimitError) as raised,
    ):
        ask(openai_client)
    assert raised.value.response.headers["retry-after"] == "7"


def test_a_server_error_is_retried():
    fault = Fault.http_error(500, headers={"retry-after-ms": "1"})
    script = Script([fault, fault, "ok"])
    with ModelServer(script) as server, client(server, max_retries=2) as openai_client:
        assert ask(openai_client).choices[0].message.content == "ok"
    assert len(script.calls) == 3


@pytest.mark.parametrize(
    ("reply", "status", "told"),
    [
        (Fault.server_error("out of order"), 500, "out of order"),
        (RuntimeError("the model crashed"), 500, "the model crashed"),
        (Fault.http_error(503), 503, "Scripted error 503"),
    ],
)
def test_a_server_error_tells_its_message(reply, status, told):
    with ModelServer([reply, "ok"]) as server, client(server) as openai_client:
        with pytest.raises(openai.InternalServerError, match=told) as raised:
            ask(openai_client)
        assert ask(openai_client).choices[0].message.content == "ok"
    assert raised.value.status_code == status


@pytest.mark.parametrize("stream", [False, True])
def test_a_timeout_lasts_until_the_client_gives_up(stream):
    with (
        ModelServer(Fault.timeout()) as server,
        client(server, timeout=0.1) as openai_client,
        pytest.raises(openai.APITimeoutError),
    ):
        ask(openai_client, stream=stream)


def test_a_timeout_with_an_end_is_a_gateway_timeout():
    with (
        ModelServer(Fault.timeout(0.01)) as server,
        client(server) as openai_client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        ask(openai_client)
    assert raised.value.status_code == 504


def test_a_cut_stream_breaks_after_its_chunks(caplog):
    words = []
    fault = Fault.cut_stream(after=2, reply="one two three four")
    with ModelServer(fault) as server, client(server) as openai_client:
        stream = ask(openai_client, stream=True)
        # an older client tells the error of its HTTP library
        with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
            words.extend(chunk.choices[0].delta.content for chunk in stream)
    assert words == ["one", " two"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_reply_that_is_not_streamed_is_cut_in_its_body():
    with (
        ModelServer(Fault.cut_stream()) as server,
        client(server) as openai_client,
        pytest.raises(openai.APIConnectionError),
    ):
        ask(openai_client)


@pytest.mark.parametrize("stream", [False, True])
def test_malformed_json_cannot_be_read(stream):
    with (
        ModelServer(Fault.malformed_json()) as server,
        client(server) as openai_client,
        pytest.raises(json.JSONDecodeError),
    ):
        list(ask(openai_client, stream=stream))


def test_faults_by_count_strike_the_first_requests_of_any_kind():
    script = Script(["ok"])
    faults = [Fault.server_error(), Fault.malformed_json(), Fault.cut_stream()]
    with ModelServer(script, faults=faults) as server, client(server) as openai_client:
        with pytest.raises(openai.InternalServerError):
            ask(openai_client)
        for error in (json.JSONDecodeError, openai.APIConnectionError):
            with pytest.raises(error):
                openai_client.embeddings.create(model="any", input="x")
        assert openai_client.embeddings.create(model="any", input="x").data
        assert ask(openai_client).choices[0].message.content == "ok"
    assert len(script.calls) == 1


def test_a_server_without_structured_output_refuses_it():
    script = Script("plain text")
    with ModelServer(script, structured_output=False) as server:
        model = chat_openai(server)
        with pytest.raises(openai.BadRequestError, match="response_format is not supported"):
            model.with_structured_output(City).invoke("?")
        with pytest.raises(openai.BadRequestError, match="response_format is not supported"):
            model.with_structured_output(City, method="json_mode").invoke("?")
        assert model.invoke("?").text == "plain text"
    assert len(script.calls) == 1


async def test_a_hundred_slow_replies_are_given_side_by_side():
    async with ModelServer("ok", latency=0.2) as server:
        url = server.base_url
        async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as openai_client:
            started = time.perf_counter()
            made = await asyncio.gather(*(ask(openai_client) for _ in range(100)))
            took = time.perf_counter() - started
    assert {reply.choices[0].message.content for reply in made} == {"ok"}
    assert 0.2 <= took < 5  # one after the other they would take 20


# Refusals


def test_a_wrong_key_is_refused():
    with ModelServer("ok", api_key="right") as server:
        with client(server, api_key="right") as openai_client:
            assert ask(openai_client).choices[0].message.content == "ok"
        with client(server, api_key="wrong") as openai_client:
            for refused in (
                lambda: ask(openai_client),
                lambda: openai_client.embeddings.create(model="any", input="x"),
                openai_client.models.list,
            ):
                with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
                    refused()


MESSAGES = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"model": "any"}',
        {"model": "", "messages": MESSAGES},
        {"model": "any", "messages": []},
        {"model": "any", "messages": "x"},
        {"model": "any", "messages": [{"role": "nobody", "content": "x"}]},
        {"model": "any", "messages": [{"content": "x"}]},
        {"model": "any", "messages": MESSAGES, "n": 2},
        {"model": "any", "messages": MESSAGES, "tools": [{"type": "function"}]},
        {"model": "any", "messages": MESSAGES, "tool_choice": "add"},
        {"model": "any", "messages": MESSAGES, "tools": [], "tool_choice": ADD},
        {"model": "any", "messages": MESSAGES, "response_format": {"type": "xml"}},
        {"model": "any", "messages": MESSAGES, "response_format": {"type": "json_schema"}},
        {"model": "any", "messages": MESSAGES, "stop": 7},
    ],
)
def test_a_malformed_chat_request_is_refused_in_openai_s_shape(body, idle_server, post):
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer = post(idle_server, "/chat/completions", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["message"]
    assert idle_server.script.calls == []


@pytest.mark.parametrize("given", [None, [], [[]], 7, [1.5], [["x"]], [None]])
def test_a_malformed_embedding_request_is_refused(given, idle_server, post):
    answer = post(idle_server, "/embeddings", json={"model": "any", "input": given})
    assert answer.status_code == 400
    assert "input" in answer.json()["error"]["message"]


def test_an_unknown_route_or_method_is_refused_in_openai_s_shape(post):
    with ModelServer() as server:
        unknown, wrong = post(server, "/images", json={}), post(server, "/models", json={})
    assert (unknown.status_code, wrong.status_code) == (404, 405)
    assert "POST /v1/images" in unknown.json()["error"]["message"]
    assert "POST /v1/models" in wrong.json()["error"]["message"]


def test_a_megabyte_and_other_scripts_come_through():
    text = "海 \U0001f30a " * 100_000
    with (
        ModelServer(lambda messages: messages[-1].text[:4]) as server,
        client(server) as openai_client,
    ):
        made = ask(openai_client, [{"role": "user", "content": text}])
    assert made.choices[0].message.content == text[:4]


# The script's errors


def test_an_unanswered_prompt_is_not_retried_and_raised_at_the_end():
    script = Script().when("cats", reply="meow")

    def swallowing():
        with (
            ModelServer(script) as server,
            client(server, max_retries=3) as openai_client,
            pytest.raises(openai.BadRequestError, match="How high is the tide"),
        ):
            ask(openai_client)

    with pytest.raises(ScriptError, match="How high is the tide"):
        swallowing()
    assert len(script.calls) == 1


async def test_an_unanswered_prompt_is_raised_at_the_end_of_async_with():
    script = Script()
    with pytest.raises(ScriptError):  # noqa: PT012 - the end of the block is what raises
        async with ModelServer(script) as server:
            with pytest.raises(openai.BadRequestError):
                await chat_openai(server).ainvoke("?")


def test_another_error_that_ends_the_block_notes_the_unanswered_prompt():
    def failing():
        with ModelServer() as server, client(server) as openai_client:
            with pytest.raises(openai.BadRequestError):
                ask(openai_client)
            raise KeyError("what the test saw of it")

    with pytest.raises(KeyError) as raised:
        failing()
    assert "How high is the tide" in raised.value.__notes__[0]


# Running and stopping


def threads():
    return set(threading.enumerate())


def test_it_stops_with_nothing_left(post):
    before = threads()
    with ModelServer("ok") as server:
        url = server.base_url
        assert url.startswith("http://127.0.0.1:")
        assert post(server, "/nothing").status_code == 404
        assert len(threads() - before) == 1
    assert threads() - before == set()
    with httpx.Client() as raw, pytest.raises(httpx.ConnectError):
        raw.get(f"{url}/models")


def test_stopping_does_not_wait_for_replies_that_hang_or_sleep():
    arrived = threading.Semaphore(0)

    def told(reply):
        return lambda _: arrived.release() or reply

    def send(url, text):
        with httpx.Client(base_url=url, timeout=30) as raw:
            body = {"model": "any", "messages": [{"role": "user", "content": text}]}
            raw.post("/chat/completions", json=body)

    script = Script().when("hang", reply=told(Fault.timeout()))
    script.when("sleep", reply=told(Reply("late", delay=60)))
    with ModelServer(script) as server:
        senders = [
            threading.Thread(target=send, args=(server.base_url, text))
            for text in ("hang", "sleep")
        ]
        for sender in senders:
            sender.start()
        for _ in senders:
            assert arrived.acquire(timeout=10)
        started = time.perf_counter()
    assert time.perf_counter() - started < 10
    for sender in senders:
        sender.join(timeout=10)
        assert not sender.is_alive()


def test_it_can_run_again_but_not_twice_at_once():
    server = ModelServer("ok")
    with pytest.raises(ConfigurationError, match="with"):
        _ = server.base_url
    for _ in range(2):
        with server, client(server) as openai_client:
            assert ask(openai_client).choices[0].message.content == "ok"
            with pytest.raises(ConfigurationError, match="running already"):
                server.__enter__()


@pytest.mark.parametrize("latency", [-1, float("inf"), float("nan")])
def test_an_impossible_latency_is_refused(latency):
    with pytest.raises(ConfigurationError, match="latency"):
        ModelServer(latency=latency)


def test_a_missing_extra_is_told(monkeypatch):
    import sys

    import agentkit.testing
    from agentkit.errors import MissingExtraError

    monkeypatch.delitem(sys.modules, "agentkit.testing.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"agentkit-graphs\[testing\]"):
        _ = agentkit.testing.ModelServer
    with pytest.raises(AttributeError):
        _ = agentkit.testing.Nothing
