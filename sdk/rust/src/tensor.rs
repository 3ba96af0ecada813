//! Matrices that the host holds.

use crate::error::{done, Error, Result, Status};
use crate::host;
use crate::imports::Stats;

/// A matrix that the host holds, row-major.
///
/// What a kernel or [`Tensor::put`] gave is its owner's, and is freed when it is dropped. The factors and the weight of a
/// [`Target`](crate::Target) are the host's: they stay for the whole run unless [`Tensor::free`] says otherwise.
///
/// The default is no tensor, which no call accepts.
#[derive(Debug)]
pub struct Tensor {
    handle: i32,
    owned: bool,
}

impl Drop for Tensor {
    fn drop(&mut self) {
        if self.owned {
            host::tensor_drop(self.handle);
        }
    }
}

impl Default for Tensor {
    fn default() -> Tensor {
        Tensor::lent(-1)
    }
}

impl Tensor {
    /// The tensor of a handle that a call has just made.
    pub(crate) fn made(function: &str, handle: i32) -> Result<Tensor> {
        done(function, handle).map(Tensor::own)
    }

    pub(crate) fn own(handle: i32) -> Tensor {
        Tensor {
            handle,
            owned: true,
        }
    }

    /// A tensor that dropping does not free; of a negative handle, no tensor.
    pub(crate) fn lent(handle: i32) -> Tensor {
        Tensor {
            handle,
            owned: false,
        }
    }

    pub(crate) fn handle(&self) -> i32 {
        self.handle
    }

    /// Hands a matrix of rows x cols, row-major, to the host, which copies it. The lengths must agree.
    pub fn put(rows: usize, cols: usize, values: &[f64]) -> Result<Tensor> {
        const CALL: &str = "tensor_put_f64";
        let (rows, cols) = checked(CALL, rows, cols, values)?;
        Tensor::made(CALL, host::tensor_put_f64(values, rows, cols))
    }

    /// Rows and columns.
    pub fn shape(&self) -> Result<(usize, usize)> {
        let mut shape = [0; 2];
        done("tensor_shape", host::tensor_shape(self.handle, &mut shape))?;
        Ok((size(shape[0]), size(shape[1])))
    }

    /// Fills `dst` with the elements from `first` on, row-major, rounded to f32.
    pub fn read32(&self, dst: &mut [f32], first: i64) -> Result<()> {
        done(
            "tensor_read_f32",
            host::tensor_read_f32(self.handle, first, dst),
        )
        .map(drop)
    }

    /// Fills `dst` with the elements from `first` on, row-major.
    pub fn read64(&self, dst: &mut [f64], first: i64) -> Result<()> {
        done(
            "tensor_read_f64",
            host::tensor_read_f64(self.handle, first, dst),
        )
        .map(drop)
    }

    /// All elements, row-major. It is for small results: the factors and W are better left where they are. A matrix that does not fit
    /// into the guest's memory is [`Status::QUOTA`].
    pub fn values(&self) -> Result<Vec<f64>> {
        let (rows, cols) = self.shape()?;
        let mut values = Vec::new();
        match rows.checked_mul(cols) {
            Some(n) if values.try_reserve_exact(n).is_ok() => values.resize(n, 0.0),
            _ => {
                let text = "the matrix does not fit into the guest's memory: read it in parts";
                return Err(Error::new("tensor_read_f64", Status::QUOTA, text));
            }
        }
        self.read64(&mut values, 0)?;
        Ok(values)
    }

    /// Goes over the tensor once. It needs the capability kernels.
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        done("stats", host::stats(self.handle, &mut stats))?;
        Ok(stats)
    }

    /// Frees the tensor's bytes on the host now; also those of a factor or weight, which is then gone for the run. Any other use of it
    /// afterwards is [`Status::BAD_HANDLE`]; freeing it again does nothing.
    pub fn free(&self) {
        host::tensor_drop(self.handle);
    }
}

/// A dimension as the host gives it. What no index can reach is as large as an index can be.
pub(crate) fn size(dimension: i64) -> usize {
    usize::try_from(dimension).unwrap_or(if dimension < 0 { 0 } else { usize::MAX })
}

/// The dimensions of a matrix as the host takes them; they must be those of `values`.
pub(crate) fn checked(call: &str, rows: usize, cols: usize, values: &[f64]) -> Result<(i32, i32)> {
    match (i32::try_from(rows), i32::try_from(cols)) {
        (Ok(r), Ok(c)) if rows.checked_mul(cols) == Some(values.len()) => Ok((r, c)),
        _ => {
            let text = "shapes do not fit: the values are not rows times columns";
            Err(Error::new(call, Status::SHAPE, text))
        }
    }
}
