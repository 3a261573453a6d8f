"""The official SDKs send what our back ends send, and read what the test's server answers.

Usage: sdks.py URL, with {"key": ..., "anthropic": REQUEST, "openai": REQUEST} on standard input. The server picks its answer by the
word after "answer:" in the question. Prints one JSON object of what the SDKs made of each.
"""

import copy
import json
import sys
import typing

import anthropic
import openai
from anthropic.types import Message
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

url, given = sys.argv[1], json.load(sys.stdin)


def asking(request, word):
    """The request with another question."""
    request = copy.deepcopy(request)
    request["messages"][-1]["content"] = "answer:" + word
    return request


def failure(call):
    """What the SDK raises."""
    try:
        call()
    except (anthropic.APIStatusError, openai.APIStatusError) as error:
        said = error.body if isinstance(error.body, dict) else {}
        said = said.get("error", said)
        return {"raised": type(error).__name__, "status": error.status_code, "type": said.get("type"), "id": error.request_id}
    return {"raised": None}


def with_bound(schema):
    return {**schema, "properties": {**schema["properties"], "target_replicas": {"type": "integer", "minimum": 0}}}


def claude():
    request = given["anthropic"]
    client = anthropic.Anthropic(base_url=url, api_key=given["key"], max_retries=0)
    create = client.messages.create
    told = {"fields": sorted(typing.get_type_hints(MessageCreateParamsNonStreaming))}
    for word in ("advice", "thinking", "truncated", "refused"):
        raw = client.messages.with_raw_response.create(**asking(request, word))
        # As strictly as the types can be read, beside the SDK's own lenient way.
        Message.model_validate_json(raw.text(), strict=True)
        message = raw.parse()
        told[word] = {
            "text": "".join(block.text for block in message.content if block.type == "text"),
            "stop": message.stop_reason,
            "model": message.model,
            "tokens": [message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens, message.usage.output_tokens],
            "id": raw.headers["request-id"],
        }
    told["spent"] = failure(lambda: create(**asking(request, "spent")))
    told["overloaded"] = failure(lambda: create(**asking(request, "overloaded")))
    wrong = anthropic.Anthropic(base_url=url, api_key="sk-wrong", max_retries=0)
    told["wrong key"] = failure(lambda: wrong.messages.create(**request))
    told["both keys"] = failure(lambda: create(**request, extra_headers={"x-api-key": given["key"], "authorization": "Bearer " + given["key"]}))
    told["temperature"] = failure(lambda: create(**request, extra_body={"temperature": 0}))
    told["unknown field"] = failure(lambda: create(**request, extra_body={"response_format": {}}))
    bounded = copy.deepcopy(request)
    bounded["output_config"]["format"]["schema"] = with_bound(request["output_config"]["format"]["schema"])
    told["bounds in the schema"] = failure(lambda: create(**bounded))
    told["unknown model"] = failure(lambda: create(**{**request, "model": "claude-2"}))
    return told


def gpt():
    request = given["openai"]
    client = openai.OpenAI(base_url=url + "/v1", api_key=given["key"], max_retries=0)
    create = client.chat.completions.create
    told = {"fields": sorted(typing.get_type_hints(CompletionCreateParamsNonStreaming))}
    for word in ("advice", "truncated", "refused"):
        raw = client.chat.completions.with_raw_response.create(**asking(request, word))
        ChatCompletion.model_validate_json(raw.text, strict=True) if isinstance(raw.text, str) else ChatCompletion.model_validate_json(raw.text(), strict=True)
        completion = raw.parse()
        choice, usage = completion.choices[0], completion.usage
        told[word] = {
            "text": choice.message.content,
            "refusal": choice.message.refusal,
            "stop": choice.finish_reason,
            "model": completion.model,
            "tokens": [usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens, usage.completion_tokens],
            "id": raw.headers["x-request-id"],
        }
    told["spent"] = failure(lambda: create(**asking(request, "spent")))
    told["overloaded"] = failure(lambda: create(**asking(request, "overloaded")))
    wrong = openai.OpenAI(base_url=url + "/v1", api_key="sk-wrong", max_retries=0)
    told["wrong key"] = failure(lambda: wrong.chat.completions.create(**request))
    told["temperature"] = failure(lambda: create(**request, temperature=0))
    told["unknown field"] = failure(lambda: create(**request, extra_body={"top_k": 1}))
    told["old limit"] = failure(lambda: create(**request, max_tokens=5))
    azure = openai.AzureOpenAI(azure_endpoint=url, api_version="2024-10-21", api_key=given["key"], max_retries=0)
    told["azure"] = azure.chat.completions.create(**{**asking(request, "advice"), "model": "scaler"}).choices[0].message.content
    return told


json.dump({"anthropic": claude(), "openai": gpt()}, sys.stdout)
