import { put, Run, Stats, STATUS_BAD_HANDLE, STATUS_NOT_FOUND, Target, Tensor, Triples } from "./sdk";

export let run: Run = new Run();

/** Names the run that everything here reports to. */
export function use(given: Run): void {
  run = given;
}

// A target of null stands for the adapter as a whole.

export function metric(to: Target | null, name: string, value: f64): void {
  if (to) to.metric(name, value);
  else run.metric(name, value);
}

export function grid(to: Target | null, name: string, rows: i32, cols: i32, values: Float64Array): void {
  if (to) to.grid(name, rows, cols, values);
  else run.grid(name, rows, cols, values);
}

/** Reports a call's status as a metric NAME_status, 0 where it succeeded, and logs the host's words where it failed. */
export function outcome(to: Target | null, name: string, ok: bool): bool {
  let status = 0;
  if (!ok) {
    const failure = run.failure()!;
    status = failure.status;
    run.forgive(status);
    // The text of a bad handle has its number, and how many there were before is the SDK's business.
    if (status != STATUS_BAD_HANDLE) run.log(name + ": " + failure.words);
  }
  metric(to, name + "_status", status);
  return ok;
}

/** A number that every value and its place go into. */
export function sum(values: Float64Array): f64 {
  let total: f64 = 0;
  for (let i = 0; i < values.length; i++) total += values[i] * <f64>(1 + i % 7);
  return total;
}

/** Reports up to 36 values as a grid NAME, and more as the metric NAME_sum. */
export function numbers(to: Target | null, name: string, rows: i32, cols: i32, values: Float64Array): void {
  if (values.length <= 36) grid(to, name, rows, cols, values);
  else metric(to, name + "_sum", sum(values));
}

/** Reports the status of the call that made t, its shape and its values. */
export function matrix(to: Target | null, name: string, t: Tensor | null): void {
  if (!outcome(to, name, t != null)) return;
  const shape = t!.shape();
  if (!outcome(to, name + "_shape", shape != null)) return;
  const rows = <i32>shape!.rows, cols = <i32>shape!.cols;
  metric(to, name + "_rows", rows);
  metric(to, name + "_cols", cols);
  const values = new Float64Array(rows * cols);
  if (outcome(to, name + "_read_f64", t!.read64(values, 0))) numbers(to, name, rows, cols, values);
}

/** Reports singular triples and drops them. */
export function triples(to: Target | null, name: string, s: Triples | null): void {
  if (!outcome(to, name, s != null)) return;
  const k = s!.s.length;
  metric(to, name + "_k", k);
  if (k > 0) {
    numbers(to, name + "_s", 1, k, s!.s);
    matrix(to, name + "_u", s!.u);
    matrix(to, name + "_v", s!.v);
  }
  s!.drop();
}

/** Reports a Stats. */
export function counts(to: Target | null, name: string, ok: bool, s: Stats | null): void {
  if (!outcome(to, name, ok) || !s) return;
  grid(to, name, 1, 12, row([<f64>s.count, <f64>s.nan, <f64>s.inf, <f64>s.zero, <f64>s.subnormal, <f64>s.firstNonFinite, <f64>s.zeroRows,
    <f64>s.zeroCols, s.min, s.max, s.sum, s.sumSquares]));
}

/** Values as the SDK takes them. */
export function row(values: f64[]): Float64Array {
  const array = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) array[i] = values[i];
  return array;
}

/** A matrix of rows x cols on the host, 0.25 (i + 1) - 0.5 j. */
export function ramp(rows: i32, cols: i32): Tensor | null {
  const values = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) values[i * cols + j] = 0.25 * <f64>(i + 1) - 0.5 * <f64>j;
  }
  return put(rows, cols, values);
}

/** A handle that no tensor has. */
export function none(): Tensor {
  return new Tensor(STATUS_NOT_FOUND);
}
