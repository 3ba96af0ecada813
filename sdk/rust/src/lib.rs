//! What a Tenon diagnostic written in Rust needs: guest ABI v1 as Rust values. A diagnostic is a `cdylib` with one function and one line
//! that exports it:
//!
//! ```no_run
//! use tenon_diag::{Result, Run};
//!
//! fn diagnose(run: &Run) -> Result<()> {
//!     for target in run.targets() {
//!         target.metric("my_rank", target.delta_values()?.len() as f64);
//!     }
//!     Ok(())
//! }
//!
//! tenon_diag::diagnostic!(diagnose);
//! ```
//!
//! It is built for `wasm32-unknown-unknown` with `-C panic=abort`, by `rustc` alone or by cargo; your Makefile, which
//! `tenon module new` wrote, has the flags. A module may import only what its manifest NAME.json grants, and the linker leaves out what the diagnostic never calls, so
//! nothing here costs a capability until it is used.
//!
//! - Matrices are row-major; W is always outputs x inputs, also where the checkpoint stores it transposed. Kernels compute in f64.
//! - A [`Tensor`] that a call made is freed when it is dropped; the factors and weights of a [`Target`] stay the host's.
//! - A call gives a [`Result`] whose [`Error`] has the status and the host's words. Calls that only report keep the first failure in the
//!   [`Run`], which ends with it.
//! - A name or code outside its grammar, or a metric given twice, is a bug of the module: the host ends the run. A panic does so too, after
//!   its message has been logged.
//!
//! The logic of a diagnostic is tested natively with [`diagtest`]. [`imports`] has the functions of the ABI as they are.

pub mod imports;

mod algebra;
mod error;
mod export;
mod run;
mod target;
mod tensor;

#[cfg(not(target_arch = "wasm32"))]
pub mod diagtest;
#[cfg(not(target_arch = "wasm32"))]
use diagtest::host;
#[cfg(target_arch = "wasm32")]
mod host;

#[cfg(test)]
mod layout_test;

pub use algebra::{axpby, delta_svd, delta_values, matmul, project, project_stats, qr, svd};
pub use algebra::{Transpose, Triples};
pub use error::{Error, Result, Status};
pub use export::call;
pub use imports::{RoundLoss, Rounding, Stats};
pub use run::{Run, Severity};
pub use target::{DType, Format, Peer, Target};
pub use tensor::Tensor;
