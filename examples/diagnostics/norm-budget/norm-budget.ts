// norm-budget holds an adapter to a budget: how much it may change a model in all, and each kind of layer, however the change is spread.
// See README.md for the numbers.

import { register, Run, SEVERITY_WARN, STATUS_NUMERIC, Target } from "../../../sdk/assemblyscript/assembly/index";
import { KINDS, kindOf, nameOf, percent, plain, Sum } from "./budget";

export { diagnose, tenon_abi_1 } from "../../../sdk/assemblyscript/assembly/index";

const HINT = "train with less learning rate or alpha, or raise the budget in the policy if so large a change is meant";

register((run: Run): void => {
  const all = new Sum();
  const kinds: Sum[] = [];
  for (let kind = 0; kind < KINDS; kind++) kinds.push(new Sum());
  for (let i = 0; i < run.targets.length; i++) {
    const target = run.targets[i];
    const energy = energyOf(run, target);
    const base = target.base;
    let baseEnergy: f64 = NaN;
    if (base) {
      const stats = base.stats();
      if (!stats) return; // kept
      baseEnergy = stats.sumSquares;
    }
    all.add(target.name, energy, baseEnergy);
    kinds[kindOf(target.name)].add(target.name, energy, baseEnergy);
    if (isNaN(energy)) continue;
    target.metric("delta_energy", energy);
    if (baseEnergy > 0) target.metric("relative_energy", energy / baseEnergy);
  }
  absolute(run, all);
  let limited = relative(run, "", all);
  for (let kind = 0; kind < KINDS; kind++) {
    if (relative(run, nameOf(kind), kinds[kind])) limited = true;
  }
  if (limited && all.baseless > 0) { // a check that was left out must not look like one that passed
    run.finding(SEVERITY_WARN, "BUDGET_UNCHECKED", "the base of " + all.baseless.toString() + " of " + all.weights.toString()
      + " weights is not known, so the budgets that are relative to it leave them out",
      "grant the capability base to this module, or set its relative budgets to 0", all.baseless, 0);
  }
});

/** The sum of squares of delta W, from its singular values, largest first; NaN where it has none, of which a finding is made. */
function energyOf(run: Run, target: Target): f64 {
  const singular = target.deltaValues();
  if (!singular) {
    if (run.forgive(STATUS_NUMERIC)) {
      target.finding(SEVERITY_WARN, "ENERGY_UNDEFINED", "delta W is not finite, so no budget counts it",
        "see the findings of hygiene for this weight", 0, 0);
    }
    return NaN;
  }
  let energy: f64 = 0;
  for (let i = 0; i < singular.length; i++) energy += singular[i] * singular[i];
  return energy;
}

/** Holds the sum of all squares to max_energy. */
function absolute(run: Run, all: Sum): void {
  const limit = limitOf(run, "max_energy");
  run.metric("energy", all.energy);
  if (limit > 0 && all.energy > limit) {
    run.finding(SEVERITY_WARN, "BUDGET_EXCEEDED", "the change has an energy of " + plain(all.energy) + ", more than the budget of "
      + plain(limit) + "; " + heaviest(all), HINT, all.energy, limit);
  }
}

/** Holds the squares of a kind of layer, or of all, to their share of the base's. It says whether there is such a budget. */
function relative(run: Run, kind: string, sum: Sum): bool {
  const suffix = kind.length ? "_" + kind : "";
  const limit = limitOf(run, "max_relative" + suffix);
  if (sum.weights == 0) return false;
  if (kind.length) run.metric("energy" + suffix, sum.energy);
  const share = sum.relative();
  if (!isNaN(share)) run.metric("relative" + suffix, share);
  if (limit > 0 && share > limit) {
    run.finding(SEVERITY_WARN, "BUDGET_EXCEEDED", "the change of " + (kind.length ? kind + " layers" : "all layers") + " has "
      + percent(share) + " of the energy of the weights it is added to, more than the budget of " + percent(limit) + "; " + heaviest(sum),
      HINT, share, limit);
  }
  return limit > 0;
}

function heaviest(sum: Sum): string {
  return sum.heaviest + " alone has " + percent(sum.heaviestShare()) + " of it";
}

/** The operator's limit; 0 is none. */
function limitOf(run: Run, name: string): f64 {
  const limit = run.param(name);
  if (!(limit >= 0)) run.fail(name + " must be 0 or more");
  return limit;
}
