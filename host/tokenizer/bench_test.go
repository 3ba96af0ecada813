package tokenizer

import (
	"strings"
	"testing"
)

// mixed is a megabyte of text as people write it.
func mixed() string {
	const text = "Once upon a time, there was a little girl named Lily. She didn't know what they'd do.\n\n" +
		"    for i in range(10):  print(args[i]) // 3.14159\n" + "Grüße aus München. Привет мир! 今天天气很好,我们去公园吧。 한국어 😀👍🏽 e\u0301\n"
	return strings.Repeat(text, 1<<20/len(text)+1)[:1<<20]
}

func BenchmarkMegabyte(b *testing.B) {
	for _, text := range []struct{ name, text string }{
		{"mixed", mixed()}, {"one letter", strings.Repeat("a", 1<<20)}, {"spaces", strings.Repeat(" ", 1<<20)},
		{"marks", "a" + strings.Repeat("\u0301\u0323", 1<<18)}, {"newlines in spaces", strings.Repeat("   \n", 1<<18)},
		{"emoji", strings.Repeat("😀", 1<<18)},
	} {
		for _, name := range []string{"gpt2", "llama3", "qwen2", "o200k", "llama2", "mistral", "gemma", "options"} {
			b.Run(text.name+"/"+name, func(b *testing.B) {
				tok := shape(b, name)
				b.SetBytes(int64(len(text.text)))
				for b.Loop() {
					tok.Encode(text.text, true)
				}
			})
		}
	}
}
