//! The imports with references instead of addresses. Every function is the import of its name; a slice to write into stands for
//! address and capacity, or address and count. The linker keeps only those that the guest reaches, so a guest imports what it uses and
//! nothing more.

use crate::imports::{self, RoundLoss, Rounding, Stats, TargetInfo};

// An address is given away as a number: the host reads and writes there until the call returns. Every slice and reference below lives
// longer than the call, which makes each of these calls sound.

fn to<T>(reference: &mut T) -> i32 {
    reference as *mut T as usize as i32
}

fn into<T>(slice: &mut [T]) -> i32 {
    slice.as_mut_ptr() as usize as i32
}

fn from<T>(slice: &[T]) -> i32 {
    slice.as_ptr() as usize as i32
}

fn length<T>(slice: &[T]) -> i32 {
    slice.len() as i32
}

pub fn target_count() -> i32 {
    unsafe { imports::target_count() }
}

pub fn target_info(target: i32, out: &mut TargetInfo) -> i32 {
    unsafe { imports::target_info(target, to(out)) }
}

pub fn target_name(target: i32, dst: &mut [u8]) -> i32 {
    unsafe { imports::target_name(target, into(dst), length(dst)) }
}

pub fn peer_count() -> i32 {
    unsafe { imports::peer_count() }
}

pub fn peer_name(peer: i32, dst: &mut [u8]) -> i32 {
    unsafe { imports::peer_name(peer, into(dst), length(dst)) }
}

pub fn peer_target(peer: i32, target: i32, out: &mut TargetInfo) -> i32 {
    unsafe { imports::peer_target(peer, target, to(out)) }
}

pub fn attr(key: &str, dst: &mut [u8]) -> i32 {
    let key = key.as_bytes();
    unsafe { imports::attr(from(key), length(key), into(dst), length(dst)) }
}

pub fn param(name: &str, out: &mut f64) -> i32 {
    let name = name.as_bytes();
    unsafe { imports::param(from(name), length(name), to(out)) }
}

pub fn bank_count() -> i32 {
    unsafe { imports::bank_count() }
}

pub fn bank_name(entry: i32, dst: &mut [u8]) -> i32 {
    unsafe { imports::bank_name(entry, into(dst), length(dst)) }
}

pub fn bank_features(target: i32) -> i32 {
    unsafe { imports::bank_features(target) }
}

pub fn tensor_shape(handle: i32, out: &mut [i64; 2]) -> i32 {
    unsafe { imports::tensor_shape(handle, to(out)) }
}

pub fn tensor_read_f32(handle: i32, first: i64, dst: &mut [f32]) -> i32 {
    unsafe { imports::tensor_read_f32(handle, first, into(dst), length(dst)) }
}

pub fn tensor_read_f64(handle: i32, first: i64, dst: &mut [f64]) -> i32 {
    unsafe { imports::tensor_read_f64(handle, first, into(dst), length(dst)) }
}

pub fn tensor_put_f64(src: &[f64], rows: i32, cols: i32) -> i32 {
    unsafe { imports::tensor_put_f64(from(src), rows, cols) }
}

pub fn tensor_drop(handle: i32) -> i32 {
    unsafe { imports::tensor_drop(handle) }
}

pub fn matmul(a: i32, b: i32, flags: i32) -> i32 {
    unsafe { imports::matmul(a, b, flags) }
}

pub fn axpby(alpha: f64, x: i32, beta: f64, y: i32) -> i32 {
    unsafe { imports::axpby(alpha, x, beta, y) }
}

pub fn stats(handle: i32, out: &mut Stats) -> i32 {
    unsafe { imports::stats(handle, to(out)) }
}

pub fn qr(handle: i32, out: &mut [i32; 2]) -> i32 {
    unsafe { imports::qr(handle, to(out)) }
}

pub fn svd(handle: i32, out: &mut [i32; 3]) -> i32 {
    unsafe { imports::svd(handle, to(out)) }
}

pub fn delta_svd(b: i32, a: i32, scale: f64, out: &mut [i32; 3]) -> i32 {
    unsafe { imports::delta_svd(b, a, scale, to(out)) }
}

pub fn delta_values(b: i32, a: i32, scale: f64, out: &mut i32) -> i32 {
    unsafe { imports::delta_values(b, a, scale, to(out)) }
}

pub fn project(w: i32, u: i32, v: i32) -> i32 {
    unsafe { imports::project(w, u, v) }
}

pub fn project_stats(w: i32, u: i32, v: i32, out: &mut Stats) -> i32 {
    unsafe { imports::project_stats(w, u, v, to(out)) }
}

pub fn base_svd(target: i32, k: i32, out: &mut [i32; 3]) -> i32 {
    unsafe { imports::base_svd(target, k, to(out)) }
}

pub fn round_loss(target: i32, dtype: i32, out: &mut RoundLoss) -> i32 {
    unsafe { imports::round_loss(target, dtype, to(out)) }
}

/// `out` has as many elements as `formats`.
pub fn rounding(target: i32, first: i64, rows: i64, formats: &[i32], out: &mut [Rounding]) -> i32 {
    assert_eq!(formats.len(), out.len());
    unsafe {
        imports::rounding(
            target,
            first,
            rows,
            from(formats),
            length(formats),
            into(out),
        )
    }
}

pub fn merged_svd(target: i32, k: i32, out: &mut [i32; 3]) -> i32 {
    unsafe { imports::merged_svd(target, k, to(out)) }
}

pub fn last_error(dst: &mut [u8]) -> i32 {
    unsafe { imports::last_error(into(dst), length(dst)) }
}

pub fn metric(target: i32, peer: i32, name: &str, value: f64) -> i32 {
    let name = name.as_bytes();
    unsafe { imports::metric(target, peer, from(name), length(name), value) }
}

/// `values` has rows x cols elements.
pub fn grid(target: i32, peer: i32, name: &str, rows: i32, cols: i32, values: &[f64]) -> i32 {
    let name = name.as_bytes();
    unsafe {
        imports::grid(
            target,
            peer,
            from(name),
            length(name),
            rows,
            cols,
            from(values),
        )
    }
}

pub fn finding(target: i32, severity: i32, texts: [&str; 3], value: f64, limit: f64) -> i32 {
    let [code, message, hint] = texts.map(str::as_bytes);
    unsafe {
        imports::finding(
            target,
            severity,
            from(code),
            length(code),
            from(message),
            length(message),
            from(hint),
            length(hint),
            value,
            limit,
        )
    }
}

pub fn log(text: &str) -> i32 {
    let text = text.as_bytes();
    unsafe { imports::log(from(text), length(text)) }
}
