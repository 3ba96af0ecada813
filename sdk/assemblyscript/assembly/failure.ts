import * as host from "./imports";

/** A call that the host answered with a status below 0. */
export class Failure {
  constructor(
    /** The function of the ABI, and what it was about. */
    readonly call: string,
    /** One of the STATUS constants. */
    readonly status: i32,
    /** The status in the host's own words. */
    readonly words: string,
  ) {}

  toString(): string {
    return this.call + ": " + this.words;
  }
}

let first: Failure | null = null;
let last: Failure | null = null;

/** The first failure that nobody forgave: with one the run ends as an error. */
export function kept(): Failure | null {
  return first;
}

/** The last failure, forgiven or not. */
export function latest(): Failure | null {
  return last;
}

/** Keeps a failure. */
export function keep(failure: Failure): void {
  last = failure;
  if (!first) first = failure;
}

/** Takes back the failure of the call just made, if its status is this one, and says whether it was. Earlier failures stay. */
export function forgive(status: i32): bool {
  const failure = last;
  if (!failure || failure.status != status) return false;
  if (first == failure) first = null;
  return true;
}

/** Keeps the failure that a result of the host is, and gives the result. */
export function check(call: string, about: string, result: i32): i32 {
  if (result < 0) keep(new Failure(about.length ? call + " " + about : call, result, words(call, result)));
  return result;
}

/** What the host says of the last status, without the function's name, with which it begins. */
function words(call: string, status: i32): string {
  const length = host.last_error(0, 0);
  if (length <= 0) return statusName(status);
  const bytes = new ArrayBuffer(length);
  host.last_error(changetype<i32>(bytes), length);
  const text = String.UTF8.decode(bytes);
  const prefix = call + ": ";
  return text.startsWith(prefix) ? text.substring(prefix.length) : text;
}

function statusName(status: i32): string {
  switch (status) {
    case host.STATUS_NOT_FOUND: return "not found";
    case host.STATUS_BAD_HANDLE: return "bad handle";
    case host.STATUS_RANGE: return "out of range";
    case host.STATUS_SHAPE: return "shapes do not fit";
    case host.STATUS_DENIED: return "capability not granted";
    case host.STATUS_QUOTA: return "limit used up";
    case host.STATUS_UNSUPPORTED: return "unsupported";
    case host.STATUS_INTERNAL: return "host failure";
    case host.STATUS_NUMERIC: return "no numeric result";
  }
  return "unknown status";
}
