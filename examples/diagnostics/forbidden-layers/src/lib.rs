//! A policy as a diagnostic: an adapter may change only the layers and modules that the operator allows. The settings are the parameters of
//! forbidden-layers.json. A setting that is no number forbids what it is about.

mod change;
mod place;
#[cfg(test)]
mod tests;

use place::{place, Kind, Place};
use tenon_diag::{Result, Run, Severity, Target};

tenon_diag::diagnostic!(diagnose);

/// The operator's settings.
struct Policy {
    first: f64,
    last: f64,
    attention: bool,
    mlp: bool,
    embeddings: bool,
    other: bool,
    min_norm: f64,
}

impl Policy {
    fn read(run: &Run) -> Policy {
        let allows = |name| run.param(name) > 0.0;
        Policy {
            first: run.param("first_layer"),
            last: run.param("last_layer"),
            attention: allows("allow_attention"),
            mlp: allows("allow_mlp"),
            embeddings: allows("allow_embeddings"),
            other: allows("allow_other"),
            min_norm: run.param("min_norm"),
        }
    }

    /// Whether there is a layer that may not be changed.
    fn bounded(&self) -> bool {
        let all = self.first <= 0.0 && self.last < 0.0;
        !all
    }

    fn allows_kind(&self, kind: Kind) -> bool {
        match kind {
            Kind::Attention => self.attention,
            Kind::Mlp => self.mlp,
            Kind::Embeddings => self.embeddings,
            Kind::Other => self.other,
        }
    }

    /// Whether the layer may be changed. An embedding stands in none, and neither does the last norm; attention and MLPs do.
    fn layer(&self, place: Place) -> Verdict {
        match place.layer {
            Some(layer) => {
                let layer = layer as f64;
                let inside = layer >= self.first && (self.last < 0.0 || layer <= self.last);
                if inside {
                    Verdict::Allowed
                } else {
                    Verdict::Outside
                }
            }
            None => match place.kind {
                Kind::Attention | Kind::Mlp if self.bounded() => Verdict::Unknown,
                _ => Verdict::Allowed,
            },
        }
    }

    /// The rules that a change of this weight breaks.
    fn broken(&self, place: Place) -> Vec<usize> {
        let layer = self.layer(place);
        let kind = (place.kind, self.allows_kind(place.kind));
        let breaks = |rule: &Rule| match rule.about {
            About::Layer(verdict) => layer == verdict,
            About::Kind(kind_of) => kind == (kind_of, false),
        };
        (0..RULES.len()).filter(|i| breaks(&RULES[*i])).collect()
    }

    /// Whether a change of this size is one. What cannot be compared is.
    fn counts(&self, change: f64) -> bool {
        let tolerated = change == 0.0 || change <= self.min_norm;
        !tolerated
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Allowed,
    Outside,
    Unknown,
}

enum About {
    Layer(Verdict),
    Kind(Kind),
}

/// What can be forbidden, and how it is told.
struct Rule {
    about: About,
    code: &'static str,
    what: &'static str,
    hint: &'static str,
}

const TRAIN: &str =
    "train the adapter without these target modules, or allow them if the change is wanted";

const RULES: [Rule; 6] = [
    Rule {
        about: About::Layer(Verdict::Outside),
        code: "FORBIDDEN_LAYER",
        what: "in layers outside first_layer to last_layer",
        hint: "train the adapter with layers_to_transform, or widen the range if it is wanted",
    },
    Rule {
        about: About::Layer(Verdict::Unknown),
        code: "UNKNOWN_LAYER",
        what: "of attention or an MLP whose layer cannot be read off the name",
        hint: "allow all layers for such a model, or leave these weights out of the adapter",
    },
    Rule {
        about: About::Kind(Kind::Attention),
        code: "FORBIDDEN_ATTENTION",
        what: "of attention",
        hint: TRAIN,
    },
    Rule {
        about: About::Kind(Kind::Mlp),
        code: "FORBIDDEN_MLP",
        what: "of MLPs",
        hint: TRAIN,
    },
    Rule {
        about: About::Kind(Kind::Embeddings),
        code: "FORBIDDEN_EMBEDDINGS",
        what: "of embeddings or the output head",
        hint: TRAIN,
    },
    Rule {
        about: About::Kind(Kind::Other),
        code: "FORBIDDEN_OTHER",
        what: "of a kind that is neither attention, MLP nor embedding",
        hint: TRAIN,
    },
];

/// The weights that break one rule.
#[derive(Clone, Copy)]
struct Breach<'r> {
    count: usize,
    worst: Option<(&'r Target, f64)>,
}

impl<'r> Breach<'r> {
    fn add(&mut self, target: &'r Target, change: f64) {
        self.count += 1;
        if self.worst.map_or(true, |(_, largest)| change > largest) {
            self.worst = Some((target, change));
        }
    }
}

fn diagnose(run: &Run) -> Result<()> {
    let policy = Policy::read(run);
    let mut breaches = [Breach {
        count: 0,
        worst: None,
    }; RULES.len()];
    let (mut all, mut outside) = (Vec::new(), Vec::new());
    for target in run.targets() {
        let place = place(&target.name);
        let change = change::change(target)?;
        let broken = policy.broken(place);
        target.metric("layer", place.layer.map_or(-1.0, |n| n as f64));
        target.metric("change", change);
        target.metric("allowed", f64::from(u8::from(broken.is_empty())));
        all.push(change);
        if broken.is_empty() || !policy.counts(change) {
            continue;
        }
        outside.push(change);
        for rule in broken {
            breaches[rule].add(target, change);
        }
    }
    run.metric("targets_outside", outside.len() as f64);
    let (total, forbidden) = (
        change::norm(all.into_iter()),
        change::norm(outside.into_iter()),
    );
    run.metric("change", total);
    run.metric("change_outside", forbidden);
    run.metric("share_outside", share(forbidden, total));
    for (rule, breach) in RULES.iter().zip(&breaches) {
        if let Some((target, change)) = breach.worst {
            let message = match breach.count {
                1 => format!("a weight {} is changed: this one", rule.what),
                n => format!("{n} weights {} are changed, this one the most", rule.what),
            };
            let deny = Severity::Deny;
            target.finding(
                deny,
                rule.code,
                &message,
                rule.hint,
                change,
                policy.min_norm,
            );
        }
    }
    Ok(())
}

/// The part of the change that lies outside: 1 where nothing finite can be said, 0 where there is none.
fn share(outside: f64, total: f64) -> f64 {
    if outside == 0.0 {
        return 0.0;
    }
    if outside.is_infinite() {
        return 1.0;
    }
    outside / total
}
