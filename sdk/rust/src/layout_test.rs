//! The structs of the border against bytes written by hand from the tables of ABI.md: those of the layout test of package abi.

use crate::imports::{
    RoundLoss, Rounding, Stats, TargetInfo, FLAG_FAN_IN_FAN_OUT, FLAG_RS_LORA, ROUNDING_SIZE,
    ROUND_LOSS_SIZE, STATS_SIZE, TARGET_INFO_SIZE,
};
use crate::{DType, Status};

/// Puts the bytes where the host would.
fn decode<T: Default>(hex: &str) -> T {
    let digits: Vec<u8> = hex.bytes().filter(|c| *c != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    assert_eq!(bytes.len(), std::mem::size_of::<T>());
    let mut value = T::default();
    let to = &mut value as *mut T as *mut u8;
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    value
}

#[test]
fn sizes() {
    let sizes = [TARGET_INFO_SIZE, STATS_SIZE, ROUND_LOSS_SIZE, ROUNDING_SIZE];
    assert_eq!(sizes, [64, 96, 80, 96]);
}

#[test]
fn target_info() {
    let got: TargetInfo = decode(
        "03000000 04000000 ffffffff 10000000 c000000000000000 0000000002000000 \
         0000000000000040 0000000000004040 03000000 02000000 03000000 00000000",
    );
    let want = TargetInfo {
        a: 3,
        b: 4,
        base: -1,
        rank: 16,
        in_: 192,
        out: 1 << 33,
        scale: 2.0,
        alpha: 32.0,
        flags: FLAG_FAN_IN_FAN_OUT | FLAG_RS_LORA,
        base_dtype: DType::BF16.0,
        factor_dtype: DType::F32.0,
        reserved: 0,
    };
    assert_eq!(got, want);
}

#[test]
fn stats() {
    let got: Stats = decode(
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000 \
         ffffffffffffffff 0700000000000000 0800000000000000 000000000000f0bf 000000000000f03f \
         000000000000e03f 000000000000f07f",
    );
    let want = Stats {
        count: 1,
        nan: 2,
        inf: 3,
        zero: 4,
        subnormal: 5,
        first_non_finite: -1,
        zero_rows: 7,
        zero_cols: 8,
        min: -1.0,
        max: 1.0,
        sum: 0.5,
        sum_squares: f64::INFINITY,
    };
    assert_eq!(got, want);
}

#[test]
fn round_loss() {
    let got: RoundLoss = decode(
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000 \
         feffffffffffffff 000000000000f03f 0000000000000040 00000000000000c0 000000000000e03f",
    );
    let want = RoundLoss {
        count: 1,
        changed: 2,
        non_zero: 3,
        lost: 4,
        overflow: 5,
        first_overflow: -2,
        dot: 1.0,
        delta_squares: 2.0,
        rounded_squares: -2.0,
        error_squares: 0.5,
    };
    assert_eq!(got, want);
}

#[test]
fn rounding() {
    let got: Rounding = decode(
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000 \
         0600000000000000 000000000000f03f 0000000000000040 00000000000000c0 000000000000e03f \
         000000000000f0bf 000000000000f07f",
    );
    let want = Rounding {
        count: 1,
        non_zero: 2,
        lost: 3,
        changed: 4,
        overflow: 5,
        non_finite: 6,
        dot: 1.0,
        delta_squares: 2.0,
        rounded_squares: -2.0,
        error_squares: 0.5,
        base_squares: -1.0,
        base_error: f64::INFINITY,
    };
    assert_eq!(got, want);
}

#[test]
fn statuses() {
    for number in -9..0 {
        assert_ne!(Status(number).to_string(), "unknown status", "{number}");
    }
    assert_eq!(Status(-10).to_string(), "unknown status");
    assert_eq!(Status::NUMERIC, Status(-9));
}
