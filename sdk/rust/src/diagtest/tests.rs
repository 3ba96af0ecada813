use super::*;
use crate::{axpby, delta_svd, matmul, project_stats, qr, svd, Error, Status, Tensor, Transpose};

const NAME: &str = "model.layers.0.mlp.up_proj.weight";

fn adapter() -> Adapter {
    let mut target = Target::new(
        NAME,
        Matrix::new(&[[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]),
        Matrix::new(&[[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -1.0]]),
    );
    target.base = Some(Matrix::zeros(3, 4));
    let mut peer = target.clone();
    peer.scale = 3.0;
    let (peers, bank) = (
        vec![
            Peer {
                name: "p".into(),
                targets: vec![peer],
            },
            Peer::default(),
        ],
        Bank {
            names: vec!["one".into(), "two".into()],
            features: vec![("".into(), Matrix::new(&[[1.0], [2.0]]))],
        },
    );
    Adapter {
        targets: vec![target],
        peers,
        bank: Some(bank),
        ..Adapter::default()
    }
    .param("limit", 2.5)
}

#[test]
fn everything_is_reachable() {
    let report = run(&adapter(), |run| {
        let target = &run.targets()[0];
        let (a, b) = (target.a(), target.b());
        assert_eq!((target.rank, target.inputs, target.outputs), (2, 4, 3));
        let product = matmul(b, a, Transpose::NONE)?;
        assert_eq!(product.shape()?, (3, 4));
        let back = matmul(a, b, Transpose::A | Transpose::B)?;
        assert_eq!(back.shape()?, (4, 3));
        let nothing = axpby(1.0, &product, -1.0, &product)?;
        assert_eq!(nothing.stats()?.zero, 12);
        let (q, r) = qr(b)?;
        assert_eq!((q.shape()?, r.shape()?), ((3, 2), (2, 2)));
        assert_eq!(svd(&product)?.s.len(), 3);
        assert_eq!(target.delta_svd()?.s, target.delta_values()?);
        assert!(delta_svd(b, a, 0.0)?.s.is_empty());
        let base = target.base().expect("a base");
        let (projected, stats) = project_stats(base, &q, &Tensor::put(4, 1, &[1.0; 4])?)?;
        assert_eq!((projected.values()?, stats.zero_rows), (vec![0.0; 2], 3));
        assert_eq!(target.merged_svd(1)?.s[0], target.delta_values()?[0]);
        assert_eq!(target.base_svd(4).unwrap_err().status, Status::RANGE);
        let mut part = [0.0; 2];
        a.read32(&mut part, 3)?;
        assert_eq!(part, [4.0, 0.0]);

        let peers = run.peers();
        let other = peers[0].target(target).expect("a target of the peer");
        assert!(other.base().is_none() && peers[1].target(target).is_none());
        other.metric("scale", other.scale);
        assert_eq!(run.bank_names(), Some(vec!["one".into(), "two".into()]));
        assert_eq!(run.bank_features().expect("features").values()?, [1.0, 2.0]);
        assert!(target.bank_features().is_none() && run.attr("module.id").is_none());
        run.metric("limit", run.param("limit"));
        run.grid("features", 1, 2, &[1.0, f64::NAN]);
        target.finding(Severity::Warn, "ODD", "it is odd", "look", 1.0, 2.0);
        Ok::<(), Error>(())
    });
    assert_eq!(
        (report.code, report.codes()),
        (0, vec!["ODD"]),
        "{:?}",
        report.log
    );
    assert_eq!(report.metric("", "limit"), Some(2.5));
    assert_eq!(
        (report.metrics[0].peer.as_str(), report.metrics[0].value),
        ("p", 3.0)
    );
}

#[test]
fn tensors_are_freed() {
    run(&adapter(), |run| {
        let target = &run.targets()[0];
        let gone = matmul(target.b(), target.a(), Transpose::NONE)?;
        gone.free();
        assert_eq!(gone.shape().unwrap_err().status, Status::BAD_HANDLE);
        target.a().free();
        assert_eq!(
            target.delta_values().unwrap_err().status,
            Status::BAD_HANDLE
        );
        let none = Tensor::default();
        assert_eq!(
            none.stats().unwrap_err().to_string(),
            "stats: -1 is not a live handle"
        );
        assert_eq!(Tensor::put(2, 2, &[1.0]).unwrap_err().status, Status::SHAPE);
        assert_eq!(
            Tensor::put(usize::MAX, 2, &[]).unwrap_err().status,
            Status::SHAPE
        );
        Ok::<(), Error>(())
    });
}

#[test]
fn the_first_failure_ends_the_run() {
    let report = run(&adapter(), |run| {
        assert!(run.param("nothing").is_nan());
        run.grid("g", 0, 0, &[]);
        run.metric("m", 1.0);
        Ok::<(), Error>(())
    });
    assert_eq!((report.code, report.metrics.len()), (1, 1));
    assert_eq!(report.log, ["param nothing: no parameter \"nothing\""]);
    let report = run(&adapter(), |_| Err("of my own"));
    assert_eq!(
        (report.code, report.log),
        (1, vec!["of my own".to_string()])
    );
}

#[test]
#[should_panic(expected = "given twice")]
fn a_metric_is_given_once() {
    run(&Adapter::default(), |run| {
        run.metric("m", 1.0);
        run.metric("m", 2.0);
        Ok::<(), Error>(())
    });
}

#[test]
#[should_panic(expected = "is no name")]
fn names_have_a_grammar() {
    run(&Adapter::default(), |run| {
        run.metric("No", 1.0);
        Ok::<(), Error>(())
    });
}
