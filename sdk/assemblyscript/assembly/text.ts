import { check } from "./failure";

/** A text as the ABI takes it. Half a surrogate pair, which is no character, becomes U+FFFD: the host would end the run for it. */
export function utf8(text: string): ArrayBuffer {
  return String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
}

/** Reads a text as text out does: gives its length and writes it to dst where that is not above cap. */
export type Reader = (index: i32, dst: i32, cap: i32) => i32;

/** Reads a text out of the host; null is a kept failure. */
export function read(call: string, reader: Reader, index: i32): string | null {
  const length = reader(index, 0, 0);
  if (check(call, "", length) < 0) return null;
  const bytes = new ArrayBuffer(length);
  if (check(call, "", reader(index, changetype<i32>(bytes), length)) < 0) return null;
  return String.UTF8.decode(bytes);
}
