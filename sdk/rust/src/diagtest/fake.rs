//! What the fake host knows and holds.

use super::{Adapter, Matrix, Report, Target};
use crate::imports::{self, TargetInfo};
use crate::Status;
use std::cell::RefCell;

thread_local! {
    static FAKE: RefCell<Option<Fake>> = const { RefCell::new(None) };
}

#[derive(Default)]
pub(super) struct Fake {
    pub(super) adapter: Adapter,
    pub(super) infos: Vec<TargetInfo>,
    pub(super) tensors: Vec<Option<Matrix>>,
    pub(super) report: Report,
    pub(super) last: String,
}

pub(super) type Answer = Result<i32, (Status, String)>;

pub(super) fn refuse<T>(status: Status, text: impl Into<String>) -> Result<T, (Status, String)> {
    Err((status, text.into()))
}

pub(super) fn install(adapter: &Adapter) {
    let mut fake = Fake {
        adapter: adapter.clone(),
        ..Fake::default()
    };
    fake.adapter.targets.sort_by(|x, y| x.name.cmp(&y.name));
    let targets = fake.adapter.targets.clone();
    fake.infos = targets.iter().map(|t| fake.hold(t)).collect();
    FAKE.with(|slot| *slot.borrow_mut() = Some(fake));
}

pub(super) fn remove() -> Report {
    FAKE.with(|slot| slot.borrow_mut().take())
        .unwrap_or_default()
        .report
}

/// Answers a call. A tensor that outlives its run is dropped after the fake is gone.
pub(super) fn answer(call: &str, f: impl FnOnce(&mut Fake) -> Answer) -> i32 {
    FAKE.with(|slot| {
        let mut slot = slot.borrow_mut();
        let fake = match slot.as_mut() {
            Some(fake) => fake,
            None if call == "tensor_drop" => return 0,
            None => panic!("{call}: there is no host here; diagtest::run makes one"),
        };
        f(fake).unwrap_or_else(|(status, text)| {
            fake.last = format!("{call}: {text}");
            status.0
        })
    })
}

pub(super) fn copy(dst: &mut [u8], text: &str) -> Answer {
    if let Some(dst) = dst.get_mut(..text.len()) {
        dst.copy_from_slice(text.as_bytes());
    }
    Ok(text.len() as i32)
}

pub(super) fn index(i: i32, n: usize, what: &str) -> Result<usize, (Status, String)> {
    match usize::try_from(i) {
        Ok(i) if i < n => Ok(i),
        _ => refuse(Status::NOT_FOUND, format!("no {what} {i} of {n}")),
    }
}

impl Fake {
    pub(super) fn hold(&mut self, t: &Target) -> TargetInfo {
        assert!(!t.name.is_empty(), "a target without a name");
        assert_eq!(
            t.b.cols, t.a.rows,
            "{}: the factors do not fit each other",
            t.name
        );
        let mut flags = 0;
        if t.fan_in_fan_out {
            flags |= imports::FLAG_FAN_IN_FAN_OUT;
        }
        if t.rs_lora {
            flags |= imports::FLAG_RS_LORA;
        }
        TargetInfo {
            a: self.add(t.a.clone()),
            b: self.add(t.b.clone()),
            base: t.base.clone().map_or(-1, |w| self.add(w)),
            rank: t.a.rows as i32,
            in_: t.a.cols as i64,
            out: t.b.rows as i64,
            scale: t.scale,
            alpha: t.alpha,
            flags,
            base_dtype: if t.base.is_some() {
                imports::DTYPE_F64
            } else {
                0
            },
            factor_dtype: imports::DTYPE_F64,
            reserved: 0,
        }
    }

    pub(super) fn add(&mut self, m: Matrix) -> i32 {
        self.tensors.push(Some(m));
        self.tensors.len() as i32 - 1
    }

    pub(super) fn tensor(&self, handle: i32) -> Result<&Matrix, (Status, String)> {
        let held = usize::try_from(handle)
            .ok()
            .and_then(|i| self.tensors.get(i));
        match held {
            Some(Some(m)) => Ok(m),
            _ => refuse(Status::BAD_HANDLE, format!("{handle} is not a live handle")),
        }
    }

    pub(super) fn finite(&self, handle: i32) -> Result<&Matrix, (Status, String)> {
        let m = self.tensor(handle)?;
        if !m.is_finite() {
            return refuse(Status::NUMERIC, "the operand is not finite");
        }
        Ok(m)
    }

    pub(super) fn product(&self, x: &Matrix, y: &Matrix) -> Result<Matrix, (Status, String)> {
        let text = format!("{} x {} by {} x {}", x.rows, x.cols, y.rows, y.cols);
        x.times(y).map_or_else(|| refuse(Status::SHAPE, text), Ok)
    }

    pub(super) fn triples(&mut self, m: &Matrix, k: usize, out: &mut [i32; 3]) {
        let (u, s, v) = m.svd();
        let s = Matrix {
            rows: 1,
            cols: k,
            values: s[..k].to_vec(),
        };
        *out = [self.add(u.first(k)), self.add(s), self.add(v.first(k))];
    }

    /// scale * B A and its numerical rank.
    pub(super) fn delta(
        &self,
        b: i32,
        a: i32,
        scale: f64,
    ) -> Result<(Matrix, usize), (Status, String)> {
        let (b, a) = (self.finite(b)?, self.finite(a)?);
        let mut delta = self.product(b, a)?;
        delta.values.iter_mut().for_each(|v| *v *= scale);
        let size = delta.rows.max(delta.cols) as f64;
        let floor = size * f64::EPSILON * scale.abs() * b.norm() * a.norm();
        let k = delta.svd().1.iter().filter(|s| **s > floor).count();
        Ok((delta, k))
    }

    pub(super) fn name(&self, target: i32) -> Result<String, (Status, String)> {
        if target == imports::NO_TARGET {
            return Ok(String::new());
        }
        let i = index(target, self.adapter.targets.len(), "target")?;
        Ok(self.adapter.targets[i].name.clone())
    }

    pub(super) fn subject(
        &self,
        target: i32,
        peer: i32,
    ) -> Result<(String, String), (Status, String)> {
        let target = self.name(target)?;
        if peer == imports::NO_PEER {
            return Ok((target, String::new()));
        }
        let i = index(peer, self.adapter.peers.len(), "peer")?;
        Ok((target, self.adapter.peers[i].name.clone()))
    }

    pub(super) fn weight(&self, target: i32) -> Result<(Matrix, Matrix), (Status, String)> {
        let i = index(target, self.adapter.targets.len(), "target")?;
        let t = &self.adapter.targets[i];
        let mut delta = self.product(&t.b, &t.a)?;
        delta.values.iter_mut().for_each(|v| *v *= t.scale);
        match &t.base {
            Some(w) => Ok((w.clone(), delta)),
            None => refuse(Status::NOT_FOUND, "the target has no base weight"),
        }
    }
}
