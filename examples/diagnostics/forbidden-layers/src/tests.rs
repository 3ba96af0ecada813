use crate::diagnose;
use tenon_diag::diagtest::{run, Adapter, Matrix, Report, Target};

fn policy(adapter: Adapter, settings: &[(&str, f64)]) -> Report {
    let mut adapter = adapter;
    for (name, default) in [
        ("first_layer", 0.0),
        ("last_layer", -1.0),
        ("allow_attention", 1.0),
        ("allow_mlp", 1.0),
        ("allow_embeddings", 0.0),
        ("allow_other", 0.0),
        ("min_norm", 0.0),
    ] {
        adapter = adapter.param(name, default);
    }
    for (name, value) in settings {
        adapter = adapter.param(name, *value);
    }
    let report = run(&adapter, diagnose);
    assert_eq!(report.code, 0, "{:?}", report.log);
    report
}

/// A target whose delta is [[size]] times [[0.6, 0.8]].
fn target(name: &str, size: f64) -> Target {
    Target::new(name, Matrix::new(&[[size]]), Matrix::new(&[[0.6, 0.8]]))
}

fn adapter(targets: &[(&str, f64)]) -> Adapter {
    Adapter {
        targets: targets
            .iter()
            .map(|(name, size)| target(name, *size))
            .collect(),
        ..Adapter::default()
    }
}

const Q0: &str = "model.layers.0.self_attn.q_proj.weight";
const UP5: &str = "model.layers.5.mlp.up_proj.weight";
const UP6: &str = "model.layers.6.mlp.up_proj.weight";
const HEAD: &str = "lm_head.weight";

#[test]
fn what_is_allowed_passes() {
    let report = policy(adapter(&[(Q0, 3.0), (UP5, 4.0)]), &[]);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.metric("", "change"), Some(5.0));
    assert_eq!(report.metric("", "share_outside"), Some(0.0));
    assert_eq!(report.metric(UP5, "layer"), Some(5.0));
    assert_eq!(report.metric(UP5, "allowed"), Some(1.0));
}

#[test]
fn each_kind_is_told_once_at_its_worst() {
    let four = adapter(&[(Q0, 1.0), (UP5, 4.0), (UP6, 7.0), (HEAD, 2.0)]);
    let report = policy(four, &[("allow_mlp", 0.0), ("last_layer", 5.0)]);
    assert_eq!(
        report.codes(),
        ["FORBIDDEN_LAYER", "FORBIDDEN_MLP", "FORBIDDEN_EMBEDDINGS"]
    );
    let mlp = &report.findings[1];
    assert_eq!((mlp.target.as_str(), mlp.value.round()), (UP6, 7.0));
    assert_eq!(
        mlp.message,
        "2 weights of MLPs are changed, this one the most"
    );
    assert_eq!(report.metric("", "targets_outside"), Some(3.0));
}

#[test]
fn a_delta_of_zeros_is_no_change() {
    let report = policy(adapter(&[(HEAD, 0.0), (UP5, 0.0)]), &[("allow_mlp", 0.0)]);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.metric(HEAD, "allowed"), Some(0.0));
    let mut unscaled = target(HEAD, 1.0);
    unscaled.scale = 0.0;
    let targets = vec![unscaled];
    let report = policy(
        Adapter {
            targets,
            ..Adapter::default()
        },
        &[],
    );
    assert_eq!(report.metric("", "targets_outside"), Some(0.0));
}

#[test]
fn small_changes_are_tolerated_up_to_min_norm() {
    for (min_norm, findings) in [(0.4, 1), (0.6, 0), (-1.0, 1), (f64::NAN, 1)] {
        let report = policy(adapter(&[(HEAD, 0.5)]), &[("min_norm", min_norm)]);
        assert_eq!(report.findings.len(), findings, "min_norm {min_norm}");
    }
}

/// Factors that cancel to less than f64 resolves, and those too small to square, are changes all the same.
#[test]
fn nothing_hides() {
    let huge = 2f64.powi(60);
    let cancels = Target::new(
        HEAD,
        Matrix::new(&[[huge, 1.0, -huge]]),
        Matrix::new(&[[1.0], [1.0], [1.0]]),
    );
    for hidden in [
        cancels,
        target(HEAD, 1e-200),
        target(HEAD, f64::MIN_POSITIVE / 8.0),
    ] {
        let targets = vec![hidden];
        let report = policy(
            Adapter {
                targets,
                ..Adapter::default()
            },
            &[],
        );
        assert_eq!(report.codes(), ["FORBIDDEN_EMBEDDINGS"]);
        assert!(report.findings[0].value > 0.0);
    }
}

#[test]
fn what_is_not_finite_is_a_change() {
    for size in [f64::NAN, f64::INFINITY, f64::MAX] {
        let mut odd = target(HEAD, size);
        odd.scale = 10.0;
        let targets = vec![odd, target(Q0, 1.0)];
        let report = policy(
            Adapter {
                targets,
                ..Adapter::default()
            },
            &[],
        );
        assert_eq!(report.codes(), ["FORBIDDEN_EMBEDDINGS"], "{size}");
        assert_eq!(report.metric("", "share_outside"), Some(1.0), "{size}");
    }
}

#[test]
fn odd_names_and_settings_forbid() {
    let odd = [
        ("...", 1.0),
        ("layers.99999999999999999999999999.q_proj.weight", 1.0),
        ("q_proj.weight", 1.0),
    ];
    let report = policy(adapter(&odd), &[]);
    assert_eq!(report.codes(), ["FORBIDDEN_OTHER"]);
    let report = policy(adapter(&odd), &[("last_layer", 31.0)]);
    assert_eq!(
        report.codes(),
        ["FORBIDDEN_LAYER", "UNKNOWN_LAYER", "FORBIDDEN_OTHER"]
    );
    for setting in ["first_layer", "last_layer"] {
        let report = policy(adapter(&[(Q0, 1.0)]), &[(setting, f64::NAN)]);
        assert_eq!(report.codes(), ["FORBIDDEN_LAYER"], "{setting}");
    }
    let report = policy(adapter(&[(Q0, 1.0)]), &[("allow_attention", f64::NAN)]);
    assert_eq!(report.codes(), ["FORBIDDEN_ATTENTION"]);
}

#[test]
fn no_targets() {
    let report = policy(Adapter::default(), &[]);
    assert_eq!(report.metric("", "share_outside"), Some(0.0));
    assert!(report.findings.is_empty());
}
