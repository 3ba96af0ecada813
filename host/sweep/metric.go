package sweep

import (
	"slices"
	"strings"
)

// known are the metrics whose better direction is known, in the order in which they are preferred to choose by.
var known = []struct {
	name   string
	higher bool
}{
	{"val_loss", false}, {"validation_loss", false}, {"eval_loss", false}, {"test_loss", false}, {"loss", false},
	{"nll", false}, {"nll_merged", false}, {"perplexity", false}, {"ppl", false},
	{"bleu", true}, {"nist", true}, {"meteor", true}, {"rouge_l", true}, {"rougel", true}, {"cider", true},
	{"rouge1", true}, {"rouge2", true}, {"chrf", true}, {"ter", false}, {"wer", false}, {"accuracy", true}, {"acc", true},
	{"exact_match", true}, {"em", true}, {"f1", true}, {"mcc", true}, {"pass@1", true},
}

// settings are columns that say how an adapter was made, or what it was measured on, and not how good it is.
var settings = []string{
	"r", "rank", "alpha", "lora_alpha", "seed", "init_seed", "data_seed", "step", "steps", "max_steps", "epoch", "epochs", "lr", "learning_rate",
	"weight_decay", "dropout", "lora_dropout", "batch_size", "train_loss", "base_loss", "base_val_loss", "nll_base", "perplexity_base",
	"segments", "references", "tokens", "texts", "parameters", "params", "layers", "samples",
}

// normal is a column's name as it is looked up: "Val Loss" and "val-loss" are val_loss, and meteor_ex_st_sy is its own.
func normal(column string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(column)))
}

// isSetting reports whether a column is no result.
func isSetting(column string) bool { return slices.Contains(settings, normal(column)) }

// place is where a column stands among the known metrics; after all of them where it is not known.
func place(column string) int {
	for i, m := range known {
		if m.name == normal(column) {
			return i
		}
	}
	return len(known)
}

// higherIsBetter tells the better direction of a metric; ok is false where it is not known. A METEOR of another configuration is a METEOR.
func higherIsBetter(column string) (higher, ok bool) {
	if i := place(column); i < len(known) {
		return known[i].higher, true
	}
	if strings.HasPrefix(normal(column), "meteor") {
		return true, true
	}
	return false, false
}
