//! Where a weight stands in a model, read off its name. A name is foreign text: every one has an answer, and what is not known is
//! [`Kind::Other`].

/// What a weight belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Attention,
    Mlp,
    /// Also the output head, which is often the same weight.
    Embeddings,
    Other,
}

/// A weight's layer, counted from 0, and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// None where the name has no number.
    pub layer: Option<u64>,
    pub kind: Kind,
}

/// Reads a name like "model.layers.12.self_attn.q_proj.weight".
pub fn place(name: &str) -> Place {
    let lower = name.to_ascii_lowercase();
    let parts: Vec<&str> = lower.split(['.', '/']).collect();
    let layer = layer(&parts);
    Place {
        layer,
        kind: kind(&parts, layer.is_some()),
    }
}

/// What lists of layers are called.
const STACKS: [&str; 6] = ["layers", "layer", "blocks", "block", "resblocks", "h"];

/// The number behind the first name of a stack, "layers.12", "layers_12" or "layer12"; else the first part that is a number. Numbers
/// further on are of experts, or of the pieces of a layer.
fn layer(parts: &[&str]) -> Option<u64> {
    for (i, part) in parts.iter().enumerate() {
        for stack in STACKS {
            let joined = match part.strip_prefix(stack) {
                Some("") => parts.get(i + 1).copied().unwrap_or(""),
                Some(rest) => rest.strip_prefix('_').unwrap_or(rest),
                None => continue,
            };
            if let Some(n) = number(joined) {
                return Some(n);
            }
        }
    }
    parts.iter().find_map(|part| number(part))
}

/// The value of a part that is digits only. One that no integer holds is the largest there is: it is beyond every last layer.
fn number(part: &str) -> Option<u64> {
    if part.is_empty() || !part.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some(part.parse().unwrap_or(u64::MAX))
}

const ATTENTION: [&str; 14] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "qkv",
    "qkv_proj",
    "wq",
    "wk",
    "wv",
    "wo",
    "wqkv",
    "query_key_value",
    "to_q",
    "to_v",
];

const MLP: [&str; 16] = [
    "gate_proj",
    "up_proj",
    "down_proj",
    "gate_up_proj",
    "fc1",
    "fc2",
    "fc_in",
    "fc_out",
    "c_fc",
    "w1",
    "w2",
    "w3",
    "wi",
    "dense_h_to_4h",
    "dense_4h_to_h",
    "intermediate",
];

const EMBEDDINGS: [&str; 5] = ["wte", "wpe", "lm_head", "shared", "output_layer"];

/// The block that a weight lies in says more than its own name: "attention.output.dense" is attention, "DenseReluDense.wo" an MLP.
fn kind(parts: &[&str], in_layer: bool) -> Kind {
    let within = |words: &[&str]| {
        parts
            .iter()
            .any(|part| words.iter().any(|w| part.contains(w)))
    };
    let named = |names: &[&str]| parts.iter().any(|part| names.contains(part));
    let module = parts
        .iter()
        .rev()
        .find(|part| !["weight", "bias"].contains(part));
    if module.map_or(false, |m| m.contains("norm") || m.starts_with("ln_")) {
        return Kind::Other;
    }
    if within(&["attn", "attention"]) {
        return Kind::Attention;
    }
    if within(&[
        "mlp",
        "ffn",
        "feed_forward",
        "feedforward",
        "densereludense",
        "expert",
        "moe",
    ]) {
        return Kind::Mlp;
    }
    if named(&ATTENTION) {
        return Kind::Attention;
    }
    // BERT calls the second half of an MLP output; the original Llama so calls its head.
    if named(&MLP) || in_layer && named(&["output"]) {
        return Kind::Mlp;
    }
    if within(&["embed"]) || named(&EMBEDDINGS) || named(&["output"]) {
        return Kind::Embeddings;
    }
    Kind::Other
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Attention, Embeddings, Mlp, Other};

    #[test]
    fn names() {
        for (name, layer, kind) in [
            (
                "model.layers.12.self_attn.q_proj.weight",
                Some(12),
                Attention,
            ),
            ("model.layers.0.mlp.down_proj.weight", Some(0), Mlp),
            (
                "model.layers.3.block_sparse_moe.experts.5.w1.weight",
                Some(3),
                Mlp,
            ),
            (
                "model.layers.3.post_attention_layernorm.weight",
                Some(3),
                Other,
            ),
            ("transformer.h.7.attn.c_attn.weight", Some(7), Attention),
            ("transformer.h.7.mlp.c_proj.weight", Some(7), Mlp),
            ("transformer.h.7.ln_1.weight", Some(7), Other),
            ("transformer.wte.weight", None, Embeddings),
            (
                "gpt_neox.layers.4.attention.query_key_value.weight",
                Some(4),
                Attention,
            ),
            (
                "bert.encoder.layer.9.attention.output.dense.weight",
                Some(9),
                Attention,
            ),
            ("bert.encoder.layer.9.output.dense.weight", Some(9), Mlp),
            (
                "decoder.block.5.layer.0.SelfAttention.q.weight",
                Some(5),
                Attention,
            ),
            (
                "decoder.block.5.layer.2.DenseReluDense.wo.weight",
                Some(5),
                Mlp,
            ),
            ("0.layers.31.w2", Some(31), Mlp),
            ("encoder/layers_11/wq/kernel", Some(11), Attention),
            ("blocks.layer12.proj", Some(12), Other),
            ("stack.6.mixer.in_proj.weight", Some(6), Other),
            ("model.embed_tokens.weight", None, Embeddings),
            ("lm_head.weight", None, Embeddings),
            ("output.weight", None, Embeddings),
            ("model.norm.weight", None, Other),
            ("q_proj", None, Attention),
            (
                "layers.99999999999999999999999.q_proj.weight",
                Some(u64::MAX),
                Attention,
            ),
            ("layers.-1.q_proj", None, Attention),
            ("layers.+2.up_proj", None, Mlp),
            ("layers.٣.q_proj", None, Attention),
            ("layers.007.k_proj", Some(7), Attention),
            ("layers", None, Other),
            ("", None, Other),
            ("...", None, Other),
            ("\u{202e}lm_head\u{0}\n", None, Other),
        ] {
            assert_eq!(place(name), Place { layer, kind }, "{name:?}");
        }
    }
}
