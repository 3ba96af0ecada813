//! The conformance guest of the Rust SDK: sdk/conformance/go/main.go call by call. What it reports must be what the others report, bit for
//! bit, so names and order are those of that program.

mod algebra;
mod failures;

use tenon_diag::{matmul, Error, Result, Run, Stats, Status, Target, Tensor, Transpose, Triples};

tenon_diag::diagnostic!(diagnose);

/// The reports about a target go to it; those about the adapter as a whole to the run.
trait Reporter {
    fn metric(&self, name: &str, value: f64);
    fn grid(&self, name: &str, rows: usize, cols: usize, values: &[f64]);
}

impl Reporter for Run {
    fn metric(&self, name: &str, value: f64) {
        Run::metric(self, name, value);
    }

    fn grid(&self, name: &str, rows: usize, cols: usize, values: &[f64]) {
        Run::grid(self, name, rows, cols, values);
    }
}

impl Reporter for Target {
    fn metric(&self, name: &str, value: f64) {
        Target::metric(self, name, value);
    }

    fn grid(&self, name: &str, rows: usize, cols: usize, values: &[f64]) {
        Target::grid(self, name, rows, cols, values);
    }
}

fn diagnose(run: &Run) -> Result<()> {
    if run.param("keep") == 1.0 {
        // A second run shows that a failure nobody looks at ends the run.
        run.metric("before", 1.0);
        run.param("nothing");
        run.metric("after", 2.0);
        return Ok(());
    }
    let guest = Guest { run };
    guest.adapter();
    for t in run.targets() {
        guest.model(t);
        guest.factors(t);
        guest.kernels(t);
        guest.weights(t);
        guest.peers(t);
    }
    guest.failures(&run.targets()[0]);
    guest.findings();
    Ok(())
}

/// A number that every value and its place go into.
fn sum(values: &[f64]) -> f64 {
    let mut total = 0.0;
    for (i, v) in values.iter().enumerate() {
        total += v * (1 + i % 7) as f64;
    }
    total
}

/// Reports up to 36 values as a grid NAME, and more as the metric NAME_sum.
fn numbers(to: &dyn Reporter, name: &str, rows: usize, cols: usize, values: &[f64]) {
    if values.len() <= 36 {
        to.grid(name, rows, cols, values);
    } else {
        to.metric(&format!("{name}_sum"), sum(values));
    }
}

/// 1 for true.
fn flag(b: bool) -> f64 {
    f64::from(u8::from(b))
}

/// A matrix of rows x cols on the host, 0.25 (i + 1) - 0.5 j.
fn ramp(rows: usize, cols: usize) -> Result<Tensor> {
    let mut values = vec![0.0; rows * cols];
    for i in 0..rows {
        for j in 0..cols {
            values[i * cols + j] = 0.25 * (i + 1) as f64 - 0.5 * j as f64;
        }
    }
    Tensor::put(rows, cols, &values)
}

/// Leaves a tensor to the end of the run, as the Go guest does: what is held then is in the report.
fn held(t: Tensor) {
    std::mem::forget(t);
}

struct Guest<'r> {
    run: &'r Run,
}

impl Guest<'_> {
    /// Reports a call's status as a metric NAME_status, 0 where it succeeded, and logs the host's words where it failed.
    fn outcome<T>(&self, to: &dyn Reporter, name: &str, result: Result<T>) -> Option<T> {
        let (status, value) = match result {
            Ok(value) => (0, Some(value)),
            Err(Error { status, text, .. }) => {
                // The text of a bad handle has its number, and how many there were before is the SDK's business.
                if status != Status::BAD_HANDLE {
                    self.run.log(&format!("{name}: {text}"));
                }
                (status.0, None)
            }
        };
        to.metric(&format!("{name}_status"), f64::from(status));
        value
    }

    /// Reports the status of the call that made t, its shape and its values.
    fn matrix(&self, to: &dyn Reporter, name: &str, t: Result<&Tensor>) {
        let t = match self.outcome(to, name, t) {
            Some(t) => t,
            None => return,
        };
        let (rows, cols) = match self.outcome(to, &format!("{name}_shape"), t.shape()) {
            Some(shape) => shape,
            None => return,
        };
        to.metric(&format!("{name}_rows"), rows as f64);
        to.metric(&format!("{name}_cols"), cols as f64);
        let mut values = vec![0.0; rows * cols];
        let read = t.read64(&mut values, 0);
        if self
            .outcome(to, &format!("{name}_read_f64"), read)
            .is_some()
        {
            numbers(to, name, rows, cols, &values);
        }
    }

    /// [`Guest::matrix`] of a tensor that is used further.
    fn made(&self, to: &dyn Reporter, name: &str, t: Result<Tensor>) -> Tensor {
        self.matrix(to, name, t.as_ref().map_err(Error::clone));
        t.unwrap_or_default()
    }

    /// Reports singular triples.
    fn triples(&self, to: &dyn Reporter, name: &str, s: Result<Triples>) {
        let s = match self.outcome(to, name, s) {
            Some(s) => s,
            None => return,
        };
        to.metric(&format!("{name}_k"), s.s.len() as f64);
        if !s.s.is_empty() {
            numbers(to, &format!("{name}_s"), 1, s.s.len(), &s.s);
            self.matrix(to, &format!("{name}_u"), Ok(&s.u));
            self.matrix(to, &format!("{name}_v"), Ok(&s.v));
        }
    }

    /// Reports a Stats.
    fn counts(&self, to: &dyn Reporter, name: &str, s: Result<Stats>) {
        if let Some(s) = self.outcome(to, name, s) {
            let counts = [
                s.count,
                s.nan,
                s.inf,
                s.zero,
                s.subnormal,
                s.first_non_finite,
                s.zero_rows,
                s.zero_cols,
            ];
            let mut values = counts.map(|n| n as f64).to_vec();
            values.extend([s.min, s.max, s.sum, s.sum_squares]);
            to.grid(name, 1, 12, &values);
        }
    }

    fn adapter(&self) {
        let run = self.run;
        run.log("tabs\tstay, é, ∑ and 🙂 too");
        run.metric("target_count", run.targets().len() as f64);
        for key in [
            "module.id",
            "adapter.digest",
            "adapter.format",
            "base.digest",
            "base.architecture",
            "init_lora_weights",
            "probe.perplexity",
            "no such key",
        ] {
            match run.attr(key) {
                Some(value) => run.log(&format!("attr {key}: {value}")),
                None => run.log(&format!("attr {key} is not there")),
            }
        }
        run.metric("param_set", run.param("set"));
        run.metric("param_default", run.param("default"));
        let names = run.bank_names();
        run.metric("bank", flag(names.is_some()));
        let names = names.unwrap_or_default();
        run.metric("bank_count", names.len() as f64);
        for name in &names {
            run.log(&format!("bank_name: {name}"));
        }
        let features = run.bank_features();
        run.metric("bank_features", flag(features.is_some()));
        if let Some(features) = features {
            self.matrix(run, "bank_features", Ok(&features));
            held(features);
        }
        let peers = run.peers();
        run.metric("peer_count", peers.len() as f64);
        for (i, peer) in peers.iter().enumerate() {
            run.log(&format!("peer_name: {}", peer.name));
            peer.metric("peer_index", i as f64);
            peer.grid("peer_place", 1, 2, &[i as f64, peers.len() as f64]);
        }
    }

    fn model(&self, t: &Target) {
        self.run.log(&format!("target_name: {}", t.name));
        t.metric("rank", t.rank as f64);
        t.metric("in", t.inputs as f64);
        t.metric("out", t.outputs as f64);
        t.metric("scale", t.scale);
        t.metric("alpha", t.alpha);
        t.metric("fan_in_fan_out", flag(t.fan_in_fan_out));
        t.metric("rs_lora", flag(t.rs_lora));
        t.metric("base_dtype", f64::from(t.base_dtype.0));
        t.metric("factor_dtype", f64::from(t.factor_dtype.0));
        let features = t.bank_features();
        t.metric("bank_features", flag(features.is_some()));
        if let Some(features) = features {
            self.matrix(t, "bank_features", Ok(&features));
            held(features);
        }
    }

    fn factors(&self, t: &Target) {
        self.matrix(t, "a", Ok(t.a()));
        self.matrix(t, "b", Ok(t.b()));
        let mut singles = vec![0f32; t.rank * t.inputs - 1];
        let read = t.a().read32(&mut singles, 1);
        if self.outcome(t, "a_read_f32", read).is_some() {
            let values: Vec<f64> = singles.iter().map(|v| f64::from(*v)).collect();
            t.metric("a_read_f32_sum", sum(&values));
        }
    }

    fn peers(&self, t: &Target) {
        let mut missing = 0;
        for peer in self.run.peers() {
            let other = match peer.target(t) {
                Some(other) => other,
                None => {
                    missing += 1;
                    continue;
                }
            };
            other.metric("peer_rank", other.rank as f64);
            other.metric("peer_base", flag(other.base().is_some()));
            self.matrix(&other, "peer_a", Ok(other.a()));
            self.made(&other, "peer_a_a", matmul(t.a(), other.a(), Transpose::B));
        }
        t.metric("peer_target_missing", f64::from(missing));
    }
}
