// The conformance guest of the AssemblyScript SDK: sdk/conformance/go call by call, with the same names in the same order. It must give the
// same report, bit for bit; package wasm/conformance compares them.

import { kernels, weights } from "./algebra";
import { failures, findings } from "./failures";
import { matrix, outcome, row, run, sum, use } from "./reporting";
import { matMul, register, Run, Target, TRANSPOSE_B } from "./sdk";

export { diagnose, tenon_abi_1 } from "./sdk";

register((given: Run): void => {
  use(given);
  if (run.param("keep") == 1) { // a second run shows that a failure nobody looks at ends the run
    run.metric("before", 1);
    run.param("nothing");
    run.metric("after", 2);
    return;
  }
  adapter();
  for (let i = 0; i < run.targets.length; i++) {
    const t = run.targets[i];
    model(t);
    factors(t);
    kernels(t);
    weights(t);
    peers(t);
  }
  failures(run.targets[0]);
  findings();
});

function adapter(): void {
  run.log("tabs\tstay, é, ∑ and 🙂 too");
  run.metric("target_count", run.targets.length);
  const keys = ["module.id", "adapter.digest", "adapter.format", "base.digest", "base.architecture", "init_lora_weights",
    "probe.perplexity", "no such key"];
  for (let i = 0; i < keys.length; i++) {
    const value = run.attr(keys[i]);
    run.log("attr " + keys[i] + (value !== null ? ": " + value : " is not there"));
  }
  run.metric("param_set", run.param("set"));
  run.metric("param_default", run.param("default"));
  const names = run.bankNames();
  run.metric("bank", names ? 1 : 0);
  run.metric("bank_count", names ? names.length : 0);
  if (names) {
    for (let i = 0; i < names.length; i++) run.log("bank_name: " + names[i]);
  }
  const features = run.bankFeatures();
  run.metric("bank_features", features ? 1 : 0);
  if (features) matrix(null, "bank_features", features);
  const peers = run.peers();
  run.metric("peer_count", peers.length);
  for (let i = 0; i < peers.length; i++) {
    run.log("peer_name: " + peers[i].name);
    peers[i].metric("peer_index", i);
    peers[i].grid("peer_place", 1, 2, row([<f64>i, <f64>peers.length]));
  }
}

function model(t: Target): void {
  run.log("target_name: " + t.name);
  t.metric("rank", t.rank);
  t.metric("in", <f64>t.in);
  t.metric("out", <f64>t.out);
  t.metric("scale", t.scale);
  t.metric("alpha", t.alpha);
  t.metric("fan_in_fan_out", t.fanInFanOut ? 1 : 0);
  t.metric("rs_lora", t.rsLoRA ? 1 : 0);
  t.metric("base_dtype", t.baseDType);
  t.metric("factor_dtype", t.factorDType);
  const features = t.bankFeatures();
  t.metric("bank_features", features ? 1 : 0);
  if (features) matrix(t, "bank_features", features);
}

function factors(t: Target): void {
  matrix(t, "a", t.a);
  matrix(t, "b", t.b);
  const singles = new Float32Array(t.rank * <i32>t.in - 1);
  if (outcome(t, "a_read_f32", t.a.read32(singles, 1))) {
    const values = new Float64Array(singles.length);
    for (let i = 0; i < singles.length; i++) values[i] = <f64>singles[i];
    t.metric("a_read_f32_sum", sum(values));
  }
}

function peers(t: Target): void {
  const list = run.peers();
  let missing = 0;
  for (let i = 0; i < list.length; i++) {
    const other = list[i].target(t);
    if (!other) {
      missing++;
      continue;
    }
    other.metric("peer_rank", other.rank);
    other.metric("peer_base", other.base ? 1 : 0);
    matrix(other, "peer_a", other.a);
    const product = matMul(t.a, other.a, TRANSPOSE_B);
    matrix(other, "peer_a_a", product);
    if (product) product.drop();
  }
  t.metric("peer_target_missing", missing);
}
