import {
  axpby, deltaSVD, deltaValues, DTYPE_F16, DTYPE_F64, FORMAT_BF16, FORMAT_F16, FORMAT_F32, FORMAT_NF4, FORMAT_Q4_0, FORMAT_Q8_0, matMul,
  project, projectStats, qr, RoundLoss, Stats, svd, Target, Tensor, TRANSPOSE_A, TRANSPOSE_B,
} from "./sdk";
import { counts, matrix, metric, none, numbers, outcome, ramp, row, triples } from "./reporting";

export function kernels(t: Target): void {
  const a = t.a, b = t.b;
  const ba = matMul(b, a);
  matrix(t, "matmul", ba);
  const bb = matMul(b, b, TRANSPOSE_A);
  matrix(t, "matmul_ta", bb);
  const aa = matMul(a, a, TRANSPOSE_B);
  matrix(t, "matmul_tb", aa);
  const ab = matMul(a, b, TRANSPOSE_A | TRANSPOSE_B);
  matrix(t, "matmul_ta_tb", ab);
  const mixed = axpby(0.5, aa!, -0.25, bb!);
  matrix(t, "axpby", mixed);
  let stats = a.stats();
  counts(t, "a_stats", stats != null, stats);
  stats = ba!.stats();
  counts(t, "matmul_stats", stats != null, stats);
  const factors = qr(b);
  matrix(t, "qr_q", factors ? factors.q : null);
  matrix(t, "qr_r", factors ? factors.r : null);
  triples(t, "svd", svd(ba!));
  triples(t, "delta_svd", t.deltaSVD());
  triples(t, "delta_svd_of_nothing", deltaSVD(b, a, 0));
  let values = t.deltaValues();
  if (outcome(t, "delta_values", values != null)) numbers(t, "delta_values", 1, values!.length, values!);
  values = deltaValues(b, a, 0);
  if (outcome(t, "delta_values_of_nothing", values != null)) metric(t, "delta_values_of_nothing_k", values!.length);
  const made: (Tensor | null)[] = [ba, bb, aa, ab, mixed, factors!.q, factors!.r];
  for (let i = 0; i < made.length; i++) drop(made[i]);
}

export function weights(t: Target): void {
  const w = t.base;
  metric(t, "base", w ? 1 : 0);
  const u = ramp(<i32>t.out, 2);
  outcome(t, "tensor_put_u", u != null);
  const v = ramp(<i32>t.in, 3);
  outcome(t, "tensor_put_v", v != null);
  if (w) {
    matrix(t, "base", w);
    const stats = w.stats();
    counts(t, "base_stats", stats != null, stats);
    matrix(t, "project", project(w, u!, v!));
    const ofW = new Stats();
    const projected = projectStats(w, u!, v!, ofW);
    matrix(t, "project_stats", projected);
    counts(t, "project_stats_of_w", projected != null, ofW);
  }
  triples(t, "base_svd", t.baseSVD(2));
  triples(t, "base_svd_too_many", t.baseSVD(1000));
  lost(t, "round_loss", t.roundLoss(0));
  lost(t, "round_loss_f16", t.roundLoss(DTYPE_F16));
  lost(t, "round_loss_f64", t.roundLoss(DTYPE_F64));
  const rows = t.fanInFanOut ? t.in : t.out;
  rounded(t, "rounding", 0, rows, [FORMAT_F16, FORMAT_BF16, FORMAT_F32, FORMAT_Q8_0, FORMAT_Q4_0, FORMAT_NF4]);
  rounded(t, "rounding_of_two_rows", 1, 2, [FORMAT_BF16, FORMAT_F32]);
  rounded(t, "rounding_of_too_many", rows, 1, [FORMAT_BF16]);
  rounded(t, "rounding_to_unknown", 0, 1, [99]);
  triples(t, "merged_svd", t.mergedSVD(2));
  triples(t, "merged_svd_of_none", t.mergedSVD(0));
  drop(u);
  drop(v);
}

function drop(t: Tensor | null): void {
  (t ? t : none()).drop();
}

function lost(t: Target, name: string, l: RoundLoss | null): void {
  if (!outcome(t, name, l != null) || !l) return;
  t.grid(name, 1, 10, row([<f64>l.count, <f64>l.changed, <f64>l.nonZero, <f64>l.lost, <f64>l.overflow, <f64>l.firstOverflow, l.dot,
    l.deltaSquares, l.roundedSquares, l.errorSquares]));
}

function rounded(t: Target, name: string, first: i64, rows: i64, formats: i32[]): void {
  const all = t.rounding(first, rows, StaticArray.fromArray(formats));
  if (!outcome(t, name, all != null)) return;
  const n = all!.length;
  const values = new Float64Array(n * 12);
  for (let i = 0; i < n; i++) {
    const r = all![i];
    values.set([<f64>r.count, <f64>r.nonZero, <f64>r.lost, <f64>r.changed, <f64>r.overflow, <f64>r.nonFinite, r.dot, r.deltaSquares,
      r.roundedSquares, r.errorSquares, r.baseSquares, r.baseError], 12 * i);
  }
  t.grid(name, n, 12, values);
}
