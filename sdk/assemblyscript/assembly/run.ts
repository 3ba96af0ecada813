import * as host from "./imports";
import { check, Failure, forgive, keep, latest } from "./failure";
import * as report from "./report";
import { Target } from "./target";
import { made, Tensor } from "./tensor";
import { read, utf8 } from "./text";

// The layout of what the host writes, held to the generated sizes when a guest is compiled.
if (offsetof<host.TargetInfo>() != host.TARGET_INFO_SIZE) ERROR("TargetInfo has another size than in the ABI");
if (offsetof<host.Stats>() != host.STATS_SIZE) ERROR("Stats has another size than in the ABI");
if (offsetof<host.RoundLoss>() != host.ROUND_LOSS_SIZE) ERROR("RoundLoss has another size than in the ABI");
if (offsetof<host.Rounding>() != host.ROUNDING_SIZE) ERROR("Rounding has another size than in the ABI");

/**
 * One adapter to look at. It lives until the diagnostic returns.
 *
 * A call that fails gives null, false or NaN, and the first failure is kept: the run then ends as an error with the failure's text in the
 * log, because a result that could not be handed over must never pass for one without it. Where an author expects a failure, for instance
 * STATUS_NUMERIC of factors that are not finite, forgive takes it back.
 */
export class Run {
  /** The adapted weights, sorted by name. */
  readonly targets: Target[] = [];

  /** The adapters to compare with; none when there is nothing to compare. It needs the capability peers. */
  peers(): Peer[] {
    const peers: Peer[] = [];
    const n = check("peer_count", "", host.peer_count());
    for (let i = 0; i < n; i++) {
      const name = read("peer_name", (index: i32, dst: i32, cap: i32): i32 => host.peer_name(index, dst, cap), i);
      if (name === null) break;
      peers.push(new Peer(name, i));
    }
    return peers;
  }

  /** The operator's setting, or the default of the module's manifest. A name that is not in the manifest is NaN and a kept failure. */
  param(name: string): f64 {
    const value = new StaticArray<f64>(1);
    const text = utf8(name);
    const status = host.param(changetype<i32>(text), text.byteLength, changetype<i32>(value));
    return check("param", name, status) < 0 ? NaN : value[0];
  }

  /** What is known of the adapter and its base under one of the keys that ABI.md names at attr; null where nothing is known. */
  attr(key: string): string | null {
    const text = utf8(key);
    const at = changetype<i32>(text);
    const length = host.attr(at, text.byteLength, 0, 0);
    if (length == host.STATUS_NOT_FOUND || check("attr", key, length) < 0) return null;
    const bytes = new ArrayBuffer(length);
    if (check("attr", key, host.attr(at, text.byteLength, changetype<i32>(bytes), length)) < 0) return null;
    return String.UTF8.decode(bytes);
  }

  /**
   * The digests of the adapters in the operator's bank for this base, in the order of the rows of bankFeatures. It is null where no bank
   * was given; a bank can also be empty.
   */
  bankNames(): string[] | null {
    const n = host.bank_count();
    if (n == host.STATUS_NOT_FOUND || check("bank_count", "", n) < 0) return null;
    const names: string[] = [];
    for (let i = 0; i < n; i++) {
      const name = read("bank_name", (index: i32, dst: i32, cap: i32): i32 => host.bank_name(index, dst, cap), i);
      if (name === null) return null;
      names.push(name);
    }
    return names;
  }

  /**
   * What this module reported as its grid "features" of each adapter in the bank as a whole: row i is the adapter i of bankNames, NaN where
   * that adapter has none. It is null where nobody has.
   */
  bankFeatures(): Tensor | null {
    const handle = host.bank_features(host.NO_TARGET);
    return handle == host.STATUS_NOT_FOUND ? null : made("bank_features", handle);
  }

  /** Reports a number about the adapter as a whole: lower case letters, digits and underscores, each name once. */
  metric(name: string, value: f64): void {
    report.metric(host.NO_TARGET, host.NO_PEER, name, value);
  }

  /** Reports a matrix, row-major, about the adapter as a whole. */
  grid(name: string, rows: i32, cols: i32, values: Float64Array): void {
    report.grid(host.NO_TARGET, host.NO_PEER, name, rows, cols, values);
  }

  /**
   * Reports what was noticed about the adapter as a whole: a severity, SEVERITY_WARN for instance; a code in capitals that never changes
   * its meaning; one sentence for a person, what to do about it, and the number seen beside the number that was the limit. A finding
   * proposes; the operator's policy decides.
   */
  finding(severity: i32, code: string, message: string, hint: string, value: f64, limit: f64): void {
    report.finding(host.NO_TARGET, severity, code, message, hint, value, limit);
  }

  /** Writes a line to the run's log. What exceeds the log's limit is lost. */
  log(line: string): void {
    const text = utf8(line);
    host.log(changetype<i32>(text), text.byteLength);
  }

  /** The last failure of any call, forgiven or not. */
  failure(): Failure | null {
    return latest();
  }

  /** Takes back the failure of the call just made, if its status is this one, and says whether it was. Earlier failures stay. */
  forgive(status: i32): bool {
    return forgive(status);
  }

  /** Ends the run as an error when the diagnostic returns, unless it ends as one already: why, in words. */
  fail(why: string): void {
    keep(new Failure("diagnose", host.STATUS_INTERNAL, why));
  }
}

/** Another adapter on the same base, to compare with. */
export class Peer {
  constructor(
    /** Its digest. */
    readonly name: string,
    /** The number by which the host knows the peer. */
    readonly index: i32,
  ) {}

  /**
   * The peer's factors for the weight that target is; null where the peer does not adapt it. What is reported on the result is about both
   * adapters.
   */
  target(target: Target): Target | null {
    const info = new host.TargetInfo();
    const status = host.peer_target(this.index, target.index, changetype<i32>(info));
    if (status == host.STATUS_NOT_FOUND || check("peer_target", "of " + target.name, status) < 0) return null;
    return new Target(target.name, target.index, this.index, info);
  }

  /** Reports a number about the two adapters as a whole. */
  metric(name: string, value: f64): void {
    report.metric(host.NO_TARGET, this.index, name, value);
  }

  /** Reports a matrix, row-major, about the two adapters as a whole. */
  grid(name: string, rows: i32, cols: i32, values: Float64Array): void {
    report.grid(host.NO_TARGET, this.index, name, rows, cols, values);
  }
}

/** The run of this guest; null is a kept failure. */
export function load(): Run | null {
  const run = new Run();
  const n = host.target_count();
  if (check("target_count", "", n) < 0) return null;
  for (let i = 0; i < n; i++) {
    const name = read("target_name", (index: i32, dst: i32, cap: i32): i32 => host.target_name(index, dst, cap), i);
    const info = new host.TargetInfo();
    if (name === null || check("target_info", "", host.target_info(i, changetype<i32>(info))) < 0) return null;
    run.targets.push(new Target(name, i, host.NO_PEER, info));
  }
  return run;
}
