import * as host from "./imports";
import { check } from "./failure";
import { fits } from "./tensor";
import { utf8 } from "./text";

// What a target, a peer or the run reports. A result that could not be handed over, for instance because the limit on metrics is used up,
// is a kept failure: it is never a result without those metrics.

export function metric(target: i32, peer: i32, name: string, value: f64): void {
  const text = utf8(name);
  check("metric", name, host.metric(target, peer, changetype<i32>(text), text.byteLength, value));
}

export function grid(target: i32, peer: i32, name: string, rows: i32, cols: i32, values: Float64Array): void {
  if (!fits("grid " + name, rows, cols, values)) return;
  const text = utf8(name);
  check("grid", name, host.grid(target, peer, changetype<i32>(text), text.byteLength, rows, cols, <i32>values.dataStart));
}

export function finding(target: i32, severity: i32, code: string, message: string, hint: string, value: f64, limit: f64): void {
  const c = utf8(code), m = utf8(message), h = utf8(hint);
  check("finding", code, host.finding(target, severity, changetype<i32>(c), c.byteLength, changetype<i32>(m), m.byteLength,
    changetype<i32>(h), h.byteLength, value, limit));
}
