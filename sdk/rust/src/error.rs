//! What a call that the host refused gives.

use crate::{host, imports};
use std::fmt;

/// A result below zero. The constants are those of guest ABI v1; a number without one is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// No such target, peer, attribute or parameter.
    pub const NOT_FOUND: Status = Status(imports::STATUS_NOT_FOUND);
    /// Not a live handle.
    pub const BAD_HANDLE: Status = Status(imports::STATUS_BAD_HANDLE);
    /// An index or count outside the object.
    pub const RANGE: Status = Status(imports::STATUS_RANGE);
    /// Operands that do not fit each other, or a size below 1.
    pub const SHAPE: Status = Status(imports::STATUS_SHAPE);
    /// The capability was not granted.
    pub const DENIED: Status = Status(imports::STATUS_DENIED);
    /// A limit of the run is used up.
    pub const QUOTA: Status = Status(imports::STATUS_QUOTA);
    /// An unknown flag or severity, or an operand that the function does not take.
    pub const UNSUPPORTED: Status = Status(imports::STATUS_UNSUPPORTED);
    /// The host could not do it, for instance because a file could not be read.
    pub const INTERNAL: Status = Status(imports::STATUS_INTERNAL);
    /// No convergence, or operands that are not finite.
    pub const NUMERIC: Status = Status(imports::STATUS_NUMERIC);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Status::NOT_FOUND => "not found",
            Status::BAD_HANDLE => "bad handle",
            Status::RANGE => "out of range",
            Status::SHAPE => "shapes do not fit",
            Status::DENIED => "capability not granted",
            Status::QUOTA => "limit used up",
            Status::UNSUPPORTED => "unsupported",
            Status::INTERNAL => "host failure",
            Status::NUMERIC => "no numeric result",
            _ => "unknown status",
        })
    }
}

/// A call that the host answered with a status below zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The function of the ABI, and what it was about.
    pub call: String,
    /// What it answered.
    pub status: Status,
    /// The status in the host's own words, or empty.
    pub text: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.call)?;
        f.write_str(": ")?;
        if self.text.is_empty() {
            self.status.fmt(f)
        } else {
            f.write_str(&self.text)
        }
    }
}

impl std::error::Error for Error {}

/// What a call that can fail gives.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure that is seen before the host is asked.
    pub(crate) fn new(call: &str, status: Status, text: &str) -> Error {
        Error {
            call: call.into(),
            status,
            text: text.into(),
        }
    }

    /// The failure that the host has just answered. `about` is empty, or follows the function's name.
    pub(crate) fn last(function: &str, about: &str, status: i32) -> Error {
        let mut text = read_text(host::last_error).unwrap_or_default();
        // The host begins with the function's name, and so does the call.
        if let Some(rest) = text
            .strip_prefix(function)
            .and_then(|t| t.strip_prefix(": "))
        {
            text = rest.to_string();
        }
        let mut call = function.to_string();
        if !about.is_empty() {
            call.push(' ');
            call.push_str(about);
        }
        Error {
            call,
            status: Status(status),
            text,
        }
    }
}

/// A result of 0 or more, or else the failure.
pub(crate) fn done(function: &str, result: i32) -> Result<i32> {
    done_about(function, "", result)
}

/// [`done`] for a call whose failure tells what it was about.
pub(crate) fn done_about(function: &str, about: &str, result: i32) -> Result<i32> {
    if result < 0 {
        return Err(Error::last(function, about, result));
    }
    Ok(result)
}

/// A string of the host's. `read` writes into its argument and gives the length, or only the length when that does not fit.
pub(crate) fn text(
    function: &str,
    about: &str,
    read: impl FnMut(&mut [u8]) -> i32,
) -> Result<String> {
    read_text(read).map_err(|status| Error::last(function, about, status))
}

fn read_text(mut read: impl FnMut(&mut [u8]) -> i32) -> std::result::Result<String, i32> {
    let mut buffer = vec![0; 128];
    loop {
        let n = read(&mut buffer);
        if n < 0 {
            return Err(n);
        }
        let n = n as usize;
        if n <= buffer.len() {
            buffer.truncate(n);
            return Ok(match String::from_utf8(buffer) {
                Ok(text) => text,
                Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
            });
        }
        buffer = vec![0; n];
    }
}
