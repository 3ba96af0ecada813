import {
  axpby, deltaSVD, deltaValues, matMul, project, projectStats, put, qr, SEVERITY_DENY, SEVERITY_INFO, SEVERITY_WARN, Stats, svd, Target,
  TRANSPOSE_B,
} from "./sdk";
import { none, outcome, ramp, row, run } from "./reporting";

/** Makes calls that must fail, each with a status of its own. */
export function failures(t: Target): void {
  const a = t.a, b = t.b;
  const gone = ramp(2, 2)!;
  outcome(t, "tensor_put", true);
  gone.drop();
  outcome(t, "tensor_shape_bad_handle", gone.shape() != null);
  outcome(t, "tensor_read_f32_bad_handle", gone.read32(new Float32Array(1), 0));
  outcome(t, "tensor_read_f64_bad_handle", gone.read64(new Float64Array(1), 0));
  outcome(t, "tensor_read_f64_range", a.read64(new Float64Array(2), t.rank * t.in - 1));
  outcome(t, "tensor_read_f64_negative", a.read64(new Float64Array(1), -1));
  outcome(t, "tensor_put_misfit", put(0, 0, new Float64Array(0)) != null);
  outcome(t, "matmul_bad_handle", matMul(gone, a) != null);
  outcome(t, "matmul_misfit", matMul(a, b, TRANSPOSE_B) != null);
  outcome(t, "matmul_flags", matMul(b, a, 4) != null);
  const column = ramp(400, 1)!;
  outcome(t, "tensor_put_column", true);
  outcome(t, "matmul_quota", matMul(column, column, TRANSPOSE_B) != null);
  outcome(t, "axpby_misfit", axpby(1, a, 1, b) != null);
  outcome(t, "stats_bad_handle", gone.stats() != null);
  const base = t.base;
  const w = base ? base : none();
  outcome(t, "qr_of_base", qr(w) != null);
  const broken = put(1, 2, row([1, NaN]))!;
  outcome(t, "tensor_put_broken", true);
  outcome(t, "svd_numeric", svd(broken) != null);
  outcome(t, "delta_svd_misfit", deltaSVD(a, b, 1) != null);
  outcome(t, "delta_values_bad_handle", deltaValues(gone, a, 1) != null);
  outcome(t, "project_misfit", project(w, a, b) != null);
  outcome(t, "project_stats_bad_handle", projectStats(gone, a, b, new Stats()) != null);
}

export function findings(): void {
  run.finding(SEVERITY_INFO, "CONFORMANCE_INFO", "é, ∑ and 🙂 survive", "tabs\tand\nlines become one line", 1.5, Infinity);
  for (let i = 0; i < run.targets.length; i++) {
    const t = run.targets[i];
    t.finding(SEVERITY_WARN, "CONFORMANCE_WARN", "the message of " + t.name, "", i, NaN);
    t.finding(SEVERITY_DENY, "CONFORMANCE_DENY_2", "", "a hint", 0, -Infinity);
  }
}
