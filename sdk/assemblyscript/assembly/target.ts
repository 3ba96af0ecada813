import * as host from "./imports";
import { check } from "./failure";
import { deltaSVD, deltaValues, Triples, triples } from "./kernels";
import * as report from "./report";
import { made, Tensor } from "./tensor";

/** One adapted weight: delta W = scale * B A with A of rank x in and B of out x rank, added to a W of out x in. */
export class Target {
  /** As configured; the numerical rank of delta W can be smaller. */
  readonly rank: i32;
  /** Columns of W. */
  readonly in: i64;
  /** Rows of W. */
  readonly out: i64;
  readonly scale: f64;
  readonly alpha: f64;
  /** The checkpoint stores W as in x out; the diagnostic sees out x in all the same. */
  readonly fanInFanOut: bool;
  /** scale is alpha / sqrt(rank) rather than alpha / rank. */
  readonly rsLoRA: bool;
  /** What the checkpoint stores W in, a DTYPE constant; 0 where no base is granted. */
  readonly baseDType: i32;
  /** What the adapter stores A and B in, a DTYPE constant. */
  readonly factorDType: i32;
  /** The rank x in factor. */
  readonly a: Tensor;
  /** The out x rank factor. */
  readonly b: Tensor;
  /** The out x in weight; null when the base was not granted, and for the target of a Peer. */
  readonly base: Tensor | null;

  constructor(
    /** Of the base tensor, "model.layers.0.self_attn.q_proj.weight". */
    readonly name: string,
    /** The number by which the host knows the weight. */
    readonly index: i32,
    /** The number of the Peer whose factors these are, or NO_PEER. */
    readonly peer: i32,
    info: host.TargetInfo,
  ) {
    this.rank = info.rank;
    this.in = info.in;
    this.out = info.out;
    this.scale = info.scale;
    this.alpha = info.alpha;
    this.fanInFanOut = (info.flags & host.FLAG_FAN_IN_FAN_OUT) != 0;
    this.rsLoRA = (info.flags & host.FLAG_RS_LORA) != 0;
    this.baseDType = info.baseDtype;
    this.factorDType = info.factorDtype;
    this.a = new Tensor(info.a);
    this.b = new Tensor(info.b);
    this.base = info.base < 0 ? null : new Tensor(info.base);
  }

  /** The singular triples of delta W, as many as its numerical rank; null is a kept failure. It needs the capability kernels. */
  deltaSVD(): Triples | null {
    return deltaSVD(this.b, this.a, this.scale);
  }

  /** The singular values of delta W alone, largest first; null is a kept failure. It needs the capability kernels. */
  deltaValues(): Float64Array | null {
    return deltaValues(this.b, this.a, this.scale);
  }

  /**
   * The top k singular triples of W; null is a kept failure. They are computed once for a base and cached; the module's manifest must ask
   * for them with base_svd_rank. It needs the capability base.
   */
  baseSVD(k: i32): Triples | null {
    const handles = new StaticArray<i32>(3);
    return check("base_svd", "of " + this.name, host.base_svd(this.index, k, changetype<i32>(handles))) < 0 ? null : triples(handles);
  }

  /** The top k singular triples of W + delta W, which is not rounded, going over W many times. It needs the capability base. */
  mergedSVD(k: i32): Triples | null {
    const handles = new StaticArray<i32>(3);
    return check("merged_svd", "of " + this.name, host.merged_svd(this.index, k, changetype<i32>(handles))) < 0 ? null : triples(handles);
  }

  /** What storing W + delta W in dtype does to delta W; 0 is the checkpoint's own dtype. It needs the capability base. */
  roundLoss(dtype: i32): host.RoundLoss | null {
    const loss = new host.RoundLoss();
    return check("round_loss", "of " + this.name, host.round_loss(this.index, dtype, changetype<i32>(loss))) < 0 ? null : loss;
  }

  /**
   * What storing W + delta W in each of the formats does to delta W, over rows rows of W from first on as they lie in the checkpoint: there
   * are out of them, or in where fanInFanOut. It goes over those rows once for all formats. A format of blocks gives STATUS_SHAPE where a
   * row is no multiple of its block. It needs the capability base.
   */
  rounding(first: i64, rows: i64, formats: StaticArray<i32>): StaticArray<host.Rounding> | null {
    const n = formats.length;
    const raw = changetype<i32>(new StaticArray<u8>(n * host.ROUNDING_SIZE));
    if (check("rounding", "of " + this.name, host.rounding(this.index, first, rows, changetype<i32>(formats), n, raw)) < 0) return null;
    const roundings = new StaticArray<host.Rounding>(n);
    for (let i = 0; i < n; i++) roundings[i] = changetype<host.Rounding>(raw + i * host.ROUNDING_SIZE);
    return roundings;
  }

  /** What this module reported as its grid "features" of this weight for each adapter in the operator's bank; see Run.bankFeatures. */
  bankFeatures(): Tensor | null {
    const handle = host.bank_features(this.index);
    return handle == host.STATUS_NOT_FOUND ? null : made("bank_features", handle);
  }

  /** Reports a number about this weight; on the target of a Peer, about the two adapters on this weight. */
  metric(name: string, value: f64): void {
    report.metric(this.index, this.peer, name, value);
  }

  /** Reports a matrix, row-major, about this weight; on the target of a Peer, about the two adapters on this weight. */
  grid(name: string, rows: i32, cols: i32, values: Float64Array): void {
    report.grid(this.index, this.peer, name, rows, cols, values);
  }

  /** Reports what was noticed about this weight. The report names the weight, so the message need not; see Run.finding. */
  finding(severity: i32, code: string, message: string, hint: string, value: f64, limit: f64): void {
    report.finding(this.index, severity, code, message, hint, value, limit);
  }
}
