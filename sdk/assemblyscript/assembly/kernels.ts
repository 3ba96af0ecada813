// The host's linear algebra. All of it computes in f64 in a fixed order, so equal inputs give equal bits; all of it needs the capability
// kernels. A result is the caller's to drop; null is a kept failure. Operands that are not finite give STATUS_NUMERIC from the
// factorizations.

import * as host from "./imports";
import { check } from "./failure";
import { made, Tensor } from "./tensor";

/** Gives op(a) op(b); flags are 0, TRANSPOSE_A and TRANSPOSE_B, combined with |. */
export function matMul(a: Tensor, b: Tensor, flags: i32 = 0): Tensor | null {
  return made("matmul", host.matmul(a.handle, b.handle, flags));
}

/** Gives alpha x + beta y. */
export function axpby(alpha: f64, x: Tensor, beta: f64, y: Tensor): Tensor | null {
  return made("axpby", host.axpby(alpha, x.handle, beta, y.handle));
}

/** A thin factorization of an m x n matrix with k = min(m, n): q is m x k with orthonormal columns, r is k x n and upper triangular. */
export class QR {
  constructor(readonly q: Tensor, readonly r: Tensor) {}
}

/** Gives the thin Householder factorization. */
export function qr(t: Tensor): QR | null {
  const handles = new StaticArray<i32>(2);
  if (check("qr", "", host.qr(t.handle, changetype<i32>(handles))) < 0) return null;
  return new QR(new Tensor(handles[0]), new Tensor(handles[1]));
}

/**
 * Singular triples of an m x n matrix, largest first: u is m x k, v is n x k, and the matrix is the sum of s[i] u_i v_i'. Signs are fixed
 * by making the largest entry of each column of u positive. With k = 0 the tensors are null.
 */
export class Triples {
  constructor(readonly u: Tensor | null, readonly s: Float64Array, readonly v: Tensor | null) {}

  /** Frees u and v. */
  drop(): void {
    const u = this.u, v = this.v;
    if (u) u.drop();
    if (v) v.drop();
  }
}

/** Takes the singular values over into the guest and drops their tensor; all three of them when it fails. */
export function triples(handles: StaticArray<i32>): Triples | null {
  const u = new Tensor(handles[0]), s = new Tensor(handles[1]), v = new Tensor(handles[2]);
  const values = s.values();
  s.drop();
  if (values) return new Triples(u, values, v);
  u.drop();
  v.drop();
  return null;
}

/** Gives all min(m, n) singular triples of t. */
export function svd(t: Tensor): Triples | null {
  const handles = new StaticArray<i32>(3);
  return check("svd", "", host.svd(t.handle, changetype<i32>(handles))) < 0 ? null : triples(handles);
}

/**
 * Gives the singular triples of scale * b a without forming the product, as many as its numerical rank: those above
 * max(m, n) * eps * |scale| * norm(b) * norm(a). A product that is zero has none.
 */
export function deltaSVD(b: Tensor, a: Tensor, scale: f64): Triples | null {
  const handles = new StaticArray<i32>(3);
  const rank = check("delta_svd", "", host.delta_svd(b.handle, a.handle, scale, changetype<i32>(handles)));
  if (rank == 0) return new Triples(null, new Float64Array(0), null);
  return rank < 0 ? null : triples(handles);
}

/**
 * Gives the singular values that deltaSVD would, largest first, without any vectors: a tenth of the work for the factors of a large weight.
 * A product that is zero has none.
 */
export function deltaValues(b: Tensor, a: Tensor, scale: f64): Float64Array | null {
  const handle = new StaticArray<i32>(1);
  const rank = check("delta_values", "", host.delta_values(b.handle, a.handle, scale, changetype<i32>(handle)));
  if (rank == 0) return new Float64Array(0);
  if (rank < 0) return null;
  const s = new Tensor(handle[0]);
  const values = s.values();
  s.drop();
  return values;
}

/** Gives u' w v, going over w once. w can be a weight of the base. */
export function project(w: Tensor, u: Tensor, v: Tensor): Tensor | null {
  return made("project", host.project(w.handle, u.handle, v.handle));
}

/** Gives u' w v and fills out with the stats of w, going over w once for both. */
export function projectStats(w: Tensor, u: Tensor, v: Tensor, out: host.Stats): Tensor | null {
  return made("project_stats", host.project_stats(w.handle, u.handle, v.handle, changetype<i32>(out)));
}
