//! The host's linear algebra. All of it computes in f64 in a fixed order, so equal inputs give equal bits; all of it needs the capability
//! kernels. Results are the caller's. Operands that are not finite give [`Status::NUMERIC`](crate::Status::NUMERIC) from the
//! factorizations.

use crate::error::{done, Result};
use crate::host;
use crate::imports::{self, Stats};
use crate::tensor::Tensor;

/// The operands of [`matmul`] that are taken transposed; they combine with |.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transpose(pub i32);

impl Transpose {
    pub const NONE: Transpose = Transpose(0);
    pub const A: Transpose = Transpose(imports::TRANSPOSE_A);
    pub const B: Transpose = Transpose(imports::TRANSPOSE_B);
}

impl std::ops::BitOr for Transpose {
    type Output = Transpose;

    fn bitor(self, other: Transpose) -> Transpose {
        Transpose(self.0 | other.0)
    }
}

/// op(a) op(b).
pub fn matmul(a: &Tensor, b: &Tensor, transpose: Transpose) -> Result<Tensor> {
    Tensor::made("matmul", host::matmul(a.handle(), b.handle(), transpose.0))
}

/// alpha x + beta y.
pub fn axpby(alpha: f64, x: &Tensor, beta: f64, y: &Tensor) -> Result<Tensor> {
    Tensor::made("axpby", host::axpby(alpha, x.handle(), beta, y.handle()))
}

/// The thin Householder factorization: for m x n with k = min(m, n), Q is m x k with orthonormal columns, R is k x n and upper
/// triangular.
pub fn qr(t: &Tensor) -> Result<(Tensor, Tensor)> {
    let mut handles = [-1; 2];
    done("qr", host::qr(t.handle(), &mut handles))?;
    Ok((Tensor::own(handles[0]), Tensor::own(handles[1])))
}

/// Singular triples of an m x n matrix, largest first: U is m x k, V is n x k, and the matrix is the sum of `s[i]` u_i v_i'. Signs are
/// fixed by making the largest entry of each column of U positive. Where `s` is empty there are no tensors, and no call accepts `u` or `v`.
#[derive(Debug, Default)]
pub struct Triples {
    pub u: Tensor,
    pub s: Vec<f64>,
    pub v: Tensor,
}

impl Triples {
    /// Takes the singular values over into the guest and frees their tensor; all three of them when that fails.
    pub(crate) fn take(handles: [i32; 3]) -> Result<Triples> {
        let [u, s, v] = handles.map(Tensor::own);
        let s = s.values()?;
        Ok(Triples { u, s, v })
    }
}

/// All min(m, n) singular triples of t.
pub fn svd(t: &Tensor) -> Result<Triples> {
    let mut handles = [-1; 3];
    done("svd", host::svd(t.handle(), &mut handles))?;
    Triples::take(handles)
}

/// The singular triples of scale * b a without forming the product, as many as its numerical rank: those above
/// max(m, n) * eps * |scale| * norm(b) * norm(a). A product that is zero has none.
pub fn delta_svd(b: &Tensor, a: &Tensor, scale: f64) -> Result<Triples> {
    let mut handles = [-1; 3];
    let rank = host::delta_svd(b.handle(), a.handle(), scale, &mut handles);
    if done("delta_svd", rank)? == 0 {
        return Ok(Triples::default());
    }
    Triples::take(handles)
}

/// The singular values that [`delta_svd`] would give, largest first, without any vectors: a tenth of the work for the factors of a large
/// weight. A product that is zero has none.
pub fn delta_values(b: &Tensor, a: &Tensor, scale: f64) -> Result<Vec<f64>> {
    let mut handle = -1;
    let rank = host::delta_values(b.handle(), a.handle(), scale, &mut handle);
    if done("delta_values", rank)? == 0 {
        return Ok(Vec::new());
    }
    Tensor::own(handle).values()
}

/// u' w v, going over w once.
pub fn project(w: &Tensor, u: &Tensor, v: &Tensor) -> Result<Tensor> {
    Tensor::made("project", host::project(w.handle(), u.handle(), v.handle()))
}

/// u' w v and the Stats of w, going over w once for both.
pub fn project_stats(w: &Tensor, u: &Tensor, v: &Tensor) -> Result<(Tensor, Stats)> {
    let mut stats = Stats::default();
    let handle = host::project_stats(w.handle(), u.handle(), v.handle(), &mut stats);
    Ok((Tensor::made("project_stats", handle)?, stats))
}
