"""A graph on a model that you serve: vLLM, Ollama, TGI, LM Studio or llama.cpp, by its address.

It needs `pip install "agentkit-graphs[index,ingest,local,openai]"` and a server, such as one of

    vllm serve Qwen/Qwen3-8B
    ollama run qwen3
    docker run -p 8080:80 ghcr.io/huggingface/text-generation-inference --model-id Qwen/Qwen3-8B

Start it with the kind of server and the model's name there:

    python -m examples.scripts.openai_compatible_servers ollama qwen3 "How long may I keep a book?"
"""

import argparse

from langchain_core.language_models import BaseChatModel

from agentkit import chat_model
from examples.scripts.library import library_graph

SERVERS = {
    "vllm": "http://localhost:8000/v1",
    "ollama": "http://localhost:11434/v1",
    "tgi": "http://localhost:8080/v1",
    "lmstudio": "http://localhost:1234/v1",
    "llama.cpp": "http://localhost:8080/v1",
}
"""Where each listens when nothing else is said."""


def served_model(
    server: str, model: str, *, key: str = "none", seconds: float = 120
) -> BaseChatModel:
    """A model of a server.

    Args:
        server: A name of `SERVERS`, or an address that ends in `/v1`.
        model: The model's name there.
        key: The server's API key; most want none, but the client wants something to send.
        seconds: What one call may take.
    """
    address = SERVERS.get(server, server)
    return chat_model(f"openai:{model}", base_url=address, api_key=key, timeout=seconds)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("server", help=f"{', '.join(SERVERS)}, or an address")
    options.add_argument("model", help="the model's name on the server")
    options.add_argument("question")
    given = options.parse_args()
    graph = library_graph(served_model(given.server, given.model))
    print(graph.invoke({"question": given.question})["answer"])


if __name__ == "__main__":
    main()
