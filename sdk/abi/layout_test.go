package abi

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"
)

// The bytes below are written by hand from the tables in the godoc: they are the contract, whatever the code says.
func TestLayoutBytes(t *testing.T) {
	info := TargetInfo{
		A: 3, B: 4, Base: -1, Rank: 16, In: 192, Out: 1 << 33, Scale: 2, Alpha: 32,
		Flags: FlagFanInFanOut | FlagRsLoRA, BaseDType: DTypeBF16, FactorDType: DTypeF32,
	}
	stats := Stats{
		Count: 1, NaN: 2, Inf: 3, Zero: 4, Subnormal: 5, FirstNonFinite: -1, ZeroRows: 7, ZeroCols: 8,
		Min: -1, Max: 1, Sum: 0.5, SumSquares: math.Inf(1),
	}
	loss := RoundLoss{
		Count: 1, Changed: 2, NonZero: 3, Lost: 4, Overflow: 5, FirstOverflow: -2,
		Dot: 1, DeltaSquares: 2, RoundedSquares: -2, ErrorSquares: 0.5,
	}
	rounding := Rounding{
		Count: 1, NonZero: 2, Lost: 3, Changed: 4, Overflow: 5, NonFinite: 6,
		Dot: 1, DeltaSquares: 2, RoundedSquares: -2, ErrorSquares: 0.5, BaseSquares: -1, BaseError: math.Inf(1),
	}
	tests := []struct {
		name string
		got  []byte
		size int
		want string
	}{
		{"target info", info.Append(nil), TargetInfoSize, "03000000 04000000 ffffffff 10000000 c000000000000000 0000000002000000" +
			"0000000000000040 0000000000004040 03000000 02000000 03000000 00000000"},
		{"stats", stats.Append(nil), StatsSize, "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0500000000000000" +
			"ffffffffffffffff 0700000000000000 0800000000000000 000000000000f0bf 000000000000f03f 000000000000e03f 000000000000f07f"},
		{"round loss", loss.Append(nil), RoundLossSize, "0100000000000000 0200000000000000 0300000000000000 0400000000000000" +
			"0500000000000000 feffffffffffffff 000000000000f03f 0000000000000040 00000000000000c0 000000000000e03f"},
		{"rounding", rounding.Append(nil), RoundingSize, "0100000000000000 0200000000000000 0300000000000000 0400000000000000" +
			"0500000000000000 0600000000000000 000000000000f03f 0000000000000040 00000000000000c0 000000000000e03f" +
			"000000000000f0bf 000000000000f07f"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if len(test.got) != test.size {
				t.Errorf("%d bytes, want %d", len(test.got), test.size)
			}
			if got, want := hex.EncodeToString(test.got), strings.ReplaceAll(test.want, " ", ""); got != want {
				t.Errorf("bytes\n got %s\nwant %s", got, want)
			}
		})
	}
	var info2 TargetInfo
	info2.Decode(info.Append([]byte{9})[1:])
	if info2 != info {
		t.Errorf("target info came back as %+v, want %+v", info2, info)
	}
	var stats2 Stats
	stats2.Decode(stats.Append(nil))
	if stats2 != stats {
		t.Errorf("stats came back as %+v, want %+v", stats2, stats)
	}
	var loss2 RoundLoss
	loss2.Decode(loss.Append(nil))
	if loss2 != loss {
		t.Errorf("round loss came back as %+v, want %+v", loss2, loss)
	}
	var rounding2 Rounding
	rounding2.Decode(rounding.Append(nil))
	if rounding2 != rounding {
		t.Errorf("rounding came back as %+v, want %+v", rounding2, rounding)
	}
}
