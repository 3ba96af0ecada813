"""Runs the official OpenAI client, and the load calls as TRL and vLLM's documentation make them, against a server of Tenon.

    client.py URL ADAPTER_DIR

The base is called "base" there. Each check that passed is printed; the first that fails ends the run.
"""
import sys

import openai
import requests

url, adapter = sys.argv[1:]
client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
prompt = "name : Blue Spice | Type : coffee shop | area : riverside ||"


def check(name, holds, *shown):
    if not holds:
        sys.exit(f"FAILED {name}: {shown}")
    print("ok", name)


def raises(name, kind, call):
    try:
        got = call()
    except kind as e:
        check(name, e.body["message"], e)
        return e
    sys.exit(f"FAILED {name}: no {kind.__name__} but {got}")


# Models, and adapters that come and go.
check("models.list", [m.id for m in client.models.list()] == ["base"])
load = lambda name, path: requests.post(url + "/v1/load_lora_adapter", json={"lora_name": name, "lora_path": path})
unload = lambda name: requests.post(url + "/v1/unload_lora_adapter", json={"lora_name": name})
answer = load("restaurant", adapter)
check("load", answer.status_code == 200 and answer.text == "Success: LoRA adapter 'restaurant' added successfully.", answer.status_code, answer.text)
check("load again", load("restaurant", adapter).status_code == 200)
check("models.list with it", [(m.id, m.parent) for m in client.models.list()] == [("base", None), ("restaurant", "base")])
check("load nothing", load("nothing", "/nowhere/at/all").status_code in (400, 404, 422))

# Completions.
whole = client.completions.create(model="restaurant", prompt=prompt, max_tokens=24, temperature=0)
check("completion", whole.choices[0].text and whole.choices[0].finish_reason in ("stop", "length"), whole)
check("usage", whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens, whole.usage)
check("generation", whole.system_fingerprint.startswith("sha256:"), whole.system_fingerprint)
check("the base differs", client.completions.create(model="base", prompt=prompt, max_tokens=24, temperature=0).choices[0].text != whole.choices[0].text)
chunks = list(client.completions.create(model="restaurant", prompt=prompt, max_tokens=24, temperature=0, stream=True, stream_options={"include_usage": True}))
check("completion stream", "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text, chunks)
check("stream usage", chunks[-1].usage == whole.usage or chunks[-1].usage.total_tokens == whole.usage.total_tokens, chunks[-1])
scored = client.completions.create(model="restaurant", prompt=prompt, max_tokens=4, temperature=0, logprobs=2, echo=True).choices[0]
check("echo", scored.text.startswith(prompt), scored.text)
check("logprobs", len({len(scored.logprobs.tokens), len(scored.logprobs.token_logprobs), len(scored.logprobs.top_logprobs), len(scored.logprobs.text_offset)}) == 1
      and scored.logprobs.token_logprobs[0] is None and all(p <= 0 for p in scored.logprobs.token_logprobs[1:]), scored.logprobs)
stop = whole.choices[0].text[3:5]
stopped = client.completions.create(model="restaurant", prompt=prompt, max_tokens=24, temperature=0, stop=[stop]).choices[0]
check("stop", stopped.finish_reason == "stop" and stopped.text == whole.choices[0].text.split(stop)[0], stopped)
several = client.completions.create(model="restaurant", prompt=[prompt, "The"], n=2, max_tokens=4, seed=5, temperature=0.7)
again = client.completions.create(model="restaurant", prompt=[prompt, "The"], n=2, max_tokens=4, seed=5, temperature=0.7)
check("n", [c.index for c in several.choices] == [0, 1, 2, 3] and [c.text for c in several.choices] == [c.text for c in again.choices], several)

# Chats.
messages = [{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "The meaning of </s> is"}]}]
whole = client.chat.completions.create(model="restaurant", messages=messages, max_completion_tokens=12, temperature=0, logprobs=True, top_logprobs=3)
choice = whole.choices[0]
check("chat", choice.message.role == "assistant" and choice.message.content and whole.object == "chat.completion", whole)
check("chat logprobs", len(choice.logprobs.content) == whole.usage.completion_tokens and all(len(t.top_logprobs) == 3 for t in choice.logprobs.content)
      and bytes(b for t in choice.logprobs.content for b in t.bytes).decode(errors="replace").startswith(choice.message.content.rstrip("\ufffd")), choice.logprobs)
chunks = list(client.chat.completions.create(model="restaurant", messages=messages, max_completion_tokens=12, temperature=0, stream=True))
check("chat stream", "".join(c.choices[0].delta.content or "" for c in chunks) == choice.message.content
      and chunks[-1].choices[0].finish_reason == choice.finish_reason, chunks)
cut = choice.message.content[2:4]
with client.chat.completions.stream(model="restaurant", messages=messages, max_completion_tokens=12, temperature=0, stop=cut) as stream:
    final = stream.get_final_completion()
check("chat stream helper", final.choices[0].message.content == choice.message.content.split(cut)[0] and final.choices[0].finish_reason == "stop", final)
first = next(iter(client.chat.completions.create(model="restaurant", messages=messages, max_tokens=2, stream=True)))
check("chat role first", first.choices[0].delta.role == "assistant" and first.object == "chat.completion.chunk", first)

# Errors, by the classes that the client makes of them.
create = client.completions.create
raises("NotFoundError", openai.NotFoundError, lambda: create(model="nobody", prompt="x"))
e = raises("BadRequestError", openai.BadRequestError, lambda: create(model="base", prompt="x", temperature=-1))
check("its param", e.param == "temperature" and e.code, e.body)
raises("BadRequestError of a chat", openai.BadRequestError, lambda: client.chat.completions.create(model="base", messages=[{"role": "tool", "content": "x"}]))


def flood():
    """Holds all the texts that the server has room for, and asks for one more. Closing the streams makes room again."""
    held = [create(model="base", prompt="The", max_tokens=400, stream=True, extra_body={"ignore_eos": True}) for _ in range(4)]
    try:
        return create(model="base", prompt="x", max_tokens=1)
    finally:
        for stream in held:
            stream.close()


e = raises("RateLimitError", openai.RateLimitError, flood)
check("Retry-After", int(e.response.headers["retry-after"]) >= 1, e.response.headers)
patient = client.with_options(max_retries=5)
check("a text after the flood", patient.completions.create(model="base", prompt="x", max_tokens=1).choices[0].finish_reason)

check("unload", unload("restaurant").status_code == 200)
check("unload again", unload("restaurant").status_code == 404)
raises("NotFoundError after it", openai.NotFoundError, lambda: create(model="restaurant", prompt="x"))
print("done")
