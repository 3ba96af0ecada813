import * as host from "./imports";
import { check, Failure, keep } from "./failure";

/** Rows and columns. */
export class Shape {
  constructor(readonly rows: i64, readonly cols: i64) {}
}

/**
 * A matrix the host holds. It is a handle: copying it copies no values, and drop through any copy drops it for all. Tensors that nobody
 * drops count against the run's limit on host memory until the run ends.
 */
export class Tensor {
  constructor(readonly handle: i32) {}

  /** Rows and columns; null is a kept failure. */
  shape(): Shape | null {
    const shape = new StaticArray<i64>(2);
    if (check("tensor_shape", "", host.tensor_shape(this.handle, changetype<i32>(shape))) < 0) return null;
    return new Shape(shape[0], shape[1]);
  }

  /** Fills dst with the elements from first on, row-major, rounded to f32; false is a kept failure. */
  read32(dst: Float32Array, first: i64): bool {
    return check("tensor_read_f32", "", host.tensor_read_f32(this.handle, first, <i32>dst.dataStart, dst.length)) >= 0;
  }

  /** Fills dst with the elements from first on, row-major; false is a kept failure. */
  read64(dst: Float64Array, first: i64): bool {
    return check("tensor_read_f64", "", host.tensor_read_f64(this.handle, first, <i32>dst.dataStart, dst.length)) >= 0;
  }

  /** All elements, row-major; null is a kept failure. It is for small results: factors and weights are better read in pieces. */
  values(): Float64Array | null {
    const shape = this.shape();
    if (!shape) return null;
    const most = <i64>i32.MAX_VALUE / 8;
    if (shape.rows > most || shape.cols > most || shape.rows * shape.cols > most) {
      keep(new Failure("values", host.STATUS_QUOTA, shape.rows.toString() + " x " + shape.cols.toString() + " numbers fit into no guest"));
      return null;
    }
    const values = new Float64Array(<i32>(shape.rows * shape.cols));
    return this.read64(values, 0) ? values : null;
  }

  /** Goes over the tensor once; null is a kept failure. It needs the capability kernels. */
  stats(): host.Stats | null {
    const stats = new host.Stats();
    return check("stats", "", host.stats(this.handle, changetype<i32>(stats))) < 0 ? null : stats;
  }

  /** Frees the tensor's bytes on the host. Dropping it again does nothing; any other use of it afterwards is a failure. */
  drop(): void {
    host.tensor_drop(this.handle);
  }
}

/** Hands a matrix, row-major, to the host; null is a kept failure. */
export function put(rows: i32, cols: i32, values: Float64Array): Tensor | null {
  if (!fits("tensor_put_f64", rows, cols, values)) return null;
  return made("tensor_put_f64", host.tensor_put_f64(<i32>values.dataStart, rows, cols));
}

/** Says whether values are rows times columns; false is a kept failure. */
export function fits(call: string, rows: i32, cols: i32, values: Float64Array): bool {
  if (rows >= 0 && cols >= 0 && <i64>rows * <i64>cols == values.length) return true;
  keep(new Failure(call, host.STATUS_SHAPE, "shapes do not fit: the values are not rows times columns"));
  return false;
}

/** The tensor that a call made; null is a kept failure. */
export function made(call: string, handle: i32): Tensor | null {
  return check(call, "", handle) < 0 ? null : new Tensor(handle);
}
