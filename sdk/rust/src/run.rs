//! One run: what there is to look at, and where the results go.

use crate::error::{done_about, text, Error, Result, Status};
use crate::host;
use crate::imports::{self, TargetInfo};
use crate::target::{Peer, Target};
use crate::tensor::{checked, Tensor};
use std::cell::RefCell;
use std::rc::Rc;

/// How much a finding weighs. A finding proposes; the operator's policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Severity {
    /// Worth knowing.
    Info = imports::SEVERITY_INFO,
    /// A person should look.
    Warn = imports::SEVERITY_WARN,
    /// This adapter should not be merged.
    Deny = imports::SEVERITY_DENY,
}

/// One adapter to look at.
///
/// Methods that give no [`Result`] keep the first failure in the run, which then ends with it: a result that could not be handed over,
/// for instance because the limit on metrics is used up, is never a result without those metrics.
#[derive(Debug)]
pub struct Run {
    targets: Vec<Target>,
    state: Rc<State>,
}

impl Run {
    /// Asks the host for the adapter's targets.
    pub(crate) fn load() -> Result<Run> {
        let state = Rc::new(State::default());
        let n = done_about("target_count", "", host::target_count())?;
        let mut targets = Vec::new();
        for i in 0..n {
            let mut info = TargetInfo::default();
            done_about("target_info", "", host::target_info(i, &mut info))?;
            let name = text("target_name", "", |dst| host::target_name(i, dst))?;
            targets.push(Target::new(&state, name, i, imports::NO_PEER, &info));
        }
        Ok(Run { targets, state })
    }

    /// The first failure that was kept.
    pub(crate) fn kept(&self) -> Option<Error> {
        self.state.first.borrow().clone()
    }

    /// The adapted weights, sorted by name.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The adapters to compare with; none when there is nothing to compare. It needs the capability peers.
    pub fn peers(&self) -> Vec<Peer> {
        match done_about("peer_count", "", host::peer_count()) {
            Ok(n) => (0..n)
                .map(|index| {
                    let name = text("peer_name", "", |dst| host::peer_name(index, dst));
                    Peer {
                        name: self.state.or_default(name),
                        state: Rc::clone(&self.state),
                        index,
                    }
                })
                .collect(),
            Err(error) => {
                self.state.keep(error);
                Vec::new()
            }
        }
    }

    /// The operator's setting, or the default of the module's manifest. A name that is not in the manifest is NaN and ends the run.
    pub fn param(&self, name: &str) -> f64 {
        let mut value = 0.0;
        match done_about("param", name, host::param(name, &mut value)) {
            Ok(_) => value,
            Err(error) => {
                self.state.keep(error);
                f64::NAN
            }
        }
    }

    /// What is known of the adapter and its base under a key that ABI.md names at `attr`; None when nothing is known.
    pub fn attr(&self, key: &str) -> Option<String> {
        self.state
            .found(text("attr", key, |dst| host::attr(key, dst)))
    }

    /// The digests of the adapters in the operator's bank for this base, in the order of the rows of [`Run::bank_features`]. None where no
    /// bank was given; a bank can also be empty.
    pub fn bank_names(&self) -> Option<Vec<String>> {
        let n = self
            .state
            .found(done_about("bank_count", "", host::bank_count()))?;
        let name = |entry| {
            self.state
                .or_default(text("bank_name", "", |dst| host::bank_name(entry, dst)))
        };
        Some((0..n).map(name).collect())
    }

    /// What this module reported, under the name of a grid `features` of 1 x n, about each adapter in the bank as a whole: row i is the
    /// adapter i of [`Run::bank_names`], NaN where that adapter has none. None where nobody has.
    pub fn bank_features(&self) -> Option<Tensor> {
        self.state.bank_features(imports::NO_TARGET)
    }

    /// Reports a number about the adapter as a whole. A name is `[a-z][a-z0-9_]{0,63}` and given once; anything else traps.
    pub fn metric(&self, name: &str, value: f64) {
        self.state
            .metric(imports::NO_TARGET, imports::NO_PEER, name, value);
    }

    /// Reports a matrix, row-major, about the adapter as a whole. It must have a row and a column at least.
    pub fn grid(&self, name: &str, rows: usize, cols: usize, values: &[f64]) {
        self.state.grid(
            imports::NO_TARGET,
            imports::NO_PEER,
            name,
            rows,
            cols,
            values,
        );
    }

    /// Reports what was noticed about the adapter as a whole: a code in capitals that never changes its meaning, one sentence for a
    /// person, what to do about it, and the number seen beside the number that was the limit.
    pub fn finding(
        &self,
        severity: Severity,
        code: &str,
        message: &str,
        hint: &str,
        value: f64,
        limit: f64,
    ) {
        let texts = [code, message, hint];
        self.state
            .finding(imports::NO_TARGET, severity, texts, value, limit);
    }

    /// Writes a line to the run's log. What exceeds the log's limit is lost.
    pub fn log(&self, line: &str) {
        host::log(line);
    }
}

/// What a run shares with its targets and peers.
#[derive(Debug, Default)]
pub(crate) struct State {
    first: RefCell<Option<Error>>,
}

impl State {
    /// Remembers the first failure.
    pub(crate) fn keep(&self, error: Error) {
        self.first.borrow_mut().get_or_insert(error);
    }

    /// The value, or None with the failure kept, unless that is only that nothing was found.
    fn found<T>(&self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if error.status != Status::NOT_FOUND {
                    self.keep(error);
                }
                None
            }
        }
    }

    fn or_default<T: Default>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.keep(error);
            T::default()
        })
    }

    pub(crate) fn bank_features(&self, target: i32) -> Option<Tensor> {
        self.found(Tensor::made("bank_features", host::bank_features(target)))
    }

    pub(crate) fn metric(&self, target: i32, peer: i32, name: &str, value: f64) {
        let status = host::metric(target, peer, name, value);
        self.or_default(done_about("metric", name, status));
    }

    pub(crate) fn grid(
        &self,
        target: i32,
        peer: i32,
        name: &str,
        rows: usize,
        cols: usize,
        values: &[f64],
    ) {
        let result = checked("grid", rows, cols, values).and_then(|(rows, cols)| {
            let status = host::grid(target, peer, name, rows, cols, values);
            done_about("grid", name, status)
        });
        self.or_default(result);
    }

    pub(crate) fn finding(
        &self,
        target: i32,
        severity: Severity,
        texts: [&str; 3],
        value: f64,
        limit: f64,
    ) {
        let status = host::finding(target, severity as i32, texts, value, limit);
        self.or_default(done_about("finding", texts[0], status));
    }
}
