//! How large the change of a weight is.

use tenon_diag::{Result, Status, Target};

/// The Frobenius norm of delta W. A policy must not be deceived, so it is never too small to see:
///
/// - It is infinite where a factor, the scale or the product is not finite.
/// - It is 0 only where the scale or a factor is 0. Factors that all but cancel, so that the product drowns in the rounding of f64, could
///   still leave something when they are merged in another order: their change is taken to be as large as that rounding.
pub fn change(target: &Target) -> Result<f64> {
    let (a, b) = (target.a().stats()?, target.b().stats()?);
    if a.nan + a.inf + b.nan + b.inf > 0 || !target.scale.is_finite() {
        return Ok(f64::INFINITY);
    }
    if a.zero == a.count || b.zero == b.count || target.scale == 0.0 {
        return Ok(0.0);
    }
    let values = match target.delta_values() {
        Err(error) if error.status == Status::NUMERIC => return Ok(f64::INFINITY),
        other => other?,
    };
    let size = match values.first() {
        Some(largest) => largest * norm(values.iter().map(|s| s / largest)),
        None => {
            let longest = target.inputs.max(target.outputs) as f64;
            let factors = a.sum_squares.sqrt() * b.sum_squares.sqrt();
            longest * f64::EPSILON * target.scale.abs() * factors
        }
    };
    if size.is_nan() {
        return Ok(f64::INFINITY);
    }
    Ok(size.max(f64::MIN_POSITIVE))
}

/// The root of the sum of squares.
pub fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
