package layers

import "testing"

func TestOf(t *testing.T) {
	tests := []struct {
		name  string
		want  Place
		ok    bool
		short string
	}{
		{"model.layers.12.self_attn.q_proj.weight", Place{"model.layers.*.self_attn.q_proj.weight", "model.layers.", 12}, true, "self_attn.q_proj"},
		{"h.0.attn.c_attn.weight", Place{"h.*.attn.c_attn.weight", "h.", 0}, true, "attn.c_attn"},
		{"layers.3.experts.5.w1.weight", Place{"layers.*.experts.5.w1.weight", "layers.", 3}, true, "experts.5.w1"},
		{"0.weight", Place{"*.weight", "", 0}, true, "weight"},
		{"blocks.7", Place{"blocks.*", "blocks.", 7}, true, "blocks.*"},
		{"lm_head.weight", Place{Kind: "lm_head.weight"}, false, "lm_head"},
		{"fc1.weight", Place{Kind: "fc1.weight"}, false, "fc1"},
		{"layers.-1.w", Place{Kind: "layers.-1.w"}, false, "layers.-1.w"},
		{"layers.99999999999999999999.w", Place{Kind: "layers.99999999999999999999.w"}, false, "layers.99999999999999999999.w"},
		{"", Place{}, false, ""},
		{"a..1", Place{"a..*", "a..", 1}, true, "a..*"},
	}
	for _, test := range tests {
		got, ok := Of(test.name)
		if got != test.want || ok != test.ok || got.Short() != test.short {
			t.Errorf("%q is %+v, %t, %q, want %+v, %t, %q", test.name, got, ok, got.Short(), test.want, test.ok, test.short)
		}
	}
}
