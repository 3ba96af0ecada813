// The sums of norm-budget, apart from the host.

/** The kinds of layer that have a budget of their own, in the order of the reports. */
export const ATTENTION = 0;
export const MLP = 1;
export const OTHER = 2;
export const KINDS = 3;

const names: string[] = ["attention", "mlp", "other"];

/** The name of a kind, as in metrics and parameters. */
export function nameOf(kind: i32): string {
  return names[kind];
}

/** The kind of a weight, from its name: "model.layers.0.self_attn.q_proj.weight" is attention. */
export function kindOf(weight: string): i32 {
  const parts = weight.split(".");
  const last = parts.length > 1 ? parts[parts.length - 2] : "";
  if (last == "q_proj" || last == "k_proj" || last == "v_proj" || last == "o_proj") return ATTENTION;
  return last == "gate_proj" || last == "up_proj" || last == "down_proj" ? MLP : OTHER;
}

/** What a set of weights adds up to. Energy is the sum of squares of all entries, the square of the Frobenius norm, which adds up. */
export class Sum {
  weights: i32 = 0;
  /** Of delta W, over the weights where it is known. */
  energy: f64 = 0;
  /** Of delta W over the weights whose base is known, and of these bases. */
  compared: f64 = 0;
  base: f64 = 0;
  /** Weights whose delta W is not known, or whose base is not. */
  unknown: i32 = 0;
  baseless: i32 = 0;
  /** The weight with the most energy, the first of equals. */
  heaviest: string = "";
  most: f64 = -1;

  /** Adds a weight. An energy that is not known is NaN. */
  add(weight: string, energy: f64, base: f64): void {
    this.weights++;
    if (isNaN(energy)) {
      this.unknown++;
      return;
    }
    this.energy += energy;
    if (energy > this.most) {
      this.most = energy;
      this.heaviest = weight;
    }
    if (isNaN(base)) {
      this.baseless++;
      return;
    }
    this.compared += energy;
    this.base += base;
  }

  /** The energy of delta W as a share of the base's; NaN where no base is known. A change of weights that are zero is without bound. */
  relative(): f64 {
    if (this.weights == this.unknown + this.baseless) return NaN;
    return this.compared == 0 ? 0 : this.compared / this.base;
  }

  /** The share of the energy that the heaviest weight has. */
  heaviestShare(): f64 {
    return this.energy < Infinity ? this.most / this.energy : 1;
  }
}

/** A number without the zero that a whole number would have behind the point. */
export function plain(value: f64): string {
  const text = value.toString();
  return text.endsWith(".0") ? text.substring(0, text.length - 2) : text;
}

/** A share in per cent, with four digits behind the point at most. */
export function percent(share: f64): string {
  return plain(Math.round(share * 1e6) / 1e4) + " %";
}
