//! The fake host's linear algebra: plain, for matrices of a few hundred entries. It agrees with the host's to rounding and not to the bit.

/// A matrix, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    pub rows: usize,
    pub cols: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    /// The matrix with these rows, which must be equally long.
    pub fn new<const N: usize>(rows: &[[f64; N]]) -> Matrix {
        Matrix {
            rows: rows.len(),
            cols: N,
            values: rows.concat(),
        }
    }

    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Matrix {
        Matrix {
            rows,
            cols,
            values: vec![0.0; rows * cols],
        }
    }

    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.cols + j]
    }

    pub(super) fn transposed(&self) -> Matrix {
        let mut t = Matrix::zeros(self.cols, self.rows);
        for i in 0..self.rows {
            for j in 0..self.cols {
                t.values[j * self.rows + i] = self.at(i, j);
            }
        }
        t
    }

    /// The product, or None where the shapes do not fit.
    pub(super) fn times(&self, other: &Matrix) -> Option<Matrix> {
        if self.cols != other.rows {
            return None;
        }
        let mut product = Matrix::zeros(self.rows, other.cols);
        for i in 0..self.rows {
            for j in 0..other.cols {
                product.values[i * other.cols + j] =
                    (0..self.cols).map(|k| self.at(i, k) * other.at(k, j)).sum();
            }
        }
        Some(product)
    }

    pub(super) fn is_finite(&self) -> bool {
        self.values.iter().all(|v| v.is_finite())
    }

    pub(super) fn norm(&self) -> f64 {
        self.values.iter().fold(0.0, |norm: f64, v| norm.hypot(*v))
    }

    fn column(&self, j: usize) -> Vec<f64> {
        (0..self.rows).map(|i| self.at(i, j)).collect()
    }

    fn of_columns(rows: usize, columns: &[Vec<f64>]) -> Matrix {
        let mut m = Matrix::zeros(rows, columns.len());
        for (j, column) in columns.iter().enumerate() {
            for (i, v) in column.iter().enumerate() {
                m.values[i * columns.len() + j] = *v;
            }
        }
        m
    }

    /// The thin factorization, by Gram and Schmidt twice over; columns of Q that depend on those before are zero.
    pub(super) fn qr(&self) -> (Matrix, Matrix) {
        let k = self.rows.min(self.cols);
        let mut q: Vec<Vec<f64>> = Vec::new();
        for j in 0..k {
            let mut v = self.column(j);
            let before = dot(&v, &v).sqrt();
            for _ in 0..2 {
                for u in &q {
                    let along = dot(u, &v);
                    v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
                }
            }
            let norm = dot(&v, &v).sqrt();
            let scale = if norm > 1e-14 * before {
                1.0 / norm
            } else {
                0.0
            };
            v.iter_mut().for_each(|v| *v *= scale);
            q.push(v);
        }
        let q = Matrix::of_columns(self.rows, &q);
        let mut r = q.transposed().times(self).unwrap_or_default();
        for i in 0..k {
            for j in 0..i {
                r.values[i * self.cols + j] = 0.0;
            }
        }
        (q, r)
    }

    /// The thin decomposition by one-sided Jacobi rotations: U, S descending, V. The largest entry of each column of U is positive.
    pub(super) fn svd(&self) -> (Matrix, Vec<f64>, Matrix) {
        if self.rows < self.cols {
            let (v, s, u) = self.transposed().jacobi();
            return oriented(u, s, v);
        }
        let (u, s, v) = self.jacobi();
        oriented(u, s, v)
    }

    fn jacobi(&self) -> (Matrix, Vec<f64>, Matrix) {
        let n = self.cols;
        let mut left: Vec<Vec<f64>> = (0..n).map(|j| self.column(j)).collect();
        let mut right: Vec<Vec<f64>> = (0..n)
            .map(|j| (0..n).map(|i| f64::from(u8::from(i == j))).collect())
            .collect();
        for _ in 0..60 {
            let mut rotated = false;
            for p in 0..n {
                for q in p + 1..n {
                    let (xx, yy) = (dot(&left[p], &left[p]), dot(&left[q], &left[q]));
                    let xy = dot(&left[p], &left[q]);
                    if xy.abs() <= f64::EPSILON * (xx * yy).sqrt() {
                        continue;
                    }
                    rotated = true;
                    let zeta = (yy - xx) / (2.0 * xy);
                    let t = (1.0 / (zeta.abs() + zeta.hypot(1.0))).copysign(zeta);
                    let c = 1.0 / t.hypot(1.0);
                    rotate(&mut left, p, q, c, c * t);
                    rotate(&mut right, p, q, c, c * t);
                }
            }
            if !rotated {
                break;
            }
        }
        let mut order: Vec<(f64, usize)> =
            left.iter().map(|v| dot(v, v).sqrt()).zip(0..n).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let s = order.iter().map(|(s, _)| *s).collect();
        let u: Vec<Vec<f64>> = order
            .iter()
            .map(|(s, j)| {
                let scale = if *s > 0.0 { 1.0 / s } else { 0.0 };
                left[*j].iter().map(|v| v * scale).collect()
            })
            .collect();
        let v: Vec<Vec<f64>> = order.iter().map(|(_, j)| right[*j].clone()).collect();
        (
            Matrix::of_columns(self.rows, &u),
            s,
            Matrix::of_columns(n, &v),
        )
    }

    /// The first k columns.
    pub(super) fn first(&self, k: usize) -> Matrix {
        let columns: Vec<Vec<f64>> = (0..k).map(|j| self.column(j)).collect();
        Matrix::of_columns(self.rows, &columns)
    }
}

fn oriented(mut u: Matrix, s: Vec<f64>, mut v: Matrix) -> (Matrix, Vec<f64>, Matrix) {
    for j in 0..s.len() {
        let largest = |best: f64, v: f64| if v.abs() > best.abs() { v } else { best };
        if u.column(j).into_iter().fold(0.0, largest) < 0.0 {
            for m in [&mut u, &mut v] {
                let cols = m.cols;
                m.values
                    .iter_mut()
                    .skip(j)
                    .step_by(cols)
                    .for_each(|v| *v = -*v);
            }
        }
    }
    (u, s, v)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn rotate(columns: &mut [Vec<f64>], p: usize, q: usize, c: f64, s: f64) {
    let (head, tail) = columns.split_at_mut(q);
    for (x, y) in head[p].iter_mut().zip(&mut tail[0]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: &Matrix, want: &Matrix) {
        assert_eq!((got.rows, got.cols), (want.rows, want.cols));
        for (g, w) in got.values.iter().zip(&want.values) {
            assert!((g - w).abs() < 1e-12, "{got:?}, want {want:?}");
        }
    }

    #[test]
    fn factorizations() {
        let tall = Matrix::new(&[[1.0, 2.0], [3.0, -4.0], [5.0, 6.5]]);
        for m in [
            tall.transposed(),
            tall,
            Matrix::new(&[[2.0, 4.0], [1.0, 2.0]]),
        ] {
            let (u, s, v) = m.svd();
            let mut scaled = u.clone();
            for (at, value) in scaled.values.iter_mut().enumerate() {
                *value *= s[at % s.len()];
            }
            close(&scaled.times(&v.transposed()).unwrap(), &m);
            assert!(s[0] >= s[1]);
            let (q, r) = m.qr();
            close(&q.times(&r).unwrap(), &m);
        }
    }
}
