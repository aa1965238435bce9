"""A model from a string, an object or the environment."""

import builtins

import pytest

from agentkit import chat_model, embeddings
from agentkit.errors import ConfigurationError, MissingExtraError
from agentkit.testing import HashEmbeddings, ModelServer, Script, ScriptedChatModel


def test_an_object_is_returned_as_it_is():
    model, vectors = ScriptedChatModel(["x"]), HashEmbeddings()
    assert chat_model(model) is model
    assert embeddings(vectors) is vectors


def test_an_object_takes_no_options():
    with pytest.raises(ConfigurationError, match="temperature can only be given with"):
        chat_model(ScriptedChatModel(["x"]), temperature=1)


async def test_a_string_names_a_provider_and_a_base_url_any_server():
    with ModelServer(Script(["Hello."])) as server:
        model = chat_model("openai:scripted", base_url=server.base_url, api_key="none")
        assert (await model.ainvoke("Hi")).text == "Hello."


def test_the_environment_is_asked_when_nothing_is_given(monkeypatch):
    with ModelServer(Script(["Hello."])) as server:
        monkeypatch.setenv("AGENTKIT_MODEL", "openai:scripted")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert chat_model().invoke("Hi").text == "Hello."


@pytest.mark.local
def test_without_any_configuration_the_embedded_models_are_used(monkeypatch):
    monkeypatch.setenv("AGENTKIT_MODEL", "")
    assert type(chat_model()).__name__ == "LocalChatModel"
    assert type(embeddings()).__name__ == "LocalEmbeddings"


@pytest.mark.parametrize("make", [chat_model, embeddings])
@pytest.mark.parametrize("spec", ["nowhere:model", "", "…", "openai"])
def test_a_string_of_which_nothing_can_be_made_is_told(make, spec, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with pytest.raises(ConfigurationError, match="cannot be"):
        make(spec)


@pytest.mark.parametrize("make", [chat_model, embeddings])
@pytest.mark.parametrize("spec", [7, ["openai:gpt"], object()])
def test_a_spec_of_another_type_is_told(make, spec):
    with pytest.raises(ConfigurationError, match="'provider:model' string"):
        make(spec)


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        ("openai:gpt-5", MissingExtraError, r"pip install 'agentkit-graphs\[openai\]'"),
        ("anthropic:claude", ConfigurationError, "langchain-anthropic|langchain_anthropic"),
    ],
)
def test_a_missing_package_is_told_with_how_to_install_it(spec, error, told, monkeypatch):
    from langchain.chat_models import base

    base._get_chat_model_creator.cache_clear()
    load = builtins.__import__

    def without_providers(name, *args, **kwargs):
        if name in {"langchain_openai", "langchain_anthropic"}:
            raise ImportError(f"No module named {name}")
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_providers)
    monkeypatch.setattr("importlib.import_module", without_providers)
    with pytest.raises(error, match=told):
        chat_model(spec)


def test_embeddings_of_any_server_send_text_and_download_no_tokenizer():
    with ModelServer(embeddings=HashEmbeddings()) as server:
        for spec, options in (("openai:any", {}), ("any", {"provider": "openai"})):
            made = embeddings(spec, base_url=server.base_url, api_key="none", **options)
            expected = HashEmbeddings().embed_query("two words")
            assert made.embed_query("two words") == pytest.approx(expected)


def test_embeddings_of_the_environment(monkeypatch):
    with ModelServer() as server:
        monkeypatch.setenv("AGENTKIT_EMBEDDINGS", "openai:any")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        assert len(embeddings().embed_query("Hi")) == len(HashEmbeddings().embed_query("Hi"))


@pytest.mark.parametrize("make", [chat_model, embeddings])
def test_an_option_that_the_embedded_models_lack_is_told(make):
    with pytest.raises(ConfigurationError, match="'local' cannot be made"):
        make("local", base_url="http://127.0.0.1/v1")


def test_a_missing_key_is_told(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="api_key"):
        chat_model("openai:any")
