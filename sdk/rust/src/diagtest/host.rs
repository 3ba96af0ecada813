//! The functions of the module host of the crate, answered by the fake.

use super::fake::{answer, copy, index, refuse, Answer, Fake};
pub use super::kernels::*;
use super::{Finding, Grid, Matrix, Metric};
use crate::imports::{self, TargetInfo};
use crate::{Severity, Status};

pub fn target_count() -> i32 {
    answer("target_count", |f| Ok(f.adapter.targets.len() as i32))
}

pub fn target_info(target: i32, out: &mut TargetInfo) -> i32 {
    answer("target_info", |f| {
        *out = f.infos[index(target, f.infos.len(), "target")?];
        Ok(0)
    })
}

pub fn target_name(target: i32, dst: &mut [u8]) -> i32 {
    answer("target_name", |f| {
        let i = index(target, f.adapter.targets.len(), "target")?;
        copy(dst, &f.adapter.targets[i].name)
    })
}

pub fn peer_count() -> i32 {
    answer("peer_count", |f| Ok(f.adapter.peers.len() as i32))
}

pub fn peer_name(peer: i32, dst: &mut [u8]) -> i32 {
    answer("peer_name", |f| {
        let i = index(peer, f.adapter.peers.len(), "peer")?;
        copy(dst, &f.adapter.peers[i].name)
    })
}

pub fn peer_target(peer: i32, target: i32, out: &mut TargetInfo) -> i32 {
    answer("peer_target", |f| {
        let i = index(peer, f.adapter.peers.len(), "peer")?;
        let name = f.name(target)?;
        let found = f.adapter.peers[i].targets.iter().find(|t| t.name == name);
        match found.cloned() {
            Some(mut t) => {
                t.base = None;
                *out = f.hold(&t);
                Ok(0)
            }
            None => refuse(Status::NOT_FOUND, "the peer does not adapt the target"),
        }
    })
}

pub fn attr(key: &str, dst: &mut [u8]) -> i32 {
    answer("attr", |f| {
        match f.adapter.attrs.iter().find(|(k, _)| k == key) {
            Some((_, value)) => copy(dst, value),
            None => refuse(Status::NOT_FOUND, format!("no attribute {key:?}")),
        }
    })
}

pub fn param(name: &str, out: &mut f64) -> i32 {
    answer("param", |f| {
        match f.adapter.params.iter().rev().find(|(k, _)| k == name) {
            Some((_, value)) => {
                *out = *value;
                Ok(0)
            }
            None => refuse(Status::NOT_FOUND, format!("no parameter {name:?}")),
        }
    })
}

pub fn bank_count() -> i32 {
    answer("bank_count", |f| match &f.adapter.bank {
        Some(bank) => Ok(bank.names.len() as i32),
        None => refuse(Status::NOT_FOUND, "no bank was given"),
    })
}

pub fn bank_name(entry: i32, dst: &mut [u8]) -> i32 {
    answer("bank_name", |f| {
        let names = f.adapter.bank.as_ref().map_or(&[][..], |bank| &bank.names);
        copy(dst, &names[index(entry, names.len(), "entry")?])
    })
}

pub fn bank_features(target: i32) -> i32 {
    answer("bank_features", |f| {
        let name = f.name(target)?;
        let tables = f
            .adapter
            .bank
            .as_ref()
            .map_or(&[][..], |bank| &bank.features);
        match tables.iter().find(|(of, _)| *of == name).cloned() {
            Some((_, table)) => Ok(f.add(table)),
            None => refuse(Status::NOT_FOUND, "nobody in the bank has features"),
        }
    })
}

pub fn tensor_shape(handle: i32, out: &mut [i64; 2]) -> i32 {
    answer("tensor_shape", |f| {
        let m = f.tensor(handle)?;
        *out = [m.rows as i64, m.cols as i64];
        Ok(0)
    })
}

fn read<T>(f: &Fake, handle: i32, first: i64, dst: &mut [T], as_t: fn(f64) -> T) -> Answer {
    let values = &f.tensor(handle)?.values;
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let end = first.saturating_add(dst.len());
    match values.get(first..end) {
        Some(part) => dst.iter_mut().zip(part).for_each(|(d, v)| *d = as_t(*v)),
        None => {
            return refuse(
                Status::RANGE,
                format!("{first} to {end} of {}", values.len()),
            )
        }
    }
    Ok(dst.len() as i32)
}

pub fn tensor_read_f32(handle: i32, first: i64, dst: &mut [f32]) -> i32 {
    answer("tensor_read_f32", |f| {
        read(f, handle, first, dst, |v| v as f32)
    })
}

pub fn tensor_read_f64(handle: i32, first: i64, dst: &mut [f64]) -> i32 {
    answer("tensor_read_f64", |f| read(f, handle, first, dst, |v| v))
}

pub fn tensor_put_f64(src: &[f64], rows: i32, cols: i32) -> i32 {
    answer("tensor_put_f64", |f| {
        if rows < 1 || cols < 1 {
            return refuse(Status::SHAPE, format!("a matrix of {rows} x {cols}"));
        }
        let (rows, cols) = (rows as usize, cols as usize);
        Ok(f.add(Matrix {
            rows,
            cols,
            values: src.to_vec(),
        }))
    })
}

pub fn tensor_drop(handle: i32) -> i32 {
    answer("tensor_drop", |f| {
        f.tensor(handle)?;
        f.tensors[handle as usize] = None;
        Ok(0)
    })
}

pub fn last_error(dst: &mut [u8]) -> i32 {
    answer("last_error", |f| copy(dst, &f.last))
}

pub fn metric(target: i32, peer: i32, name: &str, value: f64) -> i32 {
    answer("metric", |f| {
        let (target, peer) = f.subject(target, peer)?;
        must_match(name, 1, char::is_ascii_lowercase);
        let twice = |m: &Metric| m.target == target && m.peer == peer && m.name == name;
        assert!(
            !f.report.metrics.iter().any(twice),
            "metric {name} is given twice"
        );
        let name = name.into();
        f.report.metrics.push(Metric {
            target,
            peer,
            name,
            value,
        });
        Ok(0)
    })
}

pub fn grid(target: i32, peer: i32, name: &str, rows: i32, cols: i32, values: &[f64]) -> i32 {
    answer("grid", |f| {
        let (target, peer) = f.subject(target, peer)?;
        must_match(name, 1, char::is_ascii_lowercase);
        let twice = |g: &Grid| g.target == target && g.peer == peer && g.name == name;
        assert!(
            !f.report.grids.iter().any(twice),
            "grid {name} is given twice"
        );
        if rows < 1 || cols < 1 {
            return refuse(Status::SHAPE, format!("a grid of {rows} x {cols}"));
        }
        let (rows, cols, values) = (rows as usize, cols as usize, values.to_vec());
        let values = Matrix { rows, cols, values };
        f.report.grids.push(Grid {
            target,
            peer,
            name: name.into(),
            values,
        });
        Ok(0)
    })
}

pub fn finding(target: i32, severity: i32, texts: [&str; 3], value: f64, limit: f64) -> i32 {
    answer("finding", |f| {
        let target = f.name(target)?;
        let severity = match severity {
            imports::SEVERITY_INFO => Severity::Info,
            imports::SEVERITY_WARN => Severity::Warn,
            imports::SEVERITY_DENY => Severity::Deny,
            _ => return refuse(Status::UNSUPPORTED, format!("severity {severity}")),
        };
        must_match(texts[0], 2, char::is_ascii_uppercase);
        let [code, message, hint] = texts.map(String::from);
        f.report.findings.push(Finding {
            target,
            severity,
            code,
            message,
            hint,
            value,
            limit,
        });
        Ok(0)
    })
}

pub fn log(text: &str) -> i32 {
    answer("log", |f| {
        f.report.log.push(text.into());
        Ok(0)
    })
}

/// Panics where the host would end the run: at a name or code outside its grammar.
fn must_match(name: &str, shortest: usize, letter: fn(&char) -> bool) {
    let legal = |c: char| letter(&c) || c.is_ascii_digit() || c == '_';
    let first = name.chars().next().map_or(false, |c| letter(&c));
    let fits = (shortest..=64).contains(&name.len()) && first && name.chars().all(legal);
    assert!(fits, "{name:?} is no name of a metric, grid or finding");
}
