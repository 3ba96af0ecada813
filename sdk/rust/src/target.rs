//! Adapted weights, and the adapters to compare with.

use crate::algebra::{self, Triples};
use crate::error::{done_about, Result, Status};
use crate::host;
use crate::imports::{self, RoundLoss, Rounding, TargetInfo};
use crate::run::{Severity, State};
use crate::tensor::{size, Tensor};
use std::rc::Rc;

/// An element type as the checkpoint stores it; to the guest every value is f32 or f64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DType(pub i32);

impl DType {
    /// None is known: no base was granted. To [`Target::round_loss`] it is the checkpoint's own.
    pub const NONE: DType = DType(0);
    pub const F16: DType = DType(imports::DTYPE_F16);
    pub const BF16: DType = DType(imports::DTYPE_BF16);
    pub const F32: DType = DType(imports::DTYPE_F32);
    pub const F64: DType = DType(imports::DTYPE_F64);
}

/// How a serving runtime stores a weight: an element type, or a quantization in blocks along the rows as they lie in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format(pub i32);

impl Format {
    pub const F16: Format = Format(imports::FORMAT_F16);
    pub const BF16: Format = Format(imports::FORMAT_BF16);
    pub const F32: Format = Format(imports::FORMAT_F32);
    /// GGUF: blocks of 32, an f16 scale, 8 bits a value.
    pub const Q8_0: Format = Format(imports::FORMAT_Q8_0);
    /// GGUF: blocks of 32, an f16 scale, 4 bits a value.
    pub const Q4_0: Format = Format(imports::FORMAT_Q4_0);
    /// bitsandbytes: blocks of 64 beside their absolute maximum, 4 bits a value.
    pub const NF4: Format = Format(imports::FORMAT_NF4);
}

/// One adapted weight: delta W = scale * B A with A of rank x inputs and B of outputs x rank, added to a W of outputs x inputs. It holds
/// handles and no weights.
#[derive(Debug)]
pub struct Target {
    /// Of the base tensor, "model.layers.0.self_attn.q_proj.weight". The adapter's author chose it among the base's.
    pub name: String,
    /// As configured; the numerical rank of delta W can be smaller.
    pub rank: usize,
    /// Columns of W.
    pub inputs: usize,
    /// Rows of W.
    pub outputs: usize,
    pub scale: f64,
    /// As configured.
    pub alpha: f64,
    /// The checkpoint stores W as inputs x outputs; the diagnostic sees outputs x inputs all the same.
    pub fan_in_fan_out: bool,
    /// The scale is alpha / sqrt(rank) rather than alpha / rank.
    pub rs_lora: bool,
    /// What the checkpoint stores W in; [`DType::NONE`] where no base is granted.
    pub base_dtype: DType,
    /// What the adapter stores A and B in.
    pub factor_dtype: DType,

    state: Rc<State>,
    index: i32,
    peer: i32,
    a: Tensor,
    b: Tensor,
    base: Tensor,
}

impl Target {
    pub(crate) fn new(
        state: &Rc<State>,
        name: String,
        index: i32,
        peer: i32,
        info: &TargetInfo,
    ) -> Target {
        Target {
            name,
            rank: size(info.rank.into()),
            inputs: size(info.in_),
            outputs: size(info.out),
            scale: info.scale,
            alpha: info.alpha,
            fan_in_fan_out: info.flags & imports::FLAG_FAN_IN_FAN_OUT != 0,
            rs_lora: info.flags & imports::FLAG_RS_LORA != 0,
            base_dtype: DType(info.base_dtype),
            factor_dtype: DType(info.factor_dtype),
            state: Rc::clone(state),
            index,
            peer,
            a: Tensor::lent(info.a),
            b: Tensor::lent(info.b),
            base: Tensor::lent(info.base),
        }
    }

    /// The rank x inputs factor.
    pub fn a(&self) -> &Tensor {
        &self.a
    }

    /// The outputs x rank factor.
    pub fn b(&self) -> &Tensor {
        &self.b
    }

    /// The outputs x inputs weight; None when the base was not granted, and for the target of a [`Peer`].
    pub fn base(&self) -> Option<&Tensor> {
        Some(&self.base).filter(|base| base.handle() >= 0)
    }

    /// The singular triples of delta W, as many as its numerical rank. It needs the capability kernels.
    pub fn delta_svd(&self) -> Result<Triples> {
        algebra::delta_svd(&self.b, &self.a, self.scale)
    }

    /// The singular values of delta W alone, largest first, as many as its numerical rank. It needs the capability kernels.
    pub fn delta_values(&self) -> Result<Vec<f64>> {
        algebra::delta_values(&self.b, &self.a, self.scale)
    }

    /// The top k singular triples of W. They are computed once for a base and cached; the module's manifest must ask for them with
    /// `base_svd_rank`. It needs the capability base.
    pub fn base_svd(&self, k: usize) -> Result<Triples> {
        let mut handles = [-1; 3];
        let status = host::base_svd(self.index, count(k), &mut handles);
        done_about("base_svd", &self.of(), status)?;
        Triples::take(handles)
    }

    /// What storing W + delta W in `dtype` does to delta W; [`DType::NONE`] is the checkpoint's own. It needs the capability base.
    pub fn round_loss(&self, dtype: DType) -> Result<RoundLoss> {
        let mut loss = RoundLoss::default();
        let status = host::round_loss(self.index, dtype.0, &mut loss);
        done_about("round_loss", &self.of(), status)?;
        Ok(loss)
    }

    /// What storing W + delta W in each of the formats does to delta W, over `rows` rows of W from `first` on as they lie in the
    /// checkpoint: there are `outputs` of them, or `inputs` where `fan_in_fan_out`. It goes over those rows once for all formats. A format
    /// of blocks gives [`Status::SHAPE`] where a row is no multiple of its block. It needs the capability base.
    pub fn rounding(&self, first: i64, rows: i64, formats: &[Format]) -> Result<Vec<Rounding>> {
        let numbers: Vec<i32> = formats.iter().map(|format| format.0).collect();
        let mut roundings = vec![Rounding::default(); numbers.len()];
        let status = host::rounding(self.index, first, rows, &numbers, &mut roundings);
        done_about("rounding", &self.of(), status)?;
        Ok(roundings)
    }

    /// The top k singular triples of W + delta W, which is not rounded. It goes over W many times. It needs the capability base.
    pub fn merged_svd(&self, k: usize) -> Result<Triples> {
        let mut handles = [-1; 3];
        let status = host::merged_svd(self.index, count(k), &mut handles);
        done_about("merged_svd", &self.of(), status)?;
        Triples::take(handles)
    }

    /// What this module reported as its grid `features` of this weight for each adapter in the bank; see
    /// [`Run::bank_features`](crate::Run::bank_features).
    pub fn bank_features(&self) -> Option<Tensor> {
        self.state.bank_features(self.index)
    }

    /// Reports a number about this weight; on the target of a [`Peer`], about the two adapters on this weight.
    pub fn metric(&self, name: &str, value: f64) {
        self.state.metric(self.index, self.peer, name, value);
    }

    /// Reports a matrix, row-major, about this weight; on the target of a [`Peer`], about the two adapters on this weight.
    pub fn grid(&self, name: &str, rows: usize, cols: usize, values: &[f64]) {
        self.state
            .grid(self.index, self.peer, name, rows, cols, values);
    }

    /// Reports what was noticed about this weight. The report names the weight, so the message need not; see
    /// [`Run::finding`](crate::Run::finding).
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
            .finding(self.index, severity, texts, value, limit);
    }

    fn of(&self) -> String {
        ["of ", &self.name].concat()
    }
}

/// Another adapter on the same base, to compare with.
#[derive(Debug)]
pub struct Peer {
    /// Its digest.
    pub name: String,

    pub(crate) state: Rc<State>,
    pub(crate) index: i32,
}

impl Peer {
    /// The peer's factors for the weight that `target` is, or None where the peer does not adapt it. What is reported on the result is
    /// about both adapters.
    pub fn target(&self, target: &Target) -> Option<Target> {
        let mut info = TargetInfo::default();
        let status = host::peer_target(self.index, target.index, &mut info);
        match done_about("peer_target", &target.of(), status) {
            Ok(_) => {
                let name = target.name.clone();
                Some(Target::new(
                    &self.state,
                    name,
                    target.index,
                    self.index,
                    &info,
                ))
            }
            Err(error) => {
                if error.status != Status::NOT_FOUND {
                    self.state.keep(error);
                }
                None
            }
        }
    }

    /// Reports a number about the two adapters as a whole.
    pub fn metric(&self, name: &str, value: f64) {
        self.state
            .metric(imports::NO_TARGET, self.index, name, value);
    }

    /// Reports a matrix, row-major, about the two adapters as a whole.
    pub fn grid(&self, name: &str, rows: usize, cols: usize, values: &[f64]) {
        self.state
            .grid(imports::NO_TARGET, self.index, name, rows, cols, values);
    }
}

fn count(k: usize) -> i32 {
    i32::try_from(k).unwrap_or(i32::MAX)
}
