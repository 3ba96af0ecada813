package adapter

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func TestBindTokens(t *testing.T) {
	const rows = "m.wte.token_adapter.trainable_tokens_delta"
	tensors, weights := oneLinear()
	weights = with(weights, map[string]any{"m.wte.weight": f32(32, 16), "lm_head.weight": f32(32, 16)})
	untied := with(weights, map[string]any{"lm_head.weight": nil})
	replaced := map[string]report.Disposition{rows: report.Replaced}
	config := func(indices any) map[string]any {
		return with(formsConfig("q"), map[string]any{"trainable_token_indices": indices})
	}
	tied := map[string]any{"tie_word_embeddings": true}
	with2 := with(tensors, map[string]any{rows: f32(2, 16)})
	bindForms(t, []formsCase{
		{name: "list", config: config([]int{9, 3}), tensors: with2, base: weights, targets: []string{"a.q.weight", "m.wte.weight"}, where: replaced,
			check: func(t *testing.T, b *Binding) {
				if x := b.Targets[1]; !slices.Equal(x.StartRows, []int64{9, 3}) || !slices.Equal(x.Start.Shape, []int{2, 16}) || x.LowRank() {
					t.Errorf("%+v", x)
				}
			}},
		{name: "with a copy of the embedding", config: config([]int{9, 3}), base: weights, targets: []string{"a.q.weight", "m.wte.weight"},
			tensors: with(with2, map[string]any{"m.wte.token_adapter.base_layer.weight": f32(32, 16)}),
			where:   map[string]report.Disposition{rows: report.Replaced, "m.wte.token_adapter.base_layer.weight": report.Ignored}},
		{name: "by module", config: config(map[string]any{"lm_head": []int{}, "wte": []int{9, 3}}), tensors: with2, base: weights,
			targets: []string{"a.q.weight", "m.wte.weight"}, where: replaced},
		{name: "tied", config: config([]int{9, 3}), tensors: with2, base: untied, model: tied, targets: []string{"a.q.weight", "m.wte.weight"}, where: replaced},
		{name: "tied, and the head listed", config: config(map[string]any{"lm_head": []int{9, 3}, "wte": []int{9, 3}}), tensors: with2, base: untied, model: tied,
			targets: []string{"a.q.weight", "m.wte.weight"}, where: replaced},
		{name: "tied, and other tokens of the head", config: config(map[string]any{"lm_head": []int{9, 4}, "wte": []int{9, 3}}), tensors: with2, base: untied,
			model: tied, codes: []fault.Code{fault.ADPair}, says: []string{"lm_head"}},
		{name: "tied, and stored twice", config: config([]int{9, 3}), tensors: with2, base: weights, model: tied, codes: []fault.Code{fault.ADTied},
			says: []string{"stores both"}},
		{name: "beyond the base", config: config([]int{32, 3}), tensors: with2, base: weights, codes: []fault.Code{fault.ADShape}, says: []string{"token 32", "32 rows"}},
		{name: "of another width", config: config([]int{9, 3}), tensors: with(tensors, map[string]any{rows: f32(2, 15)}), base: weights,
			codes: []fault.Code{fault.ADShape}},
		{name: "without rows", config: config(map[string]any{"lm_head": []int{1}, "wte": []int{9, 3}}), tensors: with2, base: weights,
			codes: []fault.Code{fault.ADPair}, says: []string{"1 token of lm_head"}},
		{name: "of a module that is not in the base", config: config([]int{9, 3}), base: weights,
			tensors: with(tensors, map[string]any{"m.wtf.token_adapter.trainable_tokens_delta": f32(2, 16)}), codes: []fault.Code{fault.ADTarget}},
	})
}
