"""Writes the tokenizers of testdata/shapes and what the tokenizers library makes of texts with them.

    python generate.py                      # testdata/shapes/*.json, testdata/golden.json, testdata/patterns.json
    python generate.py fuzz SHAPE N FILE    # N random texts for TestAgainstLibrary, one JSON array a line
    python generate.py patterns N FILE      # N random regular expressions for TestAgainstLibrary

Written with tokenizers 0.23.3. Each shape has the normalizer, pre-tokenizer, decoder, post-processor and options of a family's real file,
around a vocabulary of a few hundred tokens that is trained here.
"""

import json
import pathlib
import random
import sys

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
SHAPES = HERE / "shapes"

CORPUS = [
    "Once upon a time, there was a little girl named Lily. She didn't know what they'd do, and I'll say we've seen it.",
    "The quick brown fox jumps over the lazy dog 1234567890 times; it's 3.14159 and 2,718,281 more.",
    "def main(args):\n    for i in range(10):\n        print(f\"{i}: {args[i]}\")\n\n\nif __name__ == \"__main__\":\n\tmain()\n",
    "Ein schöner Tag für Grüße aus München, Straße und Fluß. Où est le café où l'élève a mangé?",
    "Привет мир, как дела? Это простой тест для токенизатора.",
    "今天天气很好,我们去公园吧。日本語のテキストです。カタカナとひらがな。한국어 문장도 있습니다.",
    "नमस्ते दुनिया। मैं हिन्दी बोलता हूँ। سلام دنیا این یک متن است",
    "user: hello!\nassistant: Hello, how can I help you today?\r\n\r\n    indented    text   with  spaces\t\ttabs",
    "HTTPServer XMLHttpRequest camelCaseWords iPhone McDonald's O'Reilly CAN'T WON'T it's IT'S",
    "😀 😃 emoji 👨‍👩‍👧 family 🇩🇪 flag 👍🏽 thumbs", "x = a[0] * (b - c) / d && e || !f; // comment /* more */ <html></html>",
] * 3

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT4 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
        r"|\s*[\r\n]|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def byte_level(regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(name, *members):
    return {"type": "Sequence", name: list(members)}


def pre(*members):
    return sequence("pretokenizers", *members)


def replace(old, new):
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def template(token, end=None):
    piece = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    single = [piece(token), text] + ([piece(end)] if end else [])
    pair = single + [{"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": [t for t in (token, end) if t]}


def token(content, special=True, **options):
    return dict(content=content, special=special, single_word=options.get("single_word", False),
                lstrip=options.get("lstrip", False), rstrip=options.get("rstrip", False),
                normalized=options.get("normalized", not special))


def metaspace(scheme, split, **more):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split, **more}


STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
SP_DECODER = sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}, STRIP)
BYTES = [f"<0x{b:02X}>" for b in range(256)]
CHAT = [token("<|im_start|>"), token("<|im_end|>"), token("<|endoftext|>")]

# kind: "bytes" for a byte-level vocabulary, "pieces" for one of characters. first: tokens that the vocabulary begins with.
SHAPES_OF = {
    "gpt2": dict(kind="bytes", pre_tokenizer=byte_level(True), post_processor=byte_level(True), added=[token("<|endoftext|>")],
                 unk_token="<|endoftext|>", first=["<|endoftext|>"], legacy_merges=True),
    "llama3": dict(kind="bytes", pre_tokenizer=pre(split(LLAMA3), byte_level()), ignore_merges=True,
                   post_processor=sequence("processors", byte_level(True), template("<|begin_of_text|>")),
                   added=[token("<|begin_of_text|>"), token("<|eot_id|>"), token("<|start_header_id|>")]),
    "qwen2": dict(kind="bytes", normalizer={"type": "NFC"}, pre_tokenizer=pre(split(QWEN2), byte_level()),
                  post_processor=byte_level(), legacy_merges=True,
                  added=CHAT + [token("<tool_call>", False, normalized=False), token("<think>", False, normalized=False)]),
    "gpt4": dict(kind="bytes", pre_tokenizer=pre(split(GPT4), byte_level()), added=CHAT),
    "tekken": dict(kind="bytes", pre_tokenizer=pre(split(TEKKEN), byte_level()), ignore_merges=True, unk_token="<unk>",
                   post_processor=template("<s>"), first=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"],
                   added=[token("<unk>"), token("<s>"), token("</s>"), token("[INST]"), token("[/INST]")]),
    "o200k": dict(kind="bytes", pre_tokenizer=pre(split(O200K), byte_level()), added=CHAT),
    "deepseek": dict(kind="bytes", pre_tokenizer=pre(split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"), split(DEEPSEEK), byte_level()),
                     normalizer=sequence("normalizers"), post_processor=template("<｜begin▁of▁sentence｜>"),
                     added=[token("<｜begin▁of▁sentence｜>"), token("<｜User｜>", False, normalized=False)]),
    "smollm": dict(kind="bytes", pre_tokenizer=pre({"type": "Digits", "individual_digits": True}, byte_level(True)), added=CHAT),
    "llama2": dict(kind="pieces", normalizer=sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")),
                   decoder=SP_DECODER, byte_fallback=True, fuse_unk=True, unk_token="<unk>", post_processor=template("<s>"),
                   first=["<unk>", "<s>", "</s>"] + BYTES, added=[token("<unk>"), token("<s>"), token("</s>")]),
    "llama2-old": dict(kind="pieces", normalizer=sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")),
                       decoder=SP_DECODER, byte_fallback=True, fuse_unk=True, unk_token="<unk>", post_processor=template("<s>", "</s>"),
                       first=["<unk>", "<s>", "</s>"] + BYTES, legacy_merges=True,
                       added=[token(t, normalized=True) for t in ("<unk>", "<s>", "</s>")]),
    "mistral": dict(kind="pieces", pre_tokenizer=metaspace("first", False), decoder=SP_DECODER, byte_fallback=True, fuse_unk=True,
                    unk_token="<unk>", post_processor=template("<s>"), first=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"] + BYTES,
                    across=True, added=[token(t) for t in ("<unk>", "<s>", "</s>", "[INST]", "[/INST]")]),
    "gemma": dict(kind="pieces", normalizer=replace(" ", "▁"), byte_fallback=True, fuse_unk=True, unk_token="<unk>", across=True,
                  pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False},
                  decoder=sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}),
                  post_processor=template("<bos>"), first=["<pad>", "<eos>", "<bos>", "<unk>"] + BYTES,
                  added=[token("<bos>"), token("<eos>"), token("<start_of_turn>"), token("\n\n", False, normalized=False)]),
    "unknown": dict(kind="pieces", pre_tokenizer=metaspace("always", True, add_prefix_space=True, str_rep="▁"), fuse_unk=True,
                    unk_token="<unk>", decoder=metaspace("always", True), first=["<unk>", "</s>"], added=[token("<unk>"), token("</s>")]),
    "unfused": dict(kind="pieces", pre_tokenizer=metaspace("never", True), unk_token="<unk>", decoder=metaspace("never", True),
                    first=["<unk>", "<0xE4>", "<0xBB>", "<0x8A>", "<0xF0>"], byte_fallback=True, ignore_merges=True,
                    added=[token("<unk>")]),
    "options": dict(kind="bytes", pre_tokenizer=byte_level(True, prefix=True), decoder=byte_level(True, prefix=True),
                    normalizer=sequence("normalizers", {"type": "NFKC"}, {"type": "Lowercase"},
                                        {"type": "Strip", "strip_left": True, "strip_right": False}),
                    added=[token("<mask>", lstrip=True), token("<r>", rstrip=True), token("word", False, single_word=True),
                           token("Big", False), token("  ", False, normalized=False, rstrip=True), token("é", False),
                           token("<both>", lstrip=True, rstrip=True, single_word=True), token("<mask>x", False, normalized=False),
                           token("ﬁN", True, normalized=True), token("wo", False, normalized=False, single_word=True)]),
    "nfd": dict(kind="bytes", normalizer={"type": "NFD"}, pre_tokenizer=byte_level(True), added=CHAT),
    "nfkd": dict(kind="bytes", normalizer={"type": "NFKD"}, pre_tokenizer=byte_level(True), added=CHAT),
    "removed": dict(kind="bytes", pre_tokenizer=pre(split(r"\s+", "Removed"), split(r"[a-m]", "MergedWithPrevious"),
                                                    split(r"\d", "Contiguous"), byte_level())),
    "inverted": dict(kind="bytes", pre_tokenizer=pre(split(r"\w+".replace(r"\w", r"[\p{L}\p{Nd}']"), "Removed", True),
                                                     split(r"[n-z]", "MergedWithNext"), split("e|[A-Z]", "MergedWithNext", True),
                                                     {"type": "Digits", "individual_digits": False}, byte_level())),
}


def train(kind, across):
    """Returns the tokens of a vocabulary in their order and its merges."""
    tok = Tokenizer(models.BPE())
    if kind == "bytes":
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=500, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        tok.pre_tokenizer = pre_tokenizers.Metaspace(split=not across)
        trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=["▁"])
    # Characters of the other lines are unknown to a vocabulary of pieces.
    tok.train_from_iterator(CORPUS if kind == "bytes" else [line for line in CORPUS if max(line) < "\u0900"], trainer)
    model = json.loads(tok.to_str())["model"]
    return [t for t, _ in sorted(model["vocab"].items(), key=lambda e: e[1])], model["merges"]


def build(name):
    """Returns the tokenizer.json of a shape."""
    shape = dict(added=[], first=[], unk_token=None, fuse_unk=False, byte_fallback=False, ignore_merges=False, normalizer=None,
                 post_processor=None, decoder=byte_level(True), pre_tokenizer=None, across=False, legacy_merges=False)
    shape.update(SHAPES_OF[name])
    tokens, merges = train(shape["kind"], shape["across"])
    if shape["kind"] == "pieces":
        tokens, merges = tokens + ["▁▁", "▁▁▁▁"], merges + [["▁", "▁"], ["▁▁", "▁▁"]]
    vocab = {t: i for i, t in enumerate(dict.fromkeys(shape["first"] + tokens))}
    if shape["legacy_merges"]:
        merges = [" ".join(m) for m in merges]
    added, n = [], len(vocab)
    for a in shape["added"]:
        if a["content"] not in vocab:
            added.append({"id": n, **a})
            n += 1
        else:
            added.append({"id": vocab[a["content"]], **a})
    ids = {a["content"]: a["id"] for a in added}

    def fill(processor):
        if processor and processor["type"] == "TemplateProcessing":
            names = processor["special_tokens"]
            return {**processor, "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in names}}
        if processor and processor["type"] == "Sequence":
            return sequence("processors", *map(fill, processor["processors"]))
        return processor

    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": shape["normalizer"],
        "pre_tokenizer": shape["pre_tokenizer"], "post_processor": fill(shape["post_processor"]), "decoder": shape["decoder"],
        "model": {"type": "BPE", "dropout": None, "unk_token": shape["unk_token"], "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": shape["fuse_unk"], "byte_fallback": shape["byte_fallback"],
                  "ignore_merges": shape["ignore_merges"], "vocab": vocab, "merges": merges},
    }


TEXTS = [
    "", " ", "  ", "\n", "\t\n \r\n", "Hello", " Hello", "Hello world", "Hello  world  ", "it's IT'S 'S 'ſ 'K they'LL we'Ve",
    "1", "12", "1234567", "a1b22c333d4444", "３٣③Ⅷ½", "x\u0301\u0323y", "e\u0301 é \ufb01 \u212b", "각 \u1100\u1161\u11a8",
    "a" + "\u0301" * 40 + "\u0323" * 5 + "b", "日本語テキスト、今天天气。", "한국어", "😀👨‍👩‍👧🇩🇪👍🏽", "नमस्ते दुनिया", "سلام دنیا",
    "a    b\n\n\n  c \n d   ", "    \n    \n", "line\r\nline\r\n\r\n", "\u00a0\u2003\u3000x\u200bz\u200d", "\ufeffbom", "\x00\x01\x7f",
    "\u0378\U000e0001\U0010ffff", "<s>", "a<s>b</s> <unk>", "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|><|im_end|",
    "x<mask>  y  <mask>x <r>   z <both> a<both>b word wordy sword word. Big big BIG", "   <r>   <mask>   ", "  \t  wo wo1 wo.",
    "<0x0A>", "▁", "▁▁a ▁b", "Ġ", "a▁b", "tab\tbed", "HTTPServer's XMLHttp iPhone McDonald's", "a/b//c /d\n/", "!!!\n\n??", "x" * 120,
    "don't " * 20, "ÀÉÎõü ß ẞ ŉ İ ı ǅ", "[INST] Hi [/INST] there</s>", "<｜User｜>hi<｜begin▁of▁sentence｜>",
    "<tool_call>{\"a\": 1}</tool_call>",
    "\U00010d40\U00010d50\u1c89\ua7cb \U00011de0", "c\u0327\u0301\u0334 \u1ac1\u0301a\u0345\u0301",
]

PIECES = TEXTS[1:18] + TEXTS[19:47] + [
    "the", " and", "ing", "'s", "'T", "'Re", "'ll", "'", "’s", "ſ", "K", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", "\u00a0",
    "\u3000",
    "\x85", "\u2028", "0", "7", "42", "2024", "½", "²", "é", "e\u0301", "\u0301", "\u0323", "\u0345", "\u0334", "ﬁ", "Å", "ß", "Ǆ", "ǅ",
    "ʰ",
    "今天", "公园", "ひ", "カ", "한", "\u1100", "\u1161", "\u11a8", "😀", "👨‍👩‍👧", "नि", "ु", "م", "!", "?!", "...", "/", "//", "_", "-", "(",
    ")", "{", "}",
    "<", ">", "<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "[INST]", "[/INST]",
    "<bos>", "<start_of_turn>", "<mask>", "<r>", "<both>", "word", "Big", "wo", "<tool_call>", "<think>", "▁", "Ġ", "A", "Z", "AB", "aB",
    "x", "\x00",
]


def sample(rng):
    """Returns a random text."""
    kind = rng.random()
    if kind < 0.1:
        return "".join(chr(rng.choice([rng.randrange(0x20, 0x7F), rng.randrange(0, 0x3000), rng.randrange(0xE000, 0x20000)]))
                       for _ in range(rng.randrange(12)))
    if kind < 0.2:
        alphabet = rng.sample(PIECES, 3)
        return "".join(rng.choice(alphabet) for _ in range(rng.randrange(20)))
    if kind < 0.3:
        text = rng.choice(CORPUS)
        start = rng.randrange(len(text))
        return text[start:start + rng.randrange(60)]
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(10)))


def answers(tok, plain, text, ids):
    """What the library makes of a text, and of ids: see the Go test for the order."""
    encoded = tok.encode(text)
    return [text, encoded.ids, tok.encode(text, add_special_tokens=False).ids, plain.encode(text, add_special_tokens=False).ids,
            tok.decode(encoded.ids, skip_special_tokens=False), tok.decode(encoded.ids), ids,
            tok.decode(ids, skip_special_tokens=False), tok.decode(ids)]


def opened(text):
    tok, plain = Tokenizer.from_str(text), Tokenizer.from_str(text)
    plain.encode_special_tokens = True
    return tok, plain, tok.get_vocab_size()


def random_ids(rng, size):
    if rng.random() < 0.4:  # the bytes are at the beginning
        return [rng.randrange(min(size, 270)) for _ in range(rng.randrange(8))]
    return [rng.randrange(size + 2) for _ in range(rng.randrange(8))]


ATOMS = [r"\s", r"\S", r"\p{L}", r"\p{N}", r"\P{L}", "[^\\r\\n\\p{L}]", "[a-c]", "[^a-c]", "a", "b", " ", r"\n", "'", r"\.", r"[\p{Lu}x-z]", r"[\d\-_]",
         "(?:ab|a|b )", "(?i:'s|k|[st]b)", "(a|ab)", "(?:a+|b+c?)", "é", "[à-ü]", r"[\p{M}\s]", "(?:[ab]+ )", r"[^\S\n]"]
REPEATS = ["", "", "", "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}"]
POSSESSIVE = ["?+", "*+", "++"]
LOOKS = [r"(?!\S)", r"(?=\s)", "(?!a)", "(?=[bc ])"]


def random_pattern(rng):
    def atom():
        a = rng.choice(ATOMS)
        return a + rng.choice(REPEATS if a[0] == "(" or rng.random() < 0.9 else POSSESSIVE)

    def one():
        return "".join(atom() for _ in range(rng.randrange(1, 5))) + (rng.choice(LOOKS) if rng.random() < 0.3 else "")
    return "|".join(one() for _ in range(rng.randrange(1, 5)))


def pattern_answers(rng, n):
    """Returns random regular expressions, with how the library splits random texts at their matches."""
    out = []
    while len(out) < n:
        pattern = random_pattern(rng)
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
        texts = ["".join(rng.choice(["a", "b", "c", "ab", " ", "  ", "\n", "'s", "'S", "K", "k", "ſ", "1", "23", "é", "e\u0301", "Z", "x", ".", "-"])
                         for _ in range(rng.randrange(12))) for _ in range(4)]
        out.append([pattern, [[t, [t[a:b] for _, (a, b) in cut.pre_tokenize_str(t)]] for t in texts]])
    return out


def main():
    if sys.argv[1:2] == ["patterns"]:
        pathlib.Path(sys.argv[3]).write_text(json.dumps(pattern_answers(random.Random(sys.argv[2]), int(sys.argv[2]))), "utf-8")
        return
    if sys.argv[1:2] == ["fuzz"]:
        name, n, out = sys.argv[2], int(sys.argv[3]), sys.argv[4]
        tok, plain, size = opened((SHAPES / f"{name}.json").read_text("utf-8"))
        rng = random.Random(name + (sys.argv[5] if len(sys.argv) > 5 else ""))
        with open(out, "w", encoding="utf-8") as f:
            for _ in range(n):
                f.write(json.dumps(answers(tok, plain, sample(rng), random_ids(rng, size))) + "\n")
        return
    SHAPES.mkdir(exist_ok=True)
    golden = {}
    for name in SHAPES_OF:
        text = json.dumps(build(name), ensure_ascii=False, separators=(",", ":"))
        (SHAPES / f"{name}.json").write_text(text, "utf-8")
        tok, plain, size = opened(text)
        rng = random.Random(name)
        texts = TEXTS + [sample(rng) for _ in range(12)]
        golden[name] = [answers(tok, plain, t, random_ids(rng, size)) for t in texts]
    (HERE / "golden.json").write_text(json.dumps(golden, separators=(",", ":")).replace('],["', '],\n["'), "utf-8")
    patterns = json.dumps(pattern_answers(random.Random("patterns"), 200), separators=(",", ":"))
    (HERE / "patterns.json").write_text(patterns.replace(']]],["', ']]],\n["'), "utf-8")


if __name__ == "__main__":
    main()
