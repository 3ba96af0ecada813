package abi

// Constant is a named number of the ABI, for bindings in languages that cannot read this package.
type Constant struct {
	Name  string // upper case with underscores
	Value int32
	Doc   string
}

// ConstantGroup are constants that belong together.
type ConstantGroup struct {
	Prefix    string // that the bindings put before each name
	Doc       string // one sentence
	Constants []Constant
}

// Constants lists every number of version 1 that has a name. It only grows; a golden file guards every line.
var Constants = []ConstantGroup{
	{"STATUS", "The statuses: a result below zero.", []Constant{
		{"NOT_FOUND", int32(NotFound), "no such target, peer, attribute or parameter"},
		{"BAD_HANDLE", int32(BadHandle), "not a live handle"},
		{"RANGE", int32(Range), "an index or count outside the object"},
		{"SHAPE", int32(Shape), "operands that do not fit each other, or a size below 1"},
		{"DENIED", int32(Denied), "the capability was not granted"},
		{"QUOTA", int32(Quota), "a limit of the run is used up"},
		{"UNSUPPORTED", int32(Unsupported), "an unknown flag or severity, or an operand that this function does not take"},
		{"INTERNAL", int32(Internal), "the host could not do it, for instance because a file could not be read"},
		{"NUMERIC", int32(Numeric), "no convergence, or operands that are not finite"},
	}},
	{"SEVERITY", "The severities of a finding: it proposes, the operator's policy decides.", []Constant{
		{"INFO", int32(Info), "worth knowing"},
		{"WARN", int32(Warn), "a person should look"},
		{"DENY", int32(Deny), "this adapter should not be merged"},
	}},
	{"FLAG", "The flags of a TargetInfo.", []Constant{
		{"FAN_IN_FAN_OUT", FlagFanInFanOut, "the checkpoint stores W transposed, in x out"},
		{"RS_LORA", FlagRsLoRA, "the scale is alpha / sqrt(rank)"},
	}},
	{"DTYPE", "The element types of a checkpoint.", []Constant{
		{"F16", int32(DTypeF16), "IEEE half precision"},
		{"BF16", int32(DTypeBF16), "the upper half of an F32"},
		{"F32", int32(DTypeF32), "IEEE single precision"},
		{"F64", int32(DTypeF64), "IEEE double precision"},
	}},
	{"FORMAT", "The formats of rounding. Those of an element type have the number of the dtype.", []Constant{
		{"F16", int32(FormatF16), "IEEE half precision"},
		{"BF16", int32(FormatBF16), "the upper half of an F32"},
		{"F32", int32(FormatF32), "IEEE single precision"},
		{"Q8_0", int32(FormatQ8_0), "GGUF: blocks of 32, an f16 scale, 8 bits a value"},
		{"Q4_0", int32(FormatQ4_0), "GGUF: blocks of 32, an f16 scale, 4 bits a value"},
		{"NF4", int32(FormatNF4), "bitsandbytes: blocks of 64 beside their largest magnitude, 4 bits a value"},
	}},
	{"TRANSPOSE", "The flags of matmul.", []Constant{
		{"A", TransposeA, "take the first operand transposed"},
		{"B", TransposeB, "take the second operand transposed"},
	}},
	{"NO", "They stand for the adapter as a whole in metric, grid, finding and bank_features.", []Constant{
		{"TARGET", NoTarget, "no target: the adapter as a whole"},
		{"PEER", NoPeer, "no peer: this adapter alone"},
	}},
	{"BASE_SVD", "What a manifest can give as base_svd_rank beside a number.", []Constant{
		{"TARGET_RANK", BaseSVDTargetRank, "as many triples as the target's rank"},
		{"TENTH", BaseSVDTenth, "a tenth of the smaller dimension of W, 16 at least"},
		{"ALL", BaseSVDAll, "all of them, up to the host's limit"},
	}},
}
