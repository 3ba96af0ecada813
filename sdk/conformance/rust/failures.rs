//! Calls that must fail, and findings.

use super::{ramp, Guest};
use tenon_diag::{axpby, delta_svd, delta_values, matmul, project, project_stats, qr, svd};
use tenon_diag::{Severity, Target, Tensor, Transpose};

impl Guest<'_> {
    /// Makes calls that must fail, each with a status of its own.
    pub fn failures(&self, t: &Target) {
        let (a, b) = (t.a(), t.b());
        let gone = self
            .outcome(t, "tensor_put", ramp(2, 2))
            .unwrap_or_default();
        gone.free();
        self.outcome(t, "tensor_shape_bad_handle", gone.shape());
        self.outcome(t, "tensor_read_f32_bad_handle", gone.read32(&mut [0.0], 0));
        self.outcome(t, "tensor_read_f64_bad_handle", gone.read64(&mut [0.0], 0));
        let last = (t.rank * t.inputs) as i64 - 1;
        self.outcome(t, "tensor_read_f64_range", a.read64(&mut [0.0; 2], last));
        self.outcome(t, "tensor_read_f64_negative", a.read64(&mut [0.0], -1));
        self.outcome(t, "tensor_put_misfit", Tensor::put(0, 0, &[]));
        self.outcome(t, "matmul_bad_handle", matmul(&gone, a, Transpose::NONE));
        self.outcome(t, "matmul_misfit", matmul(a, b, Transpose::B));
        self.outcome(t, "matmul_flags", matmul(b, a, Transpose(4)));
        let column = self
            .outcome(t, "tensor_put_column", ramp(400, 1))
            .unwrap_or_default();
        self.outcome(t, "matmul_quota", matmul(&column, &column, Transpose::B));
        self.outcome(t, "axpby_misfit", axpby(1.0, a, 1.0, b));
        self.outcome(t, "stats_bad_handle", gone.stats());
        let none = Tensor::default();
        let w = t.base().unwrap_or(&none);
        self.outcome(t, "qr_of_base", qr(w));
        let broken = Tensor::put(1, 2, &[1.0, f64::NAN]);
        let broken = self
            .outcome(t, "tensor_put_broken", broken)
            .unwrap_or_default();
        self.outcome(t, "svd_numeric", svd(&broken));
        self.outcome(t, "delta_svd_misfit", delta_svd(a, b, 1.0));
        self.outcome(t, "delta_values_bad_handle", delta_values(&gone, a, 1.0));
        self.outcome(t, "project_misfit", project(w, a, b));
        self.outcome(t, "project_stats_bad_handle", project_stats(&gone, a, b));
    }

    pub fn findings(&self) {
        let (run, code) = (self.run, "CONFORMANCE_INFO");
        let (message, hint) = ("é, ∑ and 🙂 survive", "tabs\tand\nlines become one line");
        run.finding(Severity::Info, code, message, hint, 1.5, f64::INFINITY);
        for (i, t) in run.targets().iter().enumerate() {
            let message = format!("the message of {}", t.name);
            let (warn, deny) = ("CONFORMANCE_WARN", "CONFORMANCE_DENY_2");
            t.finding(Severity::Warn, warn, &message, "", i as f64, f64::NAN);
            t.finding(Severity::Deny, deny, "", "a hint", 0.0, f64::NEG_INFINITY);
        }
    }
}
