import { kept } from "./failure";
import { load, Run } from "./run";

/** A diagnostic. */
export type Diagnostic = (run: Run) => void;

let registered: Diagnostic | null = null;

/** Names the function that is the diagnostic. It is called at the top of the main file, once. */
export function register(diagnostic: Diagnostic): void {
  assert(!registered, "register called twice");
  registered = diagnostic;
}

/** Says which ABI this guest was built for. The host looks for the export and never calls it. */
export function tenon_abi_1(): void {}

/** What the host calls: 0 is done, 1 is a failure, whose text is in the log. */
export function diagnose(): i32 {
  const diagnostic = registered;
  assert(diagnostic, "no diagnostic is registered: call register at the top of the main file");
  const run = load();
  if (run) diagnostic!(run);
  const failure = kept();
  if (!failure) return 0;
  new Run().log(failure.toString());
  return 1;
}
