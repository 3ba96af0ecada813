/**
 * What a Tenon diagnostic written in AssemblyScript needs: it turns guest ABI v1 (sdk/abi/ABI.md) into strings, arrays and classes. A
 * diagnostic is one file that registers one function, and hands on the exports that the host looks for:
 *
 *     import { Run, register } from "../tenon/assembly/index";
 *     export { tenon_abi_1, diagnose } from "../tenon/assembly/index";
 *
 *     register((run: Run): void => {
 *       for (let i = 0; i < run.targets.length; i++) {
 *         const target = run.targets[i];
 *         const singular = target.deltaValues();
 *         if (!singular) return; // kept: the run ends as an error with the host's words
 *         target.metric("my_rank", singular.length);
 *       }
 *     });
 *
 * It is compiled with
 *
 *     asc index.ts -o NAME.wasm -O --runtime stub --use abort=tenonAbort --exportStart _initialize
 *
 * --exportStart, because the host refuses a start section; --use abort, because it refuses the import that a failed check would otherwise
 * be: tenonAbort logs what failed and ends the run. --runtime stub, because a run is one call that is over in seconds: memory is only ever
 * taken, so nothing is collected at a moment that depends on what happened before, and the limit on guest memory is met only by what a
 * diagnostic asks for. A loop over large tensors therefore reads into one array that it made in front of the loop.
 *
 * A module may import only what its manifest NAME.json grants, and a function that is never called is not there, so nothing costs a
 * capability until it is used. Math is compiled into the module, and gives the same bits everywhere; Date and Math.random do not exist.
 */

import "./abort";

export { Failure } from "./failure";
export {
  BASE_SVD_ALL, BASE_SVD_TARGET_RANK, BASE_SVD_TENTH,
  DTYPE_BF16, DTYPE_F16, DTYPE_F32, DTYPE_F64,
  FORMAT_BF16, FORMAT_F16, FORMAT_F32, FORMAT_NF4, FORMAT_Q4_0, FORMAT_Q8_0,
  SEVERITY_DENY, SEVERITY_INFO, SEVERITY_WARN,
  STATUS_BAD_HANDLE, STATUS_DENIED, STATUS_INTERNAL, STATUS_NOT_FOUND, STATUS_NUMERIC, STATUS_QUOTA, STATUS_RANGE, STATUS_SHAPE,
  STATUS_UNSUPPORTED,
  TRANSPOSE_A, TRANSPOSE_B,
  Rounding, RoundLoss, Stats,
} from "./imports";
export { axpby, deltaSVD, deltaValues, matMul, project, projectStats, qr, QR, svd, Triples } from "./kernels";
export { Peer, Run } from "./run";
export { Target } from "./target";
export { put, Shape, Tensor } from "./tensor";
export { diagnose, register, tenon_abi_1 } from "./exports";
