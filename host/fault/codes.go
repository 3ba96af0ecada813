package fault

import "strings"

// Codes of the safetensors container (adapter-formats 2.0).
const (
	STEmpty      Code = "ST_EMPTY"       // the file has no bytes
	STShort      Code = "ST_SHORT"       // fewer than 8 bytes
	STHdrSmall   Code = "ST_HDR_SMALL"   // header length 0 or 1
	STHdrLen     Code = "ST_HDR_LEN"     // header length overflows
	STHdrTrunc   Code = "ST_HDR_TRUNC"   // header reaches past the end of the file
	STHdrBig     Code = "ST_HDR_BIG"     // header longer than the limit
	STHdrJSON    Code = "ST_HDR_JSON"    // header is not the JSON the format asks for
	STHdrStart   Code = "ST_HDR_START"   // header does not begin with {
	STHdrUTF8    Code = "ST_HDR_UTF8"    // invalid UTF-8 or NUL in the header
	STDup        Code = "ST_DUP"         // the same key twice
	STMetadata   Code = "ST_METADATA"    // __metadata__ is not string to string, or too large
	STTooMany    Code = "ST_TOO_MANY"    // more tensors than the limit
	STDType      Code = "ST_DTYPE"       // unknown or misaligned dtype
	STEntry      Code = "ST_ENTRY"       // a tensor's entry lacks a key, has an unknown one, or a value of the wrong type
	STOffset     Code = "ST_OFFSET"      // begin after end
	STOffsetEOF  Code = "ST_OFFSET_EOF"  // end past the data
	STOverlap    Code = "ST_OVERLAP"     // two tensors share bytes
	STHole       Code = "ST_HOLE"        // bytes that belong to no tensor
	STTrail      Code = "ST_TRAIL"       // bytes after the last tensor
	STSize       Code = "ST_SIZE"        // byte length is not shape times dtype
	STOverflow   Code = "ST_OVERFLOW"    // shape product overflows
	STWrongType  Code = "ST_WRONG_TYPE"  // a pickle, archive, GGUF, HTML page or LFS pointer under this name
	STLFSPointer Code = "ST_LFS_POINTER" // a Git LFS or Xet pointer, not weights
	STTooLarge   Code = "ST_TOO_LARGE"   // larger than the limit
	STChanged    Code = "ST_CHANGED"     // the file changed while it was read
)

// Codes of the GGUF container (adapter-formats 2.8).
const (
	GGShort     Code = "GG_SHORT"     // fewer bytes than the fixed part of the head
	GGMagic     Code = "GG_MAGIC"     // not GGUF: something else under this name
	GGVersion   Code = "GG_VERSION"   // a version that is not read, or big-endian byte order
	GGLimit     Code = "GG_LIMIT"     // more tensors, keys or bytes than the limit
	GGTrunc     Code = "GG_TRUNC"     // the head reaches past the end of the file
	GGKey       Code = "GG_KEY"       // a key that is empty, too long or not UTF-8
	GGValue     Code = "GG_VALUE"     // a value of an unknown type, or one that its type does not have
	GGDup       Code = "GG_DUP"       // the same key or tensor twice
	GGAlignment Code = "GG_ALIGNMENT" // general.alignment is no power of two
	GGName      Code = "GG_NAME"      // a tensor's name is empty, too long or not UTF-8
	GGShape     Code = "GG_SHAPE"     // a shape that no tensor can have, or that does not fill the blocks of its type
	GGType      Code = "GG_TYPE"      // a tensor type that ggml does not have, or that is not read
	GGOffset    Code = "GG_OFFSET"    // tensors do not follow one another: a hole, an overlap or a wrong order
	GGEOF       Code = "GG_EOF"       // a tensor reaches past the end of the file
	GGTrail     Code = "GG_TRAIL"     // bytes after the last tensor
	GGSplit     Code = "GG_SPLIT"     // one part of a model in several files
	GGChanged   Code = "GG_CHANGED"   // the file changed while it was read
)

// Codes of adapters. The hygiene diagnostic gives AD_NONFINITE and AD_ZERO, and others of these, by the same names.
const (
	ADConfig          Code = "AD_CONFIG"            // adapter_config.json missing, malformed, or a field of the wrong type
	ADRank            Code = "AD_RANK"              // r is missing, not an integer, or out of range
	ADAlpha           Code = "AD_ALPHA"             // lora_alpha is missing or not finite
	ADPattern         Code = "AD_PATTERN"           // a pattern RE2 cannot compile
	ADPeftType        Code = "AD_PEFT_TYPE"         // peft_type is not LORA
	ADUnsupported     Code = "AD_UNSUPPORTED"       // a field or tensor kind that changes the meaning and is not read yet
	ADCode            Code = "CFG_CODE"             // a field that names code to run
	ADKey             Code = "AD_KEY"               // a tensor name outside the grammar
	ADPair            Code = "AD_PAIR"              // A without B, or B without A
	ADRankMismatch    Code = "AD_RANK_MISMATCH"     // config rank and tensor rank differ, or A and B differ
	ADShape           Code = "AD_SHAPE"             // factor shape does not fit the base tensor
	ADDType           Code = "AD_DTYPE"             // factor dtype not F32, F16 or BF16
	ADNonFinite       Code = "AD_NONFINITE"         // NaN or Inf in a factor
	ADOverflowOnMerge Code = "AD_OVERFLOW_ON_MERGE" // the merged value does not fit the base dtype
	ADTarget          Code = "AD_TARGET"            // target not in the base
	ADTargetModules   Code = "AD_TARGET_MODULES"    // config and tensors disagree about what is adapted
	ADTwice           Code = "AD_TWICE"             // one module adapted twice
	ADNoEffect        Code = "AD_NO_EFFECT"         // the adapter changes nothing
	ADZero            Code = "AD_ZERO"              // one target's delta is zero
	ADNoWeights       Code = "AD_NO_WEIGHTS"        // no weights file, or two
	ADPickle          Code = "AD_PICKLE"            // weights are a pickle
	ADArchive         Code = "AD_ARCHIVE"           // an archive that is not read
	ADName            Code = "NAME"                 // a name that may not be used as an alias
	ADPath            Code = "PATH"                 // a name inside an adapter or bundle that leaves its folder, or that no file may have
	ADUnknownField    Code = "AD_UNKNOWN_FIELD"     // a configuration field Tenon does not know
	ADBase            Code = "AD_BASE"              // adapter names another base
	ADTied            Code = "AD_TIED"              // a tied tensor adapted on one side only
	ADUnseen          Code = "AD_UNSEEN"            // a change in a form that the diagnostics do not see
)

// Codes of base checkpoints.
const (
	BSConfig    Code = "BS_CONFIG"    // config.json missing, malformed, or out of range
	BSIndex     Code = "BS_INDEX"     // shard index malformed, or it and the shards disagree
	BSPath      Code = "BS_PATH"      // a path that leaves the directory
	BSQuantized Code = "BS_QUANTIZED" // a quantised base
	BSArch      Code = "BS_ARCH"      // an architecture that cannot be served
	BSTensor    Code = "BS_TENSOR"    // a tensor the architecture needs is missing or has another shape
	TKConfig    Code = "TK_CONFIG"    // tokenizer.json malformed, or of a kind that is not read
)

// Codes of the gate.
const (
	PolicyInvalid Code = "POLICY_INVALID" // the policy file does not load
	PolicyRule    Code = "POLICY_RULE"    // a rule could not be evaluated: the gate stays closed
	ModuleFailed  Code = "MODULE_FAILED"  // a diagnostic did not run to its end
	CasesInvalid  Code = "CASES_INVALID"  // the cases of a diagnostic, NAME.cases.json, do not load
	ModuleInvalid Code = "MODULE_INVALID" // a diagnostic given by its file is none, or its manifest is not one
	ModuleFile    Code = "MODULE_FILE"    // a diagnostic's files cannot be read, or are not what the policy pins
	ModuleRevoked Code = "MODULE_REVOKED" // a diagnostic's digest is on a list of revoked modules
	RevokedList   Code = "REVOKED_LIST"   // a list of revoked modules cannot be read
)

// Codes of behavioural probes.
const (
	BankInvalid    Code = "BANK_INVALID"    // a file of the bank does not load
	ProbeInvalid   Code = "PROBE_INVALID"   // the probe file does not load, or its texts do not fit the model
	ProbeFailed    Code = "PROBE_FAILED"    // the probes did not run to their end
	ProbeNonFinite Code = "PROBE_NONFINITE" // the merged model's predictions are not finite
)

// Codes of merging and receipts.
const (
	MergeExists   Code = "MERGE_EXISTS"   // the output directory exists
	MergeMismatch Code = "MERGE_MISMATCH" // the merged bytes are not what they must be
	MergeScale    Code = "MERGE_SCALE"    // a scale that is not finite
	ReceiptBad    Code = "RECEIPT"        // receipt missing or malformed
	DigestBad     Code = "DIGEST"         // bytes do not have the digest that was promised
)

// Codes of the registry: the data directory that remembers what was decided and what is live.
const (
	RegLocked   Code = "REG_LOCKED"    // another process uses the data directory
	RegCorrupt  Code = "REG_CORRUPT"   // the database, the audit log or what they say is damaged, or a part is gone
	RegNewer    Code = "REG_NEWER"     // a newer Tenon wrote the database
	RegReadOnly Code = "REG_READ_ONLY" // the data directory or the database cannot be written
	RegNetwork  Code = "REG_NETWORK"   // the data directory is on a network file system
	RegMissing  Code = "REG_MISSING"   // bytes that the registry names are not in the store
	RegSQLite   Code = "REG_SQLITE"    // this program was built with an SQLite that is too old
	Conflict    Code = "CONFLICT"      // an alias is not at the sequence that the change was decided on
)

// Codes of usage and operation. They say that the question has no answer, not that the answer is no.
const (
	UsageFlag   Code = "USAGE"        // a flag or argument is wrong
	UsageName   Code = "USAGE_FORMAT" // an output format that is not written
	IONotFound  Code = "IO_NOT_FOUND"
	IORead      Code = "IO_READ"
	IOWrite     Code = "IO_WRITE"
	IOFileType  Code = "IO_FILE_TYPE" // a device, FIFO, socket, directory or symbolic link in a file's place
	IOSpace     Code = "IO_SPACE"     // a disk is full, or there are too many of something, with the numbers
	IOMemory    Code = "IO_MEMORY"    // not enough memory, with the numbers
	BackendDown Code = "IO_BACKEND"   // the backend could not be started, died, or answered nonsense
	ServerDown  Code = "IO_SERVER"    // no server answers at the address
	UsageKey    Code = "USAGE_KEY"    // an API key is missing, unknown, or not for this
	Canceled    Code = "IO_CANCELED"
)

// Class is what a code means for whoever asked.
func (c Code) Class() Class {
	switch {
	case strings.HasPrefix(string(c), "IO_"), strings.HasPrefix(string(c), "REG_"):
		return Operational
	case strings.HasPrefix(string(c), "USAGE"), c == PolicyInvalid, c == ProbeInvalid, c == BankInvalid, c == CasesInvalid, c == MergeExists, c == MergeScale, c == ADName:
		return Usage
	case c == ModuleFailed, c == ModuleFile, c == ModuleRevoked, c == RevokedList, c == ProbeFailed:
		return Inconclusive
	}
	return Rejected
}
