//! The kernels among the functions of the module host, answered by the fake.

use super::fake::{answer, refuse, Answer, Fake};
use super::Matrix;
use crate::imports::{self, RoundLoss, Rounding, Stats};
use crate::Status;

pub fn matmul(a: i32, b: i32, flags: i32) -> i32 {
    answer("matmul", |f| {
        if flags & !(imports::TRANSPOSE_A | imports::TRANSPOSE_B) != 0 {
            return refuse(Status::UNSUPPORTED, format!("flags {flags}"));
        }
        let operand = |handle: i32, flag: i32| {
            let m = f.tensor(handle)?;
            Ok(if flags & flag != 0 {
                m.transposed()
            } else {
                m.clone()
            })
        };
        let (a, b) = (
            operand(a, imports::TRANSPOSE_A)?,
            operand(b, imports::TRANSPOSE_B)?,
        );
        let product = f.product(&a, &b)?;
        Ok(f.add(product))
    })
}

pub fn axpby(alpha: f64, x: i32, beta: f64, y: i32) -> i32 {
    answer("axpby", |f| {
        let (x, y) = (f.tensor(x)?, f.tensor(y)?);
        if (x.rows, x.cols) != (y.rows, y.cols) {
            return refuse(Status::SHAPE, "operands of different shapes");
        }
        let values = x
            .values
            .iter()
            .zip(&y.values)
            .map(|(x, y)| alpha * x + beta * y)
            .collect();
        let (rows, cols) = (x.rows, x.cols);
        Ok(f.add(Matrix { rows, cols, values }))
    })
}

pub fn stats(handle: i32, out: &mut Stats) -> i32 {
    answer("stats", |f| {
        *out = stats_of(f.tensor(handle)?);
        Ok(0)
    })
}

fn stats_of(m: &Matrix) -> Stats {
    let count = |is: fn(&f64) -> bool| m.values.iter().filter(|v| is(v)).count() as i64;
    let zeros = |m: &Matrix| {
        let rows = m.values.chunks(m.cols.max(1));
        rows.filter(|row| row.iter().all(|v| *v == 0.0)).count() as i64
    };
    let finite = || m.values.iter().copied().filter(|v| v.is_finite());
    Stats {
        count: m.values.len() as i64,
        nan: count(|v| v.is_nan()),
        inf: count(|v| v.is_infinite()),
        zero: count(|v| *v == 0.0),
        subnormal: count(|v| v.is_subnormal()),
        first_non_finite: m
            .values
            .iter()
            .position(|v| !v.is_finite())
            .map_or(-1, |i| i as i64),
        zero_rows: zeros(m),
        zero_cols: zeros(&m.transposed()),
        min: finite().reduce(f64::min).unwrap_or(0.0),
        max: finite().reduce(f64::max).unwrap_or(0.0),
        sum: finite().sum(),
        sum_squares: finite().map(|v| v * v).sum(),
    }
}

pub fn qr(handle: i32, out: &mut [i32; 2]) -> i32 {
    answer("qr", |f| {
        let (q, r) = f.finite(handle)?.qr();
        *out = [f.add(q), f.add(r)];
        Ok(0)
    })
}

pub fn svd(handle: i32, out: &mut [i32; 3]) -> i32 {
    answer("svd", |f| {
        let m = f.finite(handle)?.clone();
        f.triples(&m, m.rows.min(m.cols), out);
        Ok(0)
    })
}

pub fn delta_svd(b: i32, a: i32, scale: f64, out: &mut [i32; 3]) -> i32 {
    answer("delta_svd", |f| {
        let (delta, k) = f.delta(b, a, scale)?;
        if k > 0 {
            f.triples(&delta, k, out);
        }
        Ok(k as i32)
    })
}

pub fn delta_values(b: i32, a: i32, scale: f64, out: &mut i32) -> i32 {
    answer("delta_values", |f| {
        let (delta, k) = f.delta(b, a, scale)?;
        if k > 0 {
            let values = delta.svd().1[..k].to_vec();
            *out = f.add(Matrix {
                rows: 1,
                cols: k,
                values,
            });
        }
        Ok(k as i32)
    })
}

pub fn project(w: i32, u: i32, v: i32) -> i32 {
    answer("project", |f| {
        let left = f.product(&f.tensor(u)?.transposed(), f.tensor(w)?)?;
        let projected = f.product(&left, f.tensor(v)?)?;
        Ok(f.add(projected))
    })
}

pub fn project_stats(w: i32, u: i32, v: i32, out: &mut Stats) -> i32 {
    let handle = project(w, u, v);
    if handle >= 0 {
        stats(w, out);
    }
    handle
}

fn top(f: &mut Fake, m: &Matrix, k: i32, out: &mut [i32; 3]) -> Answer {
    match usize::try_from(k) {
        Ok(k) if k >= 1 && k <= m.rows.min(m.cols) => f.triples(m, k, out),
        _ => {
            return refuse(
                Status::RANGE,
                format!("{k} triples of {} x {}", m.rows, m.cols),
            )
        }
    }
    Ok(0)
}

pub fn base_svd(target: i32, k: i32, out: &mut [i32; 3]) -> i32 {
    answer("base_svd", |f| {
        let (w, _) = f.weight(target)?;
        top(f, &w, k, out)
    })
}

pub fn merged_svd(target: i32, k: i32, out: &mut [i32; 3]) -> i32 {
    answer("merged_svd", |f| {
        let (mut w, delta) = f.weight(target)?;
        w.values
            .iter_mut()
            .zip(&delta.values)
            .for_each(|(w, d)| *w += d);
        top(f, &w, k, out)
    })
}

const NOT_HERE: &str = "the fake host does not round: tenon module test does";

pub fn round_loss(_: i32, _: i32, _: &mut RoundLoss) -> i32 {
    answer("round_loss", |_| refuse(Status::UNSUPPORTED, NOT_HERE))
}

pub fn rounding(_: i32, _: i64, _: i64, _: &[i32], _: &mut [Rounding]) -> i32 {
    answer("rounding", |_| refuse(Status::UNSUPPORTED, NOT_HERE))
}
