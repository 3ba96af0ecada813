"""Writes host/convert/testdata: tiny bases, LoRA adapters as PEFT saves them, and what llama.cpp's own converter makes of these.

    pip install torch transformers==5.23.0 peft==0.21.2 safetensors==0.8.0 numpy
    python3 testdata/generators/gguf_adapters.py host/convert/testdata LLAMA_CPP

LLAMA_CPP is a checkout of llama.cpp v0.5.0 (convert_lora_to_gguf.py, conversion/, gguf-py/). For each family NAME:

    NAME/base            a random base of one layer, by transformers
    NAME/adapter         an adapter on its linear modules, by PEFT
    NAME/adapter.gguf    the same by llama.cpp's converter

GPT-2 is not among them: the converter transposes its factors with its weights, which llama.cpp then refuses to load.
"""

import pathlib
import shutil
import subprocess
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

SIZES = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, vocab_size=48,
             max_position_embeddings=64, tie_word_embeddings=False)
FAMILIES = {"llama": LlamaConfig(**SIZES), "mistral": MistralConfig(**SIZES, sliding_window=None), "qwen2": Qwen2Config(**SIZES),
            "qwen3": Qwen3Config(**SIZES, head_dim=8)}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "embed_tokens"]


def main():
    out, llama_cpp = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for seed, (name, config) in enumerate(FAMILIES.items()):
        torch.manual_seed(seed)
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model.save_pretrained(folder / "base")
        adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, target_modules=TARGETS), autocast_adapter_dtype=False)
        for key, value in adapted.named_parameters():
            if "lora_" in key:
                torch.nn.init.normal_(value, std=0.1)
        adapted.peft_config["default"].base_model_name_or_path = None
        adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
        (folder / "adapter" / "README.md").unlink(missing_ok=True)
        subprocess.run([sys.executable, llama_cpp / "convert_lora_to_gguf.py", "--base", folder / "base", "--outtype", "bf16",
                        "--outfile", folder / "adapter.gguf", folder / "adapter"], check=True)


if __name__ == "__main__":
    main()
