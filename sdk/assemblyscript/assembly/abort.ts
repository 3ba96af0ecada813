import * as host from "./imports";
import { utf8 } from "./text";

/** What `--use abort=tenonAbort` makes of a failed assertion, an index out of range or a throw: a line of log and the end of the run. */
// @ts-ignore: a decorator
@global
export function tenonAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  const place = (file !== null ? file : "?") + ":" + line.toString() + ":" + column.toString();
  const text = utf8((message !== null ? message : "abort") + " at " + place);
  host.log(changetype<i32>(text), text.byteLength);
  unreachable();
}
