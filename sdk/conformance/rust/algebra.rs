//! The kernels, and what the host computes of the base's weights.

use super::{flag, held, numbers, ramp, Guest};
use tenon_diag::{axpby, delta_svd, delta_values, matmul, project, project_stats, qr, svd};
use tenon_diag::{DType, Format, Target, Transpose};

impl Guest<'_> {
    pub fn kernels(&self, t: &Target) {
        let (a, b) = (t.a(), t.b());
        let ba = self.made(t, "matmul", matmul(b, a, Transpose::NONE));
        let bb = self.made(t, "matmul_ta", matmul(b, b, Transpose::A));
        let aa = self.made(t, "matmul_tb", matmul(a, a, Transpose::B));
        self.made(t, "matmul_ta_tb", matmul(a, b, Transpose::A | Transpose::B));
        self.made(t, "axpby", axpby(0.5, &aa, -0.25, &bb));
        self.counts(t, "a_stats", a.stats());
        self.counts(t, "matmul_stats", ba.stats());
        let (q, r) = match qr(b) {
            Ok((q, r)) => (Ok(q), Ok(r)),
            Err(error) => (Err(error.clone()), Err(error)),
        };
        self.made(t, "qr_q", q);
        self.made(t, "qr_r", r);
        self.triples(t, "svd", svd(&ba));
        self.triples(t, "delta_svd", t.delta_svd());
        self.triples(t, "delta_svd_of_nothing", delta_svd(b, a, 0.0));
        if let Some(values) = self.outcome(t, "delta_values", t.delta_values()) {
            numbers(t, "delta_values", 1, values.len(), &values);
        }
        let nothing = delta_values(b, a, 0.0);
        if let Some(values) = self.outcome(t, "delta_values_of_nothing", nothing) {
            t.metric("delta_values_of_nothing_k", values.len() as f64);
        }
    }

    pub fn weights(&self, t: &Target) {
        t.metric("base", flag(t.base().is_some()));
        let u = self
            .outcome(t, "tensor_put_u", ramp(t.outputs, 2))
            .unwrap_or_default();
        let v = self
            .outcome(t, "tensor_put_v", ramp(t.inputs, 3))
            .unwrap_or_default();
        if let Some(w) = t.base() {
            self.matrix(t, "base", Ok(w));
            self.counts(t, "base_stats", w.stats());
            held(self.made(t, "project", project(w, &u, &v)));
            let (projected, stats) = match project_stats(w, &u, &v) {
                Ok((projected, stats)) => (Ok(projected), Ok(stats)),
                Err(error) => (Err(error.clone()), Err(error)),
            };
            held(self.made(t, "project_stats", projected));
            self.counts(t, "project_stats_of_w", stats);
        }
        self.triples(t, "base_svd", t.base_svd(2));
        self.triples(t, "base_svd_too_many", t.base_svd(1000));
        for (name, dtype) in [
            ("round_loss", DType::NONE),
            ("round_loss_f16", DType::F16),
            ("round_loss_f64", DType::F64),
        ] {
            if let Some(l) = self.outcome(t, name, t.round_loss(dtype)) {
                let counts = [
                    l.count,
                    l.changed,
                    l.non_zero,
                    l.lost,
                    l.overflow,
                    l.first_overflow,
                ];
                let mut values = counts.map(|n| n as f64).to_vec();
                values.extend([l.dot, l.delta_squares, l.rounded_squares, l.error_squares]);
                t.grid(name, 1, 10, &values);
            }
        }
        let rows = if t.fan_in_fan_out {
            t.inputs
        } else {
            t.outputs
        } as i64;
        let all = [
            Format::F16,
            Format::BF16,
            Format::F32,
            Format::Q8_0,
            Format::Q4_0,
            Format::NF4,
        ];
        self.rounded(t, "rounding", 0, rows, &all);
        self.rounded(
            t,
            "rounding_of_two_rows",
            1,
            2,
            &[Format::BF16, Format::F32],
        );
        self.rounded(t, "rounding_of_too_many", rows, 1, &[Format::BF16]);
        self.rounded(t, "rounding_to_unknown", 0, 1, &[Format(99)]);
        self.triples(t, "merged_svd", t.merged_svd(2));
        self.triples(t, "merged_svd_of_none", t.merged_svd(0));
    }

    fn rounded(&self, t: &Target, name: &str, first: i64, rows: i64, formats: &[Format]) {
        let all = match self.outcome(t, name, t.rounding(first, rows, formats)) {
            Some(all) => all,
            None => return,
        };
        let mut values = Vec::new();
        for r in &all {
            let counts = [
                r.count,
                r.non_zero,
                r.lost,
                r.changed,
                r.overflow,
                r.non_finite,
            ];
            values.extend(counts.map(|n| n as f64));
            values.extend([r.dot, r.delta_squares, r.rounded_squares]);
            values.extend([r.error_squares, r.base_squares, r.base_error]);
        }
        t.grid(name, all.len(), 12, &values);
    }
}
