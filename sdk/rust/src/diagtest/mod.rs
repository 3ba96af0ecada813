//! A host for the native tests of a diagnostic: the adapter is what the test says, and the report is what the diagnostic gave.
//!
//! ```
//! use tenon_diag::diagtest::{run, Adapter, Matrix, Target};
//!
//! let mut adapter = Adapter::default();
//! let b = Matrix::new(&[[1.0], [2.0]]);
//! let a = Matrix::new(&[[3.0, 0.0]]);
//! adapter.targets.push(Target::new("layers.0.up_proj.weight", b, a));
//! let report = run(&adapter, |run| {
//!     run.targets()[0].metric("rank", run.targets()[0].delta_values()?.len() as f64);
//!     Ok::<(), tenon_diag::Error>(())
//! });
//! assert_eq!(report.metric("layers.0.up_proj.weight", "rank"), Some(1.0));
//! ```
//!
//! It agrees with the real host to rounding, grants every capability, keeps no limits, and does not do `round_loss` and `rounding`:
//! `tenon module test` runs the module itself in the sandbox.

mod fake;
pub(crate) mod host;
mod kernels;
mod matrix;
#[cfg(test)]
mod tests;

pub use matrix::Matrix;

use crate::{Run, Severity};
use std::fmt::Display;

/// The adapter that a test looks at.
#[derive(Clone, Debug, Default)]
pub struct Adapter {
    /// Given to the diagnostic sorted by name; a name must not be empty.
    pub targets: Vec<Target>,
    pub peers: Vec<Peer>,
    /// The manifest's parameters and their values.
    pub params: Vec<(String, f64)>,
    pub attrs: Vec<(String, String)>,
    /// None where the operator gave no bank.
    pub bank: Option<Bank>,
}

impl Adapter {
    /// Adds a parameter.
    pub fn param(mut self, name: &str, value: f64) -> Adapter {
        self.params.push((name.into(), value));
        self
    }
}

/// One adapted weight.
#[derive(Clone, Debug, Default)]
pub struct Target {
    pub name: String,
    /// outputs x rank.
    pub b: Matrix,
    /// rank x inputs.
    pub a: Matrix,
    /// outputs x inputs; None where there is no base.
    pub base: Option<Matrix>,
    pub scale: f64,
    pub alpha: f64,
    pub fan_in_fan_out: bool,
    pub rs_lora: bool,
}

impl Target {
    /// A target of scale 1 without a base.
    pub fn new(name: &str, b: Matrix, a: Matrix) -> Target {
        Target {
            name: name.into(),
            scale: 1.0,
            alpha: a.rows as f64,
            b,
            a,
            ..Target::default()
        }
    }
}

/// Another adapter. Its targets are matched to the adapter's by name.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub name: String,
    pub targets: Vec<Target>,
}

/// The operator's bank.
#[derive(Clone, Debug, Default)]
pub struct Bank {
    pub names: Vec<String>,
    /// A matrix with a row for each name, by the target's name; "" is the adapter as a whole.
    pub features: Vec<(String, Matrix)>,
}

/// What a diagnostic gave. The name of a target or peer is empty for the adapter as a whole.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub metrics: Vec<Metric>,
    pub grids: Vec<Grid>,
    pub findings: Vec<Finding>,
    /// One line for each call of log; of a run that failed the last is why.
    pub log: Vec<String>,
    /// What the export `diagnose` gives: 0 for done.
    pub code: i32,
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub target: String,
    pub peer: String,
    pub name: String,
    pub value: f64,
}

/// A matrix of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub target: String,
    pub peer: String,
    pub name: String,
    pub values: Matrix,
}

/// What the diagnostic noticed.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub target: String,
    pub severity: Severity,
    pub code: String,
    pub message: String,
    pub hint: String,
    pub value: f64,
    pub limit: f64,
}

impl Report {
    /// The metric of this name about a target, or about the adapter as a whole where the target is "".
    pub fn metric(&self, target: &str, name: &str) -> Option<f64> {
        let same = |m: &&Metric| m.target == target && m.peer.is_empty() && m.name == name;
        self.metrics.iter().find(same).map(|m| m.value)
    }

    /// The codes of the findings, in order.
    pub fn codes(&self) -> Vec<&str> {
        self.findings.iter().map(|f| f.code.as_str()).collect()
    }
}

/// Runs a diagnostic on an adapter. What ends a module as a bug of its own, a bad name or a metric given twice, panics here.
pub fn run<E: Display>(adapter: &Adapter, diagnose: impl FnOnce(&Run) -> Result<(), E>) -> Report {
    fake::install(adapter);
    let code = crate::call(diagnose);
    let mut report = fake::remove();
    report.code = code;
    report
}
